//! What hyper hides of a request's head, read beneath it.
//!
//! hyper takes a Content-Length beside Transfer-Encoding, the same Content-Length twice, and lines
//! that end without a carriage return. Each can be read otherwise by whoever reads it next, which is
//! how requests are smuggled (RFC 9112 section 11.2). By the time a request is there nothing shows
//! it, so the connection's bytes are followed on their way to hyper: line by line through heads, by
//! their count through bodies, and by chunks where these are chunked. What hyper refuses itself
//! needs no care here, since nothing after it is read.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use memchr::memchr;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const LENGTH: &[u8] = b"content-length:";
const CODING: &[u8] = b"transfer-encoding:";

/// What is wrong with a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// A body with a length and a coding that says its own.
    LengthAndCoding,
    /// More than one Content-Length, be they the same.
    SeveralLengths,
    /// A line that ends without a carriage return.
    BareLineFeed,
    /// A request line longer than permitted.
    TargetTooLong,
}

impl Flaw {
    const ALL: [Self; 4] =
        [Self::LengthAndCoding, Self::SeveralLengths, Self::BareLineFeed, Self::TargetTooLong];
}

/// What a request line is ended with that is too long: hyper then hands it over, and the client
/// learns what is wrong with it.
const LINE_END: &[u8] = b" HTTP/1.1\r\n\r\n";

/// Follows requests, however they are cut into pieces. The first flaw ends it, as it ends the
/// connection.
#[derive(Debug)]
pub struct Scan {
    at: At,
    /// Bytes of a request line that are permitted, and of this one that have come.
    line_max: usize,
    line_bytes: usize,
    /// Where the permitted ones end in the last piece.
    cut: usize,
    /// The heads that have come to their end.
    heads: u64,
    /// In a head: its Content-Length. In a body: how much of it, or of its chunk, is to come.
    left: u64,
    lengths: u8,
    coded: bool,
    /// Whether the byte before was a carriage return.
    cr: bool,
}

#[derive(Debug, Clone, Copy)]
enum At {
    /// Before a request line; empty lines are ignored here (RFC 9112 section 2.2).
    Between,
    RequestLine,
    LineStart,
    /// So many bytes of this name and its colon have matched.
    Name(&'static [u8], usize),
    Length,
    /// The rest of a line says nothing.
    Line,
    /// After the carriage return of an empty line.
    HeadEnd,
    Body,
    ChunkSize,
    ChunkExtension,
    ChunkData,
    ChunkEnd,
    TrailerStart,
    Trailer,
    TrailerEnd,
    BodyEnd,
    Over,
}

impl Scan {
    /// Of a connection from its start on, with request lines of at most `line_max` bytes.
    pub fn new(line_max: usize) -> Self {
        Self {
            at: At::Between,
            line_max,
            line_bytes: 0,
            cut: 0,
            heads: 0,
            left: 0,
            lengths: 0,
            coded: false,
            cr: false,
        }
    }

    /// Reads what comes next. The number of the first head with a flaw, counted from one, and why.
    pub fn read(&mut self, piece: &[u8]) -> Option<(u64, Flaw)> {
        let mut bytes = piece;
        while let Some(&byte) = bytes.first() {
            let taken = match self.at {
                At::Over => return None,
                At::RequestLine => self.request_line(bytes),
                At::Line => self.line(bytes),
                At::Name(name, matched) => self.name(bytes, name, matched),
                At::LineStart if byte == b'\n' => Err(Flaw::BareLineFeed),
                At::Body | At::ChunkData => Ok(self.skip(bytes.len())),
                _ => Ok(self.step(byte)),
            };
            match taken {
                Ok(taken) => bytes = &bytes[taken..],
                Err(flaw) => {
                    self.cut += piece.len() - bytes.len();
                    return Some(self.end(flaw));
                }
            }
        }
        None
    }

    /// As [`Scan::line`], as long as it may be.
    fn request_line(&mut self, bytes: &[u8]) -> Result<usize, Flaw> {
        let left = self.line_max.saturating_sub(self.line_bytes);
        let here = &bytes[..bytes.len().min(left.saturating_add(1))];
        let taken = self.line(here)?;
        if matches!(self.at, At::LineStart) {
            return Ok(taken);
        }
        if taken > left {
            self.cut = left;
            return Err(Flaw::TargetTooLong);
        }
        self.line_bytes += taken;
        Ok(taken)
    }

    fn end(&mut self, flaw: Flaw) -> (u64, Flaw) {
        self.at = At::Over;
        (self.heads + 1, flaw)
    }

    /// To the end of a line, if it is here.
    fn line(&mut self, bytes: &[u8]) -> Result<usize, Flaw> {
        let Some(end) = memchr(b'\n', bytes) else {
            self.cr = bytes.last() == Some(&b'\r');
            return Ok(bytes.len());
        };
        // RFC 9112 section 2.2 lets a bare line feed end a line; others take it as part of one.
        let cr = if end == 0 { self.cr } else { bytes[end - 1] == b'\r' };
        self.cr = false;
        if !cr {
            return Err(Flaw::BareLineFeed);
        }
        self.at = At::LineStart;
        Ok(end + 1)
    }

