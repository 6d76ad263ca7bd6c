//! A connection that sends what lies in files from there.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustix::fs::sendfile;
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use crate::mapping::Mapped;
use crate::registry;

/// Shorter pieces are copied: that costs no more, and one call can send many of them.
pub const SENDFILE_MIN_BYTES: usize = 16 * 1024;

/// A TCP stream that sends pieces of mappings by `sendfile`, and all others as usual.
///
/// Under hyper nothing else is needed: any body's frames may be such pieces. hyper must not
/// flatten them (`pipeline_flush`).
#[derive(Debug)]
pub struct Outgoing {
    stream: TcpStream,
    /// What the system can't send from files is copied from then on.
    sendfile: bool,
}

impl Outgoing {
    /// Sends through `stream`.
    pub fn new(stream: TcpStream) -> Self {
        Self { stream, sendfile: true }
    }

    /// The stream.
    pub fn get_ref(&self) -> &TcpStream {
        &self.stream
    }

    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_write_ready(cx))?;
            let socket = self.stream.as_fd();
            let mut transfer = Transfer { socket, sendfile: self.sendfile, sent: 0 };
            // An error of the kind WouldBlock makes tokio wait for the socket next time, even if
            // something was sent before.
            let ended = self.stream.try_io(Interest::WRITABLE, || transfer.send(pieces));
            let Transfer { sendfile, sent, .. } = transfer;
            self.sendfile = sendfile;
            match ended {
                // Another error comes again with the next call.
                _ if sent > 0 => return Poll::Ready(Ok(sent)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                ended => return Poll::Ready(ended.map(|()| 0)),
            }
        }
    }
}

impl AsyncRead for Outgoing {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Outgoing {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        piece: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_send(cx, &[IoSlice::new(piece)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_send(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// One go at sending pieces.
struct Transfer<'a> {
    socket: BorrowedFd<'a>,
    sendfile: bool,
    sent: usize,
}

/// Where a piece lies in a file.
type Place = (Arc<Mapped>, usize);

impl Transfer<'_> {
    /// Sends as much as the socket takes. An error says why that isn't all; `sent` says how much
    /// it is.
    fn send(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<()> {
        let mut rest = pieces;
        while let Some((first, behind)) = rest.split_first() {
            if let Some(place) = self.place(first) {
                if self.send_from_file(place, first.len())? {
                    rest = behind;
                    continue;
                }
                self.sendfile = false;
            }
            let more = behind.iter().position(|piece| self.place(piece).is_some());
            let (run, behind) = rest.split_at(1 + more.unwrap_or(behind.len()));
            self.send_copied(run, !behind.is_empty())?;
            rest = behind;
        }
        Ok(())
    }

    fn place(&self, piece: &[u8]) -> Option<Place> {
        if !self.sendfile || piece.len() < SENDFILE_MIN_BYTES {
            return None;
        }
        registry::find(piece)
    }

    /// Sends a piece from its file. False if the system can't do that, and nothing was sent.
    fn send_from_file(&mut self, (mapped, at): Place, len: usize) -> io::Result<bool> {
        let mut offset = at as u64;
        let mut left = len;
        while left > 0 {
            match sendfile(self.socket, mapped.file(), Some(&mut offset), left) {
                // Somebody truncated the file: the rest can't be sent by any means.
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(sent) => {
                    self.sent += sent;
                    left -= sent;
                }
                Err(Errno::INTR) => {}
                Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) if left == len => {
                    return Ok(false);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }

    /// Sends pieces by copying them. `more` follows at once: a last packet that isn't full may
    /// wait for it.
    fn send_copied(&mut self, run: &[IoSlice<'_>], more: bool) -> io::Result<()> {
        let len = run.iter().map(|piece| piece.len()).sum();
        let flags = if more { SendFlags::NOSIGNAL | SendFlags::MORE } else { SendFlags::NOSIGNAL };
        loop {
            match sendmsg(self.socket, run, &mut SendAncillaryBuffer::default(), flags) {
                Ok(sent) => {
                    self.sent += sent;
                    // The socket is full.
                    return if sent < len { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) };
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Read as _;
    use std::os::unix::net::UnixStream;

    use bytes::Bytes;

    #[test]
    fn what_the_system_refuses_to_send_from_its_file_is_left_to_copying() {
        let sealed = crate::seal(&[Bytes::from(vec![7; crate::SEAL_MIN_BYTES])]);
        let (mapped, at) = (0..1_000_000).find_map(|_| registry::find(&sealed)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        // Linux refuses with EINVAL to send into a file that is open for appending.
        let target = File::options().append(true).create(true).open(path).unwrap();
        let mut transfer = Transfer { socket: target.as_fd(), sendfile: true, sent: 0 };
        assert!(!transfer.send_from_file((mapped, at), sealed.len()).unwrap());
        assert_eq!(transfer.sent, 0);
    }

    #[test]
    fn pieces_of_files_can_be_copied_like_all_others() {
        let sealed = crate::seal(&[Bytes::from(vec![7; crate::SEAL_MIN_BYTES])]);
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut transfer = Transfer { socket: ours.as_fd(), sendfile: false, sent: 0 };
        let pieces = [IoSlice::new(b"head"), IoSlice::new(&sealed), IoSlice::new(b"tail")];
        transfer.send(&pieces).unwrap();
        assert_eq!(transfer.sent, sealed.len() + 8);
        drop(ours);
        let mut received = Vec::new();
        theirs.read_to_end(&mut received).unwrap();
        assert!(received == [b"head", &sealed[..], b"tail"].concat());
    }
}
