//! KingCDN's authoritative name server.
//!
//! [`Dns::start`] answers for the CDN's own zone, whose sites it steers to the
//! nearest edge that is up, and for static zones. A query's way through the
//! crate can be read aloud in `journey`; the choice of edges is the pure
//! [`steering`].

mod answer;
mod chaos;
mod cookies;
mod decode;
mod dnssec;
mod encode;
mod error;
mod explain;
mod fleet;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod geo;
mod health;
mod hickory;
mod journey;
mod limits;
mod locate;
mod name;
mod ready;
mod receive;
mod record;
mod signer;
mod stamp;
mod status;
pub mod steering;
#[cfg(test)]
mod testing;
mod tls;
mod transfer;
mod world;
mod zone;

// The fuzzers' entries are compiled into the tests as well.
#[cfg(test)]
extern crate self as kingcdn_dns;

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use kingcdn_config::clock::{Clock, Timestamp};
use kingcdn_config::{Config, DnsTls};
use prometheus::Registry;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{info, warn};

use cookies::Cookies;
pub use dnssec::keys;
use dnssec::{Memo, sign_ahead};
pub use error::{FileExplainError, ReloadError, StartError, WishError};
use explain::Case;
pub use explain::{EdgeStep, ExplainError, Explanation, SteeringSteps};
use fleet::Wish;
pub use fleet::region;
use journey::Journey;
use record::Metrics;
use status::Status;
use tls::Tls;
pub use tls::TlsFault;
use transfer::Notifier;
pub use transfer::SecretError;
use world::{Parts, World};
pub use zone::{Fault, ZoneError};

/// A running name server. Dropped, it stops at once.
pub struct Dns {
    world: Arc<ArcSwap<World>>,
    metrics: Arc<Metrics>,
    notifier: Arc<Notifier>,
    memo: Arc<Memo>,
    clock: Clock,
    started: Timestamp,
    addresses: Vec<SocketAddr>,
    encrypted: Vec<SocketAddr>,
    /// The certificate, where there is one.
    tls: Option<Arc<Tls>>,
    /// How many listeners there are while nothing is wrong.
    listeners: usize,
    listen: Vec<SocketAddr>,
    /// The sockets once more, until somebody takes them or the server stops.
    sockets: Mutex<Vec<OwnedFd>>,
    stop: watch::Sender<bool>,
    /// Keeps one reload out of another's way, for as long as it takes. Taken before `tasks`.
    reloading: Mutex<()>,
    /// Keeps one explanation out of another's way.
    explaining: Mutex<()>,
    /// Held for no longer than it takes to look or to swap.
    tasks: Mutex<Tasks>,
}

/// Everything that runs by itself.
struct Tasks {
    listeners: JoinSet<()>,
    /// Dropped, they end.
    checks: JoinSet<()>,
    notices: JoinSet<()>,
    _certificate: JoinSet<()>,
    _database: JoinSet<()>,
    _signer: JoinSet<()>,
}

/// Reads the zones, the location database and the certificate of a configuration, which serves
/// nothing if it has no `[dns]`. What is no reason not to serve: that the certificate isn't valid now.
///
/// # Errors
///
/// Everything that is wrong with them: the first fault of each zone, of the database, of the
/// certificate, and of those that edges' are held against.
pub fn check(config: &Config) -> Result<Option<ZoneError>, Vec<ZoneError>> {
    let Some(parts) = Parts::of(config) else { return Ok(None) };
    let mut errors = parts.read(&health::groups(config)).err().unwrap_or_default();
    errors.extend(health::Prober::new(config, parts.dns).err());
    let doubt = parts.dns.tls.as_ref().and_then(|files| match tls::load(files) {
        Ok(certificate) => certificate.doubt(files, Clock::system().now()),
        Err(error) => {
            errors.push(error);
            None
        }
    });
    if errors.is_empty() { Ok(doubt) } else { Err(errors) }
}

/// Why a question would be answered as it would, by a configuration alone: as if every edge were up.
///
/// # Errors
///
/// If what is asked is wrong, or the configuration can't be served.
pub fn explain(
    config: &Config,
    name: &str,
    rtype: Option<&str>,
    client: Option<&str>,
) -> Result<Explanation, FileExplainError> {
    let case = Case::parse(name, rtype, client)?;
    let mut config = config.clone();
    if let Some(dns) = &mut config.dns {
        dns.health.check = kingcdn_config::HealthCheck::None;
        dns.state = None;
    }
    let parts = Parts::of(&config).ok_or(StartError::NoDns)?;
    let metrics = Metrics::new(&Registry::new()).map_err(StartError::from)?;
    let world = World::build(parts, Clock::system(), &metrics, None).map_err(StartError::Zones)?;
    let fleet = world.monitor.fleet();
    Ok(explain::explain(&world, &fleet, &case, false))
}

