//! Connections that switch to another protocol.

#![allow(clippy::unwrap_used)] // What fails here fails the test.

mod stage;

use std::net::SocketAddr;
use std::time::Duration;

use stage::{Answer, HOST, Stage, origin_of_bytes, read_head};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const SITE: &str = "upgrade = [\"websocket\"]";

/// A text frame as RFC 6455 section 5.2 frames it, masked when a client sends it.
fn frame(text: &str, mask: Option<[u8; 4]>) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap();
    let mut frame = vec![0x81, length | if mask.is_some() { 0x80 } else { 0 }];
    let mask = mask.inspect(|mask| frame.extend_from_slice(mask)).unwrap_or_default();
    frame.extend(text.bytes().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// Speaks WebSocket far enough to say every text back, the first one before it was asked for.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let head = read_head(&mut stream).await.unwrap().to_ascii_lowercase();
                assert!(head.contains("\r\nupgrade: websocket\r\n"), "{head}");
                assert!(head.contains("\r\nconnection: upgrade\r\n"), "{head}");
                assert!(head.contains("\r\nsec-websocket-key: x\r\n"), "{head}");
                assert!(head.contains("\r\nvia: 1.1 seoul\r\n"), "{head}");
                let mut answer = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                    Upgrade: websocket\r\nSec-WebSocket-Accept: y\r\n\r\n"
                    .to_vec();
                answer.extend(frame("welcome", None));
                stream.write_all(&answer).await.unwrap();
                let mut head = [0; 6];
                while stream.read_exact(&mut head).await.is_ok() {
                    let mut text = vec![0; usize::from(head[1] & 0x7f)];
                    stream.read_exact(&mut text).await.unwrap();
                    let mask = head[2..].iter().cycle();
                    let text: Vec<u8> = text.iter().zip(mask).map(|(a, b)| a ^ b).collect();
                    let text = String::from_utf8(text).unwrap();
                    stream.write_all(&frame(&text, None)).await.unwrap();
                }
            });
        }
    });
    address
}

