//! A collector gets the spans of requests and of attempts at origins, and origins are told.

#![allow(clippy::unwrap_used)] // What fails here fails the test.

mod stage;

use std::collections::HashMap;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use stage::{Answer, Stage};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// A collector: what it was sent, message by message.
async fn collector() -> (SocketAddr, mpsc::UnboundedReceiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, messages) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let sender = sender.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                let sender = sender.clone();
                async move {
                    assert_eq!(
                        (request.method().as_str(), request.uri().path()),
                        ("POST", "/v1/traces")
                    );
                    assert_eq!(request.headers()["content-type"], "application/json");
                    let message = request.into_body().collect().await?.to_bytes();
                    sender.send(serde_json::from_slice(&message).unwrap()).unwrap();
                    Ok::<_, hyper::Error>(Response::new(Empty::<Bytes>::new()))
                }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    (address, messages)
}

async fn traced(collector: SocketAddr, sampling: u8) -> Stage {
    let telemetry =
        format!("[telemetry]\notlp = \"http://{collector}\"\nsampling = \"{sampling}%\"\n");
    let stage = Stage::with(&telemetry).await;
    stage.origin.on("/film", Answer::fresh("film"));
    stage
}

/// Attributes by key, whatever their type.
fn attributes(of: &Value) -> HashMap<&str, &str> {
    of["attributes"].as_array().unwrap().iter().map(attribute_of).collect()
}

fn attribute_of(attribute: &Value) -> (&str, &str) {
    let value = &attribute["value"];
    let value = value["stringValue"].as_str().or(value["intValue"].as_str());
    (attribute["key"].as_str().unwrap(), value.unwrap())
}

#[tokio::test]
async fn a_miss_has_an_attempt_at_the_origin_below_it_and_a_hit_has_none() {
    let (collector, mut messages) = collector().await;
    let stage = traced(collector, 100).await;
    let claims = [
        ("traceparent", "00-11111111111111111111111111111111-2222222222222222-01"),
        ("tracestate", "a=b"),
    ];
    for _ in 0..2 {
        let got = stage.get_with("/film", &claims).await;
        assert_eq!(got.text(), "film");
    }

    let mut spans = Vec::new();
    while spans.len() < 3 {
        let message = messages.recv().await.unwrap();
        let resource = &message["resourceSpans"][0];
        assert_eq!(attributes(&resource["resource"])["service.instance.id"], "seoul");
        spans.extend(resource["scopeSpans"][0]["spans"].as_array().unwrap().clone());
    }
    let find = |cache: &str| {
        spans.iter().find(|span| attributes(span).get("kingcdn.cache") == Some(&cache)).unwrap()
    };
    let (miss, hit) = (find("miss"), find("hit"));
    let attempt = spans.iter().find(|span| span["kind"] == 3).unwrap();
    assert_eq!((&miss["kind"], &miss["parentSpanId"]), (&2.into(), &"".into()));
    assert_eq!(attempt["parentSpanId"], miss["spanId"]);
    assert_eq!(attempt["traceId"], miss["traceId"]);
    assert_ne!(hit["traceId"], miss["traceId"]);
    assert_eq!(attributes(attempt)["http.response.status_code"], "200");
    let said = attributes(miss);
    assert_eq!((said["kingcdn.site"], said["url.path"]), ("netcinema", "/film"));
    assert_eq!(said["http.response.body.size"], "4");
    let nanos = |span: &Value, key: &str| span[key].as_str().unwrap().parse::<u64>().unwrap();
    assert!(nanos(miss, "startTimeUnixNano") <= nanos(attempt, "startTimeUnixNano"));
    assert!(nanos(attempt, "endTimeUnixNano") <= nanos(miss, "endTimeUnixNano"));

    // The origin continues the trace; what the client claimed goes nowhere.
    let seen = stage.origin.seen();
    let told = format!(
        "00-{}-{}-01",
        attempt["traceId"].as_str().unwrap(),
        attempt["spanId"].as_str().unwrap()
    );
    assert_eq!(seen[0].field("traceparent"), told);
    assert_eq!(seen[0].field("tracestate"), "");
}

#[tokio::test]
async fn what_is_not_sampled_leaves_no_trace() {
    let (collector, mut messages) = collector().await;
    let stage = traced(collector, 0).await;
    let claims = [("traceparent", "00-11111111111111111111111111111111-2222222222222222-01")];
    stage.get_with("/film", &claims).await;
    assert_eq!(stage.origin.seen()[0].field("traceparent"), "");
    drop(stage);
    assert!(messages.try_recv().is_err());
}
