//! Messages before the answer.

#![allow(clippy::unwrap_used)] // What fails here fails the test.

mod stage;

use stage::{Answer, HOST, Stage, origin_of_bytes, read_head};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const HINTS: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nX-Hint: 1\r\n\r\n";
const FINAL: &str = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 4\r\n\r\npage";

fn get(version: &str) -> String {
    format!("GET / HTTP/{version}\r\nHost: {HOST}\r\nConnection: close\r\n\r\n")
}

#[tokio::test]
async fn early_hints_reach_the_client_that_caused_the_fetch_and_are_not_stored() {
    let origin = origin_of_bytes(format!("HTTP/1.1 102 Processing\r\n\r\n{HINTS}{FINAL}")).await;
    let stage = Stage::facing(Some(origin), "").await;
    let got = stage.raw(&get("1.1")).await;
    let expected = "HTTP/1.1 102 Processing\r\n\r\n\
        HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\nx-hint: 1\r\n\r\n\
        HTTP/1.1 200 OK\r\n";
    assert!(got.starts_with(expected), "{got}");
    assert!(got.ends_with("page") && got.matches("x-hint").count() == 1, "{got}");
    let again = stage.raw(&get("1.1")).await;
    assert!(again.starts_with("HTTP/1.1 200 OK\r\n") && again.contains("seoul; hit"), "{again}");
    assert!(!again.contains("x-hint"), "{again}");
}

#[tokio::test]
async fn they_pass_with_what_passes_the_cache() {
    let stage = Stage::facing(Some(origin_of_bytes(format!("{HINTS}{FINAL}")).await), "").await;
    let post = format!("POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 0\r\n\r\n");
    let mut stream = TcpStream::connect(stage.address()).await.unwrap();
    for _ in 0..3 {
        stream.write_all(post.as_bytes()).await.unwrap();
        assert!(read_head(&mut stream).await.unwrap().starts_with("HTTP/1.1 103 "));
        assert!(read_head(&mut stream).await.unwrap().starts_with("HTTP/1.1 200 "));
        stream.read_exact(&mut [0; 4]).await.unwrap();
    }
}

#[tokio::test]
async fn an_old_client_gets_the_final_answer_alone() {
    let stage = Stage::facing(Some(origin_of_bytes(format!("{HINTS}{FINAL}")).await), "").await;
    let got = stage.raw(&get("1.0")).await;
    assert!(got.starts_with("HTTP/1.0 200 OK\r\n") && got.ends_with("page"), "{got}");
}

#[tokio::test]
async fn a_flood_of_them_is_cut_and_the_answer_is_whole() {
    let origin = origin_of_bytes(HINTS.repeat(1000) + FINAL).await;
    let stage = Stage::facing(Some(origin), "").await;
    let got = stage.raw(&get("1.1")).await;
    assert!(got.ends_with("page"), "{got}");
    assert!(got.matches("103 Early").count() >= 1);
}

#[tokio::test]
async fn who_waits_to_be_told_to_continue_is_told_so() {
    let stage = Stage::new().await;
    stage.origin.on("/", Answer::new(200).send("seen"));
    let mut stream = TcpStream::connect(stage.address()).await.unwrap();
    let head = format!(
        "PUT / HTTP/1.1\r\nHost: {HOST}\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(read_head(&mut stream).await.unwrap(), "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"body").await.unwrap();
    assert!(read_head(&mut stream).await.unwrap().starts_with("HTTP/1.1 200 OK\r\n"));
    let seen = stage.origin.last();
    assert_eq!((seen.field("expect"), &seen.body[..]), ("", &b"body"[..]));
}
