//! A stage for scenarios: a scripted origin, an edge whose clock is moved by
//! hand, and a client. All on loopback, all real sockets.

// Each scenario file uses its own part of the stage; what fails here fails the test.
#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    clippy::unwrap_used,
    clippy::missing_panics_doc
)]

mod origin;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use kingcdn_config::Config;
use kingcdn_config::clock::{Clock, Timestamp};
use kingcdn_edge::Edge;
use prometheus::Registry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub use origin::{Answer, Gate, Origin, Seen};

/// When every scenario begins: Sat, 21 Nov 2026 12:00:00 GMT.
pub const START: Timestamp = Timestamp::from_secs(1_795_262_400);
pub const HOST: &str = "video.netcinema.test";

/// The whole stage.
pub struct Stage {
    pub edge: Edge,
    pub origin: Origin,
    pub clock: Clock,
    pub registry: Registry,
    site: String,
    config: Arc<Config>,
}

impl Stage {
    pub async fn new() -> Self {
        Self::with("").await
    }

    /// With these lines added to `[[site]]`; begin a `[site.cache]` table there as needed.
    pub async fn with(site: &str) -> Self {
        Self::build(None, site, 64 << 20).await
    }

    /// In front of another origin than the scripted one.
    pub async fn facing(other: Option<SocketAddr>, site: &str) -> Self {
        Self::build(other, site, 64 << 20).await
    }

    pub async fn with_memory(memory_bytes: u64) -> Self {
        Self::build(None, "", memory_bytes).await
    }

    /// With a disk of 256 MiB in `folder`.
    pub async fn with_disk(memory_bytes: u64, folder: &Path) -> Self {
        Self::with_memory(memory_bytes).await.restart_from(folder).await
    }

    /// Stops the edge and starts another one, with a disk of 256 MiB in `folder`.
    pub async fn restart_from(mut self, folder: &Path) -> Self {
        let mut config = Config::clone(&self.config);
        let (path, size_bytes) = (folder.to_owned(), 256 << 20);
        config.edges[0].cache.disk = Some(kingcdn_config::Disk { path, size_bytes, mount: None });
        self.config = Arc::new(config);
        self.restart().await
    }

    /// Stops the edge and starts another one in its place.
    pub async fn restart(self) -> Self {
        assert!(self.edge.drain(Duration::from_secs(10)).await, "drained");
        let Self { origin, clock, site, config, .. } = self;
        let registry = Registry::new();
        let started = Edge::start(Arc::clone(&config), "seoul", clock.clone(), &registry);
        Self { edge: started.await.unwrap(), origin, clock, registry, site, config }
    }

    async fn build(other: Option<SocketAddr>, site: &str, memory_bytes: u64) -> Self {
        let clock = Clock::manual(START);
        let origin = Origin::start(&clock).await;
        let registry = Registry::new();
        let mut config = config(&[other.unwrap_or(origin.address)], site);
        config.edges[0].cache.memory_bytes = memory_bytes;
        let config = Arc::new(config);
        let started = Edge::start(Arc::clone(&config), "seoul", clock.clone(), &registry);
        Self {
            edge: started.await.unwrap(),
            origin,
            clock,
            registry,
            site: site.to_owned(),
            config,
        }
    }

