//! Sockets: UDP on threads of its own, one a core and address, and TCP on the runtime.

mod batch;
mod tcp;
mod udp;

use std::io;
use std::net::{SocketAddr, TcpListener as StdTcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use crate::journey::Journey;
use crate::record::Metrics;

/// Octets of queries that the kernel keeps for each of our sockets while we are busy.
const UDP_BACKLOG_BYTES: usize = 4 << 20;
/// Connections that the kernel keeps for us.
const TCP_BACKLOG: i32 = 256;
/// How often a port that is free for UDP is looked for that is free for TCP too.
const PORT_ATTEMPTS: usize = 16;

/// The sockets of one listen address, on one port.
pub(crate) struct Bound {
    pub(crate) address: SocketAddr,
    /// One for each thread: the kernel spreads clients over them.
    udp: Vec<UdpSocket>,
    tcp: StdTcpListener,
}

/// How many threads answer on each address.
pub(crate) fn threads() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// A predecessor's sockets.
#[derive(Debug, Default)]
pub(crate) struct Inherited {
    pub(crate) udp: Vec<UdpSocket>,
    pub(crate) tcp: Vec<StdTcpListener>,
}

impl Inherited {
    /// Those of an address.
    fn take(&mut self, address: SocketAddr) -> (Vec<UdpSocket>, Option<StdTcpListener>) {
        let here = |at: io::Result<SocketAddr>| at.is_ok_and(|at| at == address);
        let udp = self.udp.extract_if(.., |socket| here(socket.local_addr())).collect();
        let tcp = self.tcp.extract_if(.., |listener| here(listener.local_addr())).next();
        (udp, tcp)
    }
}

impl Bound {
    /// The sockets once more.
    pub(crate) fn again(&self) -> io::Result<Vec<OwnedFd>> {
        let udp = self.udp.iter().map(|socket| socket.try_clone().map(OwnedFd::from));
        udp.chain([self.tcp.try_clone().map(OwnedFd::from)]).collect()
    }
}

/// Opens the sockets of an address, where a predecessor left none. Port 0 is any port, the same for
/// all.
pub(crate) fn bind(
    address: SocketAddr,
    threads: usize,
    inherited: &mut Inherited,
) -> io::Result<Bound> {
    let (mut udp_sockets, listener) = inherited.take(address);
    if let Some(tcp) = listener
        && !udp_sockets.is_empty()
    {
        // However many there are: what is queued on one is lost when it is closed.
        while udp_sockets.len() < threads {
            udp_sockets.push(udp(address, true)?);
        }
        return Ok(Bound { address, udp: udp_sockets, tcp });
    }
    for _ in 1..PORT_ATTEMPTS {
        match bind_once(address, threads) {
            Err(error) if address.port() == 0 && error.kind() == io::ErrorKind::AddrInUse => {}
            result => return result,
        }
    }
    bind_once(address, threads)
}

fn bind_once(wanted: SocketAddr, threads: usize) -> io::Result<Bound> {
    // Without this, two servers on one address would silently share its clients.
    udp(wanted, false)?;
    let mut address = wanted;
    let mut sockets = Vec::with_capacity(threads);
    for _ in 0..threads {
        let socket = udp(address, true)?;
        // Port 0 is chosen by the system for the first socket; the others follow.
        address = socket.local_addr()?;
        sockets.push(socket);
    }
    let tcp = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Connections of a predecessor may still be closing.
    tcp.set_reuse_address(true)?;
    only_v6(&tcp, address)?;
    tcp.set_nonblocking(true)?;
    tcp.bind(&address.into())?;
    tcp.listen(TCP_BACKLOG)?;
    Ok(Bound { address, udp: sockets, tcp: tcp.into() })
}

fn udp(address: SocketAddr, shared: bool) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    // The kernel may grant less.
    let _granted = socket.set_recv_buffer_size(UDP_BACKLOG_BYTES);
    socket.set_reuse_port(shared)?;
    only_v6(&socket, address)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// `[::]` and `0.0.0.0` may both be listened on.
fn only_v6(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    if address.is_ipv6() { socket.set_only_v6(true) } else { Ok(()) }
}

/// Answers on these sockets until `stop` turns true. The tasks end when all that was under way has
/// been answered.
///
/// # Errors
///
/// If the system has no more threads.
pub(crate) fn serve(
    sockets: Vec<Bound>,
    journey: &Journey,
    metrics: &Arc<Metrics>,
    stop: &watch::Receiver<bool>,
) -> io::Result<JoinSet<()>> {
    let mut tasks = JoinSet::new();
    let limits = journey.world.load().protocol.limits.clone();
    let limits = tcp::Limits::new(limits, Arc::clone(metrics));
    for bound in sockets {
        for socket in bound.udp {
            let (ends, ended) = oneshot::channel::<()>();
            let (journey, stop) = (journey.clone(), stop.clone());
            let metrics = Arc::clone(metrics);
            thread::Builder::new().name("dns-udp".to_owned()).spawn(move || {
                udp::serve(socket, &journey, &metrics, &stop);
                // Now the socket is closed.
                drop(ends);
            })?;
            tasks.spawn(async move {
                let _nothing_is_sent = ended.await;
            });
        }
        let listener = TcpListener::from_std(bound.tcp)?;
        tasks.spawn(tcp::serve(listener, journey.clone(), limits.clone(), stop.clone()));
    }
    Ok(tasks)
}
