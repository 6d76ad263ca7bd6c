//! What an edge counts.
//!
//! All handles are made when a site or the node is set up: no label is looked up on a hit's way.

use std::sync::Arc;

use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

use crate::admission::Refusal;
use crate::arrivals::SliceMetrics;
use crate::caching::{Forward, NoStale, Unstorable};
use crate::fetch::NotStored;
use crate::purge::{Mode, Scope};
use crate::tally::{SiteTally, Tally};
use crate::upgrade::End;
use crate::upstream::{OriginMetrics, OriginsMetrics};

/// Every metric of an edge.
pub(crate) struct Metrics {
    /// Requests answered, their bytes and their time.
    pub(crate) tally: Tally,
    origins: OriginsMetrics,
    refused: IntCounterVec,
    /// By [`Forward::index`].
    forwards: [IntCounter; Forward::ALL.len()],
    not_stored: IntCounterVec,
    /// Requests refused for want of memory.
    pub(crate) shed: IntCounter,
    not_bridged: IntCounterVec,
    /// Client connections open now.
    pub(crate) connections: IntGauge,
    /// Connections refused because too many were open.
    pub(crate) connections_refused: IntCounter,
    pub(crate) connections_shed: IntCounter,
    /// Connections that ended in an error of the client's making, by reason.
    pub(crate) connection_errors: IntCounterVec,
    /// Fetches under way.
    pub(crate) fills: IntGauge,
    /// Connections that have switched to another protocol.
    pub(crate) tunnels: TunnelMetrics,
    /// Spans that no collector has got.
    pub(crate) spans_lost: IntCounter,
    /// Memory that content takes, whoever holds it.
    pub(crate) content_bytes: IntGauge,
    /// What is counted of large objects.
    pub(crate) slices: SliceMetrics,
    /// What is counted of purges.
    pub(crate) purges: PurgeMetrics,
    /// Bytes held, by tier.
    pub(crate) cache_bytes: IntGaugeVec,
    /// Bytes that may be held, by tier.
    pub(crate) cache_capacity_bytes: IntGaugeVec,
    /// Keys held, by tier.
    pub(crate) cache_objects: IntGaugeVec,
}

/// The metrics of connections that have switched to another protocol.
pub(crate) struct TunnelMetrics {
    /// Open now, those included whose origin is being asked.
    pub(crate) open: IntGauge,
    /// Bytes from clients.
    pub(crate) bytes_in: IntCounter,
    /// Bytes to clients.
    pub(crate) bytes_out: IntCounter,
    ended: IntCounterVec,
}

impl TunnelMetrics {
    fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let bytes = counters(
            registry,
            "tunnel_bytes_total",
            "Bytes carried after a switch of protocols, from (in) and to (out) clients.",
            &["direction"],
        )?;
        let ended = counters(registry, "tunnels_ended_total", "Tunnels ended.", &["reason"])?;
        for end in End::ALL {
            ended.with_label_values(&[end.as_str()]);
        }
        Ok(Self {
            open: gauge(registry, "tunnels", "Connections that switched protocols, open now.")?,
            bytes_in: bytes.with_label_values(&["in"]),
            bytes_out: bytes.with_label_values(&["out"]),
            ended,
        })
    }

    /// Counts one that has ended.
    pub(crate) fn end(&self, how: End) {
        self.ended.with_label_values(&[how.as_str()]).inc();
    }
}

/// The metrics of purges.
pub(crate) struct PurgeMetrics {
    all: IntCounterVec,
    /// Purges that may not survive a restart, and journals that couldn't be read.
    pub(crate) journal_errors: IntCounter,
}

impl PurgeMetrics {
    fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let all = counters(registry, "purges_total", "Purges.", &["scope", "mode"])?;
        for (scope, mode) in Scope::LABELS.iter().flat_map(|it| Mode::ALL.map(|mode| (it, mode))) {
            all.with_label_values(&[*scope, mode.as_str()]);
        }
        let journal_errors = counter(
            registry,
            "purge_journal_errors_total",
            "Purges that may not survive a restart, and journals that couldn't be read.",
        )?;
        Ok(Self { all, journal_errors })
    }

    /// Counts one.
    pub(crate) fn purge(&self, scope: &Scope<'_>, mode: Mode) {
        self.all.with_label_values(&[scope.label(), mode.as_str()]).inc();
    }
}

/// The metrics of one site.
pub(crate) struct SiteMetrics {
    /// Of requests that were answered.
    pub(crate) tally: Arc<SiteTally>,
    /// Of what its origins were asked.
    pub(crate) origins: OriginMetrics,
}