    /// As much of a field's name as is here.
    fn name(&mut self, bytes: &[u8], name: &'static [u8], matched: usize) -> Result<usize, Flaw> {
        let same = bytes.iter().zip(&name[matched..]);
        let same = same.take_while(|(byte, of)| byte.to_ascii_lowercase() == **of).count();
        let matched = matched + same;
        if matched < name.len() {
            // What differs may end the line.
            self.at = if same < bytes.len() { At::Line } else { At::Name(name, matched) };
            return Ok(same);
        }
        if name == LENGTH {
            self.lengths += 1;
            self.at = At::Length;
        } else {
            self.coded = true;
            self.at = At::Line;
        }
        match (self.lengths, self.coded) {
            (1.., true) => Err(Flaw::LengthAndCoding),
            (2.., false) => Err(Flaw::SeveralLengths),
            _ => Ok(same),
        }
    }

    /// Past what is here of a body or a chunk.
    fn skip(&mut self, here: usize) -> usize {
        let taken = usize::try_from(self.left).map_or(here, |left| left.min(here));
        self.left -= taken as u64;
        if self.left == 0 {
            self.at = if matches!(self.at, At::Body) { At::Between } else { At::ChunkEnd };
        }
        taken
    }

    /// One byte, or none where the next state has to look at it.
    fn step(&mut self, byte: u8) -> usize {
        self.at = match (self.at, byte) {
            (At::Between, b'\r' | b'\n') => At::Between,
            (At::Between, _) => {
                self.line_bytes = 1;
                At::RequestLine
            }
            (At::LineStart, b'\r') => At::HeadEnd,
            (At::LineStart, b'c' | b'C') => At::Name(LENGTH, 1),
            (At::LineStart, b't' | b'T') => At::Name(CODING, 1),
            (At::LineStart, _) => At::Line,
            (At::Length, b'0'..=b'9') => {
                // hyper refuses what is too long for it.
                self.left = self.left.saturating_mul(10).saturating_add(u64::from(byte - b'0'));
                At::Length
            }
            (At::Length, b' ' | b'\t') => At::Length,
            (At::Length, _) => {
                self.at = At::Line;
                return 0;
            }
            (At::HeadEnd, b'\n') => self.body(),
            (At::ChunkSize, _) if byte.is_ascii_hexdigit() => {
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                self.left = self.left.saturating_mul(16).saturating_add(u64::from(digit));
                At::ChunkSize
            }
            (At::ChunkSize | At::ChunkExtension, b'\n') if self.left == 0 => At::TrailerStart,
            (At::ChunkSize | At::ChunkExtension, b'\n') => At::ChunkData,
            (At::ChunkSize | At::ChunkExtension, _) => At::ChunkExtension,
            (At::ChunkEnd, b'\n') => At::ChunkSize,
            (At::ChunkEnd, _) => At::ChunkEnd,
            // As hyper does: here a line feed alone ends no line.
            (At::TrailerStart, b'\r') => At::BodyEnd,
            (At::Trailer, b'\r') => At::TrailerEnd,
            (At::TrailerStart | At::Trailer, _) => At::Trailer,
            (At::TrailerEnd, b'\n') => At::TrailerStart,
            (At::BodyEnd, b'\n') => At::Between,
            // Nothing that hyper takes.
            (_, _) => At::Over,
        };
        1
    }

    /// What follows a head (RFC 9112 section 6.3).
    fn body(&mut self) -> At {
        self.heads += 1;
        let at = match (self.coded, self.left) {
            (true, _) => At::ChunkSize,
            (false, 0) => At::Between,
            (false, _) => At::Body,
        };
        (self.coded, self.lengths, self.cr) = (false, 0, false);
        at
    }
}

/// A client's stream, its requests followed.
#[derive(Debug)]
pub(crate) struct Followed<S> {
    stream: S,
    scan: Scan,
    found: Arc<Found>,
}

/// What is known of a connection's requests by the time that hyper hands them over.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The head with a flaw, counted from one, and which: 0 while there is none.
    flaw: AtomicU64,
    handed_over: AtomicU64,
}

impl Found {
    fn tell(&self, (head, flaw): (u64, Flaw)) {
        self.flaw.store(head * Flaw::ALL.len() as u64 + flaw as u64, Relaxed);
    }

    /// Why the next request has to be refused. To be asked once for each.
    pub(crate) fn next(&self) -> Option<Flaw> {
        // One connection, one task: nobody else counts.
        let number = self.handed_over.load(Relaxed) + 1;
        self.handed_over.store(number, Relaxed);
        let (flaw, flaws) = (self.flaw.load(Relaxed), Flaw::ALL.len() as u64);
        (flaw / flaws == number).then(|| Flaw::ALL[(flaw % flaws) as usize])
    }
}

impl<S> Followed<S> {
    pub(crate) fn new(stream: S, line_max: usize) -> (Self, Arc<Found>) {
        let found = Arc::new(Found::default());
        (Self { stream, scan: Scan::new(line_max), found: Arc::clone(&found) }, found)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Followed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        // After a switch to another protocol nobody asks any more.
        if Arc::strong_count(&self.found) > 1
            && let Some(flaw) = self.scan.read(&buf.filled()[before..])
        {
            self.found.tell(flaw);
            let cut = before + self.scan.cut;
            if flaw.1 == Flaw::TargetTooLong && buf.capacity() - cut >= LINE_END.len() {
                buf.set_filled(cut);
                buf.put_slice(LINE_END);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Followed<S> {
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
        bufs: &[io::IoSlice<'_>],
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
mod tests;
