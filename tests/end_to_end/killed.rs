//! An edge is killed under load, again and again. Whatever the next one serves is right, and it has
//! on its disk what the ones before had written.
//!
//! `KINGCDN_KILLS=100` for more of it.

use std::env;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use http::Method;
use tokio::task::JoinSet;

use crate::harness::{Answer, Cdn, Client, Origin, eventually, tables};

const OBJECTS: u64 = 400;
/// Every so many, one is large.
const LARGE: u64 = 40;
const CLIENTS: u64 = 4;
/// Between two kills, so many answers.
const ANSWERS: u64 = 400;

/// What is at `/NUMBER`, at any time.
fn content(number: u64) -> Vec<u8> {
    let len = if number % LARGE == 7 { 700_000 } else { 500 + number * 150 };
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut byte = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..len).map(|_| byte()).collect()
}

async fn start_origin(address: SocketAddr) -> Origin {
    Origin::start(address, |request| {
        let number = request.uri().path()[1..].parse().expect("a number");
        Answer::new(200, content(number))
            .field("cache-control", "max-age=86400")
            .field("etag", format!("\"{number}\""))
    })
    .await
}

/// Asks for one after another until told that it is enough. Answers may break off with their edge,
/// but none may be wrong.
async fn keep_asking(
    edge: SocketAddr,
    seed: u64,
    enough: Arc<AtomicBool>,
    answers: Arc<AtomicU64>,
) {
    let client = Client::new(edge, tables::HOST);
    let mut number = seed;
    while !enough.load(Ordering::Relaxed) {
        number = (number * 31 + 7 * seed + 1) % OBJECTS;
        if let Ok(reply) = client.try_send(Method::GET, &format!("/{number}")).await {
            assert_eq!(reply.status, 200);
            assert!(reply.body == content(number), "/{number}: wrong bytes");
            answers.fetch_add(1, Ordering::Relaxed);
        } else {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_edge_had_written_is_served_and_nothing_wrong() {
    let kills = env::var("KINGCDN_KILLS").map_or(3, |kills| kills.parse().expect("a number"));
    let cdn = Cdn::new();
    let (listen, admin) = (cdn.network.socket(11), cdn.network.socket(11));
    let origin = start_origin(cdn.network.socket(1)).await;
    let cache =
        "[edge.cache]\nmemory = \"8 MiB\"\ndisk = { path = \"cache\", size = \"128 MiB\" }\n";
    cdn.configure(
        &(tables::edge("seoul", tables::SEOUL, listen, admin)
            + cache
            + &tables::site(origin.address)),
    );
    let client = Client::new(listen, tables::HOST);
    for round in 0..=kills {
        let edge = cdn.edge("seoul", admin).await;
        let mut from_disk = 0;
        for number in 0..OBJECTS {
            let reply = client.get(&format!("/{number}")).await;
            assert!(reply.status == 200 && reply.body == content(number), "/{number}: wrong bytes");
            let said = reply.headers.get("cache-status").and_then(|it| it.to_str().ok());
            from_disk += u64::from(said.is_some_and(|it| it.contains("detail=disk")));
        }
        assert!(round == 0 || from_disk >= OBJECTS / 4, "round {round}: {from_disk} from disk");
        if round == kills {
            return;
        }
        let (enough, answers) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut clients = JoinSet::new();
        for seed in 0..CLIENTS {
            let (enough, answers) = (Arc::clone(&enough), Arc::clone(&answers));
            clients.spawn(keep_asking(listen, seed + 31 * round, enough, answers));
        }
        eventually("the clients have asked", || {
            let done = answers.load(Ordering::Relaxed) >= ANSWERS;
            async move { done.then_some(()) }
        })
        .await;
        // Dropped is killed, with what is under way.
        drop(edge);
        enough.store(true, Ordering::Relaxed);
        while let Some(client) = clients.join_next().await {
            client.expect("nothing wrong");
        }
    }
}
