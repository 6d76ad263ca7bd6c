//! Clients that ask for too much, too slowly, or for somebody else.

use std::time::Duration;

use crate::harness::{Answer, Cdn, Client, Node, Origin, Stopwatch, raw, tables};

/// An edge with narrow limits in front of an origin that answers anything.
async fn narrow(cdn: &Cdn) -> (Node, Origin, std::net::SocketAddr) {
    let (listen, admin) = (cdn.network.socket(11), cdn.network.socket(11));
    let origin = Origin::start(cdn.network.socket(1), |_| {
        Answer::new(200, "film").field("cache-control", "max-age=60")
    })
    .await;
    cdn.configure(
        &(tables::edge("seoul", tables::SEOUL, listen, admin)
            + "[edge.limits]\nheader_bytes = \"8 KiB\"\nheader_count = 20\n\
               header_timeout = \"500ms\"\nrequest_body = \"1 KiB\"\n"
            + &tables::site(origin.address)),
    );
    (cdn.edge("seoul", admin).await, origin, listen)
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or(answer)
}

#[tokio::test]
async fn what_is_too_much_is_refused_and_the_edge_serves_on() {
    let cdn = Cdn::new();
    let (_edge, origin, listen) = narrow(&cdn).await;
    let host = tables::HOST;
    let long_field = format!("X: {}\r\n", "x".repeat(10_000));
    let many_fields = "X: y\r\n".repeat(30);
    let long_path = "x".repeat(10_000);
    for (what, request, expected) in [
        (
            "a long header",
            format!("GET / HTTP/1.1\r\nHost: {host}\r\n{long_field}\r\n"),
            &["431"] as &[&str],
        ),
        ("many fields", format!("GET / HTTP/1.1\r\nHost: {host}\r\n{many_fields}\r\n"), &["431"]),
        (
            "a long path",
            format!("GET /{long_path} HTTP/1.1\r\nHost: {host}\r\n\r\n"),
            &["414", "431"],
        ),
        (
            "an unknown host",
            "GET / HTTP/1.1\r\nHost: other.test\r\nConnection: close\r\n\r\n".to_owned(),
            &["421"],
        ),
        ("no host", "GET / HTTP/1.1\r\nConnection: close\r\n\r\n".to_owned(), &["400"]),
        (
            "two hosts",
            format!("GET / HTTP/1.1\r\nHost: {host}\r\nHost: {host}\r\nConnection: close\r\n\r\n"),
            &["400"],
        ),
        (
            "a long body",
            format!("POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5000\r\n\r\n"),
            &["413"],
        ),
        ("no HTTP", "\u{16}\u{3}\u{1}\r\n\r\n".to_owned(), &["400"]),
    ] {
        let answer = raw(listen, request.as_bytes()).await;
        assert!(expected.contains(&status(&answer)), "{what}: {answer}");
    }
    assert_eq!(origin.all_requests(), 0, "a refused request reached the origin");
    assert_eq!(Client::new(listen, host).get("/").await.status, 200);
}

#[tokio::test]
async fn who_sends_nothing_or_too_slowly_is_hung_up_on() {
    let cdn = Cdn::new();
    let (_edge, _origin, listen) = narrow(&cdn).await;
    for begun in ["", "GET / HTTP/1.1\r\nHost: video."] {
        let watch = Stopwatch::start();
        let answer = raw(listen, begun.as_bytes()).await;
        assert!(["", "408"].contains(&status(&answer)), "{begun:?}: {answer}");
        let waited = watch.elapsed();
        assert!(waited >= Duration::from_millis(400), "{begun:?}: after {waited:?} already");
        assert!(waited < Duration::from_secs(5), "{begun:?}: only after {waited:?}");
    }
}
