//! What is stored, when it is used again, and what the client sees of it.

mod stage;

use http::Method;
use stage::{Answer, Gate, Stage};

#[tokio::test]
async fn the_second_client_is_served_from_the_cache() {
    let stage = Stage::new().await;
    stage.origin.on("/film", Answer::fresh("frames").etag("\"v1\""));
    let first = stage.get("/film").await;
    assert_eq!(first.cache(), "fwd=uri-miss; fwd-status=200; stored; ttl=60");
    assert_eq!(
        (first.text(), first.field("age"), first.field("via")),
        ("frames", "0", "1.1 seoul")
    );
    stage.elapse(7);
    let second = stage.get("/film").await;
    assert_eq!((second.cache(), second.field("age")), ("hit; ttl=53", "7"));
    assert_eq!((second.text(), second.field("content-length")), ("frames", "6"));
    assert_eq!(stage.origin.count(), 1);
    assert_eq!((stage.counted("miss"), stage.counted("hit")), (1.0, 1.0));
    assert_eq!(stage.metric("kingcdn_edge_origin_requests_total", &[]), 1.0);
    assert_eq!(stage.metric("kingcdn_edge_bytes_total", &[("cache", "hit")]), 6.0);
    assert_eq!(stage.metric("kingcdn_edge_origin_bytes_total", &[]), 6.0);
    assert_eq!(stage.metric("kingcdn_edge_origin_responses_total", &[("class", "2xx")]), 1.0);
}

#[tokio::test]
async fn path_and_query_name_the_object_and_nothing_else() {
    let stage = Stage::new().await;
    for target in ["/a", "/a?x=1", "/a?x=2", "/A", "/a/"] {
        stage.origin.on(target, Answer::fresh(target.to_owned()));
        assert_eq!(stage.get(target).await.text(), target);
    }
    for target in ["/a", "/a?x=1", "/a?x=2", "/A", "/a/"] {
        let got = stage.get_with(target, &[("x-forwarded-host", "evil.example")]).await;
        assert!(got.is_hit());
        assert_eq!(got.text(), target);
    }
}

#[tokio::test]
async fn what_may_not_be_stored_is_fetched_each_time_and_says_why() {
    let stage = Stage::new().await;
    for (field, value, reason) in [
        ("cache-control", "no-store", "no-store"),
        ("cache-control", "private, max-age=60", "private"),
        ("set-cookie", "id=1", "set-cookie"),
        ("vary", "*", "vary-star"),
    ] {
        let target = format!("/{reason}");
        let answer = Answer::new(200).field("cache-control", "max-age=60").field(field, value);
        stage.origin.on(&target, answer.send("mine"));
        let before = stage.origin.count();
        for _ in 0..2 {
            let got = stage.get(&target).await;
            assert_eq!(got.text(), "mine");
            assert!(
                got.cache().ends_with(&format!("detail={reason}")),
                "{reason}: {}",
                got.cache()
            );
        }
        assert_eq!(stage.origin.count(), before + 2, "{reason}");
    }
}

#[tokio::test]
async fn vary_keeps_languages_apart() {
    let stage = Stage::new().await;
    for language in ["en", "ko"] {
        let answer = Answer::fresh(language).field("vary", "accept-language");
        stage.origin.on("/", answer);
        assert_eq!(stage.get_with("/", &[("accept-language", language)]).await.text(), language);
    }
    for language in ["en", "ko"] {
        let got = stage.get_with("/", &[("accept-language", language)]).await;
        assert!(got.is_hit());
        assert_eq!(got.text(), language);
    }
    let other = stage.get_with("/", &[("accept-language", "de")]).await;
    assert!(other.cache().starts_with("fwd=vary-miss"), "{}", other.cache());
}

#[tokio::test]
async fn head_is_answered_from_the_cache_and_passed_on_without_one() {
    let stage = Stage::new().await;
    stage.origin.on("/", Answer::fresh("page"));
    let passed = stage.ask(Method::HEAD, "/", &[]).await;
    assert_eq!((passed.status.as_u16(), passed.text()), (200, ""));
    assert_eq!(stage.origin.last().method, Method::HEAD);
    stage.get("/").await;
    let head = stage.ask(Method::HEAD, "/", &[]).await;
    assert!(head.is_hit());
    assert_eq!((head.field("content-length"), head.text()), ("4", ""));
    assert_eq!(stage.origin.count(), 2);
}

