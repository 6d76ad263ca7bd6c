//! DNS over HTTPS (RFC 8484): HTTP/2, and HTTP/1.1 for those who have no other.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use data_encoding::BASE64URL_NOPAD;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use kingcdn_config::clock::Stopwatch;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_rustls::server::TlsStream;
use tracing::debug;

use super::tcp::Context;
use super::{Limits, QUERY_BYTES};
use crate::decode::{HEADER, Reader};
use crate::journey::Journey;
use crate::record::{Tally, Transport};

/// Where queries go. RFC 8484 leaves the path to us; clients know this one.
const PATH: &str = "/dns-query";
const MESSAGE: &str = "application/dns-message";
/// Queries that one connection has under way.
const STREAMS: u32 = 32;
/// Octets of a request's head: of a query in base 64, too.
const HEAD_BYTES: usize = 16 << 10;
/// Octets of a body that are read and not kept, before its sender is refused.
const READ_AWAY: usize = 256 << 10;
/// Octets of bodies that a client may send before they are taken.
const WINDOW: u32 = 64 << 10;
/// Octets of an answer that are kept for a client that doesn't read.
const SEND_BYTES: usize = 32 << 10;
/// How long a client has to take leave.
const LEAVE: Duration = Duration::from_secs(2);
/// Type of the SOA record.
const SOA: u16 = 6;

/// Who answers on one connection.
struct Answerer {
    journey: Journey,
    client: IpAddr,
    /// Held for the time of an answer: a connection's queries may come at once.
    tally: Mutex<Tally>,
    /// Whether there was a query since somebody last looked.
    busy: AtomicBool,
    patience: Duration,
}

/// Answers one connection's queries.
pub(super) async fn converse(
    stream: TlsStream<TcpStream>,
    with: Context,
    limits: Limits,
    stop: watch::Receiver<bool>,
) {
    let tally = Mutex::new(with.journey.tally());
    let (client, patience) = (with.client, limits.patience());
    let busy = AtomicBool::new(true);
    let answerer = Answerer { journey: with.journey, client, tally, busy, patience };
    let answerer = Arc::new(answerer);
    let speaker = Arc::clone(&answerer);
    let service = service_fn(move |request: Request<Incoming>| {
        let answerer = Arc::clone(&speaker);
        async move { Ok::<_, Infallible>(answerer.respond(request).await) }
    });
    let newer = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let io = TokioIo::new(stream);
    let idle = Idle { answerer, limits, stop };
    let ended = if newer {
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(HEAD_BYTES as u32)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .max_send_buf_size(SEND_BYTES)
            .serve_connection(io, service);
        idle.run(connection, |it| it.graceful_shutdown()).await
    } else {
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(patience)
            .max_buf_size(HEAD_BYTES)
            .serve_connection(io, service);
        idle.run(connection, |it| it.graceful_shutdown()).await
    };
    if let Some(Err(error)) = ended {
        debug!(%error, %client, "connection broke");
    }
}

/// Ends a connection that idles, or when the server stops.
struct Idle {
    answerer: Arc<Answerer>,
    limits: Limits,
    stop: watch::Receiver<bool>,
}

impl Idle {
    /// Drives a connection to its end; none is one that didn't leave in time. One without a query
    /// for a whole time-out is told to leave.
    async fn run<C: Future>(
        mut self,
        connection: C,
        leave: impl Fn(std::pin::Pin<&mut C>),
    ) -> Option<C::Output> {
        let mut connection = pin!(connection);
        loop {
            tokio::select! {
                ended = connection.as_mut() => return Some(ended),
                () = sleep(self.limits.idle()) => {
                    if self.answerer.busy.swap(false, Ordering::Relaxed) {
                        continue;
                    }
                }
                _ = self.stop.wait_for(|stop| *stop) => {}
            }
            leave(connection.as_mut());
            return timeout(LEAVE, connection).await.ok();
        }
    }
}

impl Answerer {
    async fn respond(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        self.busy.store(true, Ordering::Relaxed);
        let packet = match timeout(self.patience, query(request)).await {
            Ok(Ok(packet)) => packet,
            Ok(Err(refusal)) => return refused(refusal),
            Err(_) => return refused(StatusCode::REQUEST_TIMEOUT),
        };
        match self.answer(&packet) {
            Some(answer) => found(answer),
            // What would get silence elsewhere: this isn't a query.
            None => refused(StatusCode::BAD_REQUEST),
        }
    }

