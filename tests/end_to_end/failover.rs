//! An edge dies; its clients are sent to the next nearest, and come back when it does.

use std::time::Duration;

use crate::harness::{Answer, Cdn, Origin, Stopwatch, eventually, run, tables};

const KOREA: &str = "203.250.0.0/16";
const GERMANY: &str = "141.1.0.0/16";

/// From the death of an edge until no client is sent there any more.
const FAILOVER: Duration = Duration::from_secs(5);

#[tokio::test]
async fn korean_clients_get_tokyo_while_seoul_is_dead() {
    let cdn = Cdn::new();
    let network = cdn.network;
    let dns = network.socket(53);
    let dns_admin = network.socket(53);
    let (seoul, seoul_admin) = (network.socket(11), network.socket(11));
    let (tokyo, tokyo_admin) = (network.socket(12), network.socket(12));
    let (frankfurt, frankfurt_admin) = (network.socket(13), network.socket(13));
    let origin = Origin::start(network.socket(1), |_| Answer::new(200, "film")).await;
    cdn.write("netcinema.zone", tables::ZONE);
    cdn.configure(
        &[
            tables::dns(dns, dns_admin),
            tables::zone(),
            tables::network(KOREA, tables::SEOUL),
            tables::network(GERMANY, tables::FRANKFURT),
            tables::edge("seoul", tables::SEOUL, seoul, seoul_admin),
            tables::edge("tokyo", tables::TOKYO, tokyo, tokyo_admin),
            tables::edge("frankfurt", tables::FRANKFURT, frankfurt, frankfurt_admin),
            tables::site(origin.address),
        ]
        .concat(),
    );
    let mut seoul_node = cdn.edge("seoul", seoul_admin).await;
    let _tokyo_node = cdn.edge("tokyo", tokyo_admin).await;
    let _frankfurt_node = cdn.edge("frankfurt", frankfurt_admin).await;
    let dns_node = cdn.dns(dns_admin).await;
    let edge_for = async |subnet: &str| {
        let server = format!("@{}", dns.ip());
        let port = dns.port().to_string();
        let subnet = format!("+subnet={subnet}");
        let arguments = [&server, "-p", &port, tables::HOST, "A", "+short", &subnet];
        let answer = run("dig", &arguments).await;
        let address = answer.lines().last().unwrap_or_default().to_owned();
        assert!(address.parse::<std::net::Ipv4Addr>().is_ok(), "no address: {answer:?}");
        address
    };
    eventually("Korea is sent to Seoul", || async {
        (edge_for(KOREA).await == seoul.ip().to_string()).then_some(())
    })
    .await;

    seoul_node.kill();
    let watch = Stopwatch::start();
    eventually("Korea is sent elsewhere", || async {
        (edge_for(KOREA).await != seoul.ip().to_string()).then_some(())
    })
    .await;
    assert!(watch.elapsed() < FAILOVER, "only after {:?}", watch.elapsed());
    assert_eq!(edge_for(KOREA).await, tokyo.ip().to_string());
    assert_eq!(edge_for(GERMANY).await, frankfurt.ip().to_string());
    assert_eq!(dns_node.metric("kingcdn_edge_up", &["seoul"]).await, 0.0);
    assert_eq!(dns_node.metric("kingcdn_edge_up", &["tokyo"]).await, 1.0);

    let _seoul_node = cdn.edge("seoul", seoul_admin).await;
    eventually("Korea is sent to Seoul again", || async {
        (edge_for(KOREA).await == seoul.ip().to_string()).then_some(())
    })
    .await;
    assert_eq!(dns_node.metric("kingcdn_dns_queries_total", &["SERVFAIL"]).await, 0.0);
}
