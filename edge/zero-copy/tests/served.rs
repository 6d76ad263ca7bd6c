//! Under hyper, unmodified: heads, lengths and chunks come out as they should, whatever the
//! clients' pace.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests.

mod pair;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use kingcdn_zero_copy::{Outgoing, SEAL_MIN_BYTES};
use pair::{Mix, frames, pair, receive};
use tokio::net::TcpStream;

/// Frames one after another, with or without their length told beforehand.
struct Frames {
    left: VecDeque<Bytes>,
    length: Option<u64>,
}

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.left.pop_front().map(|frame| Ok(Frame::data(frame))))
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

const MIX: [(Mix, usize); 7] = [
    (Mix::Segment, 1_000_000),
    (Mix::Heap, 17),
    (Mix::Sealed, SEAL_MIN_BYTES),
    (Mix::Sealed, 300_001),
    (Mix::Heap, 500_000),
    (Mix::Segment, SEAL_MIN_BYTES + 1),
    (Mix::Heap, 1),
];

/// Answers each request with `MIX`, in chunks where the target says so.
async fn serve(stream: TcpStream) {
    let service = service_fn(|request: Request<hyper::body::Incoming>| async move {
        let (frames, all) = frames(&MIX, 1_000);
        let length = (request.uri() != "/chunked").then_some(all.len() as u64);
        Ok::<_, Infallible>(Response::new(Frames { left: frames.into(), length }))
    });
    let io = TokioIo::new(Outgoing::new(stream));
    http1::Builder::new().serve_connection(io, service).await.unwrap();
}

#[tokio::test]
async fn bodies_with_lengths_and_in_chunks_arrive_over_kept_connections() {
    let (_, expected) = frames(&MIX, 1_000);
    for buffer_bytes in [None, Some(5_000)] {
        let (ours, theirs) = pair(buffer_bytes).await;
        let server = tokio::spawn(serve(ours));
        let (mut client, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(theirs)).await.unwrap();
        let connection = tokio::spawn(connection);
        for target in ["/", "/chunked", "/", "/chunked"] {
            let request = Request::get(target).body(String::new()).unwrap();
            client.ready().await.unwrap();
            let response = client.send_request(request).await.unwrap();
            assert_eq!(response.headers().contains_key("content-length"), target == "/");
            let received = response.into_body().collect().await.unwrap().to_bytes();
            assert!(received == expected, "{target}: {} bytes", received.len());
        }
        drop(client);
        connection.await.unwrap().unwrap();
        server.await.unwrap();
    }
}

#[tokio::test]
async fn pipelined_answers_come_in_order_to_readers_of_any_pace() {
    let (_, expected) = frames(&MIX, 1_000);
    let mut clients = tokio::task::JoinSet::new();
    for read_bytes in [501, 4_096, 65_537, 1 << 20] {
        let expected = expected.clone();
        clients.spawn(async move {
            let (ours, theirs) = pair(Some(20_000)).await;
            let server = tokio::spawn(serve(ours));
            let asked = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(2);
            let asked = [&asked[..], b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"];
            let asked = Bytes::from(asked.concat());
            theirs.writable().await.unwrap();
            assert_eq!(theirs.try_write(&asked).unwrap(), asked.len());
            let received = receive(theirs, read_bytes).await;
            server.await.unwrap();
            let mut rest = &received[..];
            for number in 0..3 {
                let head = rest.windows(4).position(|it| it == b"\r\n\r\n").unwrap() + 4;
                assert!(rest[head..].starts_with(&expected), "answer {number}");
                rest = &rest[head + expected.len()..];
            }
            assert!(rest.is_empty());
        });
    }
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
}
