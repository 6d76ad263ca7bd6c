//! One fetch for many: who shares it, who doesn't, and what happens when it fails.

mod stage;

use std::time::Duration;

use bytes::Bytes;
use stage::{Answer, Gate, Stage};

/// So many clients ask at once.
const CROWD: usize = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_causes_one_fetch_and_all_stream_as_bytes_arrive() {
    let stage = Stage::new().await;
    let rest = Gate::new();
    stage.origin.on("/live", Answer::fresh("first ").wait(&rest).send("last"));
    let mut opened = Vec::new();
    for _ in 0..CROWD {
        opened.push(stage.open("/live", &[]).await);
    }
    for client in &mut opened {
        assert_eq!(client.piece().await.unwrap().unwrap(), "first ", "before the origin is done");
    }
    assert_eq!(stage.origin.count(), 1);
    rest.open(1);
    for client in opened {
        let got = client.finish().await;
        assert!(got.complete);
        assert_eq!(got.text(), "last");
    }
    let late = stage.get("/live").await;
    assert!(late.is_hit());
    assert_eq!((late.text(), stage.origin.count()), ("first last", 1));
}

#[tokio::test]
async fn the_fetch_goes_on_when_the_client_that_caused_it_leaves() {
    let stage = Stage::new().await;
    let rest = Gate::new();
    stage.origin.on("/", Answer::fresh("first ").wait(&rest).send("last"));
    let mut leader = stage.open("/", &[]).await;
    leader.piece().await.unwrap().unwrap();
    let follower = stage.open("/", &[]).await;
    assert!(follower.response.headers()["cache-status"].to_str().unwrap().contains("collapsed"));
    drop(leader);
    rest.open(1);
    assert_eq!(follower.finish().await.text(), "first last");
    assert!(stage.get("/").await.is_hit());
}

#[tokio::test]
async fn an_origin_that_breaks_off_breaks_all_answers_and_nothing_is_kept() {
    let stage = Stage::new().await;
    let (rest, broken) = (Gate::new(), Answer::fresh("first "));
    stage.origin.on("/", broken.announce(100).wait(&rest).break_off());
    let mut clients = [stage.open("/", &[]).await, stage.open("/", &[]).await];
    for client in &mut clients {
        assert_eq!(client.piece().await.unwrap().unwrap(), "first ");
    }
    rest.open(1);
    for client in clients {
        assert!(!client.finish().await.complete, "a short body must not look whole");
    }
    stage.origin.on("/", Answer::fresh("whole"));
    let next = stage.get("/").await;
    assert_eq!((next.text(), next.is_hit()), ("whole", false));
}

