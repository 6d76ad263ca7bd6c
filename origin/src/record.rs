//! What is told of every request: one line at the target `kingcdn::access`, and the metrics.

use std::io;
use std::sync::Arc;

use http::header::{HeaderMap, RANGE};
use http::{Method, StatusCode};
use kingcdn_config::clock::Stopwatch;
use prometheus::core::{AtomicU64, GenericCounter};
use prometheus::{Histogram, HistogramOpts, IntCounterVec, IntGauge, Opts, Registry};

type Counter = GenericCounter<AtomicU64>;

/// Every status that this origin answers with.
const STATUSES: &[StatusCode] = &[
    StatusCode::OK,
    StatusCode::PARTIAL_CONTENT,
    StatusCode::NOT_MODIFIED,
    StatusCode::NO_CONTENT,
    StatusCode::MOVED_PERMANENTLY,
    StatusCode::BAD_REQUEST,
    StatusCode::FORBIDDEN,
    StatusCode::NOT_FOUND,
    StatusCode::METHOD_NOT_ALLOWED,
    StatusCode::PRECONDITION_FAILED,
    StatusCode::RANGE_NOT_SATISFIABLE,
    StatusCode::SERVICE_UNAVAILABLE,
];

/// The role's metrics, each label looked up once.
#[derive(Debug)]
pub(crate) struct Metrics {
    answered: Vec<(StatusCode, Counter)>,
    /// Requests whose client left before there was an answer.
    aborted: Counter,
    bytes: Counter,
    seconds: Histogram,
    pub(crate) connections: IntGauge,
}

impl Metrics {
    /// # Errors
    /// A metric of this name is registered already.
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let requests = IntCounterVec::new(
            Opts::new(
                "kingcdn_origin_requests_total",
                "Requests, by the status of the answer; \"aborted\" where the client left before it",
            ),
            &["status"],
        )?;
        let bytes =
            Counter::new("kingcdn_origin_bytes_total", "Bytes of response bodies that were sent")?;
        let seconds = Histogram::with_opts(HistogramOpts::new(
            "kingcdn_origin_request_seconds",
            "Time from a request's head to the last byte of its answer",
        ))?;
        let connections =
            IntGauge::new("kingcdn_origin_connections", "Client connections that are open")?;
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(bytes.clone()))?;
        registry.register(Box::new(seconds.clone()))?;
        registry.register(Box::new(connections.clone()))?;
        let counter = |status: &StatusCode| requests.with_label_values(&[status.as_str()]);
        Ok(Self {
            answered: STATUSES.iter().map(|status| (*status, counter(status))).collect(),
            aborted: requests.with_label_values(&["aborted"]),
            bytes,
            seconds,
            connections,
        })
    }

    /// Requests so far.
    pub(crate) fn requests(&self) -> u64 {
        let answered: u64 = self.answered.iter().map(|(_, counter)| counter.get()).sum();
        answered + self.aborted.get()
    }

    /// Body bytes so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.get()
    }

    fn counter(&self, status: Option<StatusCode>) -> &Counter {
        self.answered
            .iter()
            .find(|(known, _)| Some(*known) == status)
            .map_or(&self.aborted, |(_, counter)| counter)
    }
}

/// One request, from its head until nothing more is sent. Told when it is dropped, however that
/// comes.
#[derive(Debug)]
pub(crate) struct Record {
    metrics: Arc<Metrics>,
    stopwatch: Stopwatch,
    method: Method,
    path: String,
    range: String,
    status: Option<StatusCode>,
    /// Why it was refused or broke off.
    reason: String,
    bytes: u64,
    complete: bool,
}

impl Record {
    pub(crate) fn begin(
        metrics: Arc<Metrics>,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
    ) -> Self {
        let range = headers.get(RANGE).map(|range| range.to_str());
        Self {
            metrics,
            stopwatch: Stopwatch::start(),
            method: method.clone(),
            path: path.to_owned(),
            range: range.map_or("", |range| range.unwrap_or("not text")).to_owned(),
            status: None,
            reason: String::new(),
            bytes: 0,
            complete: false,
        }
    }

    /// There is an answer. `complete` where it has no body.
    pub(crate) fn answered(&mut self, status: StatusCode, reason: String, complete: bool) {
        self.status = Some(status);
        self.reason = reason;
        self.complete = complete;
    }

    /// So many bytes of the body went out; `complete` where they were the last.
    pub(crate) fn sent(&mut self, bytes: u64, complete: bool) {
        self.bytes += bytes;
        self.complete = complete;
        self.metrics.bytes.inc_by(bytes);
    }

    /// The body broke off on our side.
    pub(crate) fn failed(&mut self, error: &io::Error) {
        self.reason = error.to_string();
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let took = self.stopwatch.elapsed();
        self.metrics.counter(self.status).inc();
        self.metrics.seconds.observe(took.as_secs_f64());
        tracing::info!(
            target: "kingcdn::access",
            method = %self.method,
            path = self.path,
            status = self.status.map_or(0, |status| status.as_u16()),
            bytes = self.bytes,
            milliseconds = (took.as_secs_f64() * 1e6).round() / 1e3,
            range = self.range,
            complete = self.complete,
            reason = self.reason,
            "request",
        );
    }
}