impl Dns {
    /// Starts a name server on the current runtime: listens on UDP and TCP, and checks edges.
    /// Metrics are registered with `registry`.
    ///
    /// # Errors
    ///
    /// If the configuration is for edges only, a zone or the database can't be served, or an
    /// address can't be listened on.
    pub async fn start(
        config: Arc<Config>,
        clock: Clock,
        registry: &Registry,
    ) -> Result<Self, StartError> {
        Self::start_on((Vec::new(), Vec::new()), config, clock, registry).await
    }

    /// The same, with a predecessor's sockets where they are at the configuration's addresses.
    ///
    /// # Errors
    ///
    /// As [`Dns::start`].
    pub async fn start_on(
        (udp, tcp): (Vec<UdpSocket>, Vec<TcpListener>),
        config: Arc<Config>,
        clock: Clock,
        registry: &Registry,
    ) -> Result<Self, StartError> {
        let metrics = Metrics::new(registry)?;
        let world = {
            let (config, clock, metrics) = (Arc::clone(&config), clock.clone(), metrics.clone());
            tokio::task::spawn_blocking(move || {
                let parts = Parts::of(&config).ok_or(StartError::NoDns)?;
                World::build(parts, clock, &metrics, None).map_err(StartError::Zones)
            })
            .await??
        };
        let listen = config.dns.as_ref().map(|dns| dns.listen.clone()).unwrap_or_default();
        let threads = receive::threads();
        let mut inherited = receive::Inherited { udp, tcp };
        let bind = |address: &SocketAddr| {
            receive::bind(*address, threads, &mut inherited)
                .map_err(|source| StartError::Listen { address: *address, source })
        };
        let mut sockets = listen.iter().map(bind).collect::<Result<Vec<_>, _>>()?;
        let addresses: Vec<SocketAddr> = sockets.iter().map(|bound| bound.address).collect();
        let files = config.dns.as_ref().and_then(|dns| dns.tls.as_ref());
        let tls = files.map(|files| Tls::start(files, &clock, &metrics).map(Arc::new));
        let tls = tls.transpose().map_err(|error| StartError::Zones(vec![error]))?;
        let mut encrypted = Vec::new();
        if let (Some(files), Some(tls)) = (files, &tls) {
            let bound = receive::bind_encrypted(files, tls, &mut inherited);
            let bound =
                bound.map_err(|(address, source)| StartError::Listen { address, source })?;
            encrypted.extend(bound.iter().map(|bound| bound.address));
            sockets.extend(bound);
        }
        let again = sockets.iter().map(receive::Bound::again);
        let again = again.collect::<io::Result<Vec<_>>>().map_err(StartError::Threads)?;
        let checks = world.monitor.watch();
        let notifier = Arc::new(Notifier::default());
        let world = Arc::new(ArcSwap::from_pointee(world));
        let (stop, stopped) = watch::channel(false);
        let (cookies, metered) = (Cookies::random(), Arc::clone(&metrics));
        let journey = Journey::new(Arc::clone(&world), metered, clock.clone(), cookies);
        let signer = signer::start(&journey).await;
        let listeners =
            receive::serve(sockets, &journey, &metrics, &stopped).map_err(StartError::Threads)?;
        let notices = notifier.start(&journey.world.load(), &clock, &metrics);
        info!(?addresses, ?encrypted, "answering DNS");
        let certificate = tls.as_ref().map(Tls::watch).unwrap_or_default();
        let database = locate::watch(&world, &metrics);
        Ok(Self {
            world,
            metrics,
            started: clock.now(),
            clock,
            addresses,
            encrypted,
            tls,
            listeners: listeners.len(),
            listen,
            sockets: Mutex::new(again.into_iter().flatten().collect()),
            stop,
            reloading: Mutex::default(),
            explaining: Mutex::default(),
            tasks: Mutex::new(Tasks {
                listeners,
                checks,
                notices,
                _certificate: certificate,
                _database: database,
                _signer: signer,
            }),
            notifier,
            memo: Arc::clone(&journey.memo),
        })
    }

    /// Where it listens, in the configuration's order: for UDP and TCP alike.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where it listens for DNS over TLS, and then over HTTPS.
    pub fn encrypted_addresses(&self) -> &[SocketAddr] {
        &self.encrypted
    }

