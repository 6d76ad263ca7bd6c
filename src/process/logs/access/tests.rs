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
            .map_event_format(|others| AccessLines { form: Form::Text { coloured: false }, others })
            .finish()
            .into(),
        LogFormat::Json => log
            .json()
            .flatten_event(true)
            .map_event_format(|others| AccessLines { form: Form::Json, others })
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
        assert_eq!((&other["message"], &other["number"]), (&"something else".into(), &7.into()));
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
fn an_edges_line_says_all_that_is_told() {
    let now = UNIX_EPOCH + std::time::Duration::from_micros(1_700_000_000_123_456);
    let written = |form, client: &str, uri: &str| {
        let uri = uri.parse().unwrap();
        let line = Line {
            site: "s",
            client: client.parse().unwrap(),
            method: "GET",
            uri: &uri,
            status: 200,
            cache: "hit",
            reason: "fresh",
            bytes: 12,
            micros: 250,
            complete: true,
        };
        let mut all = Vec::new();
        let mut out = Out::begin(&mut all, form, now);
        out.edge(&line);
        out.end();
        String::from_utf8(all).unwrap()
    };
    assert_eq!(
        written(Form::Text { coloured: false }, "192.0.2.10", "/a\"b?c"),
        "2023-11-14T22:13:20.123456Z  INFO kingcdn::access: site=s client=192.0.2.10 \
         method=GET path=/a\"b?c status=200 cache=hit reason=fresh bytes=12 ms=0.250 \
         complete=true\n"
    );
    for (client, uri) in [("192.0.2.10", "/a\"b?c"), ("2001:db8::1", "http://a.test/\"")] {
        let line = written(Form::Json, client, uri);
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&line["client"], &line["path"]), (&client.into(), &uri.into()));
        assert_eq!((&line["site"], &line["method"]), (&"s".into(), &"GET".into()));
        assert_eq!((&line["cache"], &line["reason"]), (&"hit".into(), &"fresh".into()));
        assert_eq!((&line["status"], &line["bytes"]), (&200.into(), &12.into()));
        assert_eq!((&line["ms"], &line["complete"]), (&0.25.into(), &true.into()));
        assert_eq!(line.as_object().unwrap().len(), 13);
    }
}

#[test]
fn times_are_written_as_the_library_writes_them() {
    for micros in [0, 999_999, 1_000_000, 1_700_000_000_000_001, 1_700_000_000_123_456] {
        let time = UNIX_EPOCH + std::time::Duration::from_micros(micros);
        let mut text = Vec::new();
        push_time(&mut text, time);
        assert_eq!(
            String::from_utf8(text).unwrap(),
            humantime::format_rfc3339_micros(time).to_string()
        );
    }
}

#[test]
fn milliseconds_are_written_to_the_microsecond() {
    for (micros, expected) in
        [(0, "0.000"), (1, "0.001"), (250, "0.250"), (12_346, "12.346"), (60_000_000, "60000.000")]
    {
        let mut text = Vec::new();
        push_thousandths(&mut text, micros);
        assert_eq!(text, expected.as_bytes());
    }
}