#[tokio::test]
async fn ranges_of_a_stored_object() {
    let stage = Stage::new().await;
    stage.origin.on("/", Answer::fresh("0123456789").etag("\"v1\"").field("content-type", "a/b"));
    stage.get("/").await;
    for (range, status, content_range, body) in [
        ("bytes=2-4", 206, "bytes 2-4/10", "234"),
        ("bytes=7-", 206, "bytes 7-9/10", "789"),
        ("bytes=-2", 206, "bytes 8-9/10", "89"),
        ("bytes=0-99", 206, "bytes 0-9/10", "0123456789"),
        ("bytes=10-", 416, "bytes */10", "The range lies outside the content.\n"),
        ("lines=1-2", 200, "", "0123456789"),
        ("bytes=4-2", 200, "", "0123456789"),
    ] {
        let got = stage.get_with("/", &[("range", range)]).await;
        let seen = (got.status.as_u16(), got.field("content-range"), got.text());
        assert_eq!(seen, (status, content_range, body), "{range}");
        assert_eq!(got.field("content-length"), body.len().to_string(), "{range}");
    }
    let several = stage.get_with("/", &[("range", "bytes=0-1,8-9")]).await;
    assert_eq!(several.status, 206);
    let boundary = several.field("content-type").strip_prefix("multipart/byteranges; boundary=");
    let boundary = boundary.unwrap();
    let expected = format!(
        "\r\n--{boundary}\r\nContent-Type: a/b\r\nContent-Range: bytes 0-1/10\r\n\r\n01\
         \r\n--{boundary}\r\nContent-Type: a/b\r\nContent-Range: bytes 8-9/10\r\n\r\n89\
         \r\n--{boundary}--\r\n"
    );
    assert_eq!(several.text(), expected);
    for (if_range, status) in [("\"v1\"", 206), ("\"v2\"", 200), ("W/\"v1\"", 200)] {
        let fields = [("range", "bytes=0-1"), ("if-range", if_range)];
        assert_eq!(stage.get_with("/", &fields).await.status.as_u16(), status, "{if_range}");
    }
    assert_eq!(stage.origin.count(), 1);
}

#[tokio::test]
async fn a_range_of_something_not_held_is_cut_out_of_the_whole() {
    let stage = Stage::new().await;
    stage.origin.on("/", Answer::fresh("0123456789").etag("\"v1\""));
    let got = stage.get_with("/", &[("range", "bytes=3-5")]).await;
    assert_eq!((got.status.as_u16(), got.text()), (206, "345"));
    assert_eq!(stage.origin.last().field("range"), "");
    assert!(stage.get("/").await.is_hit());
}

#[tokio::test]
async fn a_range_far_into_something_not_held_is_asked_for_as_such() {
    let stage = Stage::new().await;
    let part = Answer::new(206).field("content-range", "bytes 9000000-9000002/10000000");
    stage.origin.on("/", part.send("abc"));
    let got = stage.get_with("/", &[("range", "bytes=9000000-9000002")]).await;
    assert_eq!((got.status.as_u16(), got.text()), (206, "abc"));
    assert_eq!(stage.origin.last().field("range"), "bytes=9000000-9000002");
}

#[tokio::test]
async fn a_write_passes_through_and_takes_the_old_answer_with_it() {
    let stage = Stage::new().await;
    stage.origin.on("/list", Answer::fresh("old"));
    stage.get("/list").await;
    stage.origin.on("/list", Answer::new(201).send("created"));
    let body = bytes::Bytes::from_static(b"entry");
    let got = stage.send(Method::POST, "/list", &[], body).await;
    assert_eq!((got.status.as_u16(), got.text()), (201, "created"));
    assert_eq!(got.cache(), "fwd=method; fwd-status=201");
    assert_eq!(&stage.origin.last().body[..], b"entry");
    stage.origin.on("/list", Answer::fresh("new"));
    assert_eq!(stage.get("/list").await.text(), "new");
    stage.origin.on("/list", Answer::new(500));
    stage.send(Method::DELETE, "/list", &[], bytes::Bytes::new()).await;
    assert!(stage.get("/list").await.is_hit(), "an error changes nothing");
}

#[tokio::test]
async fn only_if_cached_never_reaches_the_origin() {
    let stage = Stage::new().await;
    let got = stage.get_with("/", &[("cache-control", "only-if-cached")]).await;
    assert_eq!((got.status.as_u16(), got.cache()), (504, "detail=only-if-cached"));
    assert_eq!(stage.origin.count(), 0);
}

