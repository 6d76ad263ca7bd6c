//! Lines of the access log. There is one for each request, so they are written straight from
//! their fields, in a fraction of the instructions that the general formatters take, and look the
//! same. An edge's go past the general log altogether, into the buffer of their thread.

use std::cell::Cell;
use std::fmt;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use kingcdn_config::clock;
use kingcdn_edge::access::{AccessLog, Line};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::queue::Lines;

/// Room for a usual line.
const LINE_BYTES: usize = 384;

/// Their target.
const ACCESS: &str = "kingcdn::access";

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    Text { coloured: bool },
}

/// Where an edge's lines go; nowhere, where the filter wants none of them.
pub(super) fn of_edge(form: Form, lines: Lines) -> Option<AccessLog> {
    if !tracing::enabled!(target: ACCESS, Level::INFO) {
        return None;
    }
    Some(Arc::new(move |line: &Line<'_>| {
        lines.append(|out| {
            let mut out = Out::begin(out, form, clock::wall());
            out.edge(line);
            out.end();
        });
    }))
}

/// Writes lines of the access log and leaves all others to `others`.
pub(super) struct AccessLines<F> {
    pub(super) form: Form,
    pub(super) others: F,
}

impl<S, N, F> FormatEvent<S, N> for AccessLines<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if event.metadata().target() != ACCESS {
            return self.others.format_event(context, writer, event);
        }
        let mut line = Vec::with_capacity(LINE_BYTES);
        let mut out = Out::begin(&mut line, self.form, clock::wall());
        event.record(&mut out);
        out.end();
        writer.write_str(str::from_utf8(&line).map_err(|_| fmt::Error)?)
    }
}

/// A line that is being written.
struct Out<'a> {
    line: &'a mut Vec<u8>,
    form: Form,
}

impl<'a> Out<'a> {
    fn begin(line: &'a mut Vec<u8>, form: Form, now: SystemTime) -> Self {
        match form {
            Form::Json => {
                push(line, "{\"timestamp\":\"");
                push_time(line, now);
                push(line, "\",\"level\":\"INFO\"");
            }
            Form::Text { coloured: false } => {
                push_time(line, now);
                push(line, "  INFO kingcdn::access:");
            }
            Form::Text { coloured: true } => {
                push(line, "\x1b[2m");
                push_time(line, now);
                push(line, "\x1b[0m \x1b[32m INFO\x1b[0m ");
                push(line, "\x1b[2mkingcdn::access\x1b[0m\x1b[2m:\x1b[0m");
            }
        }
        Self { line, form }
    }

    fn end(self) {
        push(
            self.line,
            match self.form {
                Form::Json => ",\"target\":\"kingcdn::access\"}\n",
                Form::Text { .. } => "\n",
            },
        );
    }

    fn edge(&mut self, line: &Line<'_>) {
        let labels = match self.form {
            Form::Json => &JSON,
            Form::Text { .. } => &TEXT,
        };
        push(self.line, labels.site);
        self.value(line.site);
        push(self.line, labels.client);
        match line.client {
            IpAddr::V4(address) => push_address(self.line, address),
            IpAddr::V6(address) => self.displayed(&address),
        }
        push(self.line, labels.method);
        self.value(line.method);
        push(self.line, labels.path);
        match line.uri.path_and_query() {
            Some(target) if line.uri.authority().is_none() => self.value(target.as_str()),
            _ => self.displayed(line.uri),
        }
        push(self.line, labels.status);
        push_number(self.line, u64::from(line.status));
        push(self.line, labels.cache);
        push(self.line, line.cache);
        push(self.line, labels.reason);
        push(self.line, line.reason);
        push(self.line, labels.bytes);
        push_number(self.line, line.bytes);
        push(self.line, labels.ms);
        push_thousandths(self.line, line.micros);
        push(self.line, labels.complete);
        push(self.line, if line.complete { "true" } else { "false" });
    }

    fn name(&mut self, name: &str) -> &mut Vec<u8> {
        let (before, after) = match self.form {
            Form::Json => (",\"", "\":"),
            Form::Text { .. } => (" ", "="),
        };
        for part in [before, name, after] {
            push(self.line, part);
        }
        self.line
    }

    /// A string's content.
    fn value(&mut self, text: &str) {
        match self.form {
            Form::Json => push_escaped(self.line, text),
            Form::Text { .. } => push(self.line, text),
        }
    }