#[tokio::test]
async fn a_chunked_answer_that_breaks_off_is_no_clean_end_either() {
    let stage = Stage::new().await;
    let rest = Gate::new();
    stage.origin.on("/", Answer::fresh("first ").wait(&rest).break_off());
    let mut client = stage.open("/", &[]).await;
    assert_eq!(client.piece().await.unwrap().unwrap(), "first ");
    rest.open(100);
    assert!(!client.finish().await.complete);
    assert!(!stage.get("/").await.is_hit());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_for_one_user_are_fetched_side_by_side() {
    let stage = Stage::new().await;
    let gate = Gate::new();
    let private = Answer::new(200).field("cache-control", "private").hold(&gate).send("yours");
    stage.origin.on("/me", private);
    let clients: Vec<_> = (0..20)
        .map(|_| {
            let address = stage.address();
            tokio::spawn(async move {
                stage::open(address, http::Method::GET, "/me", &[], Bytes::new())
                    .await
                    .finish()
                    .await
            })
        })
        .collect();
    // The first learns that nobody may share; then all the others ask at once, none after another.
    stage.origin.wait_for(1).await;
    gate.open(1);
    stage.origin.wait_for(20).await;
    gate.open(19);
    for client in clients {
        let got = client.await.unwrap();
        assert_eq!(got.text(), "yours");
        assert!(!got.cache().contains("collapsed"));
    }
    assert_eq!(stage.origin.count(), 20);
}

#[tokio::test]
async fn a_follower_of_another_variant_fetches_its_own() {
    let stage = Stage::new().await;
    let gate = Gate::new();
    stage.origin.on("/", Answer::fresh("en").field("vary", "accept-language").hold(&gate));
    let address = stage.address();
    let ask = |language: &'static str| {
        tokio::spawn(async move {
            let fields = [("accept-language", language)];
            let opened = stage::open(address, http::Method::GET, "/", &fields, Bytes::new()).await;
            opened.finish().await
        })
    };
    let english = ask("en");
    stage.origin.wait_for(1).await;
    let korean = ask("ko");
    // The Korean client can only be waiting for the English one's answer now, or not be there
    // yet; either way it must not get it.
    stage.origin.on("/", Answer::fresh("ko").field("vary", "accept-language"));
    gate.open(1);
    assert_eq!(english.await.unwrap().text(), "en");
    assert_eq!(korean.await.unwrap().text(), "ko");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_slows_nobody() {
    let stage = Stage::new().await;
    // More than the sockets' buffers hold.
    let body = vec![7; 11 << 19];
    stage.origin.on("/", Answer::fresh(body.clone()));
    let slow = stage.open("/", &[]).await;
    let quick = tokio::time::timeout(Duration::from_secs(20), stage.get("/")).await.unwrap();
    assert_eq!(quick.body.len(), body.len());
    let slow = slow.finish().await;
    assert!(slow.complete && slow.body == body);
    assert_eq!(stage.origin.count(), 1);
}

#[tokio::test]
async fn what_is_too_large_to_keep_streams_through() {
    let stage = Stage::new().await;
    // 64 MiB of memory keep no object of 16 MiB.
    let piece = Bytes::from(vec![7; 1 << 20]);
    let mut answer = Answer::new(200).field("cache-control", "max-age=60");
    for _ in 0..16 {
        answer = answer.send(piece.clone());
    }
    stage.origin.on("/chunked", answer.clone());
    stage.origin.on("/announced", answer.announce(16 << 20));
    for (target, detail) in [("/announced", "detail=too-large"), ("/chunked", "ttl=60")] {
        let got = stage.get(target).await;
        assert!(got.complete && got.body.len() == 16 << 20, "{target}");
        assert!(got.cache().ends_with(detail), "{target}: {}", got.cache());
        assert!(!stage.get(target).await.is_hit(), "{target}");
    }
    assert_eq!(stage.origin.count(), 4);
    assert_eq!(stage.metric("kingcdn_edge_not_stored_total", &[("reason", "too-large")]), 4.0);
}

#[tokio::test]
async fn one_fetch_confirms_for_a_crowd() {
    let stage = Stage::new().await;
    stage.origin.on("/", Answer::fresh("page").etag("\"v1\""));
    stage.get("/").await;
    stage.elapse(61);
    let gate = Gate::new();
    stage.origin.on("/", Answer::fresh("page").etag("\"v1\"").hold(&gate));
    let address = stage.address();
    let clients: Vec<_> = (0..20)
        .map(|_| {
            tokio::spawn(async move {
                stage::open(address, http::Method::GET, "/", &[], Bytes::new()).await.finish().await
            })
        })
        .collect();
    stage.origin.wait_for(2).await;
    gate.open(1);
    for client in clients {
        assert_eq!(client.await.unwrap().text(), "page");
    }
    assert_eq!(stage.origin.count(), 2);
}

#[tokio::test]
async fn one_clients_304_is_nobody_elses_answer() {
    let stage = Stage::new().await;
    let gate = Gate::new();
    stage.origin.on("/", Answer::fresh("page").etag("\"v1\"").hold(&gate));
    let address = stage.address();
    let ask = |fields: &'static [(&'static str, &'static str)]| {
        tokio::spawn(async move {
            let opened = stage::open(address, http::Method::GET, "/", fields, Bytes::new()).await;
            opened.finish().await
        })
    };
    let has_it = ask(&[("if-none-match", "\"v1\"")]);
    stage.origin.wait_for(1).await;
    let others: Vec<_> = (0..10).map(|_| ask(&[])).collect();
    gate.open(100);
    assert_eq!(has_it.await.unwrap().status, 304);
    for other in others {
        assert_eq!(other.await.unwrap().text(), "page");
    }
    assert!(stage.origin.count() <= 3, "{}", stage.origin.count());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_on_a_failing_origin_shares_an_error_where_the_site_says_so() {
    for (site, fetches) in [("", 20), ("[site.cache]\nnegative_ttl = { 5xx = \"1s\" }", 1)] {
        let stage = Stage::with(site).await;
        let gate = Gate::new();
        stage.origin.on("/", Answer::new(500).hold(&gate).send("oops"));
        let address = stage.address();
        let clients: Vec<_> = (0..20)
            .map(|_| {
                tokio::spawn(async move {
                    let opened = stage::open(address, http::Method::GET, "/", &[], Bytes::new());
                    opened.await.finish().await
                })
            })
            .collect();
        stage.origin.wait_for(1).await;
        gate.open(20);
        for client in clients {
            assert_eq!(client.await.unwrap().text(), "oops");
        }
        assert_eq!(stage.origin.count(), fetches, "{site}");
    }
}

/// A request whose answer is for nobody else keeps a crowd neither waiting nor apart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_who_asks_for_himself_keeps_nobody_from_sharing() {
    for field in [("cache-control", "no-store"), ("authorization", "Basic YTpi")] {
        let stage = Stage::new().await;
        let gate = Gate::new();
        stage.origin.on("/", Answer::fresh("page").hold(&gate));
        let address = stage.address();
        let ask = |fields: &'static [(&'static str, &'static str)]| {
            tokio::spawn(async move {
                let opened = stage::open(address, http::Method::GET, "/", fields, Bytes::new());
                opened.await.finish().await
            })
        };
        let fields: &'static [_] = Box::leak(Box::new([field]));
        let alone = [ask(fields), ask(fields)];
        let asked_alone = if field.0 == "authorization" { 1 } else { 2 };
        stage.origin.wait_for(asked_alone).await;
        let crowd: Vec<_> = (0..20).map(|_| ask(&[])).collect();
        stage.origin.wait_for(asked_alone + 1).await;
        gate.open(100);
        for client in crowd.into_iter().chain(alone) {
            assert_eq!(client.await.unwrap().text(), "page");
        }
        let seen = stage.origin.seen();
        let shared = seen.iter().filter(|seen| !seen.headers.contains_key(field.0)).count();
        assert_eq!(shared, 1, "{field:?}");
        assert!(stage.get("/").await.is_hit());
    }
}

