//! Stale objects: confirmed, replaced, refreshed behind; and clients that have a copy themselves.

mod stage;

use stage::{Answer, Stage};

#[tokio::test]
async fn a_stale_object_is_confirmed_by_its_etag_and_fresh_again() {
    let stage = Stage::new().await;
    stage.origin.on("/", Answer::fresh("page").etag("\"v1\"").field("x-round", "1"));
    stage.get("/").await;
    stage.origin.on("/", Answer::fresh("page").etag("\"v1\"").field("x-round", "2"));
    stage.elapse(61);
    let confirmed = stage.get("/").await;
    assert_eq!(confirmed.cache(), "fwd=stale; fwd-status=304; ttl=60");
    assert_eq!((confirmed.text(), confirmed.field("age")), ("page", "0"));
    assert_eq!(confirmed.field("x-round"), "2", "a 304 updates the fields");
    assert_eq!(stage.origin.last().field("if-none-match"), "\"v1\"");
    assert!(stage.get("/").await.is_hit());
    assert_eq!(stage.counted("revalidated"), 1.0);
}

#[tokio::test]
async fn a_stale_object_that_changed_is_replaced() {
    let stage = Stage::new().await;
    stage.origin.on("/", Answer::fresh("old").etag("\"v1\""));
    stage.get("/").await;
    stage.origin.on("/", Answer::fresh("new").etag("\"v2\""));
    stage.elapse(61);
    let got = stage.get("/").await;
    assert_eq!((got.cache(), got.text()), ("fwd=stale; fwd-status=200; stored; ttl=60", "new"));
    assert_eq!(stage.get("/").await.text(), "new");
}

#[tokio::test]
async fn last_modified_is_a_validator_too() {
    const DATE: &str = "Fri, 20 Nov 2026 12:00:00 GMT";
    let stage = Stage::new().await;
    stage.origin.on("/", Answer::fresh("page").field("last-modified", DATE));
    stage.get("/").await;
    stage.elapse(61);
    stage.get("/").await;
    assert_eq!(stage.origin.last().field("if-modified-since"), DATE);
}

#[tokio::test]
async fn a_304_for_something_else_confirms_nothing() {
    let stage = Stage::new().await;
    stage.origin.on("/", Answer::fresh("old").etag("\"v1\""));
    stage.get("/").await;
    stage.elapse(61);
    stage.origin.on("/", Answer::new(304).field("etag", "\"v9\""));
    let got = stage.get("/").await;
    assert_ne!(got.text(), "", "an unconditional 304 is no answer either: stale stands in");
    assert_eq!(got.cache(), "fwd=stale; ttl=-1; detail=origin-protocol-error");
    assert_eq!(stage.origin.last().field("if-none-match"), "", "asked again for the whole");
}

#[tokio::test]
async fn no_cache_is_stored_and_confirmed_each_time() {
    let stage = Stage::new().await;
    let answer = Answer::new(200).field("cache-control", "no-cache").etag("\"v1\"").send("page");
    stage.origin.on("/", answer);
    assert_eq!(stage.get("/").await.text(), "page");
    for _ in 0..3 {
        let got = stage.get("/").await;
        assert_eq!(
            (got.text(), got.field("cache-status")),
            ("page", "seoul; fwd=stale; fwd-status=304; ttl=0")
        );
    }
    assert_eq!(stage.origin.count(), 4);
}

#[tokio::test]
async fn a_client_that_has_it_is_told_so() {
    let stage = Stage::new().await;
    let date = "Fri, 20 Nov 2026 12:00:00 GMT";
    stage.origin.on("/", Answer::fresh("page").etag("\"v1\"").field("last-modified", date));
    stage.get("/").await;
    for (field, value, status) in [
        ("if-none-match", "\"v1\"", 304),
        ("if-none-match", "W/\"v1\", \"x\"", 304),
        ("if-none-match", "*", 304),
        ("if-none-match", "\"v2\"", 200),
        ("if-modified-since", date, 304),
        ("if-modified-since", "Thu, 19 Nov 2026 12:00:00 GMT", 200),
        ("if-match", "\"v1\"", 200),
        ("if-match", "\"v2\"", 412),
    ] {
        let got = stage.get_with("/", &[(field, value)]).await;
        assert_eq!(got.status.as_u16(), status, "{field}: {value}");
        if status == 304 {
            assert_eq!((got.field("etag"), got.text()), ("\"v1\"", ""));
            assert_eq!(got.field("content-type"), "");
        }
    }
    assert_eq!(stage.origin.count(), 1);
}