    /// The same, of what isn't text yet.
    fn displayed(&mut self, value: &dyn fmt::Display) {
        // Writing into memory doesn't fail.
        let _infallible = match self.form {
            Form::Json => fmt::write(&mut Escaped(self.line), format_args!("{value}")).is_ok(),
            Form::Text { .. } => write!(self.line, "{value}").is_ok(),
        };
    }

    fn quote(&mut self) {
        if self.form == Form::Json {
            self.line.push(b'"');
        }
    }
}

/// What stands before each value of an edge's line, with the end of the one before.
struct Labels {
    site: &'static str,
    client: &'static str,
    method: &'static str,
    path: &'static str,
    status: &'static str,
    cache: &'static str,
    reason: &'static str,
    bytes: &'static str,
    ms: &'static str,
    complete: &'static str,
}

const JSON: Labels = Labels {
    site: ",\"site\":\"",
    client: "\",\"client\":\"",
    method: "\",\"method\":\"",
    path: "\",\"path\":\"",
    status: "\",\"status\":",
    cache: ",\"cache\":\"",
    reason: "\",\"reason\":\"",
    bytes: "\",\"bytes\":",
    ms: ",\"ms\":",
    complete: ",\"complete\":",
};

const TEXT: Labels = Labels {
    site: " site=",
    client: " client=",
    method: " method=",
    path: " path=",
    status: " status=",
    cache: " cache=",
    reason: " reason=",
    bytes: " bytes=",
    ms: " ms=",
    complete: " complete=",
};

impl Visit for Out<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.name(field.name());
        self.quote();
        self.value(value);
        self.quote();
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        push_number(self.name(field.name()), value);
    }

    /// To the thousandth, which is enough for all that is logged of a request; what isn't a number,
    /// or is below 0, is 0.
    fn record_f64(&mut self, field: &Field, value: f64) {
        push_thousandths(self.name(field.name()), (value * 1e3).round() as u64);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        push(self.name(field.name()), if value { "true" } else { "false" });
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.name(field.name());
        self.quote();
        self.displayed(&format_args!("{value:?}"));
        self.quote();
    }
}

/// RFC 3339, to the microsecond. What changes once a second is worked out once a second.
fn push_time(out: &mut Vec<u8>, now: SystemTime) {
    /// As far as the second: `2026-11-21T08:20:39`.
    const LEN: usize = 19;
    thread_local! {
        static SECOND: Cell<(u64, [u8; LEN])> = const { Cell::new((u64::MAX, [b' '; LEN])) };
    }
    let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (mut secs, mut text) = SECOND.get();
    if secs != since_epoch.as_secs() {
        secs = since_epoch.as_secs();
        let written = humantime::format_rfc3339_seconds(UNIX_EPOCH + since_epoch).to_string();
        if let Some(written) = written.as_bytes().first_chunk() {
            text = *written;
        }
        SECOND.set((secs, text));
    }
    out.extend_from_slice(&text);
    push_digits::<6>(out, b'.', since_epoch.subsec_micros());
    out.push(b'Z');
}

/// A separator and so many digits of a number.
fn push_digits<const DIGITS: usize>(out: &mut Vec<u8>, before: u8, mut number: u32) {
    let mut digits = [b'0'; DIGITS];
    for digit in digits.iter_mut().rev() {
        *digit += (number % 10) as u8;
        number /= 10;
    }
    out.push(before);
    out.extend_from_slice(&digits);
}

fn push(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

fn push_address(out: &mut Vec<u8>, address: Ipv4Addr) {
    for (at, part) in address.octets().into_iter().enumerate() {
        if at > 0 {
            out.push(b'.');
        }
        push_number(out, u64::from(part));
    }
}

/// In decimal, without the general formatter.
fn push_number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0_u8; 20];
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[first..]);
}

fn push_thousandths(out: &mut Vec<u8>, thousandths: u64) {
    push_number(out, thousandths / 1000);
    push_digits::<3>(out, b'.', (thousandths % 1000) as u32);
}

/// The content of a JSON string (RFC 8259 section 7).
struct Escaped<'a>(&'a mut Vec<u8>);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        push_escaped(self.0, text);
        Ok(())
    }
}

fn push_escaped(out: &mut Vec<u8>, text: &str) {
    let special = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
    // All of them, whatever the first ones are: many at a time.
    if !text.bytes().fold(false, |found, byte| found | special(byte)) {
        return push(out, text);
    }
    for it in text.chars() {
        match it {
            '"' => push(out, "\\\""),
            '\\' => push(out, "\\\\"),
            control if control < ' ' => {
                let _infallible = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => push(out, other.encode_utf8(&mut [0; 4])),
        }
    }
}

#[cfg(test)]
mod tests;
