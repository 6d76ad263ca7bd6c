//! What is counted: handles resolved before, and added to once a batch.

mod encrypted;
mod tally;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

pub(crate) use encrypted::{Encrypted, Handshake, OpenConnection};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use prometheus::core::Collector;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry,
};
pub(crate) use tally::Tally;

use crate::locate::Geography;

/// The label value of whatever isn't counted by itself.
const OTHER: &str = "other";
/// Label values of query types.
const TYPES: [(RecordType, &str); 14] = [
    (RecordType::A, "A"),
    (RecordType::AAAA, "AAAA"),
    (RecordType::HTTPS, "HTTPS"),
    (RecordType::CNAME, "CNAME"),
    (RecordType::NS, "NS"),
    (RecordType::SOA, "SOA"),
    (RecordType::TXT, "TXT"),
    (RecordType::MX, "MX"),
    (RecordType::SRV, "SRV"),
    (RecordType::CAA, "CAA"),
    (RecordType::DS, "DS"),
    (RecordType::DNSKEY, "DNSKEY"),
    (RecordType::PTR, "PTR"),
    (RecordType::ANY, "ANY"),
];
/// Label values of response codes.
const CODES: [(ResponseCode, &str); 9] = [
    (ResponseCode::NoError, "NOERROR"),
    (ResponseCode::NXDomain, "NXDOMAIN"),
    (ResponseCode::ServFail, "SERVFAIL"),
    (ResponseCode::Refused, "REFUSED"),
    (ResponseCode::FormErr, "FORMERR"),
    (ResponseCode::NotImp, "NOTIMP"),
    (ResponseCode::BADVERS, "BADVERS"),
    (ResponseCode::BADCOOKIE, "BADCOOKIE"),
    (ResponseCode::NotAuth, "NOTAUTH"),
];
const TRANSPORTS: [&str; 4] = ["udp", "tcp", "tls", "https"];
/// Seconds: an answer takes microseconds, and milliseconds in trouble.
const LATENCIES: [f64; 10] = [5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 1e-2, 1e-1];

/// A response code as metrics and people call it.
pub(crate) fn code_name(code: ResponseCode) -> &'static str {
    CODES.iter().find(|(known, _)| *known == code).map_or(OTHER, |(_, label)| label)
}

/// Over what a query came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Udp,
    Tcp,
    /// DNS over TLS (RFC 7858).
    Tls,
    /// DNS over HTTPS (RFC 8484).
    Https,
}

impl Transport {
    pub(crate) fn as_str(self) -> &'static str {
        TRANSPORTS[self as usize]
    }

    /// Whether messages follow each other on a connection, each with its length in front.
    pub(crate) fn is_stream(self) -> bool {
        matches!(self, Self::Tcp | Self::Tls)
    }

    /// Whether nobody on the way can read what is said.
    pub(crate) fn is_encrypted(self) -> bool {
        matches!(self, Self::Tls | Self::Https)
    }
}

/// What placed a client, or that nothing mattered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    Network,
    Rule,
    Geo,
    Default,
    /// A better edge had too much to do.
    Shed,
    AllDown,
}

/// What becomes of a query from a network that has had too many answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limited {
    /// It is asked for its cookie.
    Cookie,
    /// It is told to come over TCP.
    Slipped,
    /// It gets no answer.
    Dropped,
}

/// What became of a request for a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TransferEnd {
    Sent,
    /// The secondary has the zone already.
    Current,
    Denied,
    /// The secondary went away or took too long.
    Broken,
}

/// As metrics and people call them.
const DECISIONS: [&str; 6] = ["network", "rule", "geo", "default", "shed", "all-down"];

impl Decision {
    pub(crate) fn as_str(self) -> &'static str {
        DECISIONS[self as usize]
    }
}