/// A range that lies outside of the object says nothing about the object.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_range_beyond_the_end_keeps_nobody_from_sharing() {
    let stage = Stage::new().await;
    stage.origin.on("/", Answer::new(416).field("content-range", "bytes */9"));
    let range = [("range", "bytes=5000000-5000009")];
    assert_eq!(stage.get_with("/", &range).await.status, 416);
    let gate = Gate::new();
    stage.origin.on("/", Answer::fresh("page").hold(&gate));
    let before = stage.origin.count();
    let clients: Vec<_> = (0..20)
        .map(|_| {
            let address = stage.address();
            tokio::spawn(async move {
                let opened = stage::open(address, http::Method::GET, "/", &[], Bytes::new());
                opened.await.finish().await
            })
        })
        .collect();
    stage.origin.wait_for(before + 1).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    gate.open(100);
    for client in clients {
        assert_eq!(client.await.unwrap().text(), "page");
    }
    assert_eq!(stage.origin.count(), before + 1);
}

#[tokio::test]
async fn a_small_answer_that_breaks_off_is_taken_up_where_it_ended() {
    for cache_control in ["max-age=60", "no-store"] {
        let stage = Stage::new().await;
        let answer = Answer::new(200).field("cache-control", cache_control).etag("\"v1\"");
        stage.origin.on("/", answer.send("0123456789").ranges().breaks_after(4));
        let got = stage.get("/").await;
        assert!(got.complete, "{cache_control}");
        assert_eq!((got.text(), got.field("content-length")), ("0123456789", "10"));
        let asked: Vec<_> =
            stage.origin.seen().iter().map(|seen| seen.field("range").to_owned()).collect();
        assert_eq!(asked, ["", "bytes=4-9", "bytes=8-9"], "{cache_control}");
        assert_eq!(stage.origin.last().field("if-range"), "\"v1\"");
        assert_eq!(stage.metric("kingcdn_edge_resumed_total", &[]), 2.0);
        let again = stage.get("/").await;
        assert_eq!((again.text(), again.is_hit()), ("0123456789", cache_control != "no-store"));
    }
}

