//! KingCDN's edge: the HTTP cache.
//!
//! A request's journey is told in `journey`, from top to bottom. The rooms that
//! it passes: `accept` (listeners, connections) → `admission` (is this a request
//! that is answered at all?) → `site` (whose is it?) → `key` → `store` (what is
//! held?) → [`caching`] (what may be done with it?) → `collapse` (one fetch for
//! many) → `fetch` and `fill` (an answer on its way in), or `arrivals` (a large
//! one, in slices) → `upstream` (origins) → `deliver` and `content` (what the
//! client gets) → `record` (metrics, log). An origin's 103 goes back at once, by
//! `interim`. What switches to another protocol leaves the road at `upgrade`.

mod accept;
pub mod access;
mod admission;
mod answer;
mod arrivals;
mod budget;
mod cache_status;
pub mod caching;
mod collapse;
mod content;
mod decimal;
mod deliver;
mod disk_metrics;
mod fetch;
mod fill;
mod forward;
mod hash;
#[doc(hidden)]
pub mod heads;
mod interim;
mod journey;
mod key;
mod lane;
mod metrics;
mod node;
pub mod purge;
mod record;
mod sealed;
mod serving;
mod site;
mod sliced;
mod stall;
mod status;
mod store;
mod tally;
mod timer;
mod trace;
mod upgrade;
mod upstream;
mod wanted;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use kingcdn_config::Config;
use kingcdn_config::clock::Clock;
use kingcdn_config::status::EdgeStatus;
use prometheus::Registry;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use crate::access::AccessLog;
use crate::disk_metrics::DiskMetrics;
use crate::metrics::Metrics;
use crate::node::Node;
use crate::purge::{JournalError, Mode, Scope};
use crate::status::Observer;

/// How long connections stay open without a request when the edge stops: a request that is under
/// way to it already is still answered.
const FAREWELL: Duration = Duration::from_secs(1);

/// How long the edge writes what is in memory to its disks when it stops.
const CLOSING: Duration = Duration::from_secs(10);

