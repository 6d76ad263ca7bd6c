//! The memory that an edge may take, and who gets it when everybody wants all of it.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::harness::{Answer, Cdn, Client, Origin, PATIENCE, eventually, tables};

const MIB: usize = 1 << 20;
/// What the edge is told.
const MEMORY: u64 = 64 << 20;
/// Each of these reads another film, a bit at a time.
const SLOW: usize = 160;
/// These never say anything.
const SILENT: usize = 400;
const FILM_BYTES: usize = 8 * MIB;
/// How often all of them take a bit more, and how often something popular is asked for meanwhile.
const ROUNDS: usize = 12;
const POPULARITY: usize = 5;

/// Films of which each byte tells its place, in parts too; and small things.
async fn films(address: SocketAddr) -> Origin {
    let film: Bytes = (0..FILM_BYTES).map(|at| (at * 31 + at / 251 * 7) as u8).collect();
    Origin::start(address, move |request| {
        let path = request.uri().path();
        if !path.starts_with("/film") {
            return Answer::new(200, path.to_owned()).field("cache-control", "max-age=600");
        }
        let range = request.headers().get("range").and_then(|it| it.to_str().ok());
        let (status, first, last) = match range.and_then(|it| it.strip_prefix("bytes=")) {
            None => (200, 0, FILM_BYTES - 1),
            Some(range) => {
                let (first, last) = range.split_once('-').expect("a range");
                (206, first.parse().expect("a number"), last.parse().unwrap_or(FILM_BYTES - 1))
            }
        };
        Answer::new(status, film.slice(first..=last))
            .field("etag", "\"1\"")
            .field("cache-control", "max-age=600")
            .field("content-range", format!("bytes {first}-{last}/{FILM_BYTES}"))
    })
    .await
}

/// A client that has asked, and takes as little as the system lets it.
async fn slow_client(edge: SocketAddr, number: usize) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    let mut stream = socket.connect(edge).await.expect("a connection");
    let request = format!("GET /film/{number} HTTP/1.1\r\nHost: {}\r\n\r\n", tables::HOST);
    stream.write_all(request.as_bytes()).await.expect("a request");
    stream
}

/// As many slow readers of different large objects as there is hardly memory for, silent
/// connections, a full cache: the process keeps to its memory, and who asks for something small, or
/// takes what is large at once, gets it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_readers_take_neither_more_than_the_budget_nor_what_others_need() {
    let cdn = Cdn::new();
    let (listen, admin) = (cdn.network.socket(11), cdn.network.socket(11));
    let origin = films(cdn.network.socket(1)).await;
    let edge = tables::edge("seoul", tables::SEOUL, listen, admin);
    let cache = "[edge.cache]\nmemory = \"64 MiB\"\n[edge.limits]\nconnections = 1000\n";
    let site = tables::site(origin.address) + "[site.upstream]\nconnections = 512\n";
    cdn.configure(&(edge + cache + &site));
    let edge = cdn.edge("seoul", admin).await;
    let client = Client::new(listen, tables::HOST);
    assert_eq!(client.get("/popular").await.status, 200);
    for number in 0..8 {
        client.get(&format!("/film/full/{number}")).await;
    }

    let mut silent = Vec::new();
    for _ in 0..SILENT {
        silent.push(TcpStream::connect(listen).await.expect("a connection"));
    }
    let mut slow = Vec::new();
    for number in 0..SLOW {
        slow.push(slow_client(listen, number).await);
    }
    let mut piece = [0; 16 << 10];
    let (mut most, mut ended, mut refused, mut hits) = (0, HashSet::new(), 0, 0);
    for round in 0..ROUNDS {
        for (number, stream) in slow.iter_mut().enumerate() {
            if ended.contains(&number) {
                continue;
            }
            let read = stream.read(&mut piece).await.unwrap_or(0);
            if read == 0 {
                ended.insert(number);
            } else if round == 0 && piece.starts_with(b"HTTP/1.1 503") {
                refused += 1;
                ended.insert(number);
            }
        }
        most = most.max(edge.memory_bytes());
        let missed = client.get(&format!("/small/{round}")).await;
        assert_eq!((missed.status.as_u16(), missed.body.len()), (200, 7 + round.to_string().len()));
        for _ in 0..POPULARITY {
            let held = client.get("/popular").await;
            assert_eq!(held.status, 200);
            hits += usize::from(held.is_hit());
        }
        if round % 4 == 3 {
            let film = client.get(&format!("/film/fast/{round}")).await;
            assert_eq!((film.status.as_u16(), film.body.len()), (200, FILM_BYTES));
            let right = |(at, byte): (usize, &u8)| *byte == (at * 31 + at / 251 * 7) as u8;
            assert!(film.body.iter().enumerate().all(right), "in round {round}");
        }
        most = most.max(edge.memory_bytes());
    }
    let (limit, mib) = (MEMORY * 115 / 100, |bytes: u64| bytes >> 20);
    assert!(most <= limit, "{} MiB of {} MiB and 15 %", mib(most), mib(MEMORY));
    assert!(most >= MEMORY / 2, "{} MiB: hardly anything was asked of it", mib(most));
    assert!(hits * 10 >= ROUNDS * POPULARITY * 8, "{hits} hits of {}", ROUNDS * POPULARITY);
    assert!(ended.len() <= refused, "{} ended, {refused} were refused", ended.len());
    assert!(refused <= SLOW / 4, "{refused} of {SLOW} slow readers were refused");
    drop((slow, silent));
}

/// More clients than there is memory for wait for an answer that doesn't come.
const WAITING: usize = 1500;

/// Who waits takes memory too: those for whom there is none are told so at once, and the process
/// keeps to its memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_is_counted_and_told_when_there_is_no_room() {
    let cdn = Cdn::new();
    let (listen, admin) = (cdn.network.socket(11), cdn.network.socket(11));
    let origin = Origin::start(cdn.network.socket(1), |request| {
        let think = if request.uri().path() == "/late" { PATIENCE * 2 } else { Duration::ZERO };
        Answer::new(200, "film").field("cache-control", "max-age=600").after(think)
    })
    .await;
    let edge = tables::edge("seoul", tables::SEOUL, listen, admin);
    let cache = "[edge.cache]\nmemory = \"32 MiB\"\n";
    cdn.configure(&(edge + cache + &tables::site(origin.address)));
    let edge = cdn.edge("seoul", admin).await;
    let client = Client::new(listen, tables::HOST);
    assert_eq!(client.get("/popular").await.status, 200);

    let request = format!("GET /late HTTP/1.1\r\nHost: {}\r\n\r\n", tables::HOST);
    let mut waiting = Vec::new();
    for _ in 0..WAITING {
        let mut stream = TcpStream::connect(listen).await.expect("a connection");
        // Who is turned away may be so before he has asked.
        let _turned_away = stream.write_all(request.as_bytes()).await;
        waiting.push(stream);
    }
    let refused = eventually("the last ones are told", || {
        let refused = waiting.iter().filter(|stream| is_refused(stream)).count();
        async move { (refused > 0).then_some(refused) }
    })
    .await;
    let bytes = edge.memory_bytes();
    assert!(bytes <= (32 << 20) * 115 / 100, "{} KiB, {refused} refused", bytes >> 10);
    assert!(refused < WAITING, "nobody waits");
    assert_eq!(origin.requests("/late"), 1);
}

fn is_refused(stream: &TcpStream) -> bool {
    let mut head = [0; 12];
    let read = stream.try_read(&mut head);
    read.is_ok() && head.starts_with(b"HTTP/1.1 503")
}
