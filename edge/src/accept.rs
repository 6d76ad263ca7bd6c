//! Listeners and client connections.
//!
//! One thread a core, each with a runtime and listeners of its own
//! (`SO_REUSEPORT`): a connection lives and dies on one core.

use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kingcdn_config::Limits;
use kingcdn_zero_copy::Outgoing;
use prometheus::IntGauge;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::StartError;
use crate::budget::{Need, Reservation};
use crate::heads::Followed;
use crate::interim::{self, Interleaved};
use crate::journey::{self, Client};
use crate::lane;
use crate::node::Node;
use crate::stall::StallLimited;
use crate::timer::ConnectionTimer;

/// Connections that the system queues for each listener.
const BACKLOG: i32 = 4096;
/// How long accepting rests when the system has no more descriptors.
const ACCEPT_REST: Duration = Duration::from_millis(50);
/// What a client gets when too many connections are open.
const FULL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// What hyper queues of an answer before it writes, however large the pieces. The first piece more
/// is taken whole: a slow client keeps one slice of a large object in memory, not two.
const QUEUE_BYTES: usize = 32 << 10;

/// Memory that a connection takes, before it has asked for anything and more since: of 5,000 on one
/// edge, 1.5 KiB and 13.1 KiB each were measured.
const SILENT_BYTES: u64 = 2 << 10;
const TALKING_BYTES: u64 = 14 << 10;

/// hyper's own limit, for which it has room on the stack and needn't clear it first.
const HYPER_HEADERS_MAX: usize = 100;

/// The listeners of one thread.
pub(crate) type Listeners = Vec<StdListener>;

/// Binds every address once for each of `threads`. Listeners of a predecessor that are among them
/// are used as they are, however many: what is queued on one is lost when it is closed.
pub(crate) fn bind(
    addresses: &[SocketAddr],
    threads: usize,
    inherited: Listeners,
) -> Result<(Vec<Listeners>, Vec<SocketAddr>), StartError> {
    let mut inherited: Vec<_> = inherited
        .into_iter()
        .filter_map(|listener| Some((listener.local_addr().ok()?, listener)))
        .collect();
    let mut by_thread: Vec<Listeners> = (0..threads).map(|_| Vec::new()).collect();
    let mut bound = Vec::with_capacity(addresses.len());
    for &wanted in addresses {
        let failed = |source| StartError::Listen { address: wanted, source };
        let mut ours: Vec<_> =
            inherited.extract_if(.., |(at, _)| *at == wanted).map(|(_, it)| it).collect();
        if ours.is_empty() {
            // Without this, two edges on one address would silently share its clients.
            listener(wanted, false).map_err(failed)?;
        }
        let mut address = wanted;
        while ours.len() < threads {
            let listener = listener(address, true).map_err(failed)?;
            // Port 0 is chosen by the system for the first thread; the others follow.
            address = listener.local_addr().map_err(failed)?;
            ours.push(listener);
        }
        for (number, listener) in ours.into_iter().enumerate() {
            by_thread[number % threads].push(listener);
        }
        bound.push(address);
    }
    Ok((by_thread, bound))
}

fn listener(address: SocketAddr, shared: bool) -> io::Result<StdListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Serves on one thread until `stop`, then until all threads' `connections` have finished: any of
/// them may be waiting for a fetch that another thread's client has caused.
pub(crate) fn spawn(
    node: Arc<Node>,
    number: usize,
    listeners: Listeners,
    connections: TaskTracker,
    stop: watch::Receiver<bool>,
) -> io::Result<thread::JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Until this is dropped nobody can take it that there are no connections any more.
    let more_may_come = connections.token();
    thread::Builder::new().name(format!("edge-{number}")).spawn(move || {
        lane::enter(number);
        runtime.block_on(serve(node, listeners, (connections, more_may_come), stop));
    })
}

async fn serve(
    node: Arc<Node>,
    listeners: Listeners,
    (connections, more_may_come): (TaskTracker, TaskTrackerToken),
    stop: watch::Receiver<bool>,
) {
    let accepting = TaskTracker::new();
    for listener in listeners {
        match TcpListener::from_std(listener) {
            Ok(listener) => {
                let (node, stop) = (Arc::clone(&node), stop.clone());
                accepting.spawn(accept(node, listener, connections.clone(), stop));
            }
            Err(error) => tracing::error!(%error, "a listener can't be used"),
        }
    }
    stopped(stop).await;
    accepting.close();
    accepting.wait().await;
    drop(more_may_come);
    node.tunnels.stop();
    connections.close();
    connections.wait().await;
    node.tunnels.ended().await;
}

async fn accept(
    node: Arc<Node>,
    listener: TcpListener,
    connections: TaskTracker,
    stop: watch::Receiver<bool>,
) {
    let mut stopping = pin!(stopped(stop.clone()));
    loop {
        let accepted = tokio::select! {
            // Closing a listener resets what is queued on it: that is taken in first.
            biased;
            accepted = listener.accept() => accepted,
            () = &mut stopping => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let open = Open::new(&node.metrics.connections);
                let limit = node.limits.load().connections;
                if usize::try_from(node.metrics.connections.get()).is_ok_and(|open| open > limit) {
                    node.metrics.connections_refused.inc();
                    turn_away(stream);
                    continue;
                }
                let Some(memory) = node.store.room(SILENT_BYTES, Need::Connection) else {
                    node.metrics.connections_shed.inc();
                    turn_away(stream);
                    continue;
                };
                let open = (open, memory);
                let task = connection(Arc::clone(&node), stream, peer, stop.clone(), open);
                connections.spawn(task);
            }
            Err(error) => {
                tracing::warn!(%error, "a connection can't be accepted");
                tokio::time::sleep(ACCEPT_REST).await;
            }
        }
    }
}

