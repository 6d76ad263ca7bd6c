//! Talking to a site's origins: connections, time-outs, retries.
//!
//! A connection lives on the thread that opened it. That one uses it before all others, but any
//! thread may use any of them.

mod body;
mod metrics;
mod names;
mod origin;
mod pool;
mod sips;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use http::{Request, Response, StatusCode};
use kingcdn_config::clock::{Clock, Stopwatch};
use kingcdn_config::{OriginUrl, Upstream as Settings};
use tokio::runtime::Handle;

pub(crate) use self::body::{AnswerBody, RequestBody};
pub(crate) use self::metrics::{OriginMetrics, OriginsMetrics};
use self::names::Names;
use self::origin::Origin;
pub(crate) use self::sips::read_bytes;
use crate::budget::Budget;
use crate::trace::Tracer;

/// All origins of a site.
#[derive(Debug)]
pub(crate) struct Upstream {
    origins: Vec<Arc<Origin>>,
    settings: Settings,
    clock: Clock,
    metrics: OriginMetrics,
    tracer: Option<Arc<Tracer>>,
}

/// What all connections to origins have in common.
#[derive(Debug, Clone)]
pub(crate) struct Outbound {
    clock: Clock,
    /// Where what belongs to no client's thread runs.
    runtime: Handle,
    names: Names,
    /// What they take is counted here.
    budget: Budget,
    tracer: Option<Arc<Tracer>>,
}

impl Outbound {
    /// Names are looked up on `runtime`; connections are in memory that `budget` counts.
    pub(crate) fn new(clock: Clock, runtime: Handle, budget: Budget) -> Self {
        Self { clock, names: Names::new(runtime.clone()), runtime, budget, tracer: None }
    }

    /// The same, with attempts traced.
    pub(crate) fn traced(mut self, tracer: Option<Arc<Tracer>>) -> Self {
        self.tracer = tracer;
        self
    }

    /// Where what belongs to no client's thread runs.
    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Where `url` can be reached, in the order in which to try.
    pub(crate) async fn addresses(&self, url: &OriginUrl) -> io::Result<Vec<SocketAddr>> {
        self.names.addresses(url).await
    }
}

/// Why there is no answer from any origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FetchError {
    /// Its name has no address, or nobody accepts the connection there.
    #[error("the origin can't be reached")]
    Unreachable,
    /// The connection wasn't open in time.
    #[error("the origin didn't accept the connection in time")]
    ConnectTimeout,
    /// The answer's head wasn't there in time.
    #[error("the origin didn't answer in time")]
    FirstByteTimeout,
    /// It did not accept connections in time a moment ago; not tried again yet.
    #[error("the origin didn't accept connections a moment ago")]
    Resting,
    /// It closed the connection, or said what isn't HTTP.
    #[error("the origin broke off or didn't speak HTTP")]
    Protocol,
    /// As many connections as the site permits are busy.
    #[error("all connections to the origin are busy")]
    Busy,
    /// This edge is out of memory.
    #[error("there is no memory for it")]
    NoMemory,
    /// The client's body was longer than permitted.
    #[error("the request's body is too long")]
    RequestTooLong,
    /// The client's body was badly framed, or broke off.
    #[error("the request's body is broken")]
    RequestBroken,
    /// The client sent nothing of its body for too long.
    #[error("the client sent nothing of its body for too long")]
    RequestStalled,
    /// The fetch was given up before its answer began.
    #[error("the fetch was given up")]
    Aborted,
}

