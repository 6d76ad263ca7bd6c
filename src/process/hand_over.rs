//! Listeners that pass from a process to its successor, so that an upgrade loses no connection and
//! no query.
//!
//! A process answers on a Unix socket of its own. Whoever connects gets the listening sockets
//! themselves (`SCM_RIGHTS`, unix(7)): what is queued on them stays there, and both may take it.
//! Once the successor says that it serves, the predecessor takes nothing more, finishes what is
//! open and ends. A successor that fails before has changed nothing.

use std::fs;
use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::cmsg_space;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketType, recvmsg, sendmsg, sockopt,
};
use tokio::sync::oneshot;
use tracing::{info, warn};

/// Sockets in one message; the system permits 253.
const AT_ONCE: usize = 64;
/// Sockets in all.
const AT_MOST: usize = 4096;
/// Time for each message between the two.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Time for a successor to start: it reads its zones and its database.
const START: Duration = Duration::from_secs(120);

/// The predecessor: here are some sockets.
const SOCKETS: u8 = b'+';
/// The predecessor: those were all.
const ALL: u8 = b'.';
/// The successor: I serve.
const SERVING: u8 = b'!';

/// A predecessor's listening sockets.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    pub(crate) tcp: Vec<TcpListener>,
    pub(crate) udp: Vec<UdpSocket>,
}

/// A process that waits to be relieved.
pub(super) struct Predecessor(UnixStream);

/// What a successor may have, until it is withdrawn.
#[derive(Clone)]
pub(super) struct Offer(Arc<Mutex<Vec<OwnedFd>>>);

/// The sockets of the process that answers at `path`, if there is one.
pub(super) fn take(path: &Path) -> io::Result<Option<(Sockets, Predecessor)>> {
    let stream = match UnixStream::connect(path) {
        Ok(stream) => stream,
        Err(error) => {
            use io::ErrorKind::{ConnectionRefused, NotFound};
            let nobody = matches!(error.kind(), NotFound | ConnectionRefused);
            return if nobody { Ok(None) } else { Err(error) };
        }
    };
    stream.set_read_timeout(Some(TIMEOUT))?;
    let mut sockets = Sockets::default();
    while receive(&stream, &mut sockets)? {}
    Ok(Some((sockets, Predecessor(stream))))
}

impl Sockets {
    /// The TCP listener at `address`.
    pub(super) fn take_listener(&mut self, address: SocketAddr) -> Option<TcpListener> {
        let here = |listener: &mut TcpListener| listener.local_addr().is_ok_and(|it| it == address);
        self.tcp.extract_if(.., here).next()
    }

    fn add(&mut self, socket: OwnedFd) -> io::Result<()> {
        if self.tcp.len() + self.udp.len() >= AT_MOST {
            return Err(io::Error::other("more sockets than a process of ours has"));
        }
        match sockopt::socket_type(&socket)? {
            SocketType::STREAM => self.tcp.push(socket.into()),
            SocketType::DGRAM => self.udp.push(socket.into()),
            _ => return Err(io::Error::other("neither a TCP nor a UDP socket")),
        }
        Ok(())
    }
}

impl Predecessor {
    /// Lets it end: this process serves.
    pub(super) fn relieve(mut self) -> io::Result<()> {
        self.0.write_all(&[SERVING])
    }
}

impl Offer {
    /// Answers successors at `path` from now on, until one serves; then the receiver is told.
    pub(super) fn make(
        path: &Path,
        sockets: Vec<OwnedFd>,
    ) -> io::Result<(Self, oneshot::Receiver<()>)> {
        // Under another name first: whoever connects at `path` finds somebody who answers. Whoever
        // may connect gets everything, so nobody but this user may.
        let new = path.with_extension("new");
        let _absent_as_a_rule = fs::remove_file(&new);
        let listener = UnixListener::bind(&new)?;
        fs::set_permissions(&new, fs::Permissions::from_mode(0o600))?;
        fs::rename(&new, path)?;
        let offer = Self(Arc::new(Mutex::new(sockets)));
        let (relieved, told) = oneshot::channel();
        let offered = offer.clone();
        thread::Builder::new().name("hand-over".to_owned()).spawn(move || {
            for successor in listener.incoming() {
                match successor.and_then(|successor| offered.give(successor)) {
                    Ok(()) => break,
                    Err(error) => warn!(%error, "no hand-over"),
                }
            }
            // Before anybody is told: who asks after that learns that there is nobody.
            drop(listener);
            offered.withdraw();
            let _ = relieved.send(());
        })?;
        Ok((offer, told))
    }