/// Asks for a switch and returns the answer's head.
async fn ask(stage: &Stage, protocols: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(stage.address()).await.unwrap();
    let request = format!(
        "GET /chat HTTP/1.1\r\nHost: {HOST}\r\nConnection: keep-alive, Upgrade\r\n\
         Upgrade: {protocols}\r\nSec-WebSocket-Key: x\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let head = read_head(&mut stream).await.unwrap();
    (stream, head)
}

async fn expect(stream: &mut TcpStream, text: &str) {
    let expected = frame(text, None);
    let mut got = vec![0; expected.len()];
    stream.read_exact(&mut got).await.unwrap();
    assert_eq!(got, expected);
}

async fn until(stage: &Stage, name: &str, labels: &[(&str, &str)], value: f64) {
    while stage.metric(name, labels) != value {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_websocket_goes_through_where_the_site_says_so() {
    let stage = Stage::facing(Some(echo().await), SITE).await;
    let (mut client, head) = ask(&stage, "h2c, websocket").await;
    assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
    for line in [
        "connection: upgrade",
        "upgrade: websocket",
        "sec-websocket-accept: y",
        "via: 1.1 seoul",
        "cache-status: seoul; fwd=bypass; fwd-status=101; detail=upgrade",
    ] {
        assert!(head.contains(&format!("\r\n{line}\r\n")), "{line}: {head}");
    }
    assert!(!head.contains("content-length") && !head.contains("transfer-encoding"), "{head}");
    expect(&mut client, "welcome").await;
    for text in ["hello", "edge", ""] {
        client.write_all(&frame(text, Some([7, 1, 9, 4]))).await.unwrap();
        expect(&mut client, text).await;
    }
    assert_eq!(stage.metric("kingcdn_edge_tunnels", &[]), 1.0);
    client.shutdown().await.unwrap();
    assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0, "the origin is done, too");
    until(&stage, "kingcdn_edge_tunnels", &[], 0.0).await;
    assert_eq!(stage.metric("kingcdn_edge_tunnels_ended_total", &[("reason", "closed")]), 1.0);
    let bytes =
        |direction| stage.metric("kingcdn_edge_tunnel_bytes_total", &[("direction", direction)]);
    assert_eq!((bytes("in"), bytes("out")), (27.0, 24.0));
    assert_eq!(stage.counted("bypass"), 1.0);
}

#[tokio::test]
async fn upgrade_goes_no_further_than_the_edge_otherwise() {
    let stage = Stage::new().await;
    stage.origin.on("/chat", Answer::fresh("page"));
    let (_client, head) = ask(&stage, "websocket").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let seen = stage.origin.last();
    assert_eq!((seen.field("upgrade"), seen.field("connection")), ("", ""));
    assert!(stage.get("/chat").await.is_hit(), "it is a request like any other");
    let stage = Stage::with(SITE).await;
    stage.origin.on("/chat", Answer::fresh("page"));
    let (_client, head) = ask(&stage, "h2c").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert_eq!(stage.origin.last().field("upgrade"), "");
}

#[tokio::test]
async fn an_origin_that_doesnt_agree_answers_as_usual() {
    let stage = Stage::with(SITE).await;
    stage.origin.on("/chat", Answer::new(403).send("no"));
    let (mut client, head) = ask(&stage, "websocket").await;
    assert!(head.starts_with("HTTP/1.1 403") && head.contains("fwd-status=403"), "{head}");
    assert_eq!(stage.origin.last().field("upgrade"), "websocket");
    client.read_exact(&mut [0; 2]).await.unwrap();
    assert_eq!(stage.metric("kingcdn_edge_tunnels", &[]), 0.0);
    // The connection goes on with HTTP.
    stage.origin.on("/", Answer::fresh("page"));
    let next = format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    client.write_all(next.as_bytes()).await.unwrap();
    assert!(read_head(&mut client).await.unwrap().starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_switch_that_nobody_asked_for_is_an_origins_error() {
    let answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
    let stage = Stage::facing(Some(origin_of_bytes(answer).await), SITE).await;
    let got = stage.get("/").await;
    assert_eq!((got.status.as_u16(), got.field("upgrade")), (502, ""));
    let got = stage.ask(http::Method::POST, "/", &[]).await;
    assert_eq!(got.status, 502);
    let (_client, head) = ask(&stage, "websocket").await;
    assert!(head.starts_with("HTTP/1.1 502"), "it was something else that was asked for: {head}");
    assert_eq!(stage.metric("kingcdn_edge_tunnels", &[]), 0.0);
}

#[tokio::test]
async fn tunnels_are_bounded() {
    let site = format!("{SITE}\n[limits]\ntunnels = 2");
    let stage = Stage::facing(Some(echo().await), &site).await;
    let first = ask(&stage, "websocket").await;
    let second = ask(&stage, "websocket").await;
    assert!(first.1.contains(" 101 ") && second.1.contains(" 101 "));
    let (_client, refused) = ask(&stage, "websocket").await;
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    assert!(refused.contains("retry-after: 1") && refused.contains("too-many-tunnels"));
    let labels = [("reason", "too-many-tunnels")];
    assert_eq!(stage.metric("kingcdn_edge_refused_total", &labels), 1.0);
    drop(first);
    until(&stage, "kingcdn_edge_tunnels", &[], 1.0).await;
    assert!(ask(&stage, "websocket").await.1.contains(" 101 "));
}

#[tokio::test]
async fn a_tunnel_that_falls_silent_is_ended() {
    let site = format!("{SITE}\n[limits]\ntunnel_timeout = \"200ms\"");
    let stage = Stage::facing(Some(echo().await), &site).await;
    let (mut client, _) = ask(&stage, "websocket").await;
    expect(&mut client, "welcome").await;
    assert_eq!(client.read(&mut [0; 1]).await.unwrap_or(0), 0);
    until(&stage, "kingcdn_edge_tunnels_ended_total", &[("reason", "idle")], 1.0).await;
}

#[tokio::test]
async fn an_edge_that_stops_ends_its_tunnels() {
    let stage = Stage::facing(Some(echo().await), SITE).await;
    let (mut client, _) = ask(&stage, "websocket").await;
    expect(&mut client, "welcome").await;
    assert!(stage.edge.drain(Duration::from_secs(20)).await);
    assert_eq!(client.read(&mut [0; 1]).await.unwrap_or(0), 0);
    assert_eq!(stage.metric("kingcdn_edge_tunnels_ended_total", &[("reason", "stopped")]), 1.0);
}
