//! The name server behind a real recursive resolver, unbound, that caches by
//! client subnet. Needs the Debian packages `unbound` and `dnsutils`.
#![allow(clippy::unwrap_used)] // Helpers of tests, where clippy looks only at tests.

mod common;

use std::time::Duration;

use common::{run, server, unbound};
use kingcdn_config::HealthCheck;
use kingcdn_config::clock::Stopwatch;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_one_resolver_get_their_own_edges() {
    let server = server(|_| ()).await;
    let (_unbound, resolver) = unbound(server.folder.path(), server.address, &[]);
    let waited = Stopwatch::start();
    let ready = "ns1.netcinema.test A +short +tries=1 +time=1";
    while run("dig", resolver, ready).await.trim() != "127.0.0.1" {
        let log = || std::fs::read_to_string(server.folder.path().join("unbound.log"));
        assert!(waited.elapsed() < Duration::from_secs(20), "no answer: {:?}", log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let queries = || {
        let families = server.registry.gather();
        let name = "kingcdn_dns_ecs_queries_total";
        let family = families.iter().find(|family| family.name() == name).unwrap();
        family.get_metric()[0].get_counter().get_value()
    };
    // Subnet, edge, whether unbound has to ask for it.
    let cases = [
        ("10.1.2.0/24", "127.0.0.12", true),
        ("10.2.3.0/24", "127.0.0.13", true),
        ("10.9.9.0/24", "127.0.0.11", true),
        ("2001:db8:f:7::/56", "127.0.0.12", true),
        // In the scope of an answer that it has …
        ("10.1.77.0/24", "127.0.0.12", false),
        ("10.15.0.0/24", "127.0.0.11", false),
        ("2001:db8:f:8::/56", "127.0.0.12", false),
        ("10.2.15.0/24", "127.0.0.13", false),
        // … and just outside.
        ("10.2.16.0/24", "127.0.0.11", true),
        ("10.0.3.0/24", "127.0.0.11", true),
    ];
    for (subnet, edge, asks) in cases {
        let before = queries();
        let question = format!("video.netcinema.test A +nocookie +subnet={subnet}");
        let printed = run("dig", resolver, &question).await;
        assert!(printed.contains("status: NOERROR"), "{subnet}: {printed}");
        assert!(printed.contains(&format!("IN\tA\t{edge}")), "{subnet}: {printed}");
        assert_eq!(queries() > before, asks, "{subnet}");
    }
}

/// What a resolver keeps for one network ends as soon as its edge does, and another network's stays
/// where it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_a_resolver_move_when_their_edge_dies() {
    let ttl = Duration::from_secs(1);
    // Who listens is up.
    let mut edges = Vec::new();
    for address in ["127.0.0.11", "127.0.0.12", "127.0.0.13"] {
        edges.push(tokio::net::TcpListener::bind((address, 0)).await.unwrap());
    }
    let server = server(|config| {
        for (edge, listener) in config.edges.iter_mut().zip(&edges) {
            edge.listen = vec![listener.local_addr().unwrap()];
        }
        let dns = config.dns.as_mut().unwrap();
        (dns.ttl, dns.ttl_min) = (ttl, ttl);
        dns.health.check = HealthCheck::Tcp;
        dns.health.interval = Duration::from_millis(50);
    })
    .await;
    let (_unbound, resolver) = unbound(server.folder.path(), server.address, &[]);
    let becomes = async |subnet: &str, edge: &str| {
        let question =
            format!("video.netcinema.test A +nocookie +tries=1 +time=1 +subnet={subnet}");
        let waited = Stopwatch::start();
        while !run("dig", resolver, &question).await.contains(&format!("IN\tA\t{edge}")) {
            assert!(waited.elapsed() < Duration::from_secs(20), "{subnet} doesn't get {edge}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    becomes("10.1.2.0/24", "127.0.0.12").await;
    becomes("10.2.3.0/24", "127.0.0.13").await;
    drop(edges.remove(1));
    // The first network's next edge, by the default order.
    becomes("10.1.2.0/24", "127.0.0.11").await;
    becomes("10.2.3.0/24", "127.0.0.13").await;
}
