//! A node's admin listener: `/metrics`, `/healthz` and `/status` for Prometheus, orchestrators and
//! people, and a name server's page of the whole CDN.
//!
//! It belongs on an address that clients of the CDN can't reach. Still a web page in an operator's
//! browser can send requests here. It may point a name of its own at this address (DNS rebinding):
//! so a request must name us by address or by a name that is ours. What it asks under our name it
//! can't read, and isn't answered where the browser says who asks. What changes something is told
//! apart in `operate`.

mod operate;
mod page;

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub(crate) use operate::{OPERATOR, Operation};

/// Connections at once.
const CONNECTIONS: usize = 64;
/// Bytes of a request's line and header section.
const HEADER_BYTES: usize = 16 * 1024;
/// Time for the request's header section.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for a whole connection: one request, one answer.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(15);
/// Pause after the system refused to hand over a connection, as it does when file descriptors run
/// out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
/// What browsers say of who asks (Fetch Metadata Request Headers, section 2).
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// Prometheus' text format.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
const TEXT_TYPE: &str = "text/plain; charset=utf-8";

/// What a node tells about itself.
pub(crate) trait Subject: Send + Sync + 'static {
    /// Every metric, in Prometheus' text format.
    fn metrics(&self) -> anyhow::Result<String>;
    /// Whether the node is well; else what is wrong.
    fn health(&self) -> Result<(), &'static str>;
    /// The `/status` document.
    fn status(&self) -> serde_json::Value;
    /// Whether that is of the whole CDN, so that there is a page for it.
    fn has_page(&self) -> bool;
    /// Whether `host`, in lower case and without port, is a name of this node.
    fn is_called(&self, host: &str) -> bool;
    /// What becomes of something that an operator asks, which may take long; or why nothing does.
    /// None where such things aren't asked.
    fn operate(&self, _operation: &Operation) -> Option<Result<String, String>> {
        None
    }
}

