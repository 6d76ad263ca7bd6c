//! A stream of which less is read at once where memory is short.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::budget::Budget;

/// Bytes of an answer that are read at once, and that its head may take.
pub(super) const READ_MAX_BYTES: usize = 128 << 10;
/// The same where memory is short.
const SIP_BYTES: usize = 16 << 10;

/// Bytes that are read of an answer at once: each reader of it has so many in a buffer, and as many
/// before it.
pub(crate) fn read_bytes(budget: &Budget) -> usize {
    if budget.is_ample() { READ_MAX_BYTES } else { SIP_BYTES }
}

/// A stream of which less is read at once where memory is short. hyper makes its buffers as large
/// as what the last reads brought.
#[derive(Debug)]
pub(super) struct Sips<S> {
    stream: S,
    budget: Budget,
}

impl<S> Sips<S> {
    pub(super) fn new(stream: S, budget: Budget) -> Self {
        Self { stream, budget }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Sips<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let most = read_bytes(&self.budget);
        if buffer.remaining() <= most {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let mut sip = ReadBuf::new(buffer.initialize_unfilled_to(most));
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut sip))?;
        let read = sip.filled().len();
        buffer.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Sips<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn where_memory_is_short_little_is_read_at_once_and_nothing_is_lost() {
        let budget = Budget::new(100, 80);
        let all: Vec<u8> = (0..100_000_u32).map(|at| (at % 251) as u8).collect();
        let (mut theirs, ours) = tokio::io::duplex(1 << 20);
        let mut ours = Sips::new(ours, budget.clone());
        theirs.write_all(&all).await.unwrap();
        drop(theirs);
        let held = budget.charge(100);
        let mut came = Vec::with_capacity(1 << 20);
        assert_eq!(ours.read_buf(&mut came).await.unwrap(), SIP_BYTES);
        drop(held);
        assert!(ours.read_buf(&mut came).await.unwrap() > SIP_BYTES);
        ours.read_to_end(&mut came).await.unwrap();
        assert_eq!(came, all);
    }
}
