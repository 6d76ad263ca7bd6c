//! One origin.

use std::error::Error as StdError;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use kingcdn_config::clock::Timestamp;
use kingcdn_config::{OriginUrl, Upstream as Settings};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::OriginMetrics;
use super::body::{AnswerBody, ClientBodyError, RequestBody};
use super::pool::{Connection, Pool};
use super::sips::{READ_MAX_BYTES, Sips};
use super::{FetchError, Outbound};
use crate::lane;
use crate::stall::StallLimited;

/// How long an origin that didn't accept a connection in time is left alone.
const REST: Duration = Duration::from_secs(5);
/// How long an origin that failed is tried after the others.
const TROUBLED_FOR: Duration = Duration::from_secs(5);
/// Memory that a connection takes, idle or not; what is read of a large answer comes on top.
const CONNECTION_BYTES: u64 = 16 << 10;

/// One origin: its connections, and whether it worked lately.
pub(super) struct Origin {
    url: OriginUrl,
    settings: Settings,
    outbound: Outbound,
    idle: Pool,
    connections: Arc<Semaphore>,
    troubled_until: AtomicI64,
    resting_until: AtomicI64,
}

/// A request that wasn't answered, and itself where nothing of it had been sent.
struct Unanswered {
    error: FetchError,
    request: Option<Request<RequestBody>>,
}

impl Origin {
    pub(super) fn new(url: OriginUrl, settings: &Settings, outbound: &Outbound) -> Self {
        Self {
            url,
            settings: settings.clone(),
            outbound: outbound.clone(),
            idle: Pool::new(),
            connections: Arc::new(Semaphore::new(settings.connections)),
            troubled_until: AtomicI64::new(i64::MIN),
            resting_until: AtomicI64::new(i64::MIN),
        }
    }

    pub(super) fn url(&self) -> &OriginUrl {
        &self.url
    }

    /// Whether it failed a moment ago.
    pub(super) fn is_troubled(&self, now: Timestamp) -> bool {
        now.as_millis() < self.troubled_until.load(Ordering::Relaxed)
    }

    /// Sends `request`. Where it fails before any of it was sent, the body comes back.
    pub(super) async fn send(
        self: &Arc<Self>,
        request: Request<RequestBody>,
        repeatable: bool,
        metrics: &OriginMetrics,
    ) -> (Result<Response<AnswerBody>, FetchError>, Option<RequestBody>) {
        match self.try_send(request, repeatable, metrics).await {
            Ok(answer) => {
                self.troubled_until.store(i64::MIN, Ordering::Relaxed);
                (Ok(answer), None)
            }
            Err(Unanswered { error, request }) => {
                if !error.is_the_clients() {
                    let until = self.outbound.clock.now().plus(TROUBLED_FOR);
                    self.troubled_until.store(until.as_millis(), Ordering::Relaxed);
                }
                tracing::warn!(origin = %self.url, reason = error.as_str(), "{error}");
                (Err(error), request.map(Request::into_body))
            }
        }
    }

    async fn try_send(
        self: &Arc<Self>,
        mut request: Request<RequestBody>,
        repeatable: bool,
        metrics: &OriginMetrics,
    ) -> Result<Response<AnswerBody>, Unanswered> {
        // What may turn into another protocol has a connection of its own.
        let idle = if request.headers().contains_key(UPGRADE) {
            None
        } else {
            self.idle.take(repeatable, self.outbound.clock.now())
        };
        if let Some((sender, lane)) = idle {
            let permit = match self.permit().await {
                Ok(permit) => permit,
                Err(error) => {
                    return Err(Unanswered { error, request: Some(request) });
                }
            };
            // The origin may close an idle connection just as a request is on its way. That
            // request is sent once more, on a new connection, if it is known or allowed to have
            // had no effect.
            let again = repeatable.then(|| bodiless(&request));
            metrics.requests.inc();
            match self.exchange(Connection { sender, permit, lane }, request, metrics).await {
                Err(Unanswered { error: FetchError::Protocol, request: unsent }) => {
                    let Some(next) = unsent.or(again) else {
                        return Err(Unanswered { error: FetchError::Protocol, request: None });
                    };
                    request = next;
                }
                other => return other,
            }
        }
        match self.connect().await {
            Ok(connection) => {
                metrics.requests.inc();
                self.exchange(connection, request, metrics).await
            }
            Err(error) => Err(Unanswered { error, request: Some(request) }),
        }
    }