    /// Takes over another configuration: zones, sites, edges, networks, database and policies, all
    /// at once and without losing a query. What is known of the health of edges that stay is kept.
    /// Listen addresses don't change before a restart, and a log line says so.
    ///
    /// Reads files: call it where blocking is allowed, on a runtime.
    ///
    /// # Errors
    ///
    /// If something can't be served. Then all stays as it was.
    pub fn reload(&self, config: &Config) -> Result<(), ReloadError> {
        let _alone = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.world.load_full();
        let built = Parts::of(config).ok_or(ReloadError::NoDns).and_then(|parts| {
            if parts.dns.listen != self.listen {
                warn!("`listen` of `[dns]` changes with the next start");
            }
            World::build(parts, self.clock.clone(), &self.metrics, Some(&before))
                .map_err(ReloadError::Zones)
        });
        let world = Arc::new(built?);
        let certificate = self.certificate(config).map_err(|error| ReloadError::Zones(vec![error]));
        if let (Some((files, certificate)), Some(tls)) = (certificate?, &self.tls) {
            tls.take(files, certificate);
        }
        sign_ahead(&world, &world.monitor.fleet(), &self.memo, self.clock.now());
        let checks = world.monitor.watch();
        self.world.store(Arc::clone(&world));
        // Whoever hears of it asks at once.
        let notices = self.notifier.start(&world, &self.clock, &self.metrics);
        {
            let mut tasks = self.tasks();
            (tasks.checks, tasks.notices) = (checks, notices);
        }
        for gone in before.edges().iter().filter(|edge| !world.edges().contains(edge)) {
            self.metrics.edge_gone(gone);
        }
        self.metrics.forget(
            |name| world.sites().any(|site| site == name),
            |name| world.edges().iter().any(|edge| **edge == *name),
        );
        Ok(())
    }

    /// The certificate of another configuration, where one is in force and it is no worse.
    fn certificate<'c>(
        &self,
        config: &'c Config,
    ) -> Result<Option<(&'c DnsTls, tls::Certificate)>, ZoneError> {
        let files = config.dns.as_ref().and_then(|dns| dns.tls.as_ref());
        let (Some(tls), Some(files)) = (&self.tls, files) else { return Ok(None) };
        let certificate = tls::load(files)?;
        tls.fit(files, &certificate, self.clock.now())?;
        Ok(Some((files, certificate)))
    }

    /// The `/status` document: version, uptime, and of every edge its addresses with their health,
    /// since when and why, and how often it was answered.
    pub fn status(&self) -> serde_json::Value {
        let world = self.world.load();
        let uptime = self.clock.now().since(self.started);
        let status = Status::new(&world, &self.metrics, uptime);
        serde_json::to_value(status).unwrap_or_default()
    }

    /// The sockets once more, for a successor, or to be dropped: a socket is closed when nobody
    /// holds it. None the second time, and once the server stops.
    pub fn take_sockets(&self) -> Vec<OwnedFd> {
        std::mem::take(&mut *self.sockets.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes what the operator wants of edges: `auto`, `drain` or `down` for those whose names fit
    /// the pattern, with `*` and `?`. It holds until it is taken back, across restarts too where the
    /// configuration has a file for it. Their names.
    ///
    /// Writes a file: call it where blocking is allowed.
    ///
    /// # Errors
    ///
    /// If that is no wish or no edge's name, or couldn't be written; then it holds until a restart.
    pub fn wish(&self, pattern: &str, wish: &str) -> Result<Vec<String>, WishError> {
        let wish = Wish::parse(wish).ok_or_else(|| WishError::Unknown(wish.to_owned()))?;
        // No configuration takes the place of this one meanwhile.
        let _alone = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let world = self.world.load_full();
        let (names, written) = world.monitor.wish(pattern, wish);
        if names.is_empty() {
            return Err(WishError::NoEdge(pattern.to_owned()));
        }
        let names: Vec<String> = names.into_iter().map(ToOwned::to_owned).collect();
        match written {
            Ok(()) => Ok(names),
            Err(source) => Err(WishError::Unwritten { names, source }),
        }
    }

    /// Why a question for a name is answered as it is: the type is A where it isn't said, the client
    /// an address or a network.
    ///
    /// May read the whole location database: call it where blocking is allowed.
    ///
    /// # Errors
    ///
    /// If that is no name, no type of an address, or no client.
    pub fn explain(
        &self,
        name: &str,
        rtype: Option<&str>,
        client: Option<&str>,
    ) -> Result<Explanation, ExplainError> {
        let case = Case::parse(name, rtype, client)?;
        // One at a time: it is work.
        let _alone = self.explaining.lock().unwrap_or_else(PoisonError::into_inner);
        let world = self.world.load_full();
        let fleet = world.monitor.fleet();
        Ok(explain::explain(&world, &fleet, &case, true))
    }

    /// Whether it answers: all listeners run, and it isn't stopping.
    pub fn healthy(&self) -> bool {
        let mut tasks = self.tasks();
        while tasks.listeners.try_join_next().is_some() {}
        // None of them ends by itself, unless something is very wrong.
        !*self.stop.borrow() && tasks.listeners.len() == self.listeners
    }

    /// Stops: takes no new queries, answers those it has, and returns when that is done or after
    /// `limit`.
    pub async fn drain(&self, limit: Duration) {
        drop(self.take_sockets());
        self.stop.send_replace(true);
        let mut listeners = {
            let mut tasks = self.tasks();
            tasks.checks.abort_all();
            tasks.notices.abort_all();
            std::mem::take(&mut tasks.listeners)
        };
        let ended = async { while listeners.join_next().await.is_some() {} };
        if timeout(limit, ended).await.is_err() {
            warn!("queries were still under way when time was up");
        }
    }

    fn tasks(&self) -> MutexGuard<'_, Tasks> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
