//! Requests that are badly made, or could be read in two ways: what each gets, and where it is
//! counted.

#![allow(clippy::unwrap_used, clippy::panic)] // What fails here fails the test.

mod stage;

use std::time::Duration;

use stage::{Answer, HOST, Stage, origin_of_bytes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// More than any of this takes.
const PATIENCE: Duration = Duration::from_secs(20);
const REFUSED: &str = "kingcdn_edge_refused_total";
const BROKEN: &str = "kingcdn_edge_connection_errors_total";

/// `GET /` with these further lines.
fn get(lines: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n{lines}\r\n")
}

fn post(lines: &str, body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n{lines}\r\n{body}")
}

fn cases() -> Vec<(String, u16, &'static str, &'static str)> {
    let line = |line: &str| format!("{line}\r\nHost: {HOST}\r\nConnection: close\r\n\r\n");
    vec![
        // RFC 9112 section 3.2: whose is it?
        ("GET / HTTP/1.1\r\nConnection: close\r\n\r\n".into(), 400, REFUSED, "missing-host"),
        (get("Host: other.test\r\n"), 400, REFUSED, "several-hosts"),
        (get(&format!("Host: {HOST}\r\n")), 400, REFUSED, "several-hosts"),
        (line("GET http://other.test/ HTTP/1.1"), 400, REFUSED, "host-mismatch"),
        (
            "GET / HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n".into(),
            400,
            REFUSED,
            "bad-host",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a/b\r\nConnection: close\r\n\r\n".into(),
            400,
            REFUSED,
            "bad-host",
        ),
        (
            "GET / HTTP/1.1\r\nHost: u@a\r\nConnection: close\r\n\r\n".into(),
            400,
            REFUSED,
            "bad-host",
        ),
        ("GET / HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n".into(), 400, REFUSED, "bad-host"),
        (
            "GET / HTTP/1.1\r\nHost: x.test\r\nConnection: close\r\n\r\n".into(),
            421,
            REFUSED,
            "unknown-host",
        ),
        // Methods and targets.
        (line("TRACE / HTTP/1.1"), 405, REFUSED, "trace"),
        (line("CONNECT a.test:443 HTTP/1.1"), 405, REFUSED, "connect"),
        (line("GET * HTTP/1.1"), 400, REFUSED, "bad-target"),
        (line("GET film HTTP/1.1"), 400, REFUSED, "bad-target"),
        (line("GET /a b HTTP/1.1"), 400, BROKEN, "malformed"),
        (line("GET /\u{1}a HTTP/1.1"), 400, BROKEN, "malformed"),
        (line("G@T / HTTP/1.1"), 400, BROKEN, "malformed"),
        (line("GET /"), 400, BROKEN, "malformed"),
        (line("GET / HTTP/9.9"), 400, BROKEN, "malformed"),
        (line("GET / HTTP/1.1 "), 400, BROKEN, "malformed"),
        (line(&format!("GET /{} HTTP/1.1", "a".repeat(13_000))), 414, REFUSED, "target-too-long"),
        (line(&format!("GET /{} HTTP/1.1", "a".repeat(100_000))), 414, REFUSED, "target-too-long"),
        // RFC 9112 section 5: fields.
        (get("X : y\r\n"), 400, BROKEN, "malformed"),
        (get(" X: y\r\n"), 400, BROKEN, "malformed"),
        (get("X: a\r\n folded\r\n"), 400, BROKEN, "malformed"),
        (get("X: a\r\n\tfolded\r\n"), 400, BROKEN, "malformed"),
        (get("X: a\rb\r\n"), 400, BROKEN, "malformed"),
        (get("X: a\0b\r\n"), 400, BROKEN, "malformed"),
        (get("X\r\n"), 400, BROKEN, "malformed"),
        (get(": y\r\n"), 400, BROKEN, "malformed"),
        (get("X(: y\r\n"), 400, BROKEN, "malformed"),
        (get(&format!("X: {}\r\n", "x".repeat(100_000))), 431, BROKEN, "head-too-large"),
        (
            get(&(0..200).map(|n| format!("X-{n}: 1\r\n")).collect::<String>()),
            431,
            BROKEN,
            "head-too-large",
        ),
        // RFC 9112 section 2.2: where does a line end?
        (get("X: a\n"), 400, REFUSED, "bare-line-feed"),
        (line("GET / HTTP/1.1\nX: a"), 400, REFUSED, "bare-line-feed"),
        (get("X: a\r\n\n"), 400, REFUSED, "bare-line-feed"),
        // RFC 9112 section 6: how long is it?
        (post("Content-Length: 3\r\nContent-Length: 4\r\n", "abc"), 400, BROKEN, "malformed"),
        (
            post("Content-Length: 3\r\nContent-Length: 3\r\n", "abc"),
            400,
            REFUSED,
            "several-lengths",
        ),
        (
            post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
            400,
            REFUSED,
            "length-and-coding",
        ),
        (
            post("Transfer-Encoding: chunked\r\ncontent-length: 5\r\n", "0\r\n\r\n"),
            400,
            REFUSED,
            "length-and-coding",
        ),
        (post("Content-Length: 3, 4\r\n", "abc"), 400, BROKEN, "malformed"),
        (post("Content-Length: +3\r\n", "abc"), 400, BROKEN, "malformed"),
        (post("Content-Length: -3\r\n", "abc"), 400, BROKEN, "malformed"),
        (post("Content-Length: 3 3\r\n", "abc"), 400, BROKEN, "malformed"),
        (post("Content-Length: 0x3\r\n", "abc"), 400, BROKEN, "malformed"),
        (post("Content-Length:\r\n", "abc"), 400, BROKEN, "malformed"),
        (post("Content-Length: 99999999999999999999999\r\n", "abc"), 400, BROKEN, "malformed"),
        (post("Transfer-Encoding: gzip\r\n", "abc"), 400, BROKEN, "malformed"),
        (post("Transfer-Encoding: chunked, gzip\r\n", "abc"), 400, BROKEN, "malformed"),
        (post("Transfer-Encoding: chunked, identity\r\n", "abc"), 400, BROKEN, "malformed"),
        (post("Transfer-Encoding: gzip, chunked\r\n", ""), 501, REFUSED, "unknown-coding"),
        (post("Transfer-Encoding: chunked, chunked\r\n", ""), 501, REFUSED, "unknown-coding"),
        (
            post("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", ""),
            501,
            REFUSED,
            "unknown-coding",
        ),
        (post("Transfer-Encoding: xchunked\r\n", "abc"), 400, BROKEN, "malformed"),
        (
            format!(
                "POST / HTTP/1.0\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
            ),
            400,
            BROKEN,
            "malformed",
        ),
        (post("Content-Length: 99999999999\r\n", ""), 413, REFUSED, "body-too-long"),
        ("\u{16}\u{3}\u{1}\u{2}\0".into(), 400, BROKEN, "malformed"),
    ]
}

#[tokio::test]
async fn what_is_badly_made_is_refused_counted_and_reaches_no_origin() {
    for (request, status, metric, reason) in cases() {
        let stage = Stage::new().await;
        stage.origin.on("/", Answer::fresh("page"));
        let shown: String = request.chars().take(200).collect();
        let answer = timeout(PATIENCE, stage.raw(&request)).await;
        let answer = answer.unwrap_or_else(|_| panic!("{shown:?} keeps its connection"));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{shown:?}\n{answer}");
        assert_eq!(stage.origin.count(), 0, "{shown:?}");
        let counted = async {
            while stage.metric(metric, &[("reason", reason)]) < 1.0 {
                tokio::task::yield_now().await;
            }
        };
        assert!(timeout(PATIENCE, counted).await.is_ok(), "{shown:?} isn't counted as {reason}");
    }
}

/// RFC 9112 section 11.2: what one request hides isn't answered, wherever it stands on its
/// connection and however it is cut.
#[tokio::test]
async fn what_is_hidden_behind_good_requests_is_refused_too() {
    let bait = "GET /bait HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n";
    let good = format!(
        "GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n\
         POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {}\r\n\r\n{bait}\
         POST / HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n\
         {:x}\r\n{bait}\r\n0\r\nX: y\r\n\r\n",
        bait.len(),
        bait.len(),
    );
    let both = "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let bad = format!("POST / HTTP/1.1\r\nHost: {HOST}\r\n{both}");
    let hidden = format!("GET /hidden HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    let text = format!("{good}{bad}{hidden}");
    let stage = Stage::new().await;
    stage.origin.on("/", Answer::new(200).field("cache-control", "no-store").send("page"));
    for cut in [1, good.len() + 1, good.len() + 60, good.len() + bad.len() - 8, text.len()] {
        let mut stream = TcpStream::connect(stage.address()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (before, after) = text.split_at(cut);
        let mut got = String::new();
        let talk = async {
            stream.write_all(before.as_bytes()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
            stream.write_all(after.as_bytes()).await.unwrap();
            let _reset_is_fine = stream.read_to_string(&mut got).await;
        };
        assert!(timeout(PATIENCE, talk).await.is_ok(), "cut at {cut}: it stays open");
        assert_eq!(got.matches("HTTP/1.1 200 ").count(), 3, "cut at {cut}: {got}");
        assert_eq!(got.matches("HTTP/1.1 400 ").count(), 1, "cut at {cut}: {got}");
        assert!(got.to_ascii_lowercase().contains("connection: close"), "{got}");
    }
    assert_eq!(stage.metric(REFUSED, &[("reason", "length-and-coding")]), 5.0);
    assert!(stage.origin.seen().iter().all(|seen| seen.target == "/"));
}

#[tokio::test]
async fn chunks_that_are_badly_made_end_the_request() {
    for body in [
        "Z\r\nabc\r\n0\r\n\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "3\nabc\r\n0\r\n\r\n",
        "3\r\nabc0\r\n\r\n",
        "-3\r\nabc\r\n0\r\n\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
        "3 \u{1}\r\nabc\r\n0\r\n\r\n",
        "3;a\nb\r\nabc\r\n0\r\n\r\n",
        "10000000000000000\r\nabc\r\n0\r\n\r\n",
    ] {
        let stage = Stage::new().await;
        stage.origin.on("/", Answer::new(200).send("taken"));
        let answer = stage.raw(&post("Transfer-Encoding: chunked\r\n", body)).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{body:?}\n{answer}");
        assert_eq!(stage.counted("error"), 1.0, "{body:?}");
    }
}

/// RFC 9112 section 2.3: each hop speaks for itself.
#[tokio::test]
async fn an_origin_of_an_older_version_is_heard_and_answered_for_in_ours() {
    let answer = "HTTP/1.0 200 OK\r\nCache-Control: no-store\r\n\r\nold";
    for request in ["GET", "POST", "OPTIONS"] {
        let stage = Stage::facing(Some(origin_of_bytes(answer.to_owned()).await), "").await;
        let request = format!(
            "{request} / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        let answer = stage.raw(&request).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("old"), "{answer}");
    }
}

/// RFC 9112 section 8: nothing is stored of what wasn't framed as it said, and nobody takes it for
/// a whole answer.
#[tokio::test]
async fn an_origin_that_lies_about_framing_is_not_believed() {
    let head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n";
    for (answer, broken) in [
        (format!("{head}Content-Length: 9\r\n\r\nshort"), true),
        (format!("{head}Transfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n"), true),
        (format!("{head}Transfer-Encoding: chunked\r\n\r\nZ\r\nshort\r\n0\r\n\r\n"), true),
        (format!("{head}Content-Length: 3\r\nContent-Length: 5\r\n\r\nshort"), false),
        (format!("{head}Content-Length: x\r\n\r\nshort"), false),
        (
            format!(
                "{head}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n0\r\n\r\n"
            ),
            false,
        ),
        (format!("{head}X: a\r\n folded\r\nContent-Length: 5\r\n\r\nshort"), false),
        (format!("{head}Bad Name: a\r\nContent-Length: 5\r\n\r\nshort"), false),
        ("HTTP/1.1 2 OK\r\n\r\nshort".into(), false),
        ("nonsense\r\n\r\n".into(), false),
        ("".into(), false),
    ] {
        let stage = Stage::facing(Some(origin_of_bytes(answer.clone()).await), "").await;
        for _ in 0..2 {
            let got = stage.raw(&get("")).await;
            if broken {
                let whole = got.ends_with("0\r\n\r\n") || got.contains("content-length: 5\r\n");
                assert!(!whole && !got.contains("seoul; hit"), "{answer:?}: {got}");
            } else {
                assert!(got.starts_with("HTTP/1.1 502 "), "{answer:?}: {got}");
            }
        }
        assert_eq!(stage.metric("kingcdn_edge_origin_requests_total", &[]), 2.0, "{answer:?}");
    }
}

/// What an origin sends beyond its answer belongs to nobody.
#[tokio::test]
async fn bytes_beyond_an_answer_answer_nobody() {
    let answer = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 4\r\n\r\npage\
        HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 4\r\n\r\nevil";
    let stage = Stage::facing(Some(origin_of_bytes(answer).await), "").await;
    for target in ["/1", "/2", "/3", "/1"] {
        assert_eq!(stage.get(target).await.text(), "page", "{target}");
    }
}

/// RFC 9110 section 6.5.1: trailer fields aren't the header's.
#[tokio::test]
async fn an_origins_trailers_are_not_stored() {
    let answer = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\
        Trailer: X-Sum, Cache-Control\r\n\r\n4\r\npage\r\n0\r\nX-Sum: 1\r\nCache-Control: no-store\r\n\r\n";
    let stage = Stage::facing(Some(origin_of_bytes(answer).await), "").await;
    for cache in ["fwd=uri-miss; fwd-status=200; stored; ttl=60", "hit; ttl=60"] {
        let got = stage.get("/").await;
        assert_eq!((got.text(), got.cache(), got.complete), ("page", cache, true));
        assert_eq!((got.field("x-sum"), got.field("cache-control")), ("", "max-age=60"));
        assert_eq!(got.field("trailer"), "", "none comes");
    }
}