/// One client connection, from its first request to its last. What that takes is made when there
/// is something to read: of those that are open just in case there may be many.
async fn connection(
    node: Arc<Node>,
    stream: TcpStream,
    peer: SocketAddr,
    stop: watch::Receiver<bool>,
    _open: (Open, Reservation),
) {
    let limits = node.limits.load_full();
    if stream.set_nodelay(true).is_err() {
        return; // It is gone already.
    }
    // A new stream is taken for readable until somebody has tried: this looks.
    let mut first = [0];
    let spoken = tokio::select! {
        spoken = timeout(limits.header_timeout, stream.peek(&mut first)) => spoken,
        () = stopped(stop.clone()) => timeout(node.farewell(), stream.peek(&mut [0])).await,
    };
    let spoken = matches!(spoken, Ok(Ok(_)));
    if spoken {
        let Some(_memory) = node.store.room(TALKING_BYTES, Need::Connection) else {
            node.metrics.connections_shed.inc();
            // What isn't read would reset the connection before the client has our answer.
            let _unread = stream.try_read(&mut [0; 4096]);
            return turn_away(stream);
        };
        Box::pin(talk(node, limits, stream, peer, stop)).await;
    } else if !*stop.borrow() {
        node.metrics.connection_errors.with_label_values(&["head-timeout"]).inc();
    }
}

/// Serves a client that has begun to speak.
async fn talk(
    node: Arc<Node>,
    limits: Arc<Limits>,
    stream: TcpStream,
    peer: SocketAddr,
    stop: watch::Receiver<bool>,
) {
    let interims = interim::Client::default();
    let stream = StallLimited::new(Outgoing::new(stream), limits.body_timeout);
    let (stream, heads) = Followed::new(stream, limits.header_bytes / 4 * 3);
    let io = TokioIo::new(Interleaved::new(stream, interims.clone()));
    let service = {
        let node = Arc::clone(&node);
        service_fn(move |request| {
            let flaw = heads.next();
            let from = Client { address: peer.ip(), interims: interims.clone(), flaw };
            journey::serve(&node, from, request)
        })
    };
    let mut http = http1::Builder::new();
    http.timer(ConnectionTimer::default())
        .header_read_timeout(limits.header_timeout)
        .max_header_size(limits.header_bytes)
        .max_buf_size(QUEUE_BYTES.max(2 * limits.header_bytes));
    if limits.header_count != HYPER_HEADERS_MAX {
        http.max_headers(limits.header_count);
    }
    let connection = http.serve_connection(io, service).with_upgrades();
    let mut connection = pin!(connection);
    let ended = match unless_stopped(connection.as_mut(), stop).await {
        Some(ended) => ended,
        // Closed at once, it could cross with the client's next request. The answer to that one
        // asks the client to close.
        None => match timeout(node.farewell(), connection.as_mut()).await {
            Ok(ended) => ended,
            Err(_) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        },
    };
    if let Err(error) = ended {
        let reason = reason(&error);
        node.metrics.connection_errors.with_label_values(&[reason]).inc();
        tracing::debug!(%peer, reason, %error, "connection ended");
    }
}

/// Returns when the edge is told to stop, or is gone itself.
pub(crate) async fn stopped(mut stop: watch::Receiver<bool>) {
    let _stopped_or_gone = stop.wait_for(|stop| *stop).await;
}

/// What comes of `work`, or none where the edge is told to stop before that. Each step of it costs
/// a look at a number, where to ask a watch in earnest takes some 180 instructions.
async fn unless_stopped<F: Future>(
    mut work: Pin<&mut F>,
    stop: watch::Receiver<bool>,
) -> Option<F::Output> {
    let news = stop.clone();
    let mut stopping = pin!(stopped(stop));
    let mut registered = false;
    poll_fn(|cx| {
        if let Poll::Ready(done) = work.as_mut().poll(cx) {
            return Poll::Ready(Some(done));
        }
        if registered && matches!(news.has_changed(), Ok(false)) {
            return Poll::Pending;
        }
        registered = true;
        stopping.as_mut().poll(cx).map(|()| None)
    })
    .await
}

/// Why a connection ended before its time.
fn reason(error: &hyper::Error) -> &'static str {
    if error.is_parse_too_large() {
        "head-too-large"
    } else if error.is_parse() {
        "malformed"
    } else if error.is_timeout() {
        "head-timeout"
    } else if error.is_incomplete_message() {
        "incomplete"
    } else if error.is_user() || error.is_body_write_aborted() {
        "answer-ended-early"
    } else {
        "transport"
    }
}

/// Tells a client that there is no room, if that can be done at once.
fn turn_away(stream: TcpStream) {
    let _best_effort = stream.try_write(FULL);
}

/// Counts a connection while it is open.
struct Open(IntGauge);

impl Open {
    fn new(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}