impl FetchError {
    /// What a client is told.
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::ConnectTimeout | Self::FirstByteTimeout | Self::Resting => {
                StatusCode::GATEWAY_TIMEOUT
            }
            Self::Unreachable | Self::Protocol | Self::Aborted => StatusCode::BAD_GATEWAY,
            Self::Busy | Self::NoMemory => StatusCode::SERVICE_UNAVAILABLE,
            Self::RequestTooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Self::RequestBroken => StatusCode::BAD_REQUEST,
            Self::RequestStalled => StatusCode::REQUEST_TIMEOUT,
        }
    }

    /// Whether it says nothing about the origin.
    fn is_the_clients(self) -> bool {
        matches!(self, Self::RequestTooLong | Self::RequestBroken | Self::RequestStalled)
    }

    /// The reason in `Cache-Status`, the log and the metric.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "origin-unreachable",
            Self::ConnectTimeout => "origin-connect-timeout",
            Self::FirstByteTimeout => "origin-first-byte-timeout",
            Self::Resting => "origin-resting",
            Self::Protocol => "origin-protocol-error",
            Self::Busy => "origin-busy",
            Self::NoMemory => "no-memory",
            Self::RequestTooLong => "request-too-long",
            Self::RequestBroken => "request-broken",
            Self::RequestStalled => "request-stalled",
            Self::Aborted => "aborted",
        }
    }
}

impl Upstream {
    /// Origins in the order in which they are tried.
    pub(crate) fn new(
        urls: &[OriginUrl],
        settings: &Settings,
        outbound: &Outbound,
        metrics: OriginMetrics,
    ) -> Self {
        let origin = |url: &OriginUrl| Arc::new(Origin::new(url.clone(), settings, outbound));
        let origins = urls.iter().map(origin).collect();
        let (clock, tracer) = (outbound.clock.clone(), outbound.tracer.clone());
        Self { origins, settings: settings.clone(), clock, metrics, tracer }
    }

    /// Whether this talks to `urls` as `settings` say; then a reload can keep it.
    pub(crate) fn is(&self, urls: &[OriginUrl], settings: &Settings) -> bool {
        self.settings == *settings && self.origins.iter().map(|origin| origin.url()).eq(urls)
    }

    /// The `Host` that origins get in place of the client's.
    pub(crate) fn host(&self) -> Option<&str> {
        self.settings.host.as_ref().map(|host| host.as_str())
    }

    /// Sends a request to the first origin that answers it.
    ///
    /// A safe request without a body goes on to the next origin after any trouble, 502, 503 and
    /// 504 included; any other only while nothing of it has been sent.
    pub(crate) async fn send(
        &self,
        request: Request<RequestBody>,
    ) -> Result<Response<AnswerBody>, FetchError> {
        let repeatable = request.method().is_safe() && request.body().is_empty();
        let (parts, body) = request.into_parts();
        let mut next_body = Some(body);
        let mut last = Err(FetchError::Resting);
        for origin in self.in_order() {
            let Some(body) = next_body.take() else { break };
            let mut attempt = Request::from_parts(parts.clone(), body);
            let tracer = self.tracer.as_ref();
            let span = tracer.and_then(|tracer| tracer.attempt(attempt.headers_mut()));
            let started = Stopwatch::start();
            let (answer, unsent) = origin.send(attempt, repeatable, &self.metrics).await;
            self.metrics.attempted(&answer, repeatable.then(|| started.elapsed()));
            if let (Some(tracer), Some(span)) = (tracer, span) {
                tracer.end_attempt(span, origin.url(), &answer);
            }
            match answer {
                Ok(answer) if repeatable && is_gateway_trouble(answer.status()) => {
                    last = Ok(answer);
                }
                Ok(answer) => return Ok(answer),
                // An earlier origin's 503 is a better answer than none at all.
                Err(error) if last.is_err() => last = Err(error),
                Err(_) => {}
            }
            next_body = if repeatable { Some(RequestBody::Empty) } else { unsent };
        }
        last
    }

    /// The origins that worked last time first, each part in the configured order.
    fn in_order(&self) -> impl Iterator<Item = &Arc<Origin>> {
        let now = self.clock.now();
        let (well, troubled): (Vec<_>, Vec<_>) =
            self.origins.iter().partition(|origin| !origin.is_troubled(now));
        well.into_iter().chain(troubled)
    }
}

fn is_gateway_trouble(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
    )
}
