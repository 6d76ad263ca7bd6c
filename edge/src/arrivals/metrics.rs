//! What is counted of large objects.

use prometheus::{IntCounter, IntGauge, Registry};

use crate::metrics::{counter, gauge};

/// What is counted of large objects.
pub(crate) struct SliceMetrics {
    /// Requests for slices that were wanted and not held.
    pub(crate) gap_fetches: IntCounter,
    /// Those among them that took up an answer which had broken off.
    pub(crate) resumed: IntCounter,
    /// Requests for bytes that there was no memory to keep.
    pub(crate) passed: IntCounter,
    /// Objects that changed at their origin while they were served.
    pub(crate) outdated: IntCounter,
    /// Slices held in memory.
    pub(crate) held: IntGauge,
}

impl SliceMetrics {
    /// Registers all of them.
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {
            gap_fetches: counter(
                registry,
                "gap_fetches_total",
                "Requests to origins for slices of large objects that were wanted and not held.",
            )?,
            resumed: counter(
                registry,
                "resumed_total",
                "Requests to origins that took up an answer which had broken off.",
            )?,
            passed: counter(
                registry,
                "past_store_total",
                "Requests to origins for bytes of large objects that there was no memory to keep.",
            )?,
            outdated: counter(
                registry,
                "outdated_total",
                "Large objects that changed at their origin while they were served.",
            )?,
            held: gauge(registry, "cache_slices", "Slices of large objects held.")?,
        })
    }
}
