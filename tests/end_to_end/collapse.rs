//! A crowd asks for one object that no edge has yet.

use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinSet;

use crate::harness::{Answer, Cdn, Client, Origin, tables};

const CROWD: usize = 500;
const BODY_BYTES: usize = 256 << 10;
const PIECE_BYTES: usize = 16 << 10;
/// Sixteen pieces: the whole body takes two and a half seconds.
const PAUSE: Duration = Duration::from_millis(160);

#[tokio::test]
async fn a_crowd_costs_one_fetch_and_sees_bytes_as_they_arrive() {
    let cdn = Cdn::new();
    let (listen, admin) = (cdn.network.socket(11), cdn.network.socket(11));
    let body: Bytes = (0..BODY_BYTES).map(|at| (at * 31 % 251) as u8).collect();
    let film = body.clone();
    let origin = Origin::start(cdn.network.socket(1), move |_| {
        Answer::new(200, film.clone())
            .field("cache-control", "max-age=60")
            .slowly(PIECE_BYTES, PAUSE)
    })
    .await;
    cdn.configure(
        &(tables::edge("seoul", tables::SEOUL, listen, admin) + &tables::site(origin.address)),
    );
    let edge = cdn.edge("seoul", admin).await;

    let client = Client::new(listen, tables::HOST);
    let mut crowd = JoinSet::new();
    for _ in 0..CROWD {
        let client = client.clone();
        crowd.spawn(async move { client.get("/film").await });
    }
    let mut streamed = 0;
    while let Some(reply) = crowd.join_next().await {
        let reply = reply.expect("no client panics");
        assert_eq!(reply.status, 200);
        assert!(reply.body == body, "wrong bytes, {} of them", reply.body.len());
        if reply.first_byte < reply.whole / 2 {
            streamed += 1;
        }
    }

    assert_eq!(origin.requests("/film"), 1);
    assert_eq!(edge.metric("kingcdn_edge_origin_requests_total", &[]).await, 1.0);
    assert_eq!(edge.metric("kingcdn_edge_requests_total", &[]).await, CROWD as f64);
    // All came before the first byte did, but for a few on a machine that is very busy.
    assert!(streamed > CROWD * 9 / 10, "only {streamed} saw bytes before the end");
}
