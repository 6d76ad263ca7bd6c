//! Parts of objects: fetched, stored, put together and served (RFC 9111 sections 3.3 and 3.4).

mod stage;

use stage::{Answer, Stage};

const WHOLE: &str = "0123456789";

/// A suffix is asked for as such: where it begins, only the origin knows.
async fn ask(stage: &Stage, range: &str) -> stage::Got {
    stage.get_with("/", &[("range", range)]).await
}

async fn with_the_last_five() -> Stage {
    let stage = Stage::new().await;
    stage.origin.on("/", Answer::part(WHOLE, 5, 9).etag("\"v1\""));
    let first = ask(&stage, "bytes=-5").await;
    assert_eq!((first.status.as_u16(), first.text()), (206, "56789"));
    assert_eq!(first.cache(), "fwd=uri-miss; fwd-status=206; stored; ttl=60");
    assert_eq!(stage.origin.last().field("range"), "bytes=-5");
    stage
}

#[tokio::test]
async fn what_lies_within_a_stored_part_is_served_from_it() {
    let stage = with_the_last_five().await;
    stage.elapse(3);
    for (range, content_range, body) in [
        ("bytes=-5", "bytes 5-9/10", "56789"),
        ("bytes=-2", "bytes 8-9/10", "89"),
        ("bytes=6-7", "bytes 6-7/10", "67"),
        ("bytes=9-", "bytes 9-9/10", "9"),
    ] {
        let got = ask(&stage, range).await;
        assert_eq!((got.status.as_u16(), got.text()), (206, body), "{range}");
        assert_eq!((got.field("content-range"), got.cache()), (content_range, "hit; ttl=57"));
        assert_eq!(got.field("content-length"), body.len().to_string());
    }
    assert_eq!(ask(&stage, "bytes=10-").await.status, 416);
    let head = stage.ask(http::Method::HEAD, "/", &[]).await;
    assert_eq!((head.status.as_u16(), head.field("content-length")), (200, "10"));
    assert_eq!(stage.origin.count(), 1);
}

#[tokio::test]
async fn a_part_that_is_lacking_is_fetched_and_joins_the_others() {
    let stage = with_the_last_five().await;
    stage.origin.on("/", Answer::part(WHOLE, 0, 4).etag("\"v1\""));
    let got = ask(&stage, "bytes=0-4").await;
    assert_eq!((got.text(), got.cache()), ("01234", "fwd=partial; fwd-status=206; stored; ttl=60"));
    assert_eq!(stage.origin.last().field("range"), "bytes=0-4");
    for (range, body) in [("bytes=3-6", "3456"), ("bytes=0-9", WHOLE)] {
        let got = ask(&stage, range).await;
        assert!(got.is_hit(), "{range}");
        assert_eq!(got.text(), body);
    }
    let whole = stage.get("/").await;
    assert!(whole.is_hit(), "both parts are the whole");
    assert_eq!((whole.status.as_u16(), whole.text()), (200, WHOLE));
    assert_eq!(stage.origin.count(), 2);
}

#[tokio::test]
async fn parts_of_two_versions_never_meet() {
    for etag in ["\"v2\"", "W/\"v1\""] {
        let stage = with_the_last_five().await;
        stage.origin.on("/", Answer::part(WHOLE, 0, 4).etag(etag));
        ask(&stage, "bytes=0-4").await;
        stage.origin.on("/", Answer::fresh("abcdefghij").etag("\"v3\""));
        let got = ask(&stage, "bytes=5-9").await;
        assert!(!got.is_hit(), "{etag}: the older part is gone");
        assert_eq!(stage.get("/").await.text(), "abcdefghij");
    }
}

#[tokio::test]
async fn the_whole_is_not_made_of_a_part() {
    let stage = with_the_last_five().await;
    stage.origin.on("/", Answer::fresh(WHOLE).etag("\"v1\""));
    let whole = stage.get("/").await;
    assert_eq!((whole.status.as_u16(), whole.text()), (200, WHOLE));
    assert_eq!(whole.cache(), "fwd=partial; fwd-status=200; stored; ttl=60");
    assert_eq!(stage.origin.last().field("range"), "");
    assert!(stage.get("/").await.is_hit());
}

#[tokio::test]
async fn a_stale_part_is_confirmed_like_a_whole() {
    let stage = with_the_last_five().await;
    stage.elapse(61);
    let got = ask(&stage, "bytes=-3").await;
    assert_eq!((got.text(), got.cache()), ("789", "fwd=stale; fwd-status=304; ttl=60"));
    assert!(ask(&stage, "bytes=-3").await.is_hit());
}

#[tokio::test]
async fn a_part_that_is_not_what_it_says_is_not_kept() {
    let stage = Stage::new().await;
    for (content_range, body) in [
        ("bytes 5-9/10", "567"),
        ("bytes 5-9/*", "56789"),
        ("bytes 5-4/10", "5"),
        ("lines 5-9/10", "56789"),
    ] {
        let answer = Answer::new(206).field("cache-control", "max-age=60").etag("\"v1\"");
        stage.origin.on("/", answer.field("content-range", content_range).send(body));
        ask(&stage, "bytes=-5").await;
        let before = stage.origin.count();
        ask(&stage, "bytes=-5").await;
        assert_eq!(stage.origin.count(), before + 1, "{content_range}");
    }
}

#[tokio::test]
async fn an_origin_without_ranges_gives_the_whole_and_the_client_gets_its_part() {
    let stage = Stage::new().await;
    stage.origin.on("/", Answer::fresh(WHOLE).etag("\"v1\""));
    let got = ask(&stage, "bytes=-3").await;
    assert_eq!((got.status.as_u16(), got.text()), (206, "789"));
    assert!(stage.get("/").await.is_hit());
}