#[tokio::test]
async fn what_breaks_off_stays_broken_where_nothing_says_that_the_rest_is_of_the_same() {
    for (before, after) in [("", ""), ("W/\"v1\"", "W/\"v1\""), ("\"v1\"", "\"v2\"")] {
        let stage = Stage::new().await;
        let gate = Gate::new();
        let with =
            |answer: Answer, etag: &str| if etag.is_empty() { answer } else { answer.etag(etag) };
        let broken = Answer::fresh("0123").announce(10).wait(&gate).break_off();
        stage.origin.on("/", with(broken, before));
        let mut client = stage.open("/", &[]).await;
        assert_eq!(client.piece().await.unwrap().unwrap(), "0123");
        stage.origin.on("/", with(Answer::fresh("0123456789").ranges(), after));
        gate.open(1);
        let got = client.finish().await;
        assert!(!got.complete && got.body.is_empty(), "{before}: {:?}", got.body);
        assert!(!stage.get("/").await.is_hit());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_of_something_unknown_is_fetched_once_for_all_who_want_it() {
    let (small, large) = (10, 1 << 20);
    for length in [small, large] {
        let stage = Stage::new().await;
        let gate = Gate::new();
        let content = Answer::content(length, 0);
        let answer = Answer::fresh(content.clone()).etag("\"v1\"").ranges();
        stage.origin.on("/", answer.hold(&gate));
        let clients: Vec<_> = (0..20)
            .map(|_| {
                let address = stage.address();
                let range = [("range", "bytes=-5")];
                tokio::spawn(async move {
                    stage::open(address, http::Method::GET, "/", &range, Bytes::new())
                        .await
                        .finish()
                        .await
                })
            })
            .collect();
        stage.origin.wait_for(1).await;
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        gate.open(100);
        for client in clients {
            let got = client.await.unwrap();
            assert_eq!((got.status.as_u16(), &got.body), (206, &content.slice(length - 5..)));
            let range = format!("bytes {}-{}/{length}", length - 5, length - 1);
            assert_eq!(got.field("content-range"), range);
        }
        // A large one's end goes with its last slices.
        let asked = stage.origin.seen().iter().filter(|it| it.field("range") == "bytes=-5").count();
        assert_eq!(asked, 1, "{length}");
        assert!(stage.origin.count() <= 2, "{:?}", stage.origin.seen());
    }
}

/// An answer that turns out to vary costs one more fetch a variant, side by side, not one a client.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_on_several_variants_causes_one_fetch_for_each() {
    let stage = Stage::new().await;
    let gate = Gate::new();
    let answer = Answer::fresh("page").field("vary", "x-kind").hold(&gate);
    stage.origin.on("/", answer);
    let clients: Vec<_> = (0..40)
        .map(|number| {
            let address = stage.address();
            let kind = (number % 4).to_string();
            tokio::spawn(async move {
                let fields = [("x-kind", kind.as_str())];
                stage::open(address, http::Method::GET, "/", &fields, Bytes::new())
                    .await
                    .finish()
                    .await
            })
        })
        .collect();
    stage.origin.wait_for(1).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    gate.open(1);
    // All other variants at once.
    stage.origin.wait_for(4).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    gate.open(100);
    for client in clients {
        assert_eq!(client.await.unwrap().text(), "page");
    }
    assert_eq!(stage.origin.count(), 4);
    let kinds: std::collections::HashSet<_> =
        stage.origin.seen().iter().map(|seen| seen.field("x-kind").to_owned()).collect();
    assert_eq!(kinds.len(), 4, "each once");
}
