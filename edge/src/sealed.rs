//! The metrics of bodies that are kept as memory files, to be sent without a copy.

use kingcdn_zero_copy::usage;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounter, IntGauge};

/// Brought up to date whenever somebody looks.
pub(crate) struct SealedMetrics {
    bodies: IntGauge,
    bodies_max: IntGauge,
    bytes: IntGauge,
    refused: IntCounter,
}

impl SealedMetrics {
    pub(crate) fn new() -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| IntGauge::new(format!("kingcdn_edge_{name}"), help);
        Ok(Self {
            bodies: gauge("sealed", "Slices kept as memory files, a descriptor each.")?,
            bodies_max: gauge("sealed_max", "Slices that may be kept as memory files.")?,
            bytes: gauge("sealed_bytes", "Bytes of slices kept as memory files.")?,
            refused: IntCounter::new(
                "kingcdn_edge_sealed_refused_total",
                "Large slices kept on the heap for want of descriptors or memory.",
            )?,
        })
    }
}

impl Collector for SealedMetrics {
    fn desc(&self) -> Vec<&Desc> {
        let gauges = [&self.bodies, &self.bodies_max, &self.bytes];
        gauges.into_iter().flat_map(Collector::desc).chain(self.refused.desc()).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let now = usage();
        self.bodies.set(i64::try_from(now.sealed).unwrap_or(i64::MAX));
        self.bodies_max.set(i64::try_from(now.sealed_max).unwrap_or(i64::MAX));
        self.bytes.set(i64::try_from(now.sealed_bytes).unwrap_or(i64::MAX));
        self.refused.reset();
        self.refused.inc_by(now.refused);
        let gauges = [&self.bodies, &self.bodies_max, &self.bytes];
        gauges.into_iter().flat_map(Collector::collect).chain(self.refused.collect()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn what_is_sealed_is_told() {
        let registry = prometheus::Registry::new();
        registry.register(Box::new(SealedMetrics::new().unwrap())).unwrap();
        let body = kingcdn_zero_copy::seal(&[Bytes::from(vec![0; 100_000])]);
        let families = registry.gather();
        let value = |name: &str| {
            let family = families.iter().find(|it| it.name().ends_with(name)).unwrap();
            family.get_metric()[0].get_gauge().get_value()
        };
        // Other tests of this process may have some too.
        assert!(value("_sealed") >= 1.0 && value("_sealed_bytes") >= 100_000.0);
        assert!(value("_sealed_max") > value("_sealed"));
        drop(body);
    }
}
