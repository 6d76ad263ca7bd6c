//! Connections that switch to another protocol (RFC 9110 section 7.8), such as WebSocket.
//!
//! A site names the protocols to which its clients may switch. The request passes the cache on a
//! connection of its own; when the origin agrees, the bytes of both sides go to the other one
//! unread, until one of them is done, nothing comes for too long, or the edge stops.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONNECTION, HeaderMap, HeaderValue, UPGRADE};
use http::request::Parts;
use http::{Method, Request, StatusCode};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use kingcdn_config::UpgradeProtocol;
use prometheus::IntCounter;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admission::Refusal;
use crate::answer::{Answer, failed, passed_on, refused};
use crate::budget::Need;
use crate::caching::{Forward, fields};
use crate::fetch;
use crate::metrics::{Metrics, TunnelMetrics};
use crate::node::Node;
use crate::site::Site;
use crate::upstream::{FetchError, RequestBody};

/// What a tunnel's direction holds at most.
const BUFFER_BYTES: usize = 16 * 1024;
/// When the edge stops, a tunnel through which nothing goes for this long is ended.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The tunnels of an edge: how many there are, and that they end when it stops.
pub(crate) struct Tunnels {
    tasks: TaskTracker,
    stopping: CancellationToken,
    metrics: Arc<Metrics>,
}

/// What a client proposes: protocols that its site permits, and its connection.
pub(crate) struct Proposal {
    protocols: HeaderValue,
    client: OnUpgrade,
}

/// A place among the tunnels, counted from the request on.
struct Place {
    metrics: Arc<Metrics>,
}

/// How a tunnel ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Both sides were done.
    Closed,
    /// Nothing came from either side for too long.
    Idle,
    /// A connection broke.
    Broken,
    /// The edge stopped.
    Stopped,
}

impl End {
    /// All of them, for the metric.
    pub(crate) const ALL: [Self; 4] = [Self::Closed, Self::Idle, Self::Broken, Self::Stopped];

    /// For the log and the metric's label.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Idle => "idle",
            Self::Broken => "broken",
            Self::Stopped => "stopped",
        }
    }
}

/// What a client proposes, if its request does and its site permits it. Only a GET may: nothing
/// that has content or changes something.
pub(crate) fn proposed(parts: &Parts, permitted: &[UpgradeProtocol]) -> Option<Proposal> {
    if permitted.is_empty() || parts.method != Method::GET {
        return None;
    }
    let protocols = protocols(&parts.headers, permitted)?;
    // hyper offers it in HTTP/1.1 only.
    let client = parts.extensions.get::<OnUpgrade>()?.clone();
    Some(Proposal { protocols, client })
}

/// Sends `request`, which passes the cache, with the proposal. If the origin agrees, both
/// connections become a tunnel.
pub(crate) async fn switch(
    node: &Node,
    site: &Site,
    mut request: Request<RequestBody>,
    proposal: Proposal,
) -> Answer {
    let limits = node.limits.load();
    let place = match node.tunnels.place(limits.tunnels) {
        Ok(place) => place,
        Err(refusal) => {
            node.metrics.refuse(refusal);
            return refused(refusal);
        }
    };
    let memory = match fetch::room(node, fetch::PASS_BYTES, Need::Stream).await {
        Ok(memory) => memory,
        Err(error) => return failed(error, Forward::Bypass),
    };
    request.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
    request.headers_mut().insert(UPGRADE, proposal.protocols.clone());
    let mut answer = match site.upstream.send(request).await {
        Ok(answer) if answer.status() == StatusCode::SWITCHING_PROTOCOLS => answer,
        Ok(answer) => return passed_on(answer, memory, Forward::Bypass),
        Err(error) => return failed(error, Forward::Bypass),
    };
    let Some(protocol) = agreed(answer.headers(), &proposal.protocols) else {
        return failed(FetchError::Protocol, Forward::Bypass);
    };
    let origin = hyper::upgrade::on(&mut answer);
    node.tunnels.open(place, proposal.client, origin, limits.tunnel_timeout);
    let mut switched = passed_on(answer, memory, Forward::Bypass);
    let headers = switched.response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol);
    switched.status.detail = Some("upgrade");
    switched
}

/// The protocols among those in `Upgrade` that are permitted, in the client's order.
fn protocols(client: &HeaderMap, permitted: &[UpgradeProtocol]) -> Option<HeaderValue> {
    // RFC 9110 section 7.8: Connection has to name it.
    if !names_upgrade(client) {
        return None;
    }
    let wanted: Vec<&[u8]> = client
        .get_all(UPGRADE)
        .iter()
        .flat_map(|line| fields::members(line.as_bytes()))
        .filter(|wanted| permitted.iter().any(|protocol| is(wanted, protocol.as_str())))
        .collect();
    if wanted.is_empty() {
        return None;
    }
    HeaderValue::from_bytes(&wanted.join(&b", "[..])).ok()
}

