//! Lines of the access log. There is one for each request, so they are written straight from
//! their fields, in a fraction of the instructions that the general formatters take, and look the
//! same. An edge's go past the general log altogether, into the buffer of their thread.

use std::cell::Cell;
use std::fmt;
use std::io::Write as _;
use std::net::IpAddr;
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
        self.text("site", line.site);
        self.address("client", line.client);
        self.text("method", line.method);
        match line.uri.path_and_query() {
            Some(target) if line.uri.authority().is_none() => self.text("path", target.as_str()),
            _ => self.display("path", &line.uri),
        }
        self.number("status", u64::from(line.status));
        self.text("cache", line.cache);
        self.text("reason", line.reason);
        self.number("bytes", line.bytes);
        push_thousandths(self.name("ms"), line.micros);
        self.flag("complete", line.complete);
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

    fn text(&mut self, name: &str, value: &str) {
        let json = self.form == Form::Json;
        let out = self.name(name);
        if json {
            out.push(b'"');
            push_escaped(out, value);
            out.push(b'"');
        } else {
            push(out, value);
        }
    }

    fn display(&mut self, name: &str, value: &dyn fmt::Display) {
        let json = self.form == Form::Json;
        let out = self.name(name);
        // Writing into memory doesn't fail.
        let _infallible = if json {
            out.push(b'"');
            let written = fmt::write(&mut Escaped(out), format_args!("{value}"));
            out.push(b'"');
            written.is_ok()
        } else {
            write!(out, "{value}").is_ok()
        };
    }

    fn address(&mut self, name: &str, address: IpAddr) {
        let IpAddr::V4(address) = address else { return self.display(name, &address) };
        let json = self.form == Form::Json;
        let out = self.name(name);
        let quote: &[u8] = if json { b"\"" } else { b"" };
        out.extend_from_slice(quote);
        for (at, part) in address.octets().into_iter().enumerate() {
            if at > 0 {
                out.push(b'.');
            }
            push_number(out, u64::from(part));
        }
        out.extend_from_slice(quote);
    }

    fn number(&mut self, name: &str, value: u64) {
        push_number(self.name(name), value);
    }

    fn flag(&mut self, name: &str, value: bool) {
        push(self.name(name), if value { "true" } else { "false" });
    }
}

impl Visit for Out<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.number(field.name(), value);
    }

    /// To the thousandth, which is enough for all that is logged of a request; what isn't a number,
    /// or is below 0, is 0.
    fn record_f64(&mut self, field: &Field, value: f64) {
        push_thousandths(self.name(field.name()), (value * 1e3).round() as u64);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.flag(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.display(field.name(), &format_args!("{value:?}"));
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
    if !text.bytes().any(special) {
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
