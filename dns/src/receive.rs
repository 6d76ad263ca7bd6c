//! Sockets: UDP on threads of its own, one a core and address, and connections on the runtime.

mod batch;
mod https;
mod limits;
mod stream;
mod tcp;
mod udp;

#[cfg(test)]
mod tests;

use std::io;
use std::net::{SocketAddr, TcpListener as StdTcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread;

use kingcdn_config::DnsTls;
use rustix::net::sockopt::{
    Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, set_ip_mtu_discover, set_ipv6_mtu_discover,
};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use crate::journey::Journey;
use crate::record::Metrics;
use crate::tls::Tls;
use limits::Limits;
use tcp::Spoken;

/// Octets of queries that the kernel keeps for each of our sockets while we are busy.
const UDP_BACKLOG_BYTES: usize = 4 << 20;
/// Connections that the kernel keeps for us.
const TCP_BACKLOG: i32 = 256;
/// The longest query on a connection. Nobody makes us keep what no query needs.
const QUERY_BYTES: usize = 16 << 10;
/// How often a port that is free for UDP is looked for that is free for TCP too.
const PORT_ATTEMPTS: usize = 16;

/// The sockets of one listen address, on one port.
pub(crate) struct Bound {
    pub(crate) address: SocketAddr,
    /// On connections.
    spoken: Spoken,
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
        return Ok(Bound { address, spoken: Spoken::Plain, udp: udp_sockets, tcp });
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
    let tcp = listener(address)?;
    Ok(Bound { address, spoken: Spoken::Plain, udp: sockets, tcp })
}

fn listener(address: SocketAddr) -> io::Result<StdTcpListener> {
    let tcp = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Connections of a predecessor may still be closing.
    tcp.set_reuse_address(true)?;
    only_v6(&tcp, address)?;
    tcp.set_nonblocking(true)?;
    tcp.bind(&address.into())?;
    tcp.listen(TCP_BACKLOG)?;
    Ok(tcp.into())
}

/// Opens the sockets of encrypted addresses, where a predecessor left none.
pub(crate) fn bind_encrypted(
    files: &DnsTls,
    tls: &Tls,
    inherited: &mut Inherited,
) -> Result<Vec<Bound>, (SocketAddr, io::Error)> {
    let dns = files.listen.iter().map(|address| (*address, Spoken::Tls(Arc::clone(&tls.dns))));
    let https = files.https.iter().map(|at| (*at, Spoken::Https(Arc::clone(&tls.https))));
    let bind = |(address, spoken): (SocketAddr, Spoken)| {
        let (_none, left) = inherited.take(address);
        let bound = left
            .map_or_else(|| listener(address), Ok)
            .and_then(|tcp| Ok(Bound { address: tcp.local_addr()?, spoken, udp: Vec::new(), tcp }));
        bound.map_err(|error| (address, error))
    };
    dns.chain(https).map(bind).collect()
}

fn udp(address: SocketAddr, shared: bool) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    // The kernel may grant less.
    let _granted = socket.set_recv_buffer_size(UDP_BACKLOG_BYTES);
    socket.set_reuse_port(shared)?;
    only_v6(&socket, address)?;
    let _old_kernels_cant = in_one_piece(&socket, address);
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Our answers fit into any path's packets. Who claims that a path's are smaller wants them in
/// fragments, which he can forge (RFC 9715 section 3.1): nobody is heard.
fn in_one_piece(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    match address {
        SocketAddr::V4(_) => set_ip_mtu_discover(socket, Ipv4PathMtuDiscovery::OMIT)?,
        SocketAddr::V6(_) => set_ipv6_mtu_discover(socket, Ipv6PathMtuDiscovery::OMIT)?,
    }
    Ok(())
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
    let (plain, encrypted) = limits(journey, metrics);
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
        let limits = match bound.spoken {
            Spoken::Plain => plain.clone(),
            Spoken::Tls(_) | Spoken::Https(_) => encrypted.clone(),
        };
        tasks.spawn(tcp::serve(listener, bound.spoken, journey.clone(), limits, stop.clone()));
    }
    Ok(tasks)
}

/// What bounds plain connections, and what bounds encrypted ones: a flood of these leaves those
/// their places, on which whoever gets a truncated answer depends.
fn limits(journey: &Journey, metrics: &Arc<Metrics>) -> (Limits, Limits) {
    let world = journey.world.load();
    let limits = &world.protocol.limits;
    let plain = (limits.tcp_connections, limits.tcp_per_client);
    let encrypted = world.dns.tls.as_ref();
    let (bounds, idle) = encrypted
        .map_or((plain, limits.tcp_idle), |tls| ((tls.connections, tls.per_client), tls.idle));
    (Limits::new(plain, limits.tcp_idle, metrics), Limits::new(bounds, idle, metrics))
}