    /// Sends bytes as they are and returns all that comes back until the connection is closed.
    pub async fn raw(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _reset_is_fine = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    pub fn elapse(&self, secs: u64) {
        self.clock.advance(Duration::from_secs(secs));
    }

    pub fn address(&self) -> SocketAddr {
        self.edge.addresses()[0]
    }

    pub async fn get(&self, target: &str) -> Got {
        self.ask(Method::GET, target, &[]).await
    }

    pub async fn get_with(&self, target: &str, fields: &[(&str, &str)]) -> Got {
        self.ask(Method::GET, target, fields).await
    }

    pub async fn ask(&self, method: Method, target: &str, fields: &[(&str, &str)]) -> Got {
        self.send(method, target, fields, Bytes::new()).await
    }

    pub async fn send(
        &self,
        method: Method,
        target: &str,
        fields: &[(&str, &str)],
        body: Bytes,
    ) -> Got {
        open(self.address(), method, target, fields, body).await.finish().await
    }

    /// As [`Stage::get_with`], but returns with the head.
    pub async fn open(&self, target: &str, fields: &[(&str, &str)]) -> Opened {
        open(self.address(), Method::GET, target, fields, Bytes::new()).await
    }

    /// The value of a counter or gauge with these labels, or the observations of a histogram; 0
    /// where there is none.
    pub fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let families = self.registry.gather();
        let metrics = families.iter().filter(|family| family.name() == name);
        metrics
            .flat_map(|family| family.get_metric())
            .filter(|metric| {
                labels.iter().all(|(name, value)| {
                    metric.get_label().iter().any(|l| l.name() == *name && l.value() == *value)
                })
            })
            .map(|metric| {
                #[allow(clippy::cast_precision_loss)] // Tests count to a few thousand.
                let observed = metric.get_histogram().get_sample_count() as f64;
                metric.get_counter().get_value() + metric.get_gauge().get_value() + observed
            })
            .sum()
    }

    /// Requests counted with this `cache` label.
    pub fn counted(&self, cache: &str) -> f64 {
        self.metric("kingcdn_edge_requests_total", &[("site", "netcinema"), ("cache", cache)])
    }
}

/// One edge on a free port, one site with these origins.
pub fn config(origins: &[SocketAddr], site: &str) -> Config {
    let origins: Vec<_> = origins.iter().map(|origin| format!("\"http://{origin}\"")).collect();
    let text = format!(
        r#"
        [[edge]]
        name = "seoul"
        location = [37.57, 126.98]
        listen = ["127.0.0.1:0"]
        admin = "127.0.0.1:1"
        [edge.cache]
        memory = "64 MiB"
        [[site]]
        name = "netcinema"
        hosts = ["{HOST}"]
        origin = [{}]
        {site}
        "#,
        origins.join(", ")
    );
    match Config::parse(&text, Path::new("stage.toml")) {
        Ok(loaded) => loaded.config,
        Err(report) => panic!("{report}"),
    }
}

/// Reads a head, to its empty line; nothing where the connection ends before.
pub async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8_lossy(&head).into_owned())
}

/// An origin that answers every request with these bytes and closes the connection.
pub async fn origin_of_bytes(answer: impl Into<Bytes>) -> SocketAddr {
    let answer = answer.into();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let answer = answer.clone();
            tokio::spawn(async move {
                if read_head(&mut stream).await.is_some() {
                    let _gone = stream.write_all(&answer).await;
                }
            });
        }
    });
    address
}

/// A complete response.
#[derive(Debug)]
pub struct Got {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// What came of the body.
    pub body: Bytes,
    /// Whether it came to its proper end.
    pub complete: bool,
}

impl Got {
    pub fn field(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The `Cache-Status` without the edge's name.
    pub fn cache(&self) -> &str {
        self.field("cache-status").strip_prefix("seoul; ").unwrap_or_default()
    }

    pub fn is_hit(&self) -> bool {
        self.cache().starts_with("hit")
    }
}

/// A response whose head has come.
pub struct Opened {
    pub response: Response<Incoming>,
}

impl Opened {
    /// The next piece of the body, none at its end.
    pub async fn piece(&mut self) -> Option<Result<Bytes, hyper::Error>> {
        let frame = self.response.body_mut().frame().await?;
        Some(frame.map(|frame| frame.into_data().unwrap_or_default()))
    }

    pub async fn finish(mut self) -> Got {
        let mut body = Vec::new();
        let mut complete = true;
        while let Some(piece) = self.piece().await {
            match piece {
                Ok(piece) => body.extend_from_slice(&piece),
                Err(_) => {
                    complete = false;
                    break;
                }
            }
        }
        let (head, _) = self.response.into_parts();
        Got { status: head.status, headers: head.headers, body: body.into(), complete }
    }
}

pub async fn open(
    address: SocketAddr,
    method: Method,
    target: &str,
    fields: &[(&str, &str)],
    body: Bytes,
) -> Opened {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(target);
    if !fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        request = request.header("host", HOST);
    }
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let response = sender.send_request(request.body(Full::new(body)).unwrap()).await.unwrap();
    Opened { response }
}