#[tokio::test]
async fn the_origin_is_asked_about_all_variants_at_once() {
    let stage = Stage::new().await;
    for (language, etag) in [("en", "\"e\""), ("ko", "\"k\"")] {
        let answer = Answer::fresh(language).field("vary", "accept-language").etag(etag);
        stage.origin.on("/", answer);
        stage.get_with("/", &[("accept-language", language)]).await;
    }
    // The origin has no French and gives English.
    stage
        .origin
        .on("/", Answer::new(304).field("etag", "\"e\"").field("cache-control", "max-age=60"));
    let french = stage.get_with("/", &[("accept-language", "fr")]).await;
    assert_eq!((french.text(), french.status.as_u16()), ("en", 200));
    assert_eq!(french.cache(), "fwd=vary-miss; fwd-status=304; ttl=60");
    assert_eq!(stage.origin.last().field("if-none-match"), "\"k\", \"e\"");
    for (language, body) in [("fr", "en"), ("en", "en"), ("ko", "ko")] {
        let got = stage.get_with("/", &[("accept-language", language)]).await;
        assert!(got.is_hit());
        assert_eq!(got.text(), body);
    }
}

#[tokio::test]
async fn with_nothing_held_the_origin_is_asked_about_the_clients_copy() {
    let stage = Stage::new().await;
    stage.origin.on("/", Answer::fresh("page").etag("\"v1\""));
    let got = stage.get_with("/", &[("if-none-match", "\"v1\"")]).await;
    assert_eq!((got.status.as_u16(), got.text()), (304, ""));
    assert_eq!(got.cache(), "fwd=uri-miss; fwd-status=304; detail=not-modified");
    let older = stage.get_with("/", &[("if-none-match", "\"v0\"")]).await;
    assert_eq!((older.status.as_u16(), older.text()), (200, "page"));
    assert!(stage.get("/").await.is_hit());
}

#[tokio::test]
async fn stale_while_revalidate_serves_at_once_and_refreshes_behind() {
    let stage = Stage::new().await;
    let answer = |body: &'static str| {
        let control = "max-age=60, stale-while-revalidate=30";
        Answer::new(200).field("cache-control", control).send(body)
    };
    stage.origin.on("/", answer("old"));
    stage.get("/").await;
    stage.origin.on("/", answer("new"));
    stage.elapse(70);
    let stale = stage.get("/").await;
    assert_eq!((stale.text(), stale.cache()), ("old", "hit; ttl=-10"));
    assert_eq!(stage.counted("stale"), 1.0);
    stage.origin.wait_for(2).await;
    while stage.get("/").await.text() != "new" {}
    assert_eq!(stage.origin.count(), 2);
}

#[tokio::test]
async fn a_refresh_behind_that_fails_rests_and_is_tried_again() {
    let stage = Stage::new().await;
    let control = "max-age=60, stale-while-revalidate=30";
    stage.origin.on("/", Answer::new(200).field("cache-control", control).send("old"));
    stage.get("/").await;
    stage.origin.on("/", Answer::new(500));
    stage.elapse(61);
    assert_eq!(stage.get("/").await.text(), "old");
    stage.origin.wait_for(2).await;
    while stage.metric("kingcdn_edge_fills", &[]) > 0.0 {
        tokio::task::yield_now().await;
    }
    for _ in 0..10 {
        assert_eq!(stage.get("/").await.text(), "old");
    }
    assert_eq!(stage.origin.count(), 2, "not each request tries again");
    stage.elapse(2);
    assert_eq!(stage.get("/").await.text(), "old");
    stage.origin.wait_for(3).await;
}

#[tokio::test]
async fn a_stale_object_is_validated_by_get_for_a_head_too() {
    let stage = Stage::new().await;
    stage.origin.on("/", Answer::fresh("old").etag("\"v1\""));
    stage.get("/").await;
    stage.origin.on("/", Answer::fresh("newer").etag("\"v2\""));
    stage.elapse(61);
    let head = stage.ask(http::Method::HEAD, "/", &[]).await;
    assert_eq!((head.field("content-length"), head.text()), ("5", ""));
    let seen = stage.origin.last();
    assert_eq!((seen.method.as_str(), seen.field("if-none-match")), ("GET", "\"v1\""));
    assert_eq!(stage.get("/").await.text(), "newer");
}