impl Metrics {
    /// Registers all of them.
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let tally = Tally::new()?;
        registry.register(Box::new(tally.clone()))?;
        let forwards = counters(
            registry,
            "forwards_total",
            "Requests that went on towards an origin, by why they weren't answered from the cache.",
            &["reason"],
        )?;
        let metrics = Self {
            forwards: Forward::ALL.map(|why| forwards.with_label_values(&[why.as_str()])),
            not_bridged: counters(
                registry,
                "not_bridged_total",
                "Origins' failures for which no stale answer stood in although one was held.",
                &["reason"],
            )?,
            tally,
            origins: OriginsMetrics::new(registry)?,
            refused: counters(registry, "refused_total", "Requests refused.", &["reason"])?,
            not_stored: counters(
                registry,
                "not_stored_total",
                "Answers that were not stored.",
                &["reason"],
            )?,
            shed: counter(registry, "shed_total", "Requests refused for want of memory.")?,
            connections: gauge(registry, "connections", "Client connections open now.")?,
            connections_refused: counter(
                registry,
                "connections_refused_total",
                "Connections refused because too many were open.",
            )?,
            connections_shed: counter(
                registry,
                "connections_shed_total",
                "Connections refused for want of memory.",
            )?,
            spans_lost: counter(
                registry,
                "spans_lost_total",
                "Spans of traces that no collector has got.",
            )?,
            connection_errors: counters(
                registry,
                "connection_errors_total",
                "Connections that ended in an error.",
                &["reason"],
            )?,
            fills: gauge(registry, "fills", "Fetches from origins under way.")?,
            tunnels: TunnelMetrics::new(registry)?,
            content_bytes: gauge(
                registry,
                "content_bytes",
                "Memory that is counted: content, stored, on its way in or still read; connections; indexes.",
            )?,
            slices: SliceMetrics::new(registry)?,
            purges: PurgeMetrics::new(registry)?,
            cache_bytes: gauges(registry, "cache_bytes", "Bytes held, overhead included.")?,
            cache_capacity_bytes: gauges(registry, "cache_capacity_bytes", "Bytes at most.")?,
            cache_objects: gauges(registry, "cache_objects", "Keys held.")?,
        };
        for reason in Unstorable::ALL.map(NotStored::Rules).iter().chain(&NotStored::OURS) {
            metrics.not_stored.with_label_values(&[reason.as_str()]);
        }
        for reason in NoStale::ALL.iter().filter(|reason| **reason != NoStale::NotAnError) {
            metrics.not_bridged.with_label_values(&[reason.as_str()]);
        }
        for refusal in Refusal::ALL {
            metrics.refused.with_label_values(&[refusal.as_str()]);
        }
        Ok(metrics)
    }

    /// The handles of one site.
    pub(crate) fn site(&self, name: &str) -> SiteMetrics {
        SiteMetrics { tally: self.tally.site(name), origins: self.origins.site(name) }
    }

    /// Counts a refused request.
    pub(crate) fn refuse(&self, refusal: Refusal) {
        self.refused.with_label_values(&[refusal.as_str()]).inc();
    }

    /// Counts a request that went on towards an origin.
    pub(crate) fn forward(&self, why: Forward) {
        self.forwards[why.index()].inc();
    }

    /// Counts an origin's failure for which nothing held stands in. What is no failure isn't
    /// counted.
    pub(crate) fn not_bridged(&self, why: NoStale) {
        if why != NoStale::NotAnError {
            self.not_bridged.with_label_values(&[why.as_str()]).inc();
        }
    }

    /// Counts an answer that isn't stored.
    pub(crate) fn not_stored(&self, reason: NotStored) {
        self.not_stored.with_label_values(&[reason.as_str()]).inc();
    }
}

pub(crate) fn counters(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> Result<IntCounterVec, prometheus::Error> {
    let all = IntCounterVec::new(Opts::new(format!("kingcdn_edge_{name}"), help), labels)?;
    registry.register(Box::new(all.clone()))?;
    Ok(all)
}

pub(crate) fn histograms(
    registry: &Registry,
    name: &str,
    help: &str,
    buckets: Vec<f64>,
    labels: &[&str],
) -> Result<HistogramVec, prometheus::Error> {
    let options = HistogramOpts::new(format!("kingcdn_edge_{name}"), help).buckets(buckets);
    let all = HistogramVec::new(options, labels)?;
    registry.register(Box::new(all.clone()))?;
    Ok(all)
}

pub(crate) fn counter(
    registry: &Registry,
    name: &str,
    help: &str,
) -> Result<IntCounter, prometheus::Error> {
    let counter = IntCounter::new(format!("kingcdn_edge_{name}"), help)?;
    registry.register(Box::new(counter.clone()))?;
    Ok(counter)
}

pub(crate) fn gauge(
    registry: &Registry,
    name: &str,
    help: &str,
) -> Result<IntGauge, prometheus::Error> {
    let gauge = IntGauge::new(format!("kingcdn_edge_{name}"), help)?;
    registry.register(Box::new(gauge.clone()))?;
    Ok(gauge)
}

fn gauges(registry: &Registry, name: &str, help: &str) -> Result<IntGaugeVec, prometheus::Error> {
    let all = IntGaugeVec::new(Opts::new(format!("kingcdn_edge_{name}"), help), &["tier"])?;
    registry.register(Box::new(all.clone()))?;
    Ok(all)
}
