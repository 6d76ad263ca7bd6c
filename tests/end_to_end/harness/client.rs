//! Clients: an HTTP client that sees what a browser hides, and the programs that people use.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;

use super::{PATIENCE, Stopwatch};

/// Asks one address for one host, each request on a connection of its own.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    address: SocketAddr,
    host: String,
}

/// An answer, whole.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Time until the first byte of the body.
    pub(crate) first_byte: Duration,
    /// Time until the last.
    pub(crate) whole: Duration,
}

impl Client {
    pub(crate) fn new(address: SocketAddr, host: &str) -> Self {
        Self { address, host: host.to_owned() }
    }

    /// GET, whatever comes.
    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.try_send(Method::GET, path).await.unwrap_or_else(|error| {
            panic!("GET {path} from {} at {}: {error}", self.host, self.address)
        })
    }

    /// A request; fails when the whole answer doesn't arrive.
    pub(crate) async fn try_send(&self, method: Method, path: &str) -> anyhow::Result<Reply> {
        let request = Request::builder().method(method).uri(path).header("host", &self.host);
        let request = request.body(Empty::<Bytes>::new())?;
        tokio::time::timeout(PATIENCE, self.exchange(request)).await?
    }

    async fn exchange(&self, request: Request<Empty<Bytes>>) -> anyhow::Result<Reply> {
        let watch = Stopwatch::start();
        let stream = TcpStream::connect(self.address).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let (head, mut incoming) = sender.send_request(request).await?.into_parts();
        let mut body = BytesMut::new();
        let mut first_byte = None;
        while let Some(frame) = incoming.frame().await {
            if let Ok(data) = frame?.into_data() {
                first_byte.get_or_insert_with(|| watch.elapsed());
                body.extend_from_slice(&data);
            }
        }
        connection.abort();
        let whole = watch.elapsed();
        Ok(Reply {
            status: head.status,
            headers: head.headers,
            body: body.freeze(),
            first_byte: first_byte.unwrap_or(whole),
            whole,
        })
    }
}

impl Reply {
    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).expect("text")
    }

    /// A field's value, empty when there is none.
    pub(crate) fn field(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    /// What the nearest cache says that it did (RFC 9211).
    pub(crate) fn cache_status(&self) -> &str {
        self.field("cache-status")
    }

    /// Whether the answer came from the edge's cache.
    pub(crate) fn is_hit(&self) -> bool {
        self.cache_status().split(';').any(|parameter| parameter.trim() == "hit")
    }
}

/// Sends bytes as they are; gives what comes back until the other side closes.
pub(crate) async fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.expect("a listener");
    // A server that refuses early may have closed before everything was sent.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    let read = tokio::time::timeout(PATIENCE, reading).await.expect("the connection is closed");
    drop(read);
    String::from_utf8_lossy(&answer).into_owned()
}

/// Runs a program to its end; gives what it wrote. Panics, with what it complained of, when it fails.
pub(crate) async fn run(program: &str, arguments: &[&str]) -> String {
    let running =
        Command::new(program).args(arguments).stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(3 * PATIENCE, running)
        .await
        .unwrap_or_else(|_| panic!("{program} {arguments:?} doesn't end"))
        .unwrap_or_else(|error| panic!("{program} doesn't run ({error}); tests/run installs it"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}\n{text}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    text
}
