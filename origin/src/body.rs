//! A response's body as hyper pulls it: pieces of a file, read in chunks as the client takes them.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::task::JoinHandle;

use crate::plan::Piece;
use crate::record::Record;
use crate::stamps::Stamp;

/// What is read of a file at once, and held for a connection beside what hyper holds.
const CHUNK_BYTES: u64 = 64 << 10;

/// A file that is being sent, and the state that the response's head spoke of.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) file: Arc<File>,
    pub(crate) stamp: Stamp,
}

/// The body of one response. Writes the request's record when it is dropped.
///
/// An error from here ends the connection, so a client can't take a part for the whole.
#[derive(Debug)]
pub(crate) struct Body {
    pieces: VecDeque<Piece>,
    source: Option<Source>,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
    remaining_bytes: u64,
    record: Record,
}

impl Body {
    pub(crate) fn new(pieces: VecDeque<Piece>, source: Option<Source>, record: Record) -> Self {
        let remaining_bytes = pieces.iter().map(Piece::length).sum();
        Self { pieces, source, reading: None, remaining_bytes, record }
    }

    /// The next bytes: some that are at hand, or the start of reading some.
    fn next(&mut self) -> Option<Result<Bytes, JoinHandle<io::Result<Bytes>>>> {
        let range = match self.pieces.pop_front()? {
            Piece::Bytes(bytes) => return Some(Ok(bytes)),
            Piece::File(range) => range,
        };
        let source = self.source.clone()?;
        let middle = range.start.saturating_add(CHUNK_BYTES).min(range.end);
        if middle < range.end {
            self.pieces.push_front(Piece::File(middle..range.end));
        }
        let chunk = range.start..middle;
        Some(Err(tokio::task::spawn_blocking(move || source.read(&chunk))))
    }

    fn sent(&mut self, bytes: Bytes) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let count = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.remaining_bytes = self.remaining_bytes.saturating_sub(count);
        self.record.sent(count, self.remaining_bytes == 0);
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        loop {
            if let Some(reading) = &mut self.reading {
                let read = ready!(Pin::new(reading).poll(context));
                self.reading = None;
                return match read.unwrap_or_else(|failure| Err(io::Error::other(failure))) {
                    Ok(bytes) => self.sent(bytes),
                    Err(error) => {
                        self.pieces.clear();
                        self.record.failed(&error);
                        Poll::Ready(Some(Err(error)))
                    }
                };
            }
            match self.next() {
                None => return Poll::Ready(None),
                Some(Ok(bytes)) => return self.sent(bytes),
                Some(Err(reading)) => self.reading = Some(reading),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.remaining_bytes == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining_bytes)
    }
}

impl Source {
    /// Reads a chunk, and makes sure that the file is still what the head said: otherwise the
    /// client would put bytes of two states together under one entity tag.
    fn read(&self, chunk: &Range<u64>) -> io::Result<Bytes> {
        let length = usize::try_from(chunk.end - chunk.start).map_err(io::Error::other)?;
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, chunk.start)?;
        if !self.stamp.same_content(&Stamp::of(&self.file.metadata()?)) {
            return Err(io::Error::other("the file changed while it was sent"));
        }
        Ok(bytes.into())
    }
}

#[cfg(test)]
mod tests;
