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
    let body = vec![7; 6 << 20];
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
