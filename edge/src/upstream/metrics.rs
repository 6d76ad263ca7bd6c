//! What came of a site's requests to its origins, in numbers.

use std::time::Duration;

use http::{Response, StatusCode};
use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, Registry};

use super::FetchError;
use crate::metrics::{counters, histograms};

/// Bounds of the times that origins take: from one in the same house to one that is given up.
const SECONDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// Classes of status, in the order of their first digit. The first is for what has none: the origin
/// didn't answer.
const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// The metrics of all sites' origins.
pub(crate) struct OriginsMetrics {
    requests: IntCounterVec,
    bytes: IntCounterVec,
    responses: IntCounterVec,
    seconds: HistogramVec,
}

impl OriginsMetrics {
    /// Registers all of them.
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {
            requests: counters(
                registry,
                "origin_requests_total",
                "Requests sent to origins, repetitions included.",
                &["site"],
            )?,
            bytes: counters(
                registry,
                "origin_bytes_total",
                "Body bytes received from origins.",
                &["site"],
            )?,
            responses: counters(
                registry,
                "origin_responses_total",
                "What came of attempts at origins, by class of status; none: no answer.",
                &["site", "class"],
            )?,
            seconds: histograms(
                registry,
                "origin_seconds",
                "Time from an attempt at an origin, its connection included, to the head of the \
                 answer or the end of patience; of requests without a body.",
                SECONDS.to_vec(),
                &["site"],
            )?,
        })
    }

    /// The handles of one site.
    pub(crate) fn site(&self, name: &str) -> OriginMetrics {
        OriginMetrics {
            requests: self.requests.with_label_values(&[name]),
            bytes: self.bytes.with_label_values(&[name]),
            responses: CLASSES.map(|class| self.responses.with_label_values(&[name, class])),
            seconds: self.seconds.with_label_values(&[name]),
        }
    }
}

/// The metrics of one site's origins.
#[derive(Debug, Clone)]
pub(crate) struct OriginMetrics {
    /// Requests sent, repetitions included.
    pub(crate) requests: IntCounter,
    /// Body bytes received.
    pub(crate) bytes: IntCounter,
    responses: [IntCounter; CLASSES.len()],
    seconds: Histogram,
}

impl OriginMetrics {
    /// Counts what became of one attempt, unless it is the client's doing.
    ///
    /// `took` is the time until it was known, None where that says nothing of the origin: a request
    /// with a body arrives at its client's pace.
    pub(super) fn attempted<B>(
        &self,
        attempt: &Result<Response<B>, FetchError>,
        took: Option<Duration>,
    ) {
        let class = match attempt {
            Ok(answer) => class(answer.status()),
            Err(FetchError::Aborted | FetchError::RequestTooLong) => return,
            Err(_) => 0,
        };
        if let Some(counter) = self.responses.get(class) {
            counter.inc();
        }
        // What fails at once would make the origin look fast.
        let waited = !matches!(
            attempt,
            Err(FetchError::Unreachable | FetchError::Resting | FetchError::Protocol)
        );
        if let (Some(took), true) = (took, waited) {
            self.seconds.observe(took.as_secs_f64());
        }
    }
}

fn class(status: StatusCode) -> usize {
    usize::from(status.as_u16() / 100)
}
