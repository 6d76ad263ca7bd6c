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
        tls: None,
        admin: "127.0.0.1:0".parse().unwrap(),
        ttl: Duration::from_secs(30),
        ttl_min: Duration::from_secs(10),
        ttl_max: Duration::from_secs(300),
        state: None,
        shedding: Shedding::default(),
        rules: Vec::new(),
        client_subnet: true,
        geoip: Geoip::None,
        health: HealthPolicy {
            check: HealthCheck::None,
            port: None,
            http: HttpCheck::default(),
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            down_after: 3,
            up_after: 2,
            all_down: AllDown::Every,
        },
        nameservers: vec![NameServer {
            name: Label::parse("ns1").unwrap(),
            addresses: vec!["127.0.0.1".parse().unwrap()],
            admin: None,
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

/// A certificate for `ns1.kingcdn.test` and 127.0.0.1, valid in these years, with its key in files of
/// this name.
pub(crate) fn certificate(folder: &Path, name: &str, (from, until): (i32, i32)) -> DnsTls {
    use std::os::unix::fs::PermissionsExt as _;
    let names = ["ns1.kingcdn.test", "127.0.0.1"].map(ToOwned::to_owned);
    let mut params = rcgen::CertificateParams::new(names).unwrap();
    params.not_before = rcgen::date_time_ymd(from, 1, 1);
    params.not_after = rcgen::date_time_ymd(until, 1, 1);
    let pair = rcgen::KeyPair::generate().unwrap();
    let [certificate, key] = ["pem", "key"].map(|end| folder.join(format!("{name}.{end}")));
    std::fs::write(&certificate, params.self_signed(&pair).unwrap().pem()).unwrap();
    std::fs::write(&key, pair.serialize_pem()).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let any = vec!["127.0.0.1:0".parse().unwrap()];
    DnsTls {
        listen: any.clone(),
        https: any,
        certificate,
        key,
        connections: 64,
        per_client: 16,
        idle: Duration::from_secs(30),
    }
}

/// A log that is kept: each event as its level, message and fields.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log(std::sync::Arc<std::sync::Mutex<Vec<String>>>);

impl Log {
    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

struct Line(String, String);

impl tracing::field::Visit for Line {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        match field.name() {
            "message" => self.0 += &format!(" {value:?}"),
            name => self.1 += &format!(" {name}={value:?}"),
        }
    }
}

impl tracing::Subscriber for Log {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::INFO
    }

    fn new_span(&self, _span: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _span: &tracing::span::Id, _values: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _span: &tracing::span::Id, _follows: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut line = Line(event.metadata().level().to_string(), String::new());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0 + &line.1);
    }

    fn enter(&self, _span: &tracing::span::Id) {}

    fn exit(&self, _span: &tracing::span::Id) {}
}
