//! What is refused, what is passed on, and what stays between us and the client.

#![allow(clippy::unwrap_used)] // What fails here fails the test.

mod stage;

use http::Method;
use stage::{Answer, HOST, Stage};

#[tokio::test]
async fn a_host_of_no_site_is_misdirected() {
    let stage = Stage::new().await;
    let got = stage.get_with("/", &[("host", "other.test")]).await;
    assert_eq!(got.status, 421);
    assert_eq!(got.text(), "No site of this name is served here.\n");
    assert_eq!(stage.metric("kingcdn_edge_refused_total", &[("reason", "unknown-host")]), 1.0);
}

#[tokio::test]
async fn what_could_be_read_in_two_ways_reaches_no_origin() {
    let stage = Stage::new().await;
    for (request, status) in [
        ("GET / HTTP/1.1\r\nConnection: close\r\n\r\n".to_owned(), "400"),
        (
            format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"),
            "400",
        ),
        (
            format!("GET http://other.test/ HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"),
            "400",
        ),
        (format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nX : y\r\n\r\n"), "400"),
        (format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nX: a\r\n folded\r\n\r\n"), "400"),
        (format!("TRACE / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"), "405"),
        (format!("CONNECT a.test:443 HTTP/1.1\r\nHost: {HOST}\r\n\r\n"), "405"),
    ] {
        let answer = stage.raw(&request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{request}\n{answer}");
    }
    assert_eq!(stage.origin.count(), 0);
}

#[tokio::test]
async fn heads_are_bounded() {
    let stage = Stage::new().await;
    let long = "x".repeat(100_000);
    let answer = stage.raw(&format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nX: {long}\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    let many: String = (0..200).map(|number| format!("X-{number}: 1\r\n")).collect();
    let answer = stage.raw(&format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n{many}\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    let answer = stage.raw(&format!("GET /{long} HTTP/1.1\r\nHost: {HOST}\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    assert_eq!(stage.origin.count(), 0);
}

#[tokio::test]
async fn a_connections_own_fields_stay_there() {
    let stage = Stage::new().await;
    let answer = Answer::fresh("page").field("keep-alive", "timeout=5");
    stage.origin.on("/", answer.field("connection", "x-hop").field("x-hop", "1"));
    let fields = [("connection", "x-mine"), ("x-mine", "1"), ("te", "trailers"), ("accept", "*/*")];
    for round in ["miss", "hit"] {
        let got = stage.get_with("/", &fields).await;
        assert_eq!((got.field("keep-alive"), got.field("x-hop")), ("", ""), "{round}");
    }
    let seen = stage.origin.last();
    assert_eq!((seen.field("x-mine"), seen.field("accept")), ("", "*/*"));
    assert_eq!((seen.field("via"), seen.field("x-forwarded-for")), ("1.1 seoul", "127.0.0.1"));
    assert_eq!(seen.field("host"), HOST);
}

#[tokio::test]
async fn a_request_that_comes_round_again_is_stopped() {
    let stage = Stage::new().await;
    let got = stage.get_with("/", &[("cdn-loop", "seoul")]).await;
    assert_eq!(got.status, 508);
    assert_eq!(stage.origin.count(), 0);
}

#[tokio::test]
async fn bodies_of_any_framing_go_both_ways() {
    let stage = Stage::new().await;
    stage.origin.on("/up", Answer::new(200).send("a").send("b"));
    let body = bytes::Bytes::from(vec![7; 3 << 20]);
    let got = stage.send(Method::PUT, "/up", &[], body.clone()).await;
    assert_eq!(got.text(), "ab");
    assert!(stage.origin.last().body == body);
    let chunked = stage
        .raw(&format!(
            "POST /up HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\
             Connection: close\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        ))
        .await;
    assert!(chunked.starts_with("HTTP/1.1 200"), "{chunked}");
    assert_eq!(&stage.origin.last().body[..], b"abc");
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused() {
    let stage = Stage::new().await;
    let announced = format!(
        "POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 99999999999\r\n\
         Connection: close\r\n\r\n"
    );
    let answer = stage.raw(&announced).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert_eq!(stage.origin.count(), 0);
}

#[tokio::test]
async fn requests_behind_each_other_on_one_connection_are_answered_in_order() {
    let stage = Stage::new().await;
    for target in ["/1", "/2", "/3"] {
        stage.origin.on(target, Answer::fresh(format!("<{target}>")));
    }
    let one = |target, end| format!("GET {target} HTTP/1.1\r\nHost: {HOST}\r\n{end}\r\n");
    let requests = one("/1", "") + &one("/2", "") + &one("/3", "Connection: close\r\n");
    let answers = stage.raw(&requests).await;
    let places: Vec<_> = ["</1>", "</2>", "</3>"].map(|body| answers.find(body).unwrap()).into();
    assert!(places.is_sorted());
}

#[tokio::test]
async fn options_go_as_far_as_they_may() {
    let stage = Stage::new().await;
    stage.origin.on("/", Answer::new(204));
    let here = stage.ask(Method::OPTIONS, "/", &[("max-forwards", "0")]).await;
    assert_eq!((here.status.as_u16(), stage.origin.count()), (204, 0));
    assert!(here.field("allow").contains("GET"));
    stage.ask(Method::OPTIONS, "/", &[("max-forwards", "3")]).await;
    assert_eq!(stage.origin.last().field("max-forwards"), "2");
}
