//! Origins in trouble: who still gets what.

mod stage;

use std::sync::Arc;
use std::time::Duration;

use kingcdn_config::clock::Clock;
use kingcdn_config::{DomainName, OriginUrl};
use kingcdn_edge::Edge;
use prometheus::Registry;
use stage::{Answer, Gate, Origin, START, Stage};

#[tokio::test]
async fn an_origin_that_is_gone() {
    let mut stage = Stage::new().await;
    let stale = |control: &str| Answer::new(200).field("cache-control", control).send("page");
    stage.origin.on("/fresh", stale("max-age=1000"));
    stage.origin.on("/stale", stale("max-age=60"));
    stage.origin.on("/strict", stale("max-age=60, must-revalidate"));
    stage.origin.on("/briefly", stale("max-age=60, stale-if-error=20"));
    for target in ["/fresh", "/stale", "/strict", "/briefly"] {
        stage.get(target).await;
    }
    stage.origin.stop().await;
    stage.elapse(75);
    for (target, status, cache) in [
        ("/fresh", 200, "hit; ttl=925"),
        ("/stale", 200, "fwd=stale; ttl=-15; detail=origin-unreachable"),
        ("/strict", 502, "fwd=stale; detail=origin-unreachable"),
        ("/briefly", 200, "fwd=stale; ttl=-15; detail=origin-unreachable"),
        ("/never-seen", 502, "fwd=uri-miss; detail=origin-unreachable"),
    ] {
        let got = stage.get(target).await;
        assert_eq!((got.status.as_u16(), got.cache()), (status, cache), "{target}");
        if status == 200 {
            assert_eq!(got.text(), "page");
        }
    }
    let unanswered = &[("class", "none")];
    assert_eq!(stage.metric("kingcdn_edge_origin_responses_total", unanswered), 4.0);
    assert_eq!(stage.metric("kingcdn_edge_origin_seconds", &[]), 4.0, "refusals aren't fast");
    stage.elapse(10);
    assert_eq!(stage.get("/briefly").await.status, 502, "its window has passed");
    stage.elapse(3600);
    assert_eq!(stage.get("/stale").await.status, 502, "so has the site's");
    assert_eq!(stage.counted("stale"), 2.0);
    assert_eq!(stage.counted("error"), 4.0);
}

#[tokio::test]
async fn an_origin_that_answers_with_errors() {
    let stage = Stage::new().await;
    stage.origin.on("/", Answer::fresh("page"));
    stage.get("/").await;
    stage.elapse(61);
    for status in [500, 502, 503, 504] {
        stage.origin.on("/", Answer::new(status).send("oops"));
        stage.origin.on("/other", Answer::new(status).send("oops"));
        let got = stage.get("/").await;
        assert_eq!((got.status.as_u16(), got.text()), (200, "page"), "{status}");
        let expected = format!("fwd=stale; fwd-status={status}; ttl=-1; detail=origin-error");
        assert_eq!(got.cache(), expected);
        let other = stage.get("/other").await;
        assert_eq!((other.status.as_u16(), other.text()), (status, "oops"), "passed on as it is");
    }
    stage.origin.on("/", Answer::new(404));
    assert_eq!(stage.get("/").await.status, 404, "gone isn't in trouble");
}

#[tokio::test]
async fn an_origin_that_keeps_silent_is_given_up_in_time() {
    let site = "[site.upstream]\nfirst_byte_timeout = \"300ms\"\nidle_timeout = \"300ms\"";
    let stage = Stage::with(site).await;
    let never = Gate::new();
    stage.origin.on("/", Answer::fresh("page").hold(&never));
    let got = stage.get("/").await;
    assert_eq!(
        (got.status.as_u16(), got.cache()),
        (504, "fwd=uri-miss; detail=origin-first-byte-timeout")
    );
    assert_eq!(stage.metric("kingcdn_edge_origin_seconds", &[]), 1.0, "patience is time, too");
    stage.origin.on("/half", Answer::fresh("half").wait(&never).send("never"));
    let got = stage.get("/half").await;
    assert!(!got.complete);
    assert_eq!(got.text(), "half");
}

