//! What all requests of an edge share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::HeaderValue;
use kingcdn_config::clock::Clock;
use kingcdn_config::{Config, Edge, Limits};
use kingcdn_store::disk::Beside;
use tokio::runtime::Handle;

use crate::StartError;
use crate::access::AccessLog;
use crate::arrivals::Arrivals;
use crate::budget::Budget;
use crate::collapse::Collapse;
use crate::metrics::Metrics;
use crate::purge::Ledger;
use crate::site::Sites;
use crate::store::Store;
use crate::trace::Tracer;
use crate::upgrade::Tunnels;
use crate::upstream::Outbound;

/// What the program itself takes, and a share of all that is lost to the allocator; no more than a
/// quarter where there is little.
const PROGRAM_BYTES: u64 = 16 << 20;
const LOST_PART: u64 = 32;
/// The share of the rest which the store fills up, as long as nobody else needs it.
const STORE_SHARE: f64 = 0.72;
/// What is on its way in needs so much, however little memory there is.
const UNDER_WAY_MIN_BYTES: u64 = 2 << 20;

/// What all requests of an edge share. Nothing here is behind a lock that a request waits for.
pub(crate) struct Node {
    /// The edge's name.
    pub(crate) name: String,
    /// The name as a member of `Cache-Status`.
    pub(crate) identifier: String,
    /// Our member of `Via`.
    pub(crate) via: HeaderValue,
    pub(crate) clock: Clock,
    /// What belongs to no client's thread runs here.
    pub(crate) runtime: Handle,
    pub(crate) store: Store,
    pub(crate) collapse: Collapse,
    /// Large objects on their way in.
    pub(crate) arrivals: Arrivals,
    outbound: Outbound,
    pub(crate) sites: ArcSwap<Sites>,
    pub(crate) limits: ArcSwap<Limits>,
    /// Connections that have switched to another protocol.
    pub(crate) tunnels: Tunnels,
    pub(crate) metrics: Arc<Metrics>,
    /// None where nobody writes one.
    pub(crate) access_log: Option<AccessLog>,
    /// None where no request is traced.
    pub(crate) tracer: Option<Arc<Tracer>>,
    draining: AtomicBool,
    /// Time that idle connections get before they are closed, in milliseconds.
    farewell_ms: AtomicU64,
}

impl Node {
    pub(crate) fn new(
        config: &Config,
        edge: &Edge,
        clock: Clock,
        runtime: Handle,
        metrics: Metrics,
        access_log: Option<AccessLog>,
    ) -> Result<Self, StartError> {
        let name = edge.name.as_str().to_owned();
        let via = HeaderValue::try_from(format!("1.1 {name}"))
            .map_err(|_| StartError::BadName(name.clone()))?;
        // A token where the grammar permits it, else a string (RFC 9211 section 2, RFC 9651
        // section 3.3.4: a token doesn't begin with a digit).
        let identifier = if name.starts_with(|first: char| first.is_ascii_alphabetic()) {
            name.clone()
        } else {
            format!("\"{name}\"")
        };
        let (total, for_store) = shares(edge.cache.memory_bytes);
        let budget = Budget::new(total, for_store);
        let metrics = Arc::new(metrics);
        let outbound = Outbound::new(clock.clone(), runtime.clone(), budget.clone());
        let tracer = config.telemetry.as_ref().map(|telemetry| {
            Tracer::start(telemetry, &name, &clock, &outbound, metrics.spans_lost.clone())
        });
        let outbound = outbound.traced(tracer.clone());
        let sites = Sites::new(config, &metrics, &outbound, None);
        metrics.cache_capacity_bytes.with_label_values(&["memory"]).set(for_store.cast_signed());
        let disks = edge.cache.disk.as_slice();
        let ledger = disks.first().map_or_else(Ledger::in_memory, |it| Ledger::in_folder(&it.path));
        let ledger = Arc::new(ledger);
        let beside = journal_keeper(&ledger, &metrics);
        Ok(Self {
            name,
            identifier,
            via,
            clock,
            runtime,
            store: Store::new(for_store, edge.cache.eviction, disks, beside, budget, ledger),
            collapse: Collapse::new(),
            arrivals: Arrivals::default(),
            outbound,
            sites: ArcSwap::from_pointee(sites),
            limits: ArcSwap::from_pointee(edge.limits.clone()),
            tunnels: Tunnels::new(&metrics),
            metrics,
            access_log,
            tracer,
            draining: AtomicBool::new(false),
            farewell_ms: AtomicU64::new(0),
        })
    }

    /// Takes over the sites and limits of a new configuration.
    pub(crate) fn reload(&self, config: &Config) {
        let former = self.sites.load();
        let sites = Sites::new(config, &self.metrics, &self.outbound, Some(&former));
        self.sites.store(Arc::new(sites));
        if let Some(edge) = config.edge(&self.name) {
            self.limits.store(Arc::new(edge.limits.clone()));
        }
    }

    /// From now on health checks fail, so that no new clients are sent here, and every answer is the
    /// last of its connection.
    pub(crate) fn begin_drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// From now on connections are closed, idle ones after `farewell`.
    pub(crate) fn begin_farewell(&self, farewell: Duration) {
        let millis = u64::try_from(farewell.as_millis()).unwrap_or(u64::MAX);
        self.farewell_ms.store(millis, Ordering::Relaxed);
    }

    /// How long idle connections stay open when the edge stops.
    pub(crate) fn farewell(&self) -> Duration {
        Duration::from_millis(self.farewell_ms.load(Ordering::Relaxed))
    }

    /// Whether this edge wants no new requests.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}

/// Gives the journal of purges to the ledger as long as its folder is ours. Where it can't be had,
/// it is as if all of what is stored there had been purged.
fn journal_keeper(ledger: &Arc<Ledger>, metrics: &Arc<Metrics>) -> Beside {
    let (ledger, metrics) = (Arc::clone(ledger), Arc::clone(metrics));
    Beside(Arc::new(move |folder, is_ours| {
        if let Err(error) = ledger.folder(folder, is_ours) {
            metrics.purges.journal_errors.inc();
            tracing::error!(%error, "purges won't survive a restart");
        }
    }))
}

/// Of an edge's memory: what is counted, and how much of that the store fills up.
fn shares(memory_bytes: u64) -> (u64, u64) {
    let program = (PROGRAM_BYTES + memory_bytes / LOST_PART).min(memory_bytes / 4);
    let counted = (memory_bytes - program).max(UNDER_WAY_MIN_BYTES);
    let under_way = ((counted as f64 * (1.0 - STORE_SHARE)) as u64).max(UNDER_WAY_MIN_BYTES);
    (counted, counted - under_way)
}