    /// Nobody gets anything from now on: what this process closes is closed.
    pub(super) fn withdraw(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Gives everything to a successor; succeeds when that one serves.
    fn give(&self, mut successor: UnixStream) -> io::Result<()> {
        successor.set_write_timeout(Some(TIMEOUT))?;
        successor.set_read_timeout(Some(START))?;
        {
            let sockets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            for some in sockets.chunks(AT_ONCE) {
                send(&successor, some)?;
            }
        }
        successor.write_all(&[ALL])?;
        info!("a successor has the listeners");
        let mut said = [0];
        successor.read_exact(&mut said)?;
        if said == [SERVING] { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
    }
}

fn send(successor: &UnixStream, sockets: &[OwnedFd]) -> io::Result<()> {
    let sockets: Vec<BorrowedFd<'_>> = sockets.iter().map(OwnedFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(AT_ONCE))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(&sockets)) {
        return Err(io::Error::other("too many sockets at once"));
    }
    sendmsg(successor, &[IoSlice::new(&[SOCKETS])], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// One message of the predecessor's; whether more follow.
fn receive(predecessor: &UnixStream, sockets: &mut Sockets) -> io::Result<bool> {
    let mut said = [0];
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(AT_ONCE))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC;
    let message = recvmsg(predecessor, &mut [IoSliceMut::new(&mut said)], &mut control, flags)?;
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(some) = part {
            some.into_iter().try_for_each(|socket| sockets.add(socket))?;
        }
    }
    match (message.bytes, said) {
        (1, [SOCKETS]) => Ok(true),
        (1, [ALL]) => Ok(false),
        (0, _) => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn a_successor_gets_the_sockets_and_what_is_queued_on_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("edge.sock");
        assert!(take(&path).expect("nobody is no error").is_none());

        let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
        let udp = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let (tcp_at, udp_at) = (tcp.local_addr().expect("it"), udp.local_addr().expect("it"));
        let (_offer, mut told) =
            Offer::make(&path, vec![tcp.into(), udp.into()]).expect("an offer");
        // Nobody has accepted or received these when the sockets change hands.
        let mut client = TcpStream::connect(tcp_at).expect("a connection");
        client.write_all(b"request").expect("room");
        let asker = UdpSocket::bind("127.0.0.1:0").expect("a port");
        asker.send_to(b"query", udp_at).expect("room");

        // One that doesn't serve changes nothing.
        drop(take(&path).expect("an answer").expect("a predecessor"));
        let (mut sockets, predecessor) = take(&path).expect("an answer").expect("a predecessor");
        assert!(told.try_recv().is_err());
        predecessor.relieve().expect("it listens");
        told.blocking_recv().expect("it is told");

        let mut octets = [0; 16];
        let udp = sockets.udp.pop().expect("a socket");
        assert_eq!(udp.recv(&mut octets).expect("a query"), 5);
        let listener = sockets.take_listener(tcp_at).expect("the listener");
        let (mut stream, _) = listener.accept().expect("a connection");
        assert_eq!(stream.read(&mut octets).expect("a request"), 7);
        assert!(take(&path).expect("no error").is_none(), "it offers no more");
    }

    #[test]
    fn what_is_withdrawn_is_closed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("edge.sock");
        let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = tcp.local_addr().expect("it");
        let (offer, _told) = Offer::make(&path, vec![tcp.into()]).expect("an offer");
        offer.withdraw();
        assert!(TcpStream::connect(address).is_err());
        let (sockets, _predecessor) = take(&path).expect("an answer").expect("a predecessor");
        assert!(sockets.tcp.is_empty());
    }
}
