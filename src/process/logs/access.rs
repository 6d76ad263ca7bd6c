//! Lines of the access log. There is one for each request, so they are written straight from
//! their fields, in a quarter of the instructions that the general formatters take, and look the
//! same.

use std::cell::Cell;
use std::fmt::{self, Write as _};
use std::time::{SystemTime, UNIX_EPOCH};

use kingcdn_config::clock;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Room for a usual line.
const LINE_BYTES: usize = 384;

/// Their target.
const ACCESS: &str = "kingcdn::access";

/// Writes lines of the access log in one of two forms and leaves all others to `others`.
pub(super) struct AccessLines<F> {
    pub(super) json: bool,
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
        let mut line = String::with_capacity(LINE_BYTES);
        if self.json {
            json(&mut line, clock::wall(), event);
        } else {
            text(&mut line, clock::wall(), event, writer.has_ansi_escapes());
        }
        writer.write_str(&line)
    }
}

fn json(out: &mut String, now: SystemTime, event: &Event<'_>) {
    out.push_str("{\"timestamp\":\"");
    push_time(out, now);
    out.push_str("\",\"level\":\"");
    out.push_str(event.metadata().level().as_str());
    out.push('"');
    event.record(&mut Json(out));
    out.push_str(",\"target\":\"kingcdn::access\"}\n");
}

fn text(out: &mut String, now: SystemTime, event: &Event<'_>, coloured: bool) {
    let (dim, green, plain) =
        if coloured { ("\x1b[2m", "\x1b[32m", "\x1b[0m") } else { ("", "", "") };
    out.push_str(dim);
    push_time(out, now);
    for part in [plain, " ", green, " ", event.metadata().level().as_str(), plain, " "] {
        out.push_str(part);
    }
    for part in [dim, ACCESS, plain, dim, ":", plain] {
        out.push_str(part);
    }
    event.record(&mut Text(out));
    out.push('\n');
}

/// RFC 3339, to the microsecond. What changes once a second is worked out once a second.
fn push_time(out: &mut String, now: SystemTime) {
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
    push_ascii(out, &text);
    push_digits::<6>(out, '.', since_epoch.subsec_micros());
    out.push('Z');
}

/// A separator and so many digits of a number.
fn push_digits<const DIGITS: usize>(out: &mut String, before: char, mut number: u32) {
    let mut digits = [b'0'; DIGITS];
    for digit in digits.iter_mut().rev() {
        *digit += (number % 10) as u8;
        number /= 10;
    }
    out.push(before);
    push_ascii(out, &digits);
}

fn push_ascii(out: &mut String, text: &[u8]) {
    out.push_str(str::from_utf8(text).unwrap_or_default());
}

/// In decimal, without the general formatter.
fn push_number(out: &mut String, mut number: u64) {
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
    push_ascii(out, &digits[first..]);
}

/// To the thousandth, which is enough for all that is logged of a request.
fn push_thousandths(out: &mut String, number: f64) {
    // What isn't a number, or is below 0, is 0.
    let thousandths = (number * 1e3).round() as u64;
    push_number(out, thousandths / 1000);
    push_digits::<3>(out, '.', (thousandths % 1000) as u32);
}

fn push_bool(out: &mut String, value: bool) {
    out.push_str(if value { "true" } else { "false" });
}

struct Json<'a>(&'a mut String);

impl Json<'_> {
    fn member(&mut self, field: &Field) -> &mut String {
        self.0.push_str(",\"");
        self.0.push_str(field.name());
        self.0.push_str("\":");
        self.0
    }
}

impl Visit for Json<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        let out = self.member(field);
        out.push('"');
        push_escaped(out, value);
        out.push('"');
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        push_number(self.member(field), value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        push_thousandths(self.member(field), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        push_bool(self.member(field), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let out = self.member(field);
        out.push('"');
        let _infallible = write!(Escaped(out), "{value:?}");
        out.push('"');
    }
}

/// The content of a JSON string (RFC 8259 section 7).
struct Escaped<'a>(&'a mut String);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        push_escaped(self.0, text);
        Ok(())
    }
}