#[tokio::test]
async fn the_next_origin_answers_what_is_safe_to_repeat() {
    let clock = Clock::manual(START);
    let (mut first, second) = (Origin::start(&clock).await, Origin::start(&clock).await);
    let config = stage::config(&[first.address, second.address], "");
    let registry = Registry::new();
    let edge = Edge::start(Arc::new(config), "seoul", clock.clone(), &registry).await.unwrap();
    let get = async |target: &'static str| {
        let address = edge.addresses()[0];
        let opened = stage::open(address, http::Method::GET, target, &[], bytes::Bytes::new());
        opened.await.finish().await
    };
    first.on("/busy", Answer::new(503).send("busy"));
    second.on("/busy", Answer::fresh("second"));
    assert_eq!(get("/busy").await.text(), "second");
    first.on("/only", Answer::fresh("first"));
    assert_eq!(get("/only").await.text(), "first", "one that answers stays the first choice");
    first.stop().await;
    second.on("/gone", Answer::fresh("second"));
    assert_eq!(get("/gone").await.text(), "second");
    second.on("/write", Answer::new(200).send("written"));
    let body = bytes::Bytes::from_static(b"x");
    let address = edge.addresses()[0];
    let got = stage::open(address, http::Method::POST, "/write", &[], body).await.finish().await;
    assert_eq!(got.text(), "written", "nothing of it was sent to the first");
}

#[tokio::test]
async fn the_edge_drains_and_loses_no_request_under_way() {
    let stage = Stage::new().await;
    let rest = Gate::new();
    stage.origin.on("/", Answer::fresh("first ").wait(&rest).send("last"));
    let opened = stage.open("/", &[]).await;
    let health = stage.get(kingcdn_config::status::HEALTH_PATH).await;
    assert_eq!((health.status.as_u16(), health.text()), (200, "ok\n"));
    stage.edge.begin_drain();
    let health = stage.get(kingcdn_config::status::HEALTH_PATH).await;
    assert_eq!((health.status.as_u16(), health.text()), (503, "draining\n"));
    let Stage { edge, origin, .. } = stage;
    let drained = tokio::spawn(async move { edge.drain(Duration::from_secs(20)).await });
    rest.open(1);
    assert_eq!(opened.finish().await.text(), "first last");
    assert!(drained.await.unwrap());
    drop(origin);
}

#[tokio::test]
async fn a_reload_takes_new_sites_over_and_keeps_what_is_stored() {
    let stage = Stage::new().await;
    stage.origin.on("/", Answer::fresh("page"));
    stage.get("/").await;
    assert_eq!(stage.get_with("/", &[("host", "new.test")]).await.status, 421);
    let mut config = stage::config(&[stage.origin.address], "");
    config.sites[0].hosts.push(DomainName::parse("new.test").unwrap());
    stage.edge.reload(&config);
    assert!(stage.get_with("/", &[("host", "new.test")]).await.is_hit());
    config.sites.clear();
    stage.edge.reload(&config);
    assert_eq!(stage.get("/").await.status, 421);
}

#[tokio::test]
async fn an_origin_may_have_a_name() {
    let clock = Clock::manual(START);
    let origin = Origin::start(&clock).await;
    origin.on("/", Answer::fresh("page"));
    let mut config = stage::config(&[origin.address], "");
    for (name, status) in [("localhost", 200), ("no-such-name.invalid", 502)] {
        let url = format!("http://{name}:{}", origin.address.port());
        config.sites[0].origins = vec![OriginUrl::parse(&url).unwrap()];
        let registry = Registry::new();
        let config = Arc::new(config.clone());
        let edge = Edge::start(config, "seoul", clock.clone(), &registry).await.unwrap();
        let address = edge.addresses()[0];
        let opened = stage::open(address, http::Method::GET, "/", &[], bytes::Bytes::new());
        assert_eq!(opened.await.finish().await.status.as_u16(), status, "{name}");
    }
}
