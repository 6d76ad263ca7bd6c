//! The metrics of the disk tier.

use std::sync::{Arc, Weak};

use kingcdn_store::disk::{DiskStatus, State};
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounterVec, IntGauge, IntGaugeVec, Opts};

use crate::node::Node;

/// Brought up to date whenever somebody looks.
pub(crate) struct DiskMetrics {
    node: Weak<Node>,
    up: IntGaugeVec,
    used: IntGaugeVec,
    records: IntGaugeVec,
    queued: IntGaugeVec,
    lookups: IntCounterVec,
    written: IntCounterVec,
    shed: IntCounterVec,
    errors: IntCounterVec,
    /// Of memory and disk; their owner has them registered.
    tiers: [IntGauge; 3],
}

impl DiskMetrics {
    /// Those of the disks of `node`.
    pub(crate) fn new(node: &Arc<Node>) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| {
            IntGaugeVec::new(Opts::new(format!("kingcdn_edge_disk_{name}"), help), &["path"])
        };
        let counter = |name: &str, help: &str, label: &str| {
            let opts = Opts::new(format!("kingcdn_edge_disk_{name}_total"), help);
            IntCounterVec::new(opts, &["path", label])
        };
        let metrics = &node.metrics;
        let disk = &["disk"];
        Ok(Self {
            node: Arc::downgrade(node),
            up: gauge("up", "Whether the disk is used.")?,
            used: gauge("used_bytes", "Bytes that the disk cache takes.")?,
            records: gauge("records", "Objects and slices of objects on the disk.")?,
            queued: gauge("queued_bytes", "Bytes that wait to be written.")?,
            lookups: counter("lookups", "Look-ups, by what came of them.", "result")?,
            written: counter("written_bytes", "Bytes written, by what for.", "kind")?,
            shed: counter("shed", "Records not stored and reads not made.", "reason")?,
            errors: counter("errors", "What the disk did wrong.", "kind")?,
            tiers: [
                metrics.cache_bytes.with_label_values(disk),
                metrics.cache_capacity_bytes.with_label_values(disk),
                metrics.cache_objects.with_label_values(disk),
            ],
        })
    }

    fn update(&self, disks: &[DiskStatus]) {
        let sum = |of: fn(&DiskStatus) -> u64| disks.iter().map(of).sum::<u64>().cast_signed();
        self.tiers[0].set(sum(|disk| disk.live_bytes));
        self.tiers[1].set(sum(|disk| disk.size_bytes));
        self.tiers[2].set(sum(|disk| disk.records));
        for disk in disks {
            let path = &*disk.path.to_string_lossy();
            let set = |gauge: &IntGaugeVec, value: u64| {
                gauge.with_label_values(&[path]).set(value.cast_signed());
            };
            set(&self.up, u64::from(disk.state == State::Ready));
            set(&self.used, disk.used_bytes);
            set(&self.records, disk.records);
            set(&self.queued, disk.queued_bytes);
            let counts = &disk.counts;
            for (counter, label, value) in [
                (&self.lookups, "ready", counts.hits.saturating_sub(counts.cold_reads)),
                (&self.lookups, "cold", counts.cold_reads),
                (&self.lookups, "absent", counts.misses),
                (&self.written, "new", counts.bytes_written),
                (&self.written, "kept", counts.bytes_rewritten),
                (&self.written, "overhead", counts.bytes_overhead),
                (&self.shed, "busy", counts.shed_busy),
                (&self.shed, "index-full", counts.shed_index),
                (&self.shed, "out", counts.shed_out),
                (&self.shed, "read-busy", counts.reads_shed),
                (&self.errors, "outage", counts.outages),
                (&self.errors, "read", counts.read_errors),
                (&self.errors, "bad-record", counts.bad_records),
                (&self.errors, "bad-segment", counts.bad_segments),
                (&self.errors, "bad-snapshot", counts.bad_snapshots),
            ] {
                let counter = counter.with_label_values(&[path, label]);
                counter.inc_by(value.saturating_sub(counter.get()));
            }
        }
    }

    fn all(&self) -> [&dyn Collector; 8] {
        let gauges = [&self.up, &self.used, &self.records, &self.queued];
        let counters = [&self.lookups, &self.written, &self.shed, &self.errors];
        let [a, b, c, d] = gauges.map(|it| it as &dyn Collector);
        let [e, f, g, h] = counters.map(|it| it as &dyn Collector);
        [a, b, c, d, e, f, g, h]
    }
}

impl Collector for DiskMetrics {
    fn desc(&self) -> Vec<&Desc> {
        self.all().into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        if let Some(node) = self.node.upgrade() {
            self.update(&node.store.disks());
        }
        // A family without metrics can't be written.
        self.all()
            .into_iter()
            .flat_map(Collector::collect)
            .filter(|it| !it.get_metric().is_empty())
            .collect()
    }
}
