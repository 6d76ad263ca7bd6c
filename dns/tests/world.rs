//! Clients all over the world, with the database in the program and no network in the
//! configuration. Needs the Debian package `dnsutils`.
#![allow(clippy::unwrap_used, clippy::expect_used)] // Helpers of tests, where clippy looks only at tests.

mod common;

use common::{run, server};
use kingcdn_config::Geoip;

const SEOUL: &str = "127.0.0.11";
const FRANKFURT: &str = "127.0.0.12";
const ASHBURN: &str = "127.0.0.13";

/// Universities, exchanges and clouds that stay where they are.
const NETWORKS: [(&str, &str); 12] = [
    // Korea Telecom, the University of Tokyo, WIDE in Tokyo.
    ("203.250.0.0/24", SEOUL),
    ("133.11.0.0/16", SEOUL),
    ("2001:200::/32", SEOUL),
    // Brisbane.
    ("1.0.0.0/24", SEOUL),
    // Leipzig, Edinburgh, the RIPE NCC in Amsterdam, DFN in Berlin.
    ("139.18.0.0/16", FRANKFURT),
    ("129.215.0.0/16", FRANKFURT),
    ("193.0.6.0/24", FRANKFURT),
    ("2001:638::/48", FRANKFURT),
    // MIT, Berkeley, a cloud in Virginia, NIC.br in São Paulo.
    ("18.0.0.0/24", ASHBURN),
    ("128.32.0.0/24", ASHBURN),
    ("2600:1f18::/48", ASHBURN),
    ("200.160.2.0/24", ASHBURN),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_all_continents_get_their_nearest_edge() {
    let server = server(|config| {
        let dns = config.dns.as_mut().unwrap();
        dns.geoip = Geoip::Embedded;
        dns.networks.clear();
    })
    .await;
    let ask = async |subnet: &str| {
        let question = format!("netcinema.kingcdn.test A +subnet={subnet} +tries=1 +time=5");
        run("dig", server.address, &question).await
    };
    for (subnet, edge) in NETWORKS {
        let answer = ask(subnet).await;
        assert!(answer.contains(&format!("IN\tA\t{edge}\n")), "{subnet}: {answer}");
        // Somewhere is a border, so the answer isn't for everybody.
        let echoed = format!("; CLIENT-SUBNET: {subnet}/");
        let scope = answer.split_once(&echoed).and_then(|(_, rest)| rest.lines().next());
        let scope: u8 = scope.and_then(|scope| scope.parse().ok()).expect(&answer);
        assert!((1..=48).contains(&scope), "{subnet}: {scope}");
    }
    // A private network is nowhere: the default order.
    let answer = ask("10.0.0.0/8").await;
    assert!(answer.contains(&format!("IN\tA\t{SEOUL}\n")), "{answer}");
    assert!(answer.contains("; CLIENT-SUBNET: 10.0.0.0/8/8"), "{answer}");

    let geoip = &server.dns.status()["geoip"];
    assert_eq!(geoip["source"], "embedded");
    assert_eq!(geoip["edition"], "DB-IP City Lite 2026-06");
    assert!(geoip["attribution"].as_str().unwrap().contains("IP Geolocation by DB-IP"));
    assert!(geoip["entries"].as_u64().unwrap() > 5_000_000);
}
