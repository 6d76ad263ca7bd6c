//! Spans on their way to a collector: OTLP over HTTP, in JSON (opentelemetry-proto, trace/v1).
//!
//! Written by hand because the fields that we send are these few: the OpenTelemetry crates bring
//! some thirty others, a second HTTP client and their own idea of runtimes.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use kingcdn_config::{OriginHost, OriginUrl};
use prometheus::IntCounter;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::{Span, What};
use crate::upstream::Outbound;

/// Spans in one message.
const BATCH: usize = 512;
/// How long the first of them waits for others.
const GATHER: Duration = Duration::from_secs(1);
/// Time for a message to be taken.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Where OTLP is taken over HTTP.
const PATH: &str = "/v1/traces";

/// OTLP's numbers for what a span is.
const SERVER: u8 = 2;
const CLIENT: u8 = 3;
/// And for one that failed.
const ERROR: u8 = 2;

pub(super) struct Exporter {
    collector: OriginUrl,
    outbound: Outbound,
    node: String,
    lost: IntCounter,
}

/// Why spans are lost.
#[derive(Debug, thiserror::Error)]
enum ExportError {
    #[error("it can't be reached: {0}")]
    Connect(#[from] std::io::Error),
    #[error("it broke off: {0}")]
    Http(#[from] hyper::Error),
    #[error("a request for it can't be made: {0}")]
    Request(#[from] http::Error),
    #[error("it answered {0}")]
    Refused(StatusCode),
    #[error("it took too long")]
    Timeout,
}

impl Exporter {
    pub(super) fn new(
        collector: &OriginUrl,
        node: &str,
        outbound: &Outbound,
        lost: IntCounter,
    ) -> Self {
        let (collector, outbound) = (collector.clone(), outbound.clone());
        Self { collector, outbound, node: node.to_owned(), lost }
    }

    /// Sends what comes, until nobody is left who could end a span.
    pub(super) async fn run(self, mut ended: mpsc::Receiver<Span>) {
        let (mut batch, mut well) = (Vec::with_capacity(BATCH), true);
        while ended.recv_many(&mut batch, BATCH).await > 0 {
            if batch.len() < BATCH {
                sleep(GATHER).await;
                while let Some(span) =
                    (batch.len() < BATCH).then(|| ended.try_recv().ok()).flatten()
                {
                    batch.push(span);
                }
            }
            let sent = timeout(TIMEOUT, self.send(message(&self.node, &batch))).await;
            let sent = sent.unwrap_or(Err(ExportError::Timeout));
            match &sent {
                Err(error) if well => {
                    tracing::warn!(collector = %self.collector, %error, "spans are lost");
                }
                Ok(()) if !well => tracing::info!("the collector takes spans again"),
                Ok(()) | Err(_) => {}
            }
            well = sent.is_ok();
            if !well {
                self.lost.inc_by(batch.len() as u64);
            }
            batch.clear();
        }
    }

    async fn send(&self, message: Value) -> Result<(), ExportError> {
        let addresses = self.outbound.addresses(&self.collector).await?;
        let stream = TcpStream::connect(&addresses[..]).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let request = Request::builder()
            .method(Method::POST)
            .uri(PATH)
            .header(HOST, self.collector.to_string().trim_start_matches("http://"))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(message.to_string())))?;
        let exchange = sender.send_request(request);
        let answer = tokio::select! {
            answer = exchange => answer?,
            Err(error) = connection => return Err(error.into()),
        };
        if answer.status().is_success() {
            Ok(())
        } else {
            Err(ExportError::Refused(answer.status()))
        }
    }
}

/// An `ExportTraceServiceRequest`.
fn message(node: &str, spans: &[Span]) -> Value {
    let resource = [
        ("service.name", text("kingcdn-edge")),
        ("service.instance.id", text(node)),
        ("service.version", text(env!("CARGO_PKG_VERSION"))),
    ];
    json!({ "resourceSpans": [{
        "resource": { "attributes": attributes(resource) },
        "scopeSpans": [{
            "scope": { "name": "kingcdn" },
            "spans": spans.iter().map(span).collect::<Vec<_>>(),
        }],
    }] })
}

fn span(span: &Span) -> Value {
    let (kind, name, attributes, failed) = match &span.what {
        What::Request(request) => {
            let attributes = attributes([
                ("http.request.method", text(&request.method)),
                ("url.path", text(&request.path)),
                ("http.response.status_code", number(request.status.into())),
                ("http.response.body.size", number(request.bytes)),
                ("kingcdn.site", text(&request.site)),
                ("kingcdn.cache", text(request.cache)),
                ("kingcdn.reason", text(request.reason)),
            ]);
            let failed = request.status >= 500 || !request.complete;
            (SERVER, format!("{} {}", request.method, request.site), attributes, failed)
        }
        What::Attempt { origin, outcome } => {
            let outcome_is = match outcome {
                Ok(status) => ("http.response.status_code", number((*status).into())),
                Err(error) => ("error.type", text(error.as_str())),
            };
            let host = match &origin.host {
                OriginHost::Name(name) => name.to_string(),
                OriginHost::Address(address) => address.to_string(),
            };
            let host = ("server.address", text(&host));
            let port = ("server.port", number(origin.port.into()));
            let failed = outcome.as_ref().map_or(true, |status| *status >= 500);
            (CLIENT, "origin".to_owned(), attributes([host, port, outcome_is]), failed)
        }
    };
    let open = &span.open;
    json!({
        "traceId": format!("{:032x}", open.trace),
        "spanId": format!("{:016x}", open.span),
        "parentSpanId": open.parent.map_or_else(String::new, |parent| format!("{parent:016x}")),
        "name": name,
        "kind": kind,
        "startTimeUnixNano": open.started_nanos.to_string(),
        "endTimeUnixNano": span.ended_nanos.to_string(),
        "attributes": attributes,
        "status": if failed { json!({ "code": ERROR }) } else { json!({}) },
    })
}

fn attributes<const N: usize>(all: [(&str, Value); N]) -> Value {
    all.into_iter().map(|(key, value)| json!({ "key": key, "value": value })).collect()
}

fn text(value: &str) -> Value {
    json!({ "stringValue": value })
}

/// JSON's numbers aren't precise enough for 64 bits: Protobuf's mapping writes them as text.
fn number(value: u64) -> Value {
    json!({ "intValue": value.to_string() })
}