/// Every metric of the name server.
pub(crate) struct Metrics {
    queries: IntCounterVec,
    /// By transport, type and code, each looked up when first needed.
    queries_by: Box<[OnceLock<IntCounter>]>,
    answers: IntCounterVec,
    decisions: [IntCounter; 6],
    silences: [IntCounter; 2],
    limited: [IntCounter; 3],
    refused_connections: IntCounter,
    unsent: IntCounter,
    ecs: IntCounter,
    seconds: Histogram,
    truncated: IntCounter,
    edge_up: IntGaugeVec,
    checks: [IntCounter; 2],
    turns: IntCounter,
    map_ranges: IntGauge,
    map_bytes: IntGauge,
    map_seconds: Gauge,
    locations_issued: IntGauge,
    locations_refused: IntGauge,
    zones: IntGauge,
    shed: GaugeVec,
    connections: IntGauge,
    transfers: [IntCounter; 4],
    notices: [IntCounter; 2],
    unsigned: IntCounter,
    late: IntGauge,
    pub(crate) encrypted: Encrypted,
    /// How many have begun to count.
    tallies: AtomicU32,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Result<Arc<Self>, prometheus::Error> {
        let counter = |name: &str, help: &str| registered(registry, IntCounter::new(name, help)?);
        let counters = |name: &str, help: &str, labels: &[&str]| {
            registered(registry, IntCounterVec::new(Opts::new(name, help), labels)?)
        };
        let gauge = |name: &str, help: &str| registered(registry, IntGauge::new(name, help)?);
        let decisions = counters(
            "kingcdn_dns_decisions_total",
            "Steered answers by what placed the client",
            &["by"],
        )?;
        let decision = |by: &str| decisions.with_label_values(&[by]);
        let silences = counters(
            "kingcdn_dns_ignored_total",
            "Packets that get no answer: shorter than a header, or responses",
            &["reason"],
        )?;
        let limited = counters(
            "kingcdn_dns_limited_total",
            "Queries over UDP from networks beyond the rate, by what they got: badcookie, slipped \
             (told to come over TCP) or dropped",
            &["action"],
        )?;
        let checks = counters(
            "kingcdn_dns_health_checks_total",
            "Health checks of edges by result",
            &["result"],
        )?;
        let transfers = counters(
            "kingcdn_dns_transfers_total",
            "Signed requests for zones: sent whole, current (the secondary has it), denied, or \
             broken off",
            &["result"],
        )?;
        let notices = counters(
            "kingcdn_dns_notices_total",
            "Notices of changed zones to secondaries: heard, or failed in the end",
            &["result"],
        )?;
        let latency = HistogramOpts::new(
            "kingcdn_dns_query_seconds",
            "Time from a batch of queries read to its answers ready",
        );
        let shed = Opts::new(
            "kingcdn_dns_edge_shed",
            "Share of its networks that an edge with too much to do gives up, 0 to 1",
        );
        let edge_up = Opts::new("kingcdn_edge_up", "Whether clients can be sent to an edge");
        Ok(Arc::new(Self {
            queries: counters(
                "kingcdn_dns_queries_total",
                "Queries by transport, type and response code",
                &["transport", "type", "rcode"],
            )?,
            queries_by: (0..TRANSPORTS.len() * (TYPES.len() + 1) * (CODES.len() + 1))
                .map(|_| OnceLock::new())
                .collect(),
            answers: counters(
                "kingcdn_dns_answers_total",
                "Steered answers by site and edge",
                &["site", "edge"],
            )?,
            decisions: DECISIONS.map(decision),
            silences: ["short", "response"].map(|why| silences.with_label_values(&[why])),
            limited: ["badcookie", "slipped", "dropped"]
                .map(|action| limited.with_label_values(&[action])),
            refused_connections: counter(
                "kingcdn_dns_tcp_refused_total",
                "TCP connections closed at once, because their client had too many",
            )?,
            unsent: counter(
                "kingcdn_dns_unsent_total",
                "Answers over UDP that the system refused",
            )?,
            ecs: counter("kingcdn_dns_ecs_queries_total", "Queries with a client subnet")?,
            seconds: registered(
                registry,
                Histogram::with_opts(latency.buckets(LATENCIES.to_vec()))?,
            )?,
            truncated: counter("kingcdn_dns_truncated_total", "Answers cut to fit into UDP")?,
            edge_up: registered(registry, IntGaugeVec::new(edge_up, &["edge"])?)?,
            checks: ["ok", "failed"].map(|result| checks.with_label_values(&[result])),
            turns: counter(
                "kingcdn_dns_health_changes_total",
                "How often an edge's address went up or down",
            )?,
            map_ranges: gauge("kingcdn_dns_map_ranges", "Ranges of the steering map")?,
            map_bytes: gauge("kingcdn_dns_map_bytes", "Memory of the steering map")?,
            map_seconds: registered(
                registry,
                Gauge::new("kingcdn_dns_map_build_seconds", "Time that the steering map took")?,
            )?,
            locations_issued: gauge(
                "kingcdn_dns_locations_timestamp_seconds",
                "When the location database was made, by its edition; 0 where there is no date",
            )?,
            locations_refused: gauge(
                "kingcdn_dns_locations_refused",
                "Whether the location database on disk can't be read, so that an older one is in force",
            )?,
            zones: gauge("kingcdn_dns_zones", "Zones that are served")?,
            shed: registered(registry, GaugeVec::new(shed, &["edge"])?)?,
            connections: gauge("kingcdn_dns_tcp_connections", "TCP connections open")?,
            transfers: ["sent", "current", "denied", "broken"]
                .map(|result| transfers.with_label_values(&[result])),
            unsigned: counter(
                "kingcdn_dns_denials_unsigned_total",
                "Answers that something isn't there and weren't signed, because too many were asked \
                 for: TC over UDP, SERVFAIL over TCP",
            )?,
            late: gauge(
                "kingcdn_dns_signed_late",
                "Sets of records that were signed while a query waited, since the start",
            )?,
            notices: ["heard", "failed"].map(|result| notices.with_label_values(&[result])),
            encrypted: Encrypted::new(registry)?,
            tallies: AtomicU32::new(0),
        }))
    }

    /// Counts of one thread, to be added to these.
    pub(crate) fn tally(&self) -> Tally {
        Tally::new(self.seconds.local(), self.tallies.fetch_add(1, Ordering::Relaxed))
    }

