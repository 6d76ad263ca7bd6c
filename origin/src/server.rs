//! Connections: accepted up to a limit, bounded in what they may cost, and ended in order.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::journey::Site;
use crate::stall::Stalling;

/// Connections that are open at once. More wait in the kernel's queue.
const MAX_CONNECTIONS: u32 = 1024;

/// Bytes of a request's line and header section; more is answered with 431, as are more than 100
/// fields (hyper's own limit, which costs no allocation).
const MAX_HEADER_BYTES: usize = 16 << 10;

/// Bytes of a connection's read buffer, and of its unsent output beside one chunk of a file.
const MAX_BUFFER_BYTES: usize = 64 << 10;

/// Time for a whole header section; also how long a connection may idle between requests.
const HEADER_TIMEOUT: Duration = Duration::from_secs(60);

/// Time that a client may take no byte of what is sent to it.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);

/// After an error of accept, mostly for want of file descriptors, so long is nothing accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the connections are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Serving,
    /// Finish what is open, take nothing new.
    Draining,
    /// End now.
    Closed,
}

/// The listeners and their connections. Dropped, all of them end.
#[derive(Debug)]
pub(crate) struct Server {
    addresses: Vec<SocketAddr>,
    phase: watch::Sender<Phase>,
    /// One permit per connection, and one per listener that is ready for the next.
    slots: Arc<Semaphore>,
}

/// Binds every address.
///
/// # Errors
/// The first address that can't be bound.
pub(crate) async fn bind(
    addresses: &[SocketAddr],
) -> Result<Vec<(SocketAddr, TcpListener)>, (SocketAddr, io::Error)> {
    let mut listeners = Vec::with_capacity(addresses.len());
    for &address in addresses {
        let listener = TcpListener::bind(address).await.map_err(|error| (address, error))?;
        let bound = listener.local_addr().map_err(|error| (address, error))?;
        listeners.push((bound, listener));
    }
    Ok(listeners)
}

impl Server {
    pub(crate) fn start(listeners: Vec<(SocketAddr, TcpListener)>, site: Arc<Site>) -> Self {
        let phase = watch::Sender::new(Phase::Serving);
        let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS as usize));
        let mut addresses = Vec::with_capacity(listeners.len());
        for (address, listener) in listeners {
            addresses.push(address);
            let acceptor = Acceptor {
                listener,
                site: Arc::clone(&site),
                slots: Arc::clone(&slots),
                phase: phase.subscribe(),
            };
            tokio::spawn(acceptor.run());
        }
        Self { addresses, phase, slots }
    }

    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    pub(crate) fn is_draining(&self) -> bool {
        *self.phase.borrow() != Phase::Serving
    }

    pub(crate) async fn drain(&self, limit: Duration) {
        self.phase.send_replace(Phase::Draining);
        // All permits are back when every listener and connection has ended.
        let ended = self.slots.acquire_many(MAX_CONNECTIONS);
        if tokio::time::timeout(limit, ended).await.is_err() {
            self.phase.send_replace(Phase::Closed);
        }
    }
}

struct Acceptor {
    listener: TcpListener,
    site: Arc<Site>,
    slots: Arc<Semaphore>,
    phase: watch::Receiver<Phase>,
}

impl Acceptor {
    /// Accepts until the phase changes; then the listener closes.
    async fn run(mut self) {
        loop {
            let accepted = tokio::select! {
                _ = self.phase.wait_for(|phase| *phase != Phase::Serving) => return,
                accepted = accept(&self.listener, &self.slots) => accepted,
            };
            match accepted {
                Ok((stream, slot)) => {
                    let site = Arc::clone(&self.site);
                    tokio::spawn(serve(stream, slot, site, self.phase.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "can't accept connections");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, slot))
}

/// Serves one connection to its end.
async fn serve(
    stream: TcpStream,
    slot: OwnedSemaphorePermit,
    site: Arc<Site>,
    mut phase: watch::Receiver<Phase>,
) {
    let connections = site.metrics.connections.clone();
    connections.inc();
    // Without it the last packet of an answer would wait for the client's acknowledgement.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "can't set TCP_NODELAY");
    }
    let io = TokioIo::new(Stalling::new(stream, STALL_TIMEOUT));
    let service = service_fn(move |request| {
        let site = Arc::clone(&site);
        async move { Ok::<_, Infallible>(site.answer(request).await) }
    });
    let mut connection = pin!(http1().serve_connection(io, service));
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        _ = phase.wait_for(|phase| *phase != Phase::Serving) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection => ended,
                _ = phase.wait_for(|phase| *phase == Phase::Closed) => Ok(()),
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = &error as &dyn std::error::Error, "connection ended");
    }
    connections.dec();
    drop(slot);
}

fn http1() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_header_size(MAX_HEADER_BYTES)
        .max_buf_size(MAX_BUFFER_BYTES);
    builder
}