    /// A share of the connections that the origin may have at once.
    async fn permit(&self) -> Result<OwnedSemaphorePermit, FetchError> {
        let permit = Arc::clone(&self.connections).acquire_owned();
        match timeout(self.settings.connect_timeout, permit).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(FetchError::Busy),
        }
    }

    async fn connect(self: &Arc<Self>) -> Result<Connection, FetchError> {
        let now = self.outbound.clock.now().as_millis();
        if now < self.resting_until.load(Ordering::Relaxed) {
            return Err(FetchError::Resting);
        }
        let permit = self.permit().await?;
        let limit = self.settings.connect_timeout;
        let Ok(stream) = timeout(limit, self.open()).await else {
            let until = self.outbound.clock.now().plus(REST).as_millis();
            self.resting_until.store(until, Ordering::Relaxed);
            return Err(FetchError::ConnectTimeout);
        };
        let stream = stream.map_err(|error| {
            tracing::debug!(origin = %self.url, %error, "no connection");
            FetchError::Unreachable
        })?;
        let stream = Sips::new(stream, self.outbound.budget.clone());
        let io = TokioIo::new(StallLimited::new(stream, self.settings.idle_timeout));
        let memory = self.outbound.budget.charge(CONNECTION_BYTES);
        let (sender, connection) = http1::Builder::new()
            .max_header_size(READ_MAX_BYTES)
            // hyper's own limit is three times as much, for each connection to an origin.
            .max_buf_size(READ_MAX_BYTES)
            .handshake(io)
            .await
            .map_err(|_error| FetchError::Protocol)?;
        tokio::spawn(async move {
            // Whoever uses the connection sees its errors.
            let _seen_there = connection.with_upgrades().await;
            drop(memory);
        });
        Ok(Connection { sender, permit, lane: lane::here() })
    }

    async fn open(&self) -> io::Result<TcpStream> {
        let addresses = self.outbound.names.addresses(&self.url).await?;
        let stream = TcpStream::connect(&addresses[..]).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn exchange(
        self: &Arc<Self>,
        mut connection: Connection,
        mut request: Request<RequestBody>,
        metrics: &OriginMetrics,
    ) -> Result<Response<AnswerBody>, Unanswered> {
        let upgrading = request.headers().contains_key(UPGRADE);
        let body_sent = request.body_mut().ended();
        let limit = self.settings.first_byte_timeout;
        let overdue = async {
            body_sent.await;
            tokio::time::sleep(limit).await;
        };
        let answer = tokio::select! {
            answer = connection.sender.try_send_request(request) => answer,
            () = overdue => {
                return Err(Unanswered { error: FetchError::FirstByteTimeout, request: None });
            }
        };
        match answer {
            // RFC 9110 section 15.2.2: nobody asked for it.
            Ok(answer) if answer.status() == StatusCode::SWITCHING_PROTOCOLS && !upgrading => {
                Err(Unanswered { error: FetchError::Protocol, request: None })
            }
            Ok(answer) if has_two_lengths(answer.headers()) => {
                Err(Unanswered { error: FetchError::Protocol, request: None })
            }
            Ok(answer) => {
                self.keep_when_done(connection);
                let (idle_timeout, bytes) = (self.settings.idle_timeout, metrics.bytes.clone());
                Ok(answer.map(|body: Incoming| AnswerBody::new(body, idle_timeout, bytes)))
            }
            Err(mut failed) => {
                let error = classify(failed.error());
                Err(Unanswered { error, request: failed.take_message() })
            }
        }
    }

    /// Puts the connection back once its answer has been read; until then it counts as busy.
    fn keep_when_done(self: &Arc<Self>, connection: Connection) {
        let origin = Arc::clone(self);
        tokio::spawn(async move {
            let Connection { mut sender, permit, lane } = connection;
            if sender.ready().await.is_ok() {
                origin.idle.put(sender, lane, origin.outbound.clock.now());
            }
            drop(permit);
        });
    }
}

/// RFC 9112 section 6.3: a length beside a coding that says its own is an error, or an attempt to be
/// read in two ways.
fn has_two_lengths(answer: &HeaderMap) -> bool {
    answer.contains_key(TRANSFER_ENCODING) && answer.contains_key(CONTENT_LENGTH)
}

fn bodiless(request: &Request<RequestBody>) -> Request<RequestBody> {
    let mut copy = Request::new(RequestBody::Empty);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    *copy.extensions_mut() = request.extensions().clone();
    copy
}

/// What a failed exchange was: our client's fault, or the origin's.
fn classify(error: &hyper::Error) -> FetchError {
    let mut cause: Option<&(dyn StdError + 'static)> = error.source();
    while let Some(error) = cause {
        match error.downcast_ref::<ClientBodyError>() {
            Some(ClientBodyError::TooLong(_)) => return FetchError::RequestTooLong,
            Some(ClientBodyError::Http(_)) => return FetchError::RequestBroken,
            Some(ClientBodyError::Stalled) => return FetchError::RequestStalled,
            None => {}
        }
        cause = error.source();
    }
    if error.is_user() { FetchError::Aborted } else { FetchError::Protocol }
}

impl std::fmt::Debug for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Origin").field("url", &self.url).finish_non_exhaustive()
    }
}