    fn answer(&self, packet: &[u8]) -> Option<Vec<u8>> {
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        let started = Stopwatch::start();
        let mut turn = self.journey.turn(Transport::Https, &mut tally);
        let mut out = Vec::new();
        // Zones aren't transferred here.
        let _none = turn.answer(packet, self.client, &mut out);
        turn.end(started.elapsed());
        (!out.is_empty()).then_some(out)
    }
}

/// The query in a request (RFC 8484 section 4.1).
async fn query(request: Request<Incoming>) -> Result<Bytes, StatusCode> {
    let (head, body) = request.into_parts();
    // Whatever is wrong: who is refused while he sends may never read why.
    let body = content(body).await;
    if head.uri.path() != PATH {
        return Err(StatusCode::NOT_FOUND);
    }
    match head.method {
        Method::GET => {
            let mut pairs = head.uri.query().unwrap_or_default().split('&');
            let text = pairs.find_map(|pair| pair.strip_prefix("dns="));
            let packet = text.and_then(|text| BASE64URL_NOPAD.decode(text.as_bytes()).ok());
            packet.map(Bytes::from).ok_or(StatusCode::BAD_REQUEST)
        }
        Method::POST => {
            let kind = head.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
            // It has no parameters (RFC 8484 section 6).
            let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
            if !kind.eq_ignore_ascii_case(MESSAGE) {
                return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
            }
            body
        }
        _ => Err(StatusCode::METHOD_NOT_ALLOWED),
    }
}

/// A request's content, of which no more is kept than a query may have, nor read than some.
async fn content(mut body: Incoming) -> Result<Bytes, StatusCode> {
    let (mut kept, mut length) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| StatusCode::BAD_REQUEST)?;
        let Ok(data) = frame.into_data() else { continue };
        length += data.len();
        if length <= QUERY_BYTES {
            kept.extend_from_slice(&data);
        } else if length > READ_AWAY {
            break;
        }
    }
    if length <= QUERY_BYTES { Ok(kept.into()) } else { Err(StatusCode::PAYLOAD_TOO_LARGE) }
}

/// An answer, whatever it says (RFC 8484 section 4.2.1). A cache may keep it for its client, as long
/// as its records live (section 5.1), and for no other: the client's address chose it.
fn found(answer: Vec<u8>) -> Response<Full<Bytes>> {
    let kept = match lifetime(&answer) {
        Some(seconds) => format!("private, max-age={seconds}"),
        None => "no-store".to_owned(),
    };
    let mut response = Response::new(Full::from(answer));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(MESSAGE));
    if let Ok(kept) = HeaderValue::try_from(kept) {
        headers.insert(CACHE_CONTROL, kept);
    }
    response
}

fn refused(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(format!("{status}\n")));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, HeaderValue::from_static("GET, POST"));
    }
    response
}

/// For how many seconds an answer of ours may be kept: the shortest life of its answers, or, where
/// there are none, what its SOA record says of names that aren't there (RFC 2308 section 5).
fn lifetime(answer: &[u8]) -> Option<u32> {
    let (header, behind) = answer.split_first_chunk::<HEADER>()?;
    let count = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    // NOERROR and NXDOMAIN.
    if !matches!(header[3] & 15, 0 | 3) {
        return None;
    }
    let mut reader = Reader(behind);
    for _ in 0..count(4) {
        reader.name()?;
        reader.u32()?;
    }
    let answers = count(6);
    let mut shortest: Option<u32> = None;
    for at in 0..u32::from(answers) + u32::from(count(8)) {
        reader.name()?;
        let rtype = reader.u16()?;
        reader.u16()?;
        let ttl = reader.u32()?;
        let length = reader.u16()?;
        let data = reader.take(usize::from(length))?;
        if at < u32::from(answers) {
            shortest = Some(shortest.map_or(ttl, |shortest| shortest.min(ttl)));
        } else if rtype == SOA {
            // Its last number; with aliases in front of it, the shorter of the two.
            let minimum = Reader(data.get(data.len().checked_sub(4)?..)?).u32()?;
            let negative = ttl.min(minimum);
            shortest = Some(shortest.map_or(negative, |shortest| shortest.min(negative)));
        }
    }
    shortest
}
