//! What a site may decide for itself: keys, errors, targets, clients' wishes.

mod stage;

use http::Method;
use kingcdn_config::Config;
use stage::{Answer, Stage};

/// Asks for `first`, which is fetched as `fetched`, and then for all of `same`, which are the same
/// object.
async fn one_object(key: &str, first: &str, fetched: &str, same: &[&str]) {
    let stage = Stage::with(&format!("[site.key]\n{key}")).await;
    stage.origin.on(fetched, Answer::fresh("object"));
    assert_eq!(stage.get(first).await.text(), "object", "{key}: {first}");
    assert_eq!(stage.origin.last().target, fetched, "{key}");
    for target in same {
        let got = stage.get(target).await;
        assert!(got.is_hit(), "{key}: {target}: {}", got.cache());
    }
    assert_eq!(stage.origin.count(), 1);
}

#[tokio::test]
async fn parameters_that_dont_count_reach_nobody() {
    let drop = "query_drop = [\"utm_*\", \"fbclid\"]";
    let same = ["/film?part=1", "/film?fbclid=b&part=1&utm_id=7", "/film?part=1&utm_a=1;evil=2"];
    one_object(drop, "/film?utm_source=x&part=1&fbclid=a", "/film?part=1", &same).await;
    let same = ["/film?x=2&part=1", "/film?part=1&callback=evil", "/film?part=1"];
    one_object("query_keep = [\"part\"]", "/film?x=1&part=1", "/film?part=1", &same).await;
    let same = ["/film", "/film?", "/film?part=2"];
    one_object("query = \"none\"", "/film?part=1", "/film", &same).await;
}

#[tokio::test]
async fn order_and_case_that_dont_count_reach_nobody() {
    let same = ["/film?a=2&b=1", "/film?b=1&a=2"];
    one_object("query_sort = true", "/film?b=1&a=2", "/film?a=2&b=1", &same).await;
    let same = ["/film.mp4?A", "/FILM.MP4?A"];
    one_object("ignore_case = true", "/Film.mp4?A", "/film.mp4?A", &same).await;
}

#[tokio::test]
async fn what_still_counts_tells_objects_apart() {
    let key = "query_drop = [\"utm_*\"]\nignore_case = true";
    let stage = Stage::with(&format!("[site.key]\n{key}")).await;
    let targets = ["/a", "/a?", "/a?part=1", "/a?Part=1", "/a?part=1&part=2", "/a?part=2&part=1"];
    for target in targets {
        stage.origin.on(target, Answer::fresh(target));
        assert_eq!(stage.get(target).await.text(), target);
    }
    for target in targets {
        assert_eq!(stage.get(target).await.text(), target);
    }
    assert_eq!(stage.origin.count(), targets.len());
}

#[tokio::test]
async fn a_write_goes_where_the_client_said_and_invalidates_what_is_the_same() {
    let stage = Stage::with("[site.key]\nquery_drop = [\"utm_*\"]").await;
    for target in ["/list", "/other"] {
        stage.origin.on(target, Answer::fresh("old"));
        stage.get(target).await;
    }
    let answer = Answer::new(200).field("location", "/other?utm_b=2");
    stage.origin.on("/list?utm_a=1", answer);
    stage.ask(Method::POST, "/list?utm_a=1", &[]).await;
    assert_eq!(stage.origin.last().target, "/list?utm_a=1");
    for target in ["/list", "/other"] {
        assert!(!stage.get(target).await.is_hit(), "{target}");
    }
}

#[tokio::test]
async fn a_head_and_a_part_are_of_the_object_that_the_key_names() {
    let stage = Stage::with("[site.key]\nquery_drop = [\"utm_*\"]").await;
    stage.ask(Method::HEAD, "/film?utm_a=1", &[]).await;
    assert_eq!(stage.origin.last().target, "/film");
    stage.get_with("/film?utm_a=1", &[("range", "bytes=-2")]).await;
    assert_eq!(stage.origin.last().target, "/film");
}

