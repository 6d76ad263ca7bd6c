//! What tests share.

use std::path::Path;
use std::time::Duration;

use kingcdn_config::*;

/// A CDN of three edges and one site, with these static zones as files `<first label>.zone`.
pub(crate) fn config(folder: &Path, zones: &[(&str, &str)]) -> Config {
    let name = |text: &str| DomainName::parse(text).unwrap();
    let zones = zones.iter().map(|(apex, text)| {
        let file = folder.join(format!("{}.zone", apex.split('.').next().unwrap()));
        std::fs::write(&file, text).unwrap();
        Zone { name: name(apex), file }
    });
    let dns = Dns {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        admin: "127.0.0.1:0".parse().unwrap(),
        ttl: Duration::from_secs(30),
        ttl_min: Duration::from_secs(10),
        ttl_max: Duration::from_secs(300),
        state: None,
        shedding: Shedding::default(),
        rules: Vec::new(),
        geoip: Geoip::None,
        health: HealthPolicy {
            check: HealthCheck::None,
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            down_after: 3,
            up_after: 2,
            all_down: AllDown::Every,
        },
        nameservers: vec![NameServer {
            name: Label::parse("ns1").unwrap(),
            addresses: vec!["127.0.0.1".parse().unwrap()],
        }],
        networks: vec![
            network("10.1.0.0/16", &["frankfurt"]),
            network("10.2.0.0/20", &["ashburn"]),
            network("2001:db8:f::/48", &["frankfurt"]),
        ],
        zones: zones.collect(),
        secondaries: Vec::new(),
        // Tests ask faster than any network should.
        protocol: Protocol {
            limits: DnsLimits { rate: 0, ..DnsLimits::default() },
            ..Protocol::default()
        },
    };
    Config {
        cdn: Some(Cdn {
            zone: name("kingcdn.test"),
            contact: Mailbox::parse("host.master@kingcdn.test").unwrap(),
        }),
        dns: Some(dns),
        edges: vec![
            edge("seoul", 37.57, 126.98, "127.0.0.11"),
            edge("frankfurt", 50.11, 8.68, "127.0.0.12"),
            edge("ashburn", 39.04, -77.49, "127.0.0.13"),
        ],
        sites: vec![site(
            "netcinema",
            &[
                "video.netcinema.test",
                "netcinema.test",
                "host.netcinema.test",
                "explicit.netcinema.test",
            ],
        )],
        origin: None,
        telemetry: None,
    }
}

pub(crate) fn network(prefix: &str, edges: &[&str]) -> Network {
    let edges = edges.iter().map(|edge| Label::parse(edge).unwrap());
    Network { prefix: prefix.parse().unwrap(), target: NetworkTarget::Edges(edges.collect()) }
}

pub(crate) fn edge(name: &str, latitude: f64, longitude: f64, address: &str) -> Edge {
    let address: std::net::IpAddr = address.parse().unwrap();
    Edge {
        name: Label::parse(name).unwrap(),
        location: Location::new(latitude, longitude).unwrap(),
        addresses: vec![address],
        weight: 1,
        capacity: Capacity::default(),
        listen: vec![(address, 8080).into()],
        admin: (address, 9180).into(),
        cache: CachePolicy { memory_bytes: 1 << 20, disk: None, eviction: Eviction::Lfu },
        limits: Limits {
            connections: 1,
            header_bytes: 1,
            header_count: 1,
            header_timeout: Duration::from_secs(1),
            body_timeout: Duration::from_secs(1),
            request_body_bytes: 1,
            tunnels: 1,
            tunnel_timeout: Duration::from_secs(1),
            drain_timeout: Duration::from_secs(1),
            lame_duck: None,
        },
    }
}

pub(crate) fn site(name: &str, hosts: &[&str]) -> Site {
    let second = Duration::from_secs(1);
    Site {
        name: Label::parse(name).unwrap(),
        hosts: hosts.iter().map(|host| DomainName::parse(host).unwrap()).collect(),
        origins: Vec::new(),
        upgrade: Vec::new(),
        dns: SiteDns::default(),
        key: SiteKey::default(),
        cache: SiteCache::default(),
        upstream: Upstream {
            connect_timeout: second,
            first_byte_timeout: second,
            idle_timeout: second,
            connections: 1,
            host: None,
        },
    }
}
