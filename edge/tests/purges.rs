//! Purges: what is stored goes, what is on its way in isn't kept, and nobody waits for it.

mod stage;

use bytes::Bytes;
use kingcdn_edge::purge::{Mode, Scope};
use stage::{Answer, Gate, Stage};

const SITE: &str = "netcinema";

fn tagged(body: &str, tags: &str) -> Answer {
    Answer::fresh(body.to_owned()).field("surrogate-key", tags)
}

/// Never used stale.
fn strict(body: impl Into<Bytes>) -> Answer {
    Answer::new(200).field("cache-control", "max-age=60, must-revalidate").send(body)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_purged_is_fetched_anew_and_nothing_else() {
    let stage = Stage::new().await;
    let targets = ["/film/sea", "/film/sky", "/song"];
    for (scope, gone) in [
        (Scope::Tag(SITE, b"water"), ["/film/sea"].as_slice()),
        (Scope::Tag(SITE, b"hero"), &["/film/sea", "/film/sky"]),
        (Scope::Prefix(SITE, "/film/"), &["/film/sea", "/film/sky"]),
        (Scope::Object(SITE, "/song"), &["/song"]),
        (Scope::Object("other", "/song"), &[]),
        (Scope::Site(SITE), &targets),
        (Scope::Everything, &targets),
    ] {
        stage.origin.on("/film/sea", tagged("sea", "water hero"));
        stage.origin.on("/film/sky", tagged("sky", "hero"));
        stage.origin.on("/song", Answer::fresh("song"));
        for target in targets {
            stage.get(target).await;
            assert!(stage.get(target).await.is_hit(), "{target}");
        }
        stage.edge.purge(scope, Mode::Hard).unwrap();
        for target in targets {
            let got = stage.get(target).await;
            assert_eq!(got.is_hit(), !gone.contains(&target), "{scope:?} {target}");
            if !got.is_hit() {
                assert_eq!(got.cache(), "fwd=uri-miss; fwd-status=200; stored; ttl=60");
            }
            assert!(stage.get(target).await.is_hit(), "{scope:?} {target}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_soft_purge_has_it_validated_once() {
    let stage = Stage::new().await;
    stage.origin.on("/", strict("front").field("surrogate-key", "page").etag("\"v1\""));
    stage.get("/").await;
    stage.edge.purge(Scope::Tag(SITE, b"page"), Mode::Soft).unwrap();
    let got = stage.get("/").await;
    assert_eq!((got.cache(), got.text()), ("fwd=stale; fwd-status=304; ttl=60", "front"));
    assert!(stage.get("/").await.is_hit(), "confirmed after the purge");
    assert_eq!(stage.origin.count(), 2);
    // What confirmed it keeps its tags.
    stage.edge.purge(Scope::Tag(SITE, b"page"), Mode::Hard).unwrap();
    assert_eq!(stage.get("/").await.cache(), "fwd=uri-miss; fwd-status=200; stored; ttl=60");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_purged_softly_stands_in_while_it_is_refreshed_or_its_origin_fails() {
    let stage = Stage::new().await;
    let lenient = |body: &str| {
        Answer::new(200)
            .field("cache-control", "max-age=60, stale-while-revalidate=60, stale-if-error=60")
            .send(body.to_owned())
    };
    stage.origin.on("/", lenient("old"));
    stage.get("/").await;
    stage.origin.on("/", lenient("new"));
    stage.edge.purge(Scope::Site(SITE), Mode::Soft).unwrap();
    let before = stage.origin.count();
    let got = stage.get("/").await;
    assert_eq!((got.cache(), got.text()), ("hit; ttl=0", "old"));
    stage.origin.wait_for(before + 1).await;
    // The refresh is nobody's: it is there some time after its origin was asked.
    while stage.get("/").await.text() == "old" {
        tokio::task::yield_now().await;
    }
    assert!(stage.get("/").await.is_hit());
    stage.origin.on("/song", Answer::fresh("song"));
    stage.get("/song").await;
    stage.origin.on("/song", Answer::new(503));
    stage.edge.purge(Scope::Site(SITE), Mode::Soft).unwrap();
    assert_eq!(stage.get("/song").await.text(), "song");
    stage.edge.purge(Scope::Site(SITE), Mode::Hard).unwrap();
    assert_eq!(stage.get("/song").await.status, 503, "nothing is left to stand in");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_under_way_when_the_purge_comes_is_neither_kept_nor_joined() {
    let stage = Stage::new().await;
    for scope in [Scope::Tag(SITE, b"hero"), Scope::Prefix(SITE, "/film/"), Scope::Everything] {
        let (head, middle) = (Gate::new(), Gate::new());
        let slow = tagged("old", "hero").wait(&middle);
        for (target, answer) in [("/film/head", slow.clone().hold(&head)), ("/film/body", slow)] {
            stage.edge.purge(Scope::Everything, Mode::Hard).unwrap();
            let before = stage.origin.count();
            stage.origin.on(target, answer);
            let address = stage.address();
            let first = tokio::spawn(async move {
                let body = Bytes::new();
                stage::open(address, http::Method::GET, target, &[], body).await.finish().await
            });
            stage.origin.wait_for(before + 1).await;
            stage.edge.purge(scope, Mode::Hard).unwrap();
            stage.origin.on(target, tagged("new", "hero"));
            assert_eq!(stage.get(target).await.text(), "new", "{scope:?} {target}");
            head.open(1);
            middle.open(1);
            let first = first.await.unwrap();
            assert!(first.complete && first.text() == "old");
            let got = stage.get(target).await;
            assert_eq!((got.text(), got.is_hit()), ("new", true), "{scope:?} {target}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slices_go_with_their_object() {
    let stage = Stage::new().await;
    let content = Answer::content(2 << 20, 0);
    stage.origin.on("/video", strict(content.clone()).etag("\"v1\"").ranges());
    stage.get("/video").await;
    assert!(stage.get("/video").await.is_hit());
    stage.edge.purge(Scope::Object(SITE, "/video"), Mode::Soft).unwrap();
    assert_eq!(stage.get("/video").await.cache(), "fwd=stale; fwd-status=304; ttl=60");
    assert_eq!(stage.origin.count(), 2, "its slices are still good");
    stage.edge.purge(Scope::Object(SITE, "/video"), Mode::Hard).unwrap();
    let other = Answer::content(2 << 20, 0xff);
    // An origin that forgot to change the ETag.
    stage.origin.on("/video", Answer::fresh(other.clone()).etag("\"v1\"").ranges());
    let got = stage.get("/video").await;
    assert!(got.complete && got.body == other);
    assert!(stage.get("/video").await.body == other);
}