#[tokio::test]
async fn fields_and_cookies_can_belong_to_the_key() {
    let stage = Stage::with("[site.key]\nheaders = [\"X-Device\"]\ncookies = [\"lang\"]").await;
    let clients: [&[(&str, &str)]; 6] = [
        &[],
        &[("x-device", "")],
        &[("x-device", "tv")],
        &[("cookie", "id=1; lang=ko")],
        &[("cookie", "id=1; lang=en")],
        &[("x-device", "tv"), ("cookie", "lang=ko")],
    ];
    for (index, fields) in clients.iter().enumerate() {
        stage.origin.on("/", Answer::fresh(index.to_string()));
        assert_eq!(stage.get_with("/", fields).await.text(), index.to_string());
    }
    for (index, fields) in clients.iter().enumerate() {
        let got = stage.get_with("/", fields).await;
        assert!(got.is_hit(), "{fields:?}");
        assert_eq!(got.text(), index.to_string(), "{fields:?}");
    }
    let other_user = [("cookie", "lang=ko; id=2"), ("accept", "*/*")];
    assert_eq!(stage.get_with("/", &other_user).await.text(), "3");
    assert_eq!(stage.origin.count(), clients.len());
}

#[tokio::test]
async fn a_write_invalidates_the_object_whatever_else_is_in_the_key() {
    let stage = Stage::with("[site.key]\nheaders = [\"X-Device\"]").await;
    for device in ["tv", "phone"] {
        stage.origin.on("/", Answer::fresh("old"));
        stage.get_with("/", &[("x-device", device)]).await;
    }
    stage.origin.on("/", Answer::new(204));
    stage.ask(Method::DELETE, "/", &[("x-device", "tv")]).await;
    stage.origin.on("/", Answer::fresh("new"));
    for device in ["tv", "phone"] {
        assert_eq!(stage.get_with("/", &[("x-device", device)]).await.text(), "new", "{device}");
    }
}

/// A key that has what the origin never sees would tell objects apart that are the same: the
/// configuration refuses such fields.
#[tokio::test]
async fn fields_of_the_key_reach_the_origin() {
    let names = [
        "accept",
        "accept-encoding",
        "accept-language",
        "authorization",
        "cdn-loop",
        "connection",
        "content-type",
        "cookie",
        "expect",
        "forwarded",
        "front-end-https",
        "host",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "keep-alive",
        "origin",
        "proxy-authorization",
        "proxy-connection",
        "range",
        "referer",
        "save-data",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "via",
        "x-device",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-prefix",
        "x-forwarded-proto",
        "x-forwarded-scheme",
        "x-forwarded-server",
        "x-forwarded-ssl",
        "x-host",
        "x-http-host-override",
        "x-http-method",
        "x-http-method-override",
        "x-method-override",
        "x-original-host",
        "x-original-url",
        "x-real-ip",
        "x-rewrite-url",
        "x-wap-profile",
    ];
    let site = |name: &str| format!("[site.key]\nheaders = [\"{name}\"]");
    let taken: Vec<&str> = names
        .into_iter()
        .filter(|name| {
            let text = format!(
                "[[edge]]\nname = \"a\"\nlocation = [0, 0]\n[[site]]\nname = \"b\"\n\
                 hosts = [\"b.test\"]\norigin = [\"http://192.0.2.1\"]\n{}",
                site(name)
            );
            Config::parse(&text, std::path::Path::new("a.toml")).is_ok()
        })
        .collect();
    assert!(taken.contains(&"x-device") && taken.contains(&"accept-language"), "{taken:?}");
    let stage = Stage::with(&format!("[site.key]\nheaders = {taken:?}")).await;
    let fields: Vec<_> = taken.iter().map(|name| (*name, "evil.example")).collect();
    stage.get_with("/", &fields).await;
    for name in taken {
        assert_eq!(stage.origin.last().field(name), "evil.example", "{name}");
    }
}

#[tokio::test]
async fn errors_are_kept_as_long_as_the_site_says() {
    let site =
        "[site.cache]\nnegative_ttl = { 404 = \"10s\", 5xx = \"1s\" }\nstale_if_error = \"1h\"";
    let stage = Stage::with(site).await;
    for (status, secs) in [(404, 10), (503, 1), (500, 1)] {
        let target = format!("/{status}");
        stage.origin.on(&target, Answer::new(status).send("sorry"));
        let before = stage.origin.count();
        let first = stage.get(&target).await;
        let expected = format!("fwd=uri-miss; fwd-status={status}; stored; ttl={secs}");
        assert_eq!((first.status.as_u16(), first.cache()), (status, &*expected));
        let second = stage.get(&target).await;
        assert!(second.is_hit(), "{}", second.cache());
        assert_eq!((second.status.as_u16(), second.text()), (status, "sorry"));
        assert_eq!(stage.origin.count(), before + 1);
        stage.elapse(secs);
        stage.origin.on(&target, Answer::fresh("there"));
        assert_eq!(stage.get(&target).await.text(), "there", "{status}");
    }
    let private = Answer::new(404).field("cache-control", "private").send("yours");
    stage.origin.on("/private", private);
    for _ in 0..2 {
        assert!(!stage.get("/private").await.is_hit());
    }
}

