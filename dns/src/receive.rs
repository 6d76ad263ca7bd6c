//! Sockets: hickory's server on UDP, and TCP with the limits that it lacks.

mod tcp;

use std::io;
use std::net::SocketAddr;

use hickory_server::Server;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::error;

use crate::journey::Journey;
use crate::record::Metrics;

/// Octets of queries that the kernel keeps for us while we are busy.
const UDP_BACKLOG_BYTES: usize = 4 << 20;
/// Connections that the kernel keeps for us.
const TCP_BACKLOG: i32 = 256;
/// How often a port that is free for UDP is looked for that is free for TCP too.
const PORT_ATTEMPTS: usize = 16;

/// The sockets of one listen address, on one port.
pub(crate) struct Bound {
    pub(crate) address: SocketAddr,
    udp: UdpSocket,
    tcp: TcpListener,
}

/// Opens both sockets of an address. Port 0 is any port, the same for both.
pub(crate) fn bind(address: SocketAddr) -> io::Result<Bound> {
    for _ in 1..PORT_ATTEMPTS {
        match bind_once(address) {
            Err(error) if address.port() == 0 && error.kind() == io::ErrorKind::AddrInUse => {}
            result => return result,
        }
    }
    bind_once(address)
}

fn bind_once(address: SocketAddr) -> io::Result<Bound> {
    let udp = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    // The kernel may grant less.
    let _granted = udp.set_recv_buffer_size(UDP_BACKLOG_BYTES);
    prepare(&udp, address)?;
    udp.bind(&address.into())?;
    let udp = UdpSocket::from_std(udp.into())?;
    let address = udp.local_addr()?;
    let tcp = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Connections of a predecessor may still be closing.
    tcp.set_reuse_address(true)?;
    prepare(&tcp, address)?;
    tcp.bind(&address.into())?;
    tcp.listen(TCP_BACKLOG)?;
    Ok(Bound { address, udp, tcp: TcpListener::from_std(tcp.into())? })
}

fn prepare(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    if address.is_ipv6() {
        // `[::]` and `0.0.0.0` may both be listened on.
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)
}

/// Answers on these sockets until `stop` turns true. The tasks end when all that was under way has
/// been answered.
pub(crate) fn serve(
    sockets: Vec<Bound>,
    journey: &Journey,
    metrics: &std::sync::Arc<Metrics>,
    stop: &watch::Receiver<bool>,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let mut server = Server::new(journey.clone());
    let limits = tcp::Limits::new(std::sync::Arc::clone(metrics));
    for bound in sockets {
        server.register_socket(bound.udp);
        tasks.spawn(tcp::serve(bound.tcp, journey.clone(), limits.clone(), stop.clone()));
    }
    tasks.spawn(udp(server, stop.clone()));
    tasks
}

async fn udp(mut server: Server<Journey>, mut stop: watch::Receiver<bool>) {
    tokio::select! {
        ended = server.block_until_done() => {
            error!(?ended, "no more queries over UDP");
            return;
        }
        _ = stop.wait_for(|stop| *stop) => {}
    }
    if let Err(error) = server.shutdown_gracefully().await {
        error!(%error, "UDP ended badly");
    }
}