    /// Counts answered queries.
    fn queries(
        &self,
        transport: Transport,
        rtype: Option<RecordType>,
        code: ResponseCode,
        count: u64,
    ) {
        let at = |known: Option<usize>, count: usize| known.unwrap_or(count);
        let rtype = rtype.and_then(|rtype| TYPES.iter().position(|(known, _)| *known == rtype));
        let rtype = at(rtype, TYPES.len());
        let code = at(CODES.iter().position(|(known, _)| *known == code), CODES.len());
        let index = (transport as usize * (TYPES.len() + 1) + rtype) * (CODES.len() + 1) + code;
        if let Some(counter) = self.queries_by.get(index) {
            let resolve = || {
                let rtype = TYPES.get(rtype).map_or(OTHER, |(_, label)| label);
                let code = CODES.get(code).map_or(OTHER, |(_, label)| label);
                self.queries.with_label_values(&[transport.as_str(), rtype, code])
            };
            counter.get_or_init(resolve).inc_by(count);
        }
    }

    /// Counts what became of a request for a zone.
    pub(crate) fn transfer(&self, end: TransferEnd) {
        self.transfers[end as usize].inc();
    }

    /// Counts a denial that wasn't signed.
    pub(crate) fn unsigned(&self) {
        self.unsigned.inc();
    }

    /// How many sets were signed while a query waited.
    pub(crate) fn signed_late(&self, count: u64) {
        self.late.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Counts notices to secondaries.
    pub(crate) fn notified(&self, heard: bool, count: usize) {
        self.notices[usize::from(!heard)].inc_by(count as u64);
    }

    /// Counts answers that the system didn't send.
    pub(crate) fn unsent(&self, count: u64) {
        if count > 0 {
            self.unsent.inc_by(count);
        }
    }

    /// The counter of a site's answers that name an edge.
    pub(crate) fn answers(&self, site: &str, edge: &str) -> IntCounter {
        self.answers.with_label_values(&[site, edge])
    }

    /// Answers that named each edge, of all sites.
    pub(crate) fn answers_by_edge(&self) -> HashMap<String, u64> {
        let mut sums = HashMap::new();
        for family in self.answers.collect() {
            for metric in family.get_metric() {
                let edge = metric.get_label().iter().find(|label| label.name() == "edge");
                let Some(edge) = edge else { continue };
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // It counts.
                let answers = metric.get_counter().get_value() as u64;
                *sums.entry(edge.value().to_owned()).or_default() += answers;
            }
        }
        sums
    }

    pub(crate) fn checked(&self, ok: bool) {
        self.checks[usize::from(!ok)].inc();
    }

    pub(crate) fn turned(&self) {
        self.turns.inc();
    }

    pub(crate) fn edge_up(&self, edge: &str, up: bool) {
        self.edge_up.with_label_values(&[edge]).set(i64::from(up));
    }

    /// The share of its networks that an edge gives up.
    pub(crate) fn shed(&self, edge: &str, share: f64) {
        self.shed.with_label_values(&[edge]).set(share);
    }

    /// Forgets edges and sites that are no more: those for which neither says that it is known.
    pub(crate) fn forget(&self, site: impl Fn(&str) -> bool, edge: impl Fn(&str) -> bool) {
        for family in self.answers.collect() {
            for metric in family.get_metric() {
                let value = |name: &str| {
                    let label = metric.get_label().iter().find(|label| label.name() == name);
                    label.map_or("", |label| label.value())
                };
                if !site(value("site")) || !edge(value("edge")) {
                    // Unknown is as good as gone.
                    let _gone = self.answers.remove_label_values(&[value("site"), value("edge")]);
                }
            }
        }
    }

    /// Forgets the gauges of an edge that is no more.
    pub(crate) fn edge_gone(&self, edge: &str) {
        // Unknown is as good as gone.
        let _up = self.edge_up.remove_label_values(&[edge]);
        let _shed = self.shed.remove_label_values(&[edge]);
    }

    /// Shows how many zones there are.
    pub(crate) fn zones(&self, zones: usize) {
        self.zones.set(size(zones));
    }

    /// Shows what is known of where clients are, and how long it took to read.
    pub(crate) fn geography(&self, geography: &Geography, took: Duration) {
        let Geography { map, origin, .. } = geography;
        self.map_ranges.set(size(map.ranges()));
        self.map_bytes.set(size(map.bytes()));
        self.map_seconds.set(took.as_secs_f64());
        let issued = origin.issued();
        let since = issued.and_then(|issued| issued.duration_since(SystemTime::UNIX_EPOCH).ok());
        let seconds = since.and_then(|since| i64::try_from(since.as_secs()).ok());
        self.locations_issued.set(seconds.unwrap_or_default());
        self.locations_refused.set(0);
    }

    /// Shows that the location database on disk isn't the one in force.
    pub(crate) fn locations_refused(&self) {
        self.locations_refused.set(1);
    }
}

fn size(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

fn registered<C>(registry: &Registry, collector: C) -> Result<C, prometheus::Error>
where
    C: Collector + Clone + 'static,
{
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}
