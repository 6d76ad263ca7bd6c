//! Traces of requests and of their attempts at origins, for an OpenTelemetry collector.
//!
//! A part of the requests, chosen by chance, is traced. Each has a span, which is handed on when its
//! answer is; each attempt at an origin is a child of it, and the origin is told (W3C Trace Context).
//! What clients say of traces isn't believed: anybody could have anything traced.

mod export;

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri};
use kingcdn_config::clock::{Clock, Stopwatch, Timestamp};
use kingcdn_config::{OriginUrl, Telemetry};
use prometheus::IntCounter;
use tokio::sync::mpsc;

use crate::cache_status::Cache;
use crate::upstream::{FetchError, Outbound};

/// Spans that wait to be sent. Those past it are lost, and counted.
const WAITING: usize = 4096;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Makes spans, and has them sent.
#[derive(Debug)]
pub(crate) struct Tracer {
    /// A request is traced when its random number is below.
    below: u64,
    /// Whose hashes of the numbers of requests are random numbers.
    keys: RandomState,
    number: AtomicU64,
    /// When `watch` was started.
    start: Timestamp,
    watch: Stopwatch,
    spans: mpsc::Sender<Span>,
    lost: IntCounter,
}

/// A span under way: what its children need to know.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Open {
    trace: u128,
    span: u64,
    parent: Option<u64>,
    started_nanos: u64,
}

/// A span that has ended.
#[derive(Debug)]
struct Span {
    open: Open,
    ended_nanos: u64,
    what: What,
}

/// What a span was about.
#[derive(Debug)]
enum What {
    /// A client's request.
    Request(Box<Request>),
    /// An attempt at an origin, until the answer's head.
    Attempt {
        /// The origin.
        origin: OriginUrl,
        /// The answer's status, or why there was none.
        outcome: Result<u16, FetchError>,
    },
}

/// What a client's request came to.
#[derive(Debug)]
struct Request {
    method: String,
    path: String,
    site: String,
    status: u16,
    cache: &'static str,
    reason: &'static str,
    bytes: u64,
    /// Whether the client got all of it.
    complete: bool,
}

impl Tracer {
    /// Traces as `telemetry` says, from now on.
    pub(crate) fn start(
        telemetry: &Telemetry,
        node: &str,
        clock: &Clock,
        outbound: &Outbound,
        lost: IntCounter,
    ) -> Arc<Self> {
        let (spans, ended) = mpsc::channel(WAITING);
        let exporter = export::Exporter::new(&telemetry.otlp, node, outbound, lost.clone());
        outbound.runtime().spawn(exporter.run(ended));
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 to 1 of all numbers.
        let below = (telemetry.sampling * u64::MAX as f64) as u64;
        Arc::new(Self {
            below,
            keys: RandomState::new(),
            number: AtomicU64::new(0),
            start: clock.now(),
            watch: Stopwatch::start(),
            spans,
            lost,
        })
    }

    /// The span of a request, if it is one of those that are traced.
    fn sample(&self) -> Option<Open> {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let random = |which: u8| self.keys.hash_one((number, which));
        (random(0) <= self.below).then(|| Open {
            trace: u128::from(random(1)) << 64 | u128::from(random(2)),
            span: random(3).max(1), // Zero is none (W3C Trace Context section 3.2.2.4).
            parent: None,
            started_nanos: self.now_nanos(),
        })
    }

    /// The span of an attempt at an origin, where `headers` name the request's. From now on they
    /// name it.
    pub(crate) fn attempt(&self, headers: &mut HeaderMap) -> Option<Open> {
        let request = parse(headers.get(TRACEPARENT)?)?;
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let span = self.keys.hash_one((number, 4_u8)).max(1);
        let parent = Some(request.span);
        let attempt = Open { span, parent, started_nanos: self.now_nanos(), ..request };
        headers.insert(TRACEPARENT, attempt.traceparent());
        Some(attempt)
    }

    /// Has a span sent.
    fn end(&self, open: Open, what: What) {
        let span = Span { open, ended_nanos: self.now_nanos(), what };
        if self.spans.try_send(span).is_err() {
            self.lost.inc();
        }
    }

    /// Has the span of an attempt sent.
    pub(crate) fn end_attempt<B>(
        &self,
        open: Open,
        origin: &OriginUrl,
        answer: &Result<Response<B>, FetchError>,
    ) {
        let outcome = answer.as_ref().map(|answer| answer.status().as_u16());
        let outcome = outcome.map_err(|error| *error);
        self.end(open, What::Attempt { origin: origin.clone(), outcome });
    }

    /// Nanoseconds since 1970.
    fn now_nanos(&self) -> u64 {
        let start = u64::try_from(self.start.as_millis()).unwrap_or(0) * 1_000_000;
        start + u64::try_from(self.watch.elapsed().as_nanos()).unwrap_or(0)
    }
}

/// What is known of traces while a request is under way.
#[derive(Debug)]
pub(crate) struct Tracing {
    tracer: Arc<Tracer>,
    /// None for a request that isn't traced.
    open: Option<Open>,
}

/// A request that is traced and answered: its span, once its answer has been handed on.
#[derive(Debug)]
pub(crate) struct Traced {
    tracer: Arc<Tracer>,
    open: Open,
    request: Box<Request>,
}

impl Tracing {
    /// Of a request that begins.
    pub(crate) fn begin(tracer: &Arc<Tracer>) -> Self {
        Self { tracer: Arc::clone(tracer), open: tracer.sample() }
    }

    /// Names the request's span to the origin, and nothing that the client has said of traces.
    pub(crate) fn tell(&self, headers: &mut HeaderMap) {
        headers.remove(TRACESTATE);
        match self.open {
            Some(open) => _ = headers.insert(TRACEPARENT, open.traceparent()),
            None => _ = headers.remove(TRACEPARENT),
        }
    }

    /// The request's span, which only waits for the answer's end.
    pub(crate) fn request(
        &self,
        site: &str,
        (method, uri): (&Method, &Uri),
        (status, cache, reason): (StatusCode, Cache, &'static str),
    ) -> Option<Traced> {
        let open = self.open?;
        let request = Box::new(Request {
            method: method.to_string(),
            path: uri.path().to_owned(),
            site: site.to_owned(),
            status: status.as_u16(),
            cache: cache.as_str(),
            reason,
            bytes: 0,
            complete: false,
        });
        Some(Traced { tracer: Arc::clone(&self.tracer), open, request })
    }
}

impl Traced {
    /// Has the span sent.
    pub(crate) fn end(mut self, bytes: u64, complete: bool) {
        (self.request.bytes, self.request.complete) = (bytes, complete);
        self.tracer.end(self.open, What::Request(self.request));
    }
}

impl Open {
    /// W3C Trace Context section 3.2: version, trace, parent, and that it is sampled.
    fn traceparent(self) -> HeaderValue {
        let text = format!("00-{:032x}-{:016x}-01", self.trace, self.span);
        HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
    }
}

/// What [`Tracing::tell`] has written.
fn parse(value: &HeaderValue) -> Option<Open> {
    let mut parts = value.to_str().ok()?.split('-');
    let (_version, trace, span) = (parts.next()?, parts.next()?, parts.next()?);
    Some(Open {
        trace: u128::from_str_radix(trace, 16).ok()?,
        span: u64::from_str_radix(span, 16).ok()?,
        parent: None,
        started_nanos: 0,
    })
}