/// A running edge.
pub struct Edge {
    node: Arc<Node>,
    observer: Observer,
    addresses: Vec<SocketAddr>,
    stop: watch::Sender<bool>,
    /// The listening sockets once more, until somebody takes them or the edge stops.
    listeners: Mutex<Vec<TcpListener>>,
    /// Empty once somebody waits for them.
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// What an edge has of the process that it is in.
#[derive(Default)]
pub struct Surroundings {
    /// A predecessor's listeners.
    pub listeners: Vec<TcpListener>,
    /// Where a line goes for each request that was answered.
    pub access_log: Option<AccessLog>,
}

/// Why an edge doesn't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration has no edge of this name.
    #[error("the configuration has no edge named {0:?}")]
    NoSuchEdge(String),
    /// The name can't stand in a header field.
    #[error("the edge's name {0:?} can't be used in HTTP")]
    BadName(String),
    /// An address can't be listened on.
    #[error("{address} can't be listened on: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// A thread or its runtime can't be had.
    #[error("a thread can't be started: {0}")]
    Thread(#[from] io::Error),
    /// The registry has a metric of ours already.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// Reads `data` as what is on disk of an object. For fuzzers: panics where the reader does.
#[doc(hidden)]
pub fn fuzz_record(data: &[u8]) {
    store::fuzz_record(data);
}

impl Edge {
    /// Starts the edge `name` of `config`; it serves when this returns. Clients are served, and
    /// their fetches made, by threads of their own; all else runs on the runtime that this is called
    /// on.
    ///
    /// # Errors
    /// An unknown name, an address that is in use, no threads.
    pub async fn start(
        config: Arc<Config>,
        name: &str,
        clock: Clock,
        registry: &Registry,
    ) -> Result<Self, StartError> {
        Self::start_on(Surroundings::default(), config, name, clock, registry).await
    }

    /// The same, with an access log, and with a predecessor's listeners where they are at the
    /// configuration's addresses.
    ///
    /// # Errors
    /// An unknown name, an address that is in use, no threads.
    #[allow(clippy::unused_async)] // Called on a runtime, and says so.
    pub async fn start_on(
        surroundings: Surroundings,
        config: Arc<Config>,
        name: &str,
        clock: Clock,
        registry: &Registry,
    ) -> Result<Self, StartError> {
        let edge = config.edge(name).ok_or_else(|| StartError::NoSuchEdge(name.to_owned()))?;
        let Surroundings { listeners, access_log } = surroundings;
        let threads = lane::threads();
        let (listeners, addresses) = accept::bind(&edge.listen, threads, listeners)?;
        let again = listeners.iter().flatten().map(TcpListener::try_clone);
        let again = again.collect::<io::Result<_>>().map(Mutex::new)?;
        let metrics = Metrics::new(registry)?;
        registry.register(Box::new(sealed::SealedMetrics::new()?))?;
        let node = Node::new(&config, edge, clock, Handle::current(), metrics, access_log)?;
        let node = Arc::new(node);
        registry.register(Box::new(DiskMetrics::new(&node)?))?;
        let (stop, stopped) = watch::channel(false);
        let connections = TaskTracker::new();
        let threads = listeners
            .into_iter()
            .enumerate()
            .map(|(number, listeners)| {
                let (node, connections) = (Arc::clone(&node), connections.clone());
                accept::spawn(node, number, listeners, connections, stopped.clone())
            })
            .collect::<Result<Vec<_>, _>>()?;
        let observer = Observer::start(Arc::clone(&node), stopped);
        tracing::info!(edge = name, ?addresses, threads = threads.len(), "edge serves");
        let threads = Mutex::new(threads);
        Ok(Self { node, observer, addresses, stop, listeners: again, threads })
    }

    /// The listening sockets once more, for a successor, or to be dropped: a socket is closed when
    /// nobody holds it. None the second time, and once the edge stops.
    pub fn take_listeners(&self) -> Vec<TcpListener> {
        std::mem::take(&mut *self.listeners.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Where it serves; the ports that were chosen where the configuration says 0.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Takes over sites, policies and limits of a new configuration. Requests under way finish
    /// under the old one. What is stored stays, on the terms on which it was stored.
    pub fn reload(&self, config: &Config) {
        self.node.reload(config);
    }

    /// Purges what is stored of `scope`, and what is on its way in. Requests that come after this
    /// has returned don't find it. Takes the same time however much is stored; blocks while it is
    /// written down, where the edge has a disk tier.
    ///
    /// # Errors
    /// It is done, but may not survive a restart.
    pub fn purge(&self, scope: Scope<'_>, mode: Mode) -> Result<(), JournalError> {
        tracing::info!(?scope, ?mode, "purge");
        let metrics = &self.node.metrics.purges;
        metrics.purge(&scope, mode);
        let kept = self.node.store.ledger().purge(scope, mode);
        if kept.is_err() {
            metrics.journal_errors.inc();
        }
        kept
    }

    /// What it does and keeps.
    pub fn status(&self) -> EdgeStatus {
        self.observer.status()
    }

    /// Answers a request for what is held and fresh, up to where hyper would take over; its
    /// status, or nothing if it is another kind of request. For benchmarks.
    #[doc(hidden)]
    pub fn at_hand(&self, request: &http::request::Parts) -> Option<http::StatusCode> {
        let address = std::net::IpAddr::from([127, 0, 0, 1]);
        let client = journey::Client { address, interims: interim::Client::default(), flaw: None };
        Some(journey::at_hand(&self.node, client, request)?.status())
    }

    /// Whether it wants requests.
    pub fn is_healthy(&self) -> bool {
        !self.node.is_draining()
    }

    /// Lets health checks fail, so that name servers stop sending clients, and goes on serving; its
    /// answers ask clients to close their connections.
    pub fn begin_drain(&self) {
        self.node.begin_drain();
    }

    /// Takes no more connections and lets open requests finish, for at most `limit`; then writes
    /// what is in memory to the disks, if there are any. Returns whether all requests did.
    pub async fn drain(&self, limit: Duration) -> bool {
        self.node.begin_drain();
        self.node.begin_farewell(FAREWELL.min(limit / 2));
        drop(self.take_listeners());
        self.stop.send_replace(true);
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let joined = tokio::task::spawn_blocking(move || {
            threads.into_iter().all(|thread| thread.join().is_ok())
        });
        let drained = matches!(tokio::time::timeout(limit, joined).await, Ok(Ok(true)));
        let node = Arc::clone(&self.node);
        let closed = tokio::task::spawn_blocking(move || node.store.close(CLOSING.min(limit)));
        drained && closed.await.is_ok()
    }
}
