//! The name server on real sockets, asked by dig, kdig and by hand. Needs the Debian packages
//! `dnsutils` and `knot-dnsutils`.
#![allow(clippy::unwrap_used)] // Helpers of tests, where clippy looks only at tests themselves.

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{exchange, query, run, server};
use kingcdn_config::clock::{Clock, Stopwatch};
use kingcdn_config::{DomainName, HealthCheck};
use kingcdn_dns::{Dns, ReloadError, StartError};

const NAME: &str = "netcinema.kingcdn.test";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dig_and_kdig_understand_every_answer() {
    let server = server(|_| ()).await;
    let cases: &[(&str, &[&str])] = &[
        (
            "video.netcinema.test A +subnet=10.1.2.0/24",
            &[
                "status: NOERROR",
                "flags: qr aa rd;",
                "CLIENT-SUBNET: 10.1.2.0/24/16",
                "CNAME\tnetcinema.kingcdn.test.",
                "netcinema.kingcdn.test.\t30\tIN\tA\t127.0.0.12",
            ],
        ),
        (
            "netcinema.kingcdn.test A +subnet=10.9.9.0/24 +tcp",
            &["CLIENT-SUBNET: 10.9.9.0/24/13", "127.0.0.11", "(TCP)"],
        ),
        ("netcinema.kingcdn.test A +noedns", &["status: NOERROR", "127.0.0.11", "ADDITIONAL: 0"]),
        (
            "netcinema.kingcdn.test A +subnet=0.0.0.0/0",
            &["CLIENT-SUBNET: 0.0.0.0/0/0", "127.0.0.11"],
        ),
        (
            "NeTcInEmA.kingcdn.test AAAA",
            &["status: NOERROR", ";NeTcInEmA.kingcdn.test.", "SOA\tns1."],
        ),
        ("nobody.kingcdn.test A", &["status: NXDOMAIN", "60\tIN\tSOA"]),
        ("kingcdn.test SOA", &["host\\.master.kingcdn.test."]),
        ("example.org A", &["status: REFUSED", "flags: qr rd;"]),
        ("kingcdn.test AXFR", &["Transfer failed"]),
        // Edges speak plain HTTP/1.1: nothing is said of them that isn't so, and that is final.
        (
            "netcinema.kingcdn.test HTTPS",
            &["status: NOERROR", "ANSWER: 0, AUTHORITY: 1", "60\tIN\tSOA"],
        ),
        (
            "video.netcinema.test HTTPS +subnet=10.1.2.0/24",
            &["status: NOERROR", "ANSWER: 1, AUTHORITY: 1", "CNAME\t", "10.1.2.0/24/0"],
        ),
        ("kingcdn.test A +edns=7", &["status: BADVERS"]),
        ("kingcdn.test A +opcode=NOTIFY", &["status: NOTIMP"]),
        ("kingcdn.test A +opcode=9", &["status: NOTIMP"]),
        ("kingcdn.test A +header-only", &["status: FORMERR"]),
        ("version.bind CH TXT", &["status: REFUSED"]),
        (
            "kingcdn.test A +ednsopt=100:00 +ednsflags=0x40 +cookie=0102030405060708",
            &["status: NOERROR", "COOKIE: 010203040506070801000000", "(good)"],
        ),
        ("kingcdn.test A +keepalive +tcp", &["TCP KEEPALIVE: 10.0 secs"]),
        ("example.org A", &["EDE: 20 (Not Authoritative)"]),
    ];
    for (arguments, expected) in cases {
        let arguments = format!("+noednsneg +nocookie +tries=1 {arguments}");
        let printed = run("dig", server.address, &arguments).await;
        for text in *expected {
            assert!(printed.contains(text), "{arguments}: no `{text}` in\n{printed}");
        }
    }
    let printed = run("kdig", server.address, &format!("{NAME} A +subnet=10.2.3.4/24")).await;
    assert!(printed.contains("10.2.3.0/24/20") && printed.contains("127.0.0.13"), "{printed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packets_that_deserve_no_answer_get_none() {
    let server = server(|_| ()).await;
    let mut response = query(1, NAME);
    response[2] |= 0x80;
    let short = Duration::from_millis(100);
    for packet in [&[][..], &[0; 11], &response] {
        assert_eq!(exchange(server.address, packet, short), None);
    }
    let counted = || prometheus::TextEncoder::new().encode_to_string(&server.registry.gather());
    for line in [
        r#"kingcdn_dns_ignored_total{reason="short"} 2"#,
        r#"kingcdn_dns_ignored_total{reason="response"} 1"#,
    ] {
        assert!(counted().unwrap().contains(line), "{line}");
    }
    // A query cut short gets FORMERR and no more.
    let cut = exchange(server.address, &query(7, NAME)[..20], Duration::from_secs(5)).unwrap();
    assert_eq!((cut.len(), cut[..2].to_vec(), cut[3] & 15), (12, vec![0, 7], 1));
    // With the question, where that can be read.
    let mut more = query(7, NAME);
    more[11] = 200;
    let answer = exchange(server.address, &more, Duration::from_secs(5)).unwrap();
    assert_eq!((answer[3] & 15, &answer[4..12]), (1, &[0, 1, 0, 0, 0, 0, 0, 0][..]));
    assert_eq!(answer[12..], more[12..]);
    let counted = counted().unwrap();
    let line = r#"kingcdn_dns_queries_total{rcode="FORMERR",transport="udp",type="other"} 2"#;
    assert!(counted.contains(line), "{counted}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_comes_from_where_it_was_asked_for() {
    let listen = ["0.0.0.0:0", "[::]:0"].map(|address| address.parse().unwrap());
    let server = server(|config| config.dns.as_mut().unwrap().listen = listen.to_vec()).await;
    let [v4, v6] = [server.dns.addresses()[0].port(), server.dns.addresses()[1].port()];
    for (from, to) in [
        ("127.0.0.1:0", ("127.0.0.1", v4)),
        ("127.0.0.1:0", ("127.0.0.77", v4)),
        ("127.0.0.2:0", ("127.0.0.78", v4)),
        ("[::1]:0", ("::1", v6)),
    ] {
        let socket = std::net::UdpSocket::bind(from).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        // Takes packets from there only. Many: what the system tells of one packet is no word
        // about the next.
        socket.connect(to).unwrap();
        for id in 0..80_u16 {
            socket.send(&query(id, NAME)).unwrap();
        }
        for _ in 0..80 {
            assert!(socket.recv(&mut [0; 512]).unwrap() > 40, "{to:?}");
        }
    }
    // Also where one batch of packets went to several addresses.
    let sockets = ["127.0.0.77", "127.0.0.78", "127.0.0.79"].map(|to| {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        socket.connect((to, v4)).unwrap();
        socket
    });
    for id in 0..80_u16 {
        sockets.iter().for_each(|socket| assert!(socket.send(&query(id, NAME)).unwrap() > 0));
    }
    for socket in &sockets {
        (0..80).for_each(|_| assert!(socket.recv(&mut [0; 512]).unwrap() > 40));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tcp_takes_many_queries_and_few_connections() {
    let server = server(|_| ()).await;
    let address = server.address;
    let framed = |packet: Vec<u8>| {
        let length = u16::try_from(packet.len()).unwrap();
        [&length.to_be_bytes()[..], &packet].concat()
    };
    tokio::task::spawn_blocking(move || {
        let connect = || {
            let stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            stream
        };
        let read = |stream: &mut TcpStream| -> std::io::Result<Vec<u8>> {
            let mut length = [0; 2];
            stream.read_exact(&mut length)?;
            let mut packet = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut packet)?;
            Ok(packet)
        };
        // Pipelined, with a malformed one and a response among them.
        let mut response = query(98, NAME);
        response[2] |= 0x80;
        let mut octets: Vec<u8> = (0..200).flat_map(|id| framed(query(id, NAME))).collect();
        octets.extend(framed(response));
        octets.extend(framed(query(200, NAME)[..20].to_vec()));
        octets.extend(framed(query(201, NAME)));
        let mut stream = connect();
        let mut writer = stream.try_clone().unwrap();
        let writing = std::thread::spawn(move || writer.write_all(&octets).unwrap());
        for id in 0..202_u16 {
            let packet = read(&mut stream).unwrap();
            assert_eq!(packet[..2], id.to_be_bytes());
            assert_eq!(packet[3] & 15, u8::from(id == 200), "{id}");
        }
        writing.join().unwrap();
        // One client holds 64 connections; the next are closed until it gives some back.
        let mut held: Vec<TcpStream> = (0..63).map(|_| connect()).collect();
        let ask = |stream: &mut TcpStream| {
            stream.write_all(&framed(query(1, NAME)))?;
            read(stream)
        };
        for stream in &mut held {
            ask(stream).unwrap();
        }
        assert!(ask(&mut connect()).is_err());
        drop(held);
        let waited = Stopwatch::start();
        while ask(&mut connect()).is_err() {
            assert!(waited.elapsed() < Duration::from_secs(5), "no place is given back");
        }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_loses_no_query_and_a_bad_one_changes_nothing() {
    let server = server(|_| ()).await;
    let address = server.address;
    let stop = Arc::new(AtomicBool::new(false));
    let asked = Arc::new(Mutex::new((0_u32, 0_u32)));
    let load = {
        let (stop, asked) = (Arc::clone(&stop), Arc::clone(&asked));
        tokio::task::spawn_blocking(move || {
            while !stop.load(Ordering::Relaxed) {
                let answer = exchange(address, &query(1, NAME), Duration::from_secs(2));
                let good = answer.is_some_and(|answer| answer[3] & 15 == 0 && answer[7] == 1);
                let mut asked = asked.lock().unwrap();
                asked.0 += 1;
                asked.1 += u32::from(good);
            }
        })
    };
    let mut config = server.config.clone();
    for round in 0..40 {
        config.sites.truncate(1);
        config.sites.push(common::testing::site(&format!("site{round}"), &[]));
        server.dns.reload(&config).unwrap();
        let name = format!("site{round}.kingcdn.test");
        let answer = exchange(address, &query(2, &name), Duration::from_secs(2)).unwrap();
        assert_eq!((answer[3] & 15, answer[7]), (0, 1));
        // A broken zone beside it: refused, and the last good one stays.
        let file = server.folder.path().join("broken.zone");
        std::fs::write(&file, "$TTL 1\n@ SOA a b 1 1 1 1 1\n@ NS a\nx A nonsense\n").unwrap();
        let mut broken = config.clone();
        broken.sites.clear();
        broken
            .dns
            .as_mut()
            .unwrap()
            .zones
            .push(kingcdn_config::Zone { name: DomainName::parse("broken.test").unwrap(), file });
        let Err(ReloadError::Zones(errors)) = server.dns.reload(&broken) else { panic!() };
        assert_eq!(errors[0].line, Some(4));
        let answer = exchange(address, &query(2, &name), Duration::from_secs(2)).unwrap();
        assert_eq!(answer[7], 1);
    }
    stop.store(true, Ordering::Relaxed);
    load.await.unwrap();
    let (asked, good) = *asked.lock().unwrap();
    assert!(asked > 20, "only {asked} queries");
    assert_eq!(asked, good);
}

/// An edge that answers health checks with 200 until it is dropped.
struct Edge(tokio::task::JoinHandle<()>);

impl Edge {
    async fn start(address: &str) -> Self {
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        Self(tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                use tokio::io::{AsyncReadExt, AsyncWriteExt};
                let mut request = [0; 512];
                let _read = stream.read(&mut request).await;
                let ok = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                let _written = stream.write_all(ok).await;
            }
        }))
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_edge_goes_and_comes_back() {
    // Ports that are free: whoever listens is ours.
    let port = |address: &str| {
        let listener = std::net::TcpListener::bind((address, 0)).unwrap();
        listener.local_addr().unwrap()
    };
    let services = ["127.0.0.11", "127.0.0.12", "127.0.0.13"].map(port);
    let mut edges: Vec<Edge> = Vec::new();
    for service in services {
        edges.push(Edge::start(&service.to_string()).await);
    }
    let server = server(|config| {
        for (edge, service) in config.edges.iter_mut().zip(services) {
            edge.listen = vec![service];
        }
        let health = &mut config.dns.as_mut().unwrap().health;
        health.check = HealthCheck::Http;
        health.interval = Duration::from_millis(50);
        health.timeout = Duration::from_millis(50);
    })
    .await;
    let address = server.address;
    let answered = || {
        let answer = exchange(address, &query(1, NAME), Duration::from_secs(2)).unwrap();
        *answer.last().unwrap()
    };
    let becomes = async |expected: u8| {
        let waited = Stopwatch::start();
        loop {
            let now = answered();
            assert!([11, 12, 13].contains(&now), "no edge answered");
            if now == expected {
                return;
            }
            assert!(waited.elapsed() < Duration::from_secs(5), "{now} instead of {expected}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = Stopwatch::start();
    while server.dns.status().to_string().matches(r#""health":"up""#).count() < 3 {
        assert!(waited.elapsed() < Duration::from_secs(5), "{}", server.dns.status());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // By default order Seoul; then, with it dead, Frankfurt; and Seoul again.
    becomes(11).await;
    drop(edges.remove(0));
    becomes(12).await;
    let status = server.dns.status();
    assert_eq!(status["edges"][0]["name"], "seoul");
    assert_eq!(status["edges"][0]["addresses"][0]["health"], "down");
    let reason = &status["edges"][0]["addresses"][0]["last_check"]["reason"];
    assert!(reason.as_str().unwrap().starts_with("no connection"), "{reason}");
    assert!(status["edges"][1]["answers"].as_u64().unwrap() > 0);
    edges.insert(0, Edge::start(&services[0].to_string()).await);
    becomes(11).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_starts_clearly_and_ends_in_order() {
    let first = server(|_| ()).await;
    assert!(first.dns.healthy());
    let busy = first.address;
    let mut config = first.config.clone();
    config.dns.as_mut().unwrap().listen = vec![busy];
    let start = async |config: &kingcdn_config::Config| {
        let registry = prometheus::Registry::new();
        Dns::start(Arc::new(config.clone()), Clock::system(), &registry).await.err()
    };
    let error = start(&config).await.unwrap();
    assert!(error.to_string().starts_with(&format!("can't listen on {busy} for DNS: ")));
    config.dns = None;
    assert!(matches!(start(&config).await, Some(StartError::NoDns)));
    assert!(kingcdn_dns::check(&config).is_ok());
    first.dns.drain(Duration::from_secs(5)).await;
    assert!(!first.dns.healthy());
    // All sockets are free again.
    let _udp = std::net::UdpSocket::bind(busy).unwrap();
    let _tcp = std::net::TcpListener::bind(busy).unwrap();
}
