//! What came of a site's requests to its origins, in numbers.

use http::{Response, StatusCode};
use prometheus::{IntCounter, IntCounterVec};

use super::FetchError;

/// Classes of status, in the order of their first digit. The first is for what has none: the origin
/// didn't answer.
const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// The metrics of one site's origins.
#[derive(Debug, Clone)]
pub(crate) struct OriginMetrics {
    /// Requests sent, repetitions included.
    pub(crate) requests: IntCounter,
    /// Body bytes received.
    pub(crate) bytes: IntCounter,
    responses: [IntCounter; CLASSES.len()],
}

impl OriginMetrics {
    /// Those of `site`, of the counters by site and, for the responses, by class.
    pub(crate) fn new(
        site: &str,
        requests: &IntCounterVec,
        bytes: &IntCounterVec,
        responses: &IntCounterVec,
    ) -> Self {
        Self {
            requests: requests.with_label_values(&[site]),
            bytes: bytes.with_label_values(&[site]),
            responses: CLASSES.map(|class| responses.with_label_values(&[site, class])),
        }
    }

    /// Counts what became of one attempt, unless it is the client's doing.
    pub(super) fn attempted<B>(&self, attempt: &Result<Response<B>, FetchError>) {
        let class = match attempt {
            Ok(answer) => class(answer.status()),
            Err(FetchError::Aborted | FetchError::RequestTooLong) => return,
            Err(_) => 0,
        };
        if let Some(counter) = self.responses.get(class) {
            counter.inc();
        }
    }
}

fn class(status: StatusCode) -> usize {
    usize::from(status.as_u16() / 100)
}
