use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

const DOCUMENT: &str = r#"{"node":"seoul","version":"0.1.0","uptime_seconds":7,"draining":false,
"load":{"connections":3,"requests_per_second":12.5,"bytes_per_second":1000.0,"fills":1,"new":2},
"cache":{"memory_bytes":10,"memory_capacity_bytes":20,"objects":2},
"sites":[{"site":"a","requests":30,"hit_ratio":1.0,"byte_hit_ratio":1.0,"origin_requests":0},
{"site":"b","requests":10,"hit_ratio":0.0,"byte_hit_ratio":null,"origin_requests":10},
{"site":"c","requests":0,"hit_ratio":null,"byte_hit_ratio":null,"origin_requests":0}]}"#;

/// A node that answers `/status` with this, and closes.
async fn node(head: &str, body: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let head = format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n", body.len());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 1024];
            let length = stream.read(&mut request).await.unwrap();
            assert!(request[..length].starts_with(b"GET /status HTTP/1.1\r\n"));
            // It may hang up in the middle.
            let _ = stream.write_all(head.as_bytes()).await;
            let _ = stream.write_all(&body).await;
        }
    });
    address
}

#[tokio::test]
async fn looks_are_bounded_and_take_nobody_for_another() {
    let whole = node("200 OK", DOCUMENT.into()).await;
    let other = node("200 OK", DOCUMENT.replace("seoul", "busan").into()).await;
    let page = node("200 OK", "<html>".into()).await;
    let endless = node("200 OK", vec![b' '; 5 << 20]).await;
    let refused = node("421 No", Vec::new()).await;
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let cases = [
        (whole, None),
        (other, Some(FetchError::OtherNode)),
        (page, Some(FetchError::Document)),
        (endless, Some(FetchError::Http)),
        (refused, Some(FetchError::Status(StatusCode::MISDIRECTED_REQUEST))),
        (nobody, Some(FetchError::Connect(ErrorKind::ConnectionRefused))),
    ];
    for (address, expected) in cases {
        let told = fetch("seoul", address, Duration::from_secs(20)).await;
        assert_eq!(told.err(), expected, "{expected:?}");
    }
    let silence = fetch("seoul", silent.local_addr().unwrap(), Duration::from_millis(50)).await;
    assert_eq!(silence.err(), Some(FetchError::Timeout));
}

#[test]
fn a_document_becomes_figures() {
    let figures = Figures::from(serde_json::from_str::<EdgeStatus>(DOCUMENT).unwrap());
    assert_eq!(figures.hit_ratio, Some(0.75));
    assert_eq!(figures.egress_bits_per_second, 8000.0);
    // An edge that doesn't say yet.
    assert_eq!(figures.cpu_share, None);
}

#[test]
fn the_latest_hundred_changes_are_kept() {
    let history = History::default();
    for second in 0..150 {
        let at = Timestamp::from_secs(second);
        let (edge, address, reason) = (String::new(), None, None);
        history.add(Change { at, edge, address, what: What::Up, reason });
    }
    let changes = history.changes();
    let seconds: Vec<i64> = changes.iter().map(|change| change.at.as_secs()).collect();
    assert_eq!(seconds, (50..150).rev().collect::<Vec<_>>());
}