fn push_escaped(out: &mut String, text: &str) {
    let special = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
    if !text.bytes().any(special) {
        return out.push_str(text);
    }
    for it in text.chars() {
        match it {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            control if control < ' ' => {
                let _infallible = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
}

struct Text<'a>(&'a mut String);

impl Text<'_> {
    fn member(&mut self, field: &Field) -> &mut String {
        self.0.push(' ');
        self.0.push_str(field.name());
        self.0.push('=');
        self.0
    }
}

impl Visit for Text<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.member(field).push_str(value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        push_number(self.member(field), value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        push_thousandths(self.member(field), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        push_bool(self.member(field), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _infallible = write!(self.member(field), "{value:?}");
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::cli::LogFormat;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What a log in this form has of a request for `path`, and of something else.
    fn lines(form: LogFormat, path: &str) -> Vec<String> {
        let written = Written::default();
        let log = tracing_subscriber::fmt().with_writer({
            let written = written.clone();
            move || written.clone()
        });
        let dispatch: tracing::Dispatch = match form {
            LogFormat::Text => log
                .with_ansi(false)
                .map_event_format(|others| AccessLines { json: false, others })
                .finish()
                .into(),
            LogFormat::Json => log
                .json()
                .flatten_event(true)
                .map_event_format(|others| AccessLines { json: true, others })
                .finish()
                .into(),
        };
        tracing::dispatcher::with_default(&dispatch, || {
            tracing::info!(
                target: ACCESS,
                site = "s",
                client = %std::net::Ipv4Addr::LOCALHOST,
                path = %path,
                status = 200_u16,
                bytes = u64::MAX,
                ms = 0.25,
                complete = true,
            );
            tracing::warn!(target: "kingcdn::other", number = 7, "something else");
        });
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_line_of_json_is_json_whatever_was_asked_for() {
        for path in ["/", "/a?b=\"c\"", "/\\\"", "/\u{1}\n\u{7f}é"] {
            let lines = lines(LogFormat::Json, path);
            let line: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
            assert_eq!(line["path"], path);
            assert_eq!((&line["site"], &line["client"]), (&"s".into(), &"127.0.0.1".into()));
            assert_eq!((&line["status"], &line["bytes"]), (&200.into(), &u64::MAX.into()));
            assert_eq!((&line["ms"], &line["complete"]), (&0.25.into(), &true.into()));
            assert_eq!((&line["level"], &line["target"]), (&"INFO".into(), &ACCESS.into()));
            assert_eq!(line.as_object().unwrap().len(), 10);
            let other: serde_json::Value = serde_json::from_str(&lines[1]).unwrap();
            assert_eq!(
                (&other["message"], &other["number"]),
                (&"something else".into(), &7.into())
            );
            assert_eq!(
                line["timestamp"].as_str().unwrap().len(),
                other["timestamp"].as_str().unwrap().len()
            );
        }
    }

    #[test]
    fn a_line_of_text_looks_like_all_others() {
        let lines = lines(LogFormat::Text, "/a?b");
        let (time, rest) = lines[0].split_once(' ').unwrap();
        assert!(humantime::parse_rfc3339(time).is_ok(), "{time}");
        assert_eq!(
            rest,
            " INFO kingcdn::access: site=s client=127.0.0.1 path=/a?b status=200 \
             bytes=18446744073709551615 ms=0.250 complete=true"
        );
        let (other_time, other) = lines[1].split_once(' ').unwrap();
        assert_eq!(time.len(), other_time.len());
        assert_eq!(other, " WARN kingcdn::other: something else number=7");
    }

    #[test]
    fn times_are_written_as_the_library_writes_them() {
        for micros in [0, 999_999, 1_000_000, 1_700_000_000_000_001, 1_700_000_000_123_456] {
            let time = UNIX_EPOCH + std::time::Duration::from_micros(micros);
            let mut text = String::new();
            push_time(&mut text, time);
            assert_eq!(text, humantime::format_rfc3339_micros(time).to_string());
        }
    }

    #[test]
    fn milliseconds_are_written_to_the_microsecond() {
        for (number, expected) in [
            (0.0, "0.000"),
            (0.001, "0.001"),
            (0.25, "0.250"),
            (12.3456, "12.346"),
            (59_999.999_9, "60000.000"),
            (-1.0, "0.000"),
            (f64::NAN, "0.000"),
        ] {
            let mut text = String::new();
            push_thousandths(&mut text, number);
            assert_eq!(text, expected);
        }
    }
}