#[tokio::test]
async fn one_who_presses_reload_is_obeyed_and_a_crowd_is_not() {
    let stage = Stage::new().await;
    stage.origin.on("/", Answer::fresh("page").etag("\"v1\""));
    stage.get("/").await;
    for _ in 0..50 {
        assert_eq!(stage.get_with("/", &[("cache-control", "no-cache")]).await.text(), "page");
    }
    assert_eq!(stage.origin.count(), 11);
    stage.elapse(1);
    stage.get_with("/", &[("cache-control", "no-cache")]).await;
    assert_eq!(stage.origin.count(), 12);
}

#[tokio::test]
async fn a_write_during_a_fetch_keeps_its_answer_from_being_stored() {
    let stage = Stage::new().await;
    let gate = Gate::new();
    stage.origin.on("/", Answer::fresh("old").hold(&gate));
    let address = stage.address();
    let before = tokio::spawn(async move {
        stage::open(address, Method::GET, "/", &[], bytes::Bytes::new()).await.finish().await
    });
    stage.origin.wait_for(1).await;
    stage.origin.on("/", Answer::new(204));
    stage.send(Method::PUT, "/", &[], bytes::Bytes::from_static(b"new")).await;
    gate.open(1);
    assert_eq!(before.await.unwrap().text(), "old");
    stage.origin.on("/", Answer::fresh("new"));
    assert_eq!(stage.get("/").await.text(), "new");
}

#[tokio::test]
async fn whichever_host_a_client_names_the_origin_is_asked_for_the_same() {
    let stage = Stage::new().await;
    for (number, host) in
        [stage::HOST, "VIDEO.netcinema.test.", "video.netcinema.test:8080"].iter().enumerate()
    {
        let target = format!("/{number}");
        stage.origin.on(&target, Answer::fresh("page"));
        stage.get_with(&target, &[("host", host)]).await;
        let seen = stage.origin.last();
        assert_eq!(
            (seen.field("host"), seen.field("x-forwarded-host")),
            (stage::HOST, stage::HOST)
        );
    }
}

#[tokio::test]
async fn what_the_origin_says_to_cdns_alone_decides_here_and_goes_on() {
    let stage = Stage::new().await;
    let answer = Answer::new(200).field("cache-control", "no-store");
    stage.origin.on("/", answer.field("cdn-cache-control", "max-age=60").send("page"));
    stage.get("/").await;
    let got = stage.get("/").await;
    assert_eq!(got.cache(), "hit; ttl=60");
    assert_eq!(got.field("cdn-cache-control"), "max-age=60");
    assert_eq!(got.field("cache-control"), "no-store");
}

#[tokio::test]
async fn what_needs_credentials_is_shared_only_if_the_origin_says_so() {
    let stage = Stage::new().await;
    for (control, shared) in [
        ("max-age=60", false),
        ("max-age=60, public", true),
        ("s-maxage=60", true),
        ("max-age=60, must-revalidate", true),
    ] {
        let target = format!("/{control}");
        let target = target.replace([' ', ',', '='], "-");
        stage.origin.on(&target, Answer::new(200).field("cache-control", control).send("secret"));
        stage.get_with(&target, &[("authorization", "Basic eA==")]).await;
        assert_eq!(stage.get(&target).await.is_hit(), shared, "{control}");
    }
}

#[tokio::test]
async fn a_write_takes_what_its_answer_names_with_it() {
    let stage = Stage::new().await;
    for target in ["/list", "/item", "/other"] {
        stage.origin.on(target, Answer::fresh("old"));
        stage.get(target).await;
    }
    let created = Answer::new(201).field("location", "/item");
    stage.origin.on("/add", created.field("content-location", "http://elsewhere.test/other"));
    stage.send(Method::POST, "/add", &[], bytes::Bytes::from_static(b"x")).await;
    assert!(!stage.get("/item").await.is_hit());
    assert!(stage.get("/list").await.is_hit());
    assert!(stage.get("/other").await.is_hit(), "another host isn't its business");
}

/// RFC 9211 section 2: caches nearer the origin stand first, and stay.
#[tokio::test]
async fn what_other_caches_say_stays_before_what_we_say() {
    let stage = Stage::new().await;
    stage.origin.on("/", Answer::fresh("page").field("cache-status", "inner; hit; ttl=5"));
    for said in ["seoul; fwd=uri-miss; fwd-status=200; stored; ttl=60", "seoul; hit; ttl=60"] {
        let got = stage.get("/").await;
        let lines: Vec<_> = got.headers.get_all("cache-status").iter().collect();
        assert_eq!(lines, ["inner; hit; ttl=5", said]);
    }
}