#[tokio::test]
async fn without_a_word_of_the_site_errors_are_fetched_again() {
    let stage = Stage::new().await;
    stage.origin.on("/", Answer::new(404).send("sorry"));
    for round in 1..4 {
        assert!(!stage.get("/").await.is_hit());
        assert_eq!(stage.origin.count(), round);
    }
}

#[tokio::test]
async fn an_error_doesnt_push_out_what_can_stand_in_for_it() {
    let site = "[site.cache]\nnegative_ttl = { 5xx = \"5s\" }\nstale_if_error = \"1h\"";
    let stage = Stage::with(site).await;
    stage.origin.on("/", Answer::fresh("page"));
    stage.get("/").await;
    stage.origin.on("/", Answer::new(503).send("oops"));
    for _ in 0..3 {
        stage.elapse(61);
        for _ in 0..2 {
            let got = stage.get("/").await;
            assert_eq!((got.status.as_u16(), got.text()), (200, "page"), "{}", got.cache());
        }
    }
}

#[tokio::test]
async fn the_sites_own_target_field_goes_before_that_of_all_cdns() {
    let stage = Stage::with("[site.cache]\ntargets = [\"Surrogate-Control\"]").await;
    for (target, fields, ttl) in [
        ("/own", &[("surrogate-control", "max-age=7"), ("cdn-cache-control", "max-age=8")][..], 7),
        ("/invalid", &[("surrogate-control", "max-age=x"), ("cdn-cache-control", "max-age=8")], 8),
        ("/all", &[("cdn-cache-control", "max-age=8")], 8),
        ("/none", &[], 9),
    ] {
        let answer = Answer::new(200).field("cache-control", "max-age=9").send("page");
        let answer = fields.iter().fold(answer, |answer, (name, value)| answer.field(name, value));
        stage.origin.on(target, answer);
        let got = stage.get(target).await;
        assert!(got.cache().ends_with(&format!("stored; ttl={ttl}")), "{target}: {}", got.cache());
    }
    let plain = Stage::new().await;
    let answer = Answer::fresh("page").field("surrogate-control", "max-age=7");
    plain.origin.on("/", answer);
    assert!(plain.get("/").await.cache().ends_with("ttl=60"), "not without being named");
}

#[tokio::test]
async fn a_guess_from_last_modified_is_capped_by_the_site() {
    let stage = Stage::with("[site.cache]\nheuristic = true\nheuristic_max = \"1m\"").await;
    let old = Answer::new(200).field("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT");
    stage.origin.on("/", old.send("page"));
    assert!(stage.get("/").await.cache().ends_with("ttl=60"));
}

#[tokio::test]
async fn clients_that_insist_are_obeyed_as_the_site_says() {
    for (said, fetches) in [
        ("", 11),
        ("client_refresh = \"limited\"", 11),
        ("client_refresh = \"obey\"", 31),
        ("client_refresh = \"ignore\"", 1),
    ] {
        let stage = Stage::with(&format!("[site.cache]\n{said}")).await;
        stage.origin.on("/", Answer::fresh("page"));
        stage.get("/").await;
        for wish in ["no-cache", "max-age=0", "no-cache"].repeat(10) {
            assert_eq!(stage.get_with("/", &[("cache-control", wish)]).await.text(), "page");
        }
        assert_eq!(stage.origin.count(), fetches, "{said}");
    }
}

/// RFC 9211 section 2.7.
#[tokio::test]
async fn a_site_may_say_under_which_key_it_stores() {
    let site = "[site.key]\nquery_drop = [\"utm_*\"]\n[site.cache]\nshow_key = true";
    let stage = Stage::with(site).await;
    stage.origin.on("/a?b=1", Answer::fresh("page"));
    for start in ["fwd=uri-miss; fwd-status=200; stored", "hit"] {
        let got = stage.get("/a?b=1&utm_source=x").await;
        assert_eq!(got.cache(), format!("{start}; ttl=60; key=\"netcinema /a?b=1\""));
    }
}
