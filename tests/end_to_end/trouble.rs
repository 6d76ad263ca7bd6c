//! The origin is in trouble; the edge does what it can.

use std::time::Duration;

use crate::harness::{Answer, Cdn, Client, Origin, Stopwatch, eventually, tables};

/// Much less than a client's patience; much more than a busy machine needs.
const QUICKLY: Duration = Duration::from_secs(3);

#[tokio::test]
async fn a_dead_origin_leaves_what_is_fresh_and_what_may_be_stale() {
    let cdn = Cdn::new();
    let (listen, admin) = (cdn.network.socket(11), cdn.network.socket(11));
    let origin = Origin::start(cdn.network.socket(1), |request| {
        let freshness = match request.uri().path() {
            "/fresh" => "max-age=600",
            "/stale" => "max-age=1",
            "/strict" => "max-age=1, must-revalidate",
            _ => "no-store",
        };
        Answer::new(200, request.uri().path().to_owned()).field("cache-control", freshness)
    })
    .await;
    cdn.configure(
        &(tables::edge("seoul", tables::SEOUL, listen, admin) + &tables::site(origin.address)),
    );
    let _edge = cdn.edge("seoul", admin).await;
    let client = Client::new(listen, tables::HOST);
    for path in ["/fresh", "/stale", "/strict", "/never"] {
        let reply = client.get(path).await;
        assert_eq!((reply.status.as_u16(), reply.text().as_str()), (200, path));
    }

    drop(origin);

    let fresh = client.get("/fresh").await;
    assert!(fresh.status == 200 && fresh.is_hit(), "{fresh:?}");
    let stale = eventually("/stale is served stale", || async {
        let reply = client.get("/stale").await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let age: u64 = reply.field("age").parse().expect("an age");
        (age >= 2).then_some(reply)
    })
    .await;
    assert_eq!(stale.text(), "/stale");
    for path in ["/strict", "/never", "/unknown"] {
        let watch = Stopwatch::start();
        let reply = client.get(path).await;
        assert!([502, 504].contains(&reply.status.as_u16()), "{path}: {reply:?}");
        assert!(watch.elapsed() < QUICKLY, "{path} took {:?}", watch.elapsed());
        assert!(reply.body.len() < 200, "{path}: not a short text");
    }
}

#[tokio::test]
async fn a_silent_origin_is_waited_for_as_long_as_the_site_says() {
    let cdn = Cdn::new();
    let (listen, admin) = (cdn.network.socket(11), cdn.network.socket(11));
    let origin = Origin::start(cdn.network.socket(1), |_| {
        Answer::new(200, "late").after(Duration::from_secs(3600))
    })
    .await;
    cdn.configure(
        &(tables::edge("seoul", tables::SEOUL, listen, admin)
            + &tables::site(origin.address)
            + "[site.upstream]\nfirst_byte_timeout = \"300ms\"\n"),
    );
    let _edge = cdn.edge("seoul", admin).await;

    let watch = Stopwatch::start();
    let reply = Client::new(listen, tables::HOST).get("/").await;

    assert_eq!(reply.status, 504);
    assert!(watch.elapsed() < QUICKLY, "{:?}", watch.elapsed());
}

#[tokio::test]
async fn the_next_origin_answers_for_a_dead_one() {
    let cdn = Cdn::new();
    let (listen, admin) = (cdn.network.socket(11), cdn.network.socket(11));
    let dead = cdn.network.socket(1);
    let origin = Origin::start(cdn.network.socket(2), |_| Answer::new(200, "second")).await;
    let site = tables::site(dead).replace(
        &format!("\"http://{dead}\""),
        &format!("\"http://{dead}\", \"http://{}\"", origin.address),
    );
    cdn.configure(&(tables::edge("seoul", tables::SEOUL, listen, admin) + &site));
    let _edge = cdn.edge("seoul", admin).await;

    let reply = Client::new(listen, tables::HOST).get("/").await;

    assert_eq!((reply.status.as_u16(), reply.text().as_str()), (200, "second"));
}