/// The one protocol that a 101 switches to, if it was proposed.
fn agreed(answer: &HeaderMap, proposed: &HeaderValue) -> Option<HeaderValue> {
    let mut protocols = answer.get_all(UPGRADE).iter();
    let (Some(protocol), None) = (protocols.next(), protocols.next()) else { return None };
    let agreed = fields::trim(protocol.as_bytes());
    fields::members(proposed.as_bytes())
        .any(|wanted| wanted.eq_ignore_ascii_case(agreed))
        .then(|| protocol.clone())
}

fn names_upgrade(headers: &HeaderMap) -> bool {
    headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|line| fields::members(line.as_bytes()))
        .any(|name| name.eq_ignore_ascii_case(b"upgrade"))
}

/// Whether a client's `name` or `name/version` is this protocol.
fn is(wanted: &[u8], protocol: &str) -> bool {
    let name = wanted.split(|byte| *byte == b'/').next().unwrap_or_default();
    name.eq_ignore_ascii_case(protocol.as_bytes())
}

impl Tunnels {
    pub(crate) fn new(metrics: &Arc<Metrics>) -> Self {
        Self {
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
            metrics: Arc::clone(metrics),
        }
    }

    /// A place for one more, of at most `limit`.
    fn place(&self, limit: usize) -> Result<Place, Refusal> {
        if self.stopping.is_cancelled() {
            return Err(Refusal::Stopping);
        }
        let place = Place::new(&self.metrics);
        let open = usize::try_from(self.metrics.tunnels.open.get()).unwrap_or(0);
        if open > limit { Err(Refusal::TooManyTunnels) } else { Ok(place) }
    }

    /// Carries the bytes between both sides, once the client has its 101. `idle` is how long
    /// nothing may come.
    fn open(&self, place: Place, client: OnUpgrade, origin: OnUpgrade, idle: Duration) {
        let stopping = self.stopping.clone();
        self.tasks.spawn(async move {
            // The client may never take its 101.
            let both = timeout(idle, async { tokio::try_join!(client, origin) }).await;
            let end = match both {
                Ok(Ok((client, origin))) => {
                    let (client, origin) = (TokioIo::new(client), TokioIo::new(origin));
                    carry(client, origin, idle, &stopping, &place.metrics.tunnels).await
                }
                Ok(Err(_)) => End::Broken,
                Err(_) => End::Idle,
            };
            place.metrics.tunnels.end(end);
            tracing::debug!(reason = end.as_str(), "tunnel ended");
        });
    }

    /// From now on none is opened, and those that are open end when they fall silent.
    pub(crate) fn stop(&self) {
        self.stopping.cancel();
        self.tasks.close();
    }

    /// Returns when all have ended, after [`Tunnels::stop`].
    pub(crate) async fn ended(&self) {
        self.tasks.wait().await;
    }
}

impl Place {
    fn new(metrics: &Arc<Metrics>) -> Self {
        metrics.tunnels.open.inc();
        Self { metrics: Arc::clone(metrics) }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.metrics.tunnels.open.dec();
    }
}

/// Carries bytes both ways until the tunnel ends.
async fn carry(
    client: impl AsyncRead + AsyncWrite,
    origin: impl AsyncRead + AsyncWrite,
    idle: Duration,
    stopping: &CancellationToken,
    metrics: &TunnelMetrics,
) -> End {
    let moved = Notify::new();
    let (client_read, client_write) = tokio::io::split(client);
    let (origin_read, origin_write) = tokio::io::split(origin);
    let both = async {
        tokio::try_join!(
            pump(client_read, origin_write, &moved, &metrics.bytes_in),
            pump(origin_read, client_write, &moved, &metrics.bytes_out),
        )
    };
    tokio::select! {
        done = both => if done.is_ok() { End::Closed } else { End::Broken },
        end = silence(&moved, idle, stopping) => end,
    }
}

/// Carries bytes one way to their end.
async fn pump(
    mut from: ReadHalf<impl AsyncRead>,
    mut to: WriteHalf<impl AsyncWrite>,
    moved: &Notify,
    bytes: &IntCounter,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return to.shutdown().await;
        }
        moved.notify_one();
        let piece = buffer.get(..length).unwrap_or_default();
        to.write_all(piece).await?;
        to.flush().await?;
        bytes.inc_by(length as u64);
    }
}

/// Returns when nothing has moved for `idle`, or, when the edge stops, for a moment.
async fn silence(moved: &Notify, idle: Duration, stopping: &CancellationToken) -> End {
    loop {
        tokio::select! {
            moved = timeout(idle, moved.notified()) => if moved.is_err() { return End::Idle },
            () = stopping.cancelled() => break,
        }
    }
    while timeout(LAST_WORDS.min(idle), moved.notified()).await.is_ok() {}
    End::Stopped
}

#[cfg(test)]
mod tests;
