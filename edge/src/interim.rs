//! Answers before the answer: 102, 103 and other 1xx of origins, forwarded to the client that
//! caused the fetch (RFC 9110 section 15.2). They are never stored, and nobody else gets them.
//!
//! hyper reads them from origins but has no way to write them to clients. They are written
//! beneath it, when it asks for a flush: then all that it has written is out, and as long as the
//! request's journey goes on nothing of the final answer is written, so the message is a whole one
//! in its place.

use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, HeaderMap, TRAILER};
use http::{Request, StatusCode, Version};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{Notify, mpsc};

use crate::caching::fields;

/// So many wait to be forwarded; further ones are left out.
const WAITING_MAX: usize = 8;
/// Bytes of one; larger ones are left out.
const HEAD_MAX_BYTES: usize = 16 * 1024;

/// Where those come from that an origin's connection has read.
pub(crate) type Receiver = mpsc::Receiver<Bytes>;

/// Where a request's go on their way from its origin.
#[derive(Debug, Clone)]
pub(crate) struct Sender(mpsc::Sender<Bytes>);

/// Both ends of a request's way, for a client of this version; HTTP/1.0 has none (RFC 9110
/// section 15.2).
pub(crate) fn channel(version: Version) -> Option<(Sender, Receiver)> {
    if version < Version::HTTP_11 {
        return None;
    }
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    Some((Sender(sender), receiver))
}

impl Sender {
    /// Lets this request's go here.
    pub(crate) fn listen<B>(self, request: &mut Request<B>) {
        hyper::ext::on_informational(request, move |interim| {
            if let Some(head) = head(interim.status(), interim.headers()) {
                // Without room it is left out.
                let _sent = self.0.try_send(head);
            }
        });
    }
}

/// The message, if it may go on: nobody asked the origin for 100 (Continue), and 101 isn't one.
fn head(status: StatusCode, headers: &HeaderMap) -> Option<Bytes> {
    if !matches!(status.as_u16(), 102..=199) {
        return None;
    }
    let mut headers = headers.clone();
    fields::strip_hop_by_hop(&mut headers);
    // It has no content and nothing after it.
    for name in [CONTENT_LENGTH, TRAILER] {
        headers.remove(name);
    }
    let mut head = BytesMut::new();
    let line =
        format!("HTTP/1.1 {} {}\r\n", status.as_u16(), status.canonical_reason().unwrap_or(""));
    head.extend_from_slice(line.as_bytes());
    for (name, value) in &headers {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            head.extend_from_slice(part);
        }
    }
    head.extend_from_slice(b"\r\n");
    (head.len() <= HEAD_MAX_BYTES).then(|| head.freeze())
}

/// A client's connection, as far as messages before the answer go. One request at a time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Client(Arc<Slot>);

#[derive(Debug, Default)]
struct Slot {
    /// Whether a message waits: looked at without the lock, at each flush.
    waits: AtomicBool,
    head: Mutex<Bytes>,
    taken: Notify,
}

impl Client {
    /// Forwards what comes until `wait` is over.
    pub(crate) async fn meanwhile<T>(
        &self,
        receiver: Option<Receiver>,
        wait: impl Future<Output = T>,
    ) -> T {
        let Some(mut receiver) = receiver else { return wait.await };
        let mut wait = pin!(wait);
        loop {
            let head = tokio::select! {
                // One that came with the final answer goes before it.
                biased;
                head = receiver.recv() => head,
                done = wait.as_mut() => return done,
            };
            let Some(head) = head else { return wait.await };
            self.forward(head).await;
        }
    }

    /// Returns when the connection has taken it. Given up before, it is withdrawn.
    async fn forward(&self, head: Bytes) {
        let offer = Offer(&self.0);
        *offer.0.lock() = head;
        offer.0.waits.store(true, Ordering::Relaxed);
        offer.0.taken.notified().await;
    }
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, Bytes> {
        self.head.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Bytes {
        self.waits.store(false, Ordering::Relaxed);
        std::mem::take(&mut self.lock())
    }
}

/// A message that waits for its connection; withdrawn when it is dropped.
struct Offer<'a>(&'a Slot);

impl Drop for Offer<'_> {
    fn drop(&mut self) {
        self.0.take();
    }
}

/// A client's stream that puts such messages between what hyper writes.
#[derive(Debug)]
pub(crate) struct Interleaved<S> {
    stream: S,
    client: Client,
    /// What is left of one that has begun.
    begun: Bytes,
}

impl<S: AsyncWrite + Unpin> Interleaved<S> {
    pub(crate) fn new(stream: S, client: Client) -> Self {
        Self { stream, client, begun: Bytes::new() }
    }

    /// Writes what has begun.
    fn poll_begun(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.begun.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.begun))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.begun.advance(written);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Interleaved<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Interleaved<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_begun(cx))?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_begun(cx))?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.client.0.waits.load(Ordering::Relaxed) {
            ready!(self.poll_begun(cx))?;
            self.begun = self.client.0.take();
            self.client.0.taken.notify_one();
        }
        ready!(self.poll_begun(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_begun(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[test]
    fn what_may_go_on_goes_on() {
        let mut headers = HeaderMap::new();
        for (name, value) in
            [("link", "</a.css>"), ("connection", "x-hop"), ("x-hop", "1"), ("content-length", "3")]
        {
            headers.append(name, value.parse().unwrap());
        }
        let text = |status: u16| head(StatusCode::from_u16(status).unwrap(), &headers);
        assert_eq!(text(103).unwrap(), "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n");
        assert_eq!(text(199).unwrap(), "HTTP/1.1 199 \r\nlink: </a.css>\r\n\r\n");
        assert_eq!((text(100), text(101), text(200)), (None, None, None));
        headers.insert("x-long", "x".repeat(HEAD_MAX_BYTES).parse().unwrap());
        assert_eq!(head(StatusCode::EARLY_HINTS, &headers), None);
        assert!(channel(Version::HTTP_10).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_goes_out_whole_and_only_at_a_flush() {
        // A peer that takes little at once.
        let (ours, mut theirs) = tokio::io::duplex(4);
        let client = Client::default();
        let mut stream = Interleaved::new(ours, client.clone());
        let write = async {
            stream.write_all(b"<answer 1>").await.unwrap();
            stream.flush().await.unwrap();
            let given_up = client.forward(Bytes::from_static(b"<late>"));
            assert!(tokio::time::timeout(Duration::from_secs(1), given_up).await.is_err());
            let (_, flushed) =
                tokio::join!(client.forward(Bytes::from_static(b"<interim>")), stream.flush());
            flushed.unwrap();
            stream.write_all(b"<answer 2>").await.unwrap();
            stream.shutdown().await.unwrap();
        };
        let mut text = String::new();
        let (_, read) = tokio::join!(write, theirs.read_to_string(&mut text));
        read.unwrap();
        assert_eq!(text, "<answer 1><interim><answer 2>");
    }
}