/// Listens at `address`, without answering yet.
pub(crate) async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Answers for `subject` until dropped.
pub(crate) async fn serve(listener: TcpListener, subject: Arc<impl Subject>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return; // Nobody closes the semaphore.
        };
        match listener.accept().await {
            Ok((stream, peer)) => {
                tokio::spawn(converse(stream, peer.ip(), Arc::clone(&subject), place));
            }
            Err(error) => {
                tracing::warn!(%error, "the admin listener got no connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn converse(
    stream: TcpStream,
    peer: IpAddr,
    subject: Arc<impl Subject>,
    _place: OwnedSemaphorePermit,
) {
    let service = service_fn(|request: Request<Incoming>| {
        let subject = Arc::clone(&subject);
        async move {
            Ok::<_, Infallible>(match operate::operation(&request, peer, &*subject) {
                None => answer(&request, &*subject),
                Some(Ok(operation)) => carry_out(operation, subject).await,
                Some(Err((status, text))) => respond(status, TEXT_TYPE, text),
            })
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEADER_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // What goes wrong here went wrong at the other end.
    let _ = tokio::time::timeout(CONNECTION_TIMEOUT, connection).await;
}

/// Does what an operator asks, on a thread that may wait.
async fn carry_out(operation: Operation, subject: Arc<impl Subject>) -> Response<Full<Bytes>> {
    let is_question = matches!(operation, Operation::Explain { .. });
    let done = tokio::task::spawn_blocking(move || subject.operate(&operation)).await;
    match done {
        Ok(Some(Ok(text))) => {
            let kind = if is_question { "application/json" } else { TEXT_TYPE };
            respond(StatusCode::OK, kind, text)
        }
        Ok(Some(Err(text))) => respond(StatusCode::BAD_REQUEST, TEXT_TYPE, text),
        Ok(None) => respond(StatusCode::NOT_FOUND, TEXT_TYPE, "ask a name server\n"),
        Err(_) => respond(StatusCode::INTERNAL_SERVER_ERROR, TEXT_TYPE, "it failed\n"),
    }
}

fn answer<B>(request: &Request<B>, subject: &impl Subject) -> Response<Full<Bytes>> {
    if let Err((status, text)) = admit(request, subject) {
        return respond(status, TEXT_TYPE, text);
    }
    match request.uri().path() {
        "/metrics" => match subject.metrics() {
            Ok(text) => respond(StatusCode::OK, METRICS_TYPE, text),
            Err(error) => {
                respond(StatusCode::INTERNAL_SERVER_ERROR, TEXT_TYPE, format!("{error:#}\n"))
            }
        },
        "/healthz" => match subject.health() {
            Ok(()) => respond(StatusCode::OK, TEXT_TYPE, "ok\n"),
            Err(reason) => {
                respond(StatusCode::SERVICE_UNAVAILABLE, TEXT_TYPE, format!("{reason}\n"))
            }
        },
        "/status" => {
            respond(StatusCode::OK, "application/json", format!("{:#}\n", subject.status()))
        }
        path => match page::file(path).filter(|_| subject.has_page()) {
            Some((kind, text)) => respond(StatusCode::OK, kind, text),
            None => respond(
                StatusCode::NOT_FOUND,
                TEXT_TYPE,
                "not here; try /metrics, /healthz or /status\n",
            ),
        },
    }
}

fn admit<B>(
    request: &Request<B>,
    subject: &impl Subject,
) -> Result<(), (StatusCode, &'static str)> {
    match host(request.headers()) {
        Host::Absent => (),
        Host::Named(name) if is_ours(&name, subject) => (),
        Host::Named(_) => {
            return Err((
                StatusCode::MISDIRECTED_REQUEST,
                "this host is no name of this node; use its address\n",
            ));
        }
        Host::Bad => return Err((StatusCode::BAD_REQUEST, "one well-formed Host, please\n")),
    }
    if is_another_sites(request.headers()) {
        return Err((StatusCode::FORBIDDEN, "another site's page may not ask this\n"));
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return Err((StatusCode::METHOD_NOT_ALLOWED, "GET or HEAD, please\n"));
    }
    Ok(())
}

/// Whether another site's page asks, and not a person who follows its link.
fn is_another_sites(headers: &HeaderMap) -> bool {
    let says = |name, values: &[&str]| {
        headers.get(name).is_some_and(|value| values.iter().any(|it| value == it))
    };
    says(FETCH_SITE, &["cross-site", "same-site"]) && !says(FETCH_MODE, &["navigate"])
}

/// Whom a request asks for.
enum Host {
    /// Nobody by name, as HTTP/1.0 permits; browsers always name a host.
    Absent,
    /// This host, in lower case and without port.
    Named(String),
    /// Several hosts, or nothing that a host can be.
    Bad,
}

fn host(headers: &HeaderMap) -> Host {
    let mut fields = headers.get_all(HOST).iter();
    match (fields.next(), fields.next()) {
        (None, _) => Host::Absent,
        (Some(field), None) => authority(field).map_or(Host::Bad, Host::Named),
        (Some(_), Some(_)) => Host::Bad,
    }
}

fn authority(field: &HeaderValue) -> Option<String> {
    let authority: http::uri::Authority = field.to_str().ok()?.parse().ok()?;
    Some(authority.host().to_ascii_lowercase())
}

/// A page on the Internet can't make its own name one of these: an address, a name without dots
/// (as container networks give), or what the node says is its own.
fn is_ours(host: &str, subject: &impl Subject) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let address = host.trim_start_matches('[').trim_end_matches(']');
    address.parse::<IpAddr>().is_ok()
        || !host.contains('.')
        || host.ends_with(".localhost")
        || subject.is_called(host)
}

fn respond(
    status: StatusCode,
    kind: &'static str,
    text: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(page::POLICY));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}

#[cfg(test)]
mod tests;
