//! Good files and what is made of them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{parse, parts};
use crate::{AllDown, ClientRefresh, Config, Cookies, Eviction, Files, Geoip, HealthCheck};
use crate::{NetworkTarget, QueryKey, Site};

fn config(text: &str) -> Config {
    match parse(text) {
        Ok(loaded) => loaded.config,
        Err(report) => panic!("{report}"),
    }
}

#[test]
fn defaults_are_safe() {
    let config = config(&parts("cdn dns nameserver edge site"));
    let cdn = config.cdn.expect("a domain");
    assert_eq!(cdn.contact.to_string(), "hostmaster@kingcdn.test");
    let dns = config.dns.expect("a name server");
    assert_eq!(dns.admin.to_string(), "127.0.0.1:9153");
    assert_eq!(dns.ttl, Duration::from_secs(30));
    assert_eq!(dns.geoip, Geoip::Embedded);
    assert_eq!(dns.health.check, HealthCheck::Http);
    assert_eq!(dns.health.all_down, AllDown::Every);
    let edge = &config.edges[0];
    assert_eq!(edge.admin.to_string(), "127.0.0.1:9180");
    assert_eq!(edge.cache.memory_bytes, 256 << 20);
    assert_eq!(edge.cache.eviction, Eviction::Lfu);
    assert_eq!(edge.limits.header_bytes, 16 << 10);
    let site = &config.sites[0];
    assert_eq!(site.cache.default_ttl, Duration::ZERO);
    assert_eq!(site.cache.cookies, Cookies::Pass);
    assert!(!site.cache.heuristic);
    assert!(site.cache.negative_ttl.is_empty() && site.cache.targets.is_empty());
    assert_eq!(site.cache.client_refresh, ClientRefresh::Limited);
    assert!(!site.cache.show_key);
    assert!(site.upgrade.is_empty());
    assert_eq!(site.key.query, QueryKey::All);
    assert!(site.key.headers.is_empty() && site.key.cookies.is_empty());
    assert!(!site.key.query_sort && !site.key.ignore_case);
}

#[test]
fn the_location_database() {
    let geoip = |word: &str| {
        let text = format!("[dns]\ngeoip = \"{word}\"\n{}", parts("cdn nameserver edge site"));
        let parsed = Config::parse_with(&text, Path::new("/etc/cdn/cdn.toml"), Files::Unchecked);
        parsed.expect("a right file").config.dns.expect("a name server").geoip
    };
    assert_eq!(geoip("none"), Geoip::None);
    // A file of that name needs its folder.
    assert_eq!(geoip("./none"), Geoip::File("/etc/cdn/none".into()));
    assert_eq!(geoip("city.mmdb"), Geoip::File("/etc/cdn/city.mmdb".into()));
    assert_eq!(geoip("/geo/city.mmdb"), Geoip::File("/geo/city.mmdb".into()));
}

#[test]
fn times_to_live_follow_the_usual_one() {
    let ttls = |lines: &str| {
        let text = format!("[dns]\n{lines}\n{}", parts("cdn nameserver edge site"));
        let dns = config(&text).dns.expect("a name server");
        [dns.ttl_min, dns.ttl, dns.ttl_max].map(|ttl| ttl.as_secs())
    };
    assert_eq!(ttls(""), [10, 30, 300]);
    assert_eq!(ttls("ttl = \"5s\""), [5, 5, 300]);
    assert_eq!(ttls("ttl = \"1h\""), [10, 3600, 3600]);
}

#[test]
fn capacities_and_ways_out() {
    let text = "[[site]]\nname = \"a\"\norigin = [\"http://192.0.2.10\"]\n\
                [site.dns]\nanswers = 2\nttl = \"1m\"\nall_down = { cname = \"www.example.net\" }\n\
                client_subnet = false\nhttps = { alpn = [\"h2\", \"h3\"], port = 8443 }\n\
                [[edge]]\nname = \"b\"\nlocation = [0, 0]\naddresses = [\"192.0.2.1\"]\n\
                weight = 3\ncapacity = { requests = \"5000/s\", egress = \"2 Gbit/s\", cpu = \"90%\" }\n";
    let config = config(&format!("{text}{}", parts("cdn dns nameserver")));
    let dns = &config.sites[0].dns;
    assert_eq!((dns.answers, dns.ttl), (2, Some(Duration::from_secs(60))));
    let alias = crate::DomainName::parse("www.example.net").expect("a name");
    assert_eq!(dns.all_down, Some(crate::SiteAllDown::Alias(alias)));
    assert_eq!(dns.client_subnet, Some(false));
    let alpn = ["h2", "h3"].map(str::to_owned).to_vec();
    assert_eq!(dns.https, Some(crate::SiteHttps { alpn, port: Some(8443) }));
    assert!(config.dns.as_ref().expect("a name server").client_subnet);
    let capacity = config.edges[0].capacity;
    assert_eq!(config.edges[0].weight, 3);
    assert_eq!(capacity.requests_per_second, Some(5000));
    assert_eq!(capacity.egress_bits_per_second, Some(2_000_000_000));
    assert_eq!(capacity.cpu_share, Some(0.9));
}

/// A dead edge is out within five seconds without a word of configuration.
#[test]
fn default_checks_take_a_dead_edge_out_in_time() {
    let health = config(&parts("cdn dns nameserver edge site")).dns.expect("dns").health;
    let worst = health.interval * health.down_after + health.timeout;
    assert!(worst <= Duration::from_secs(5), "{worst:?}");
    assert!(health.down_after > 1, "one lost check takes nothing out");
}

#[test]
fn without_listen_every_address_of_the_own_families_is_taken() {
    let listen = |addresses: &str| {
        let text =
            format!("[[edge]]\nname = \"a\"\nlocation = [0, 0]\n{addresses}\n{}", parts("site"));
        let listen = config(&text).edges[0].listen.clone();
        listen.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(listen(""), "0.0.0.0:80");
    assert_eq!(listen("addresses = [\"192.0.2.1\"]"), "0.0.0.0:80");
    assert_eq!(listen("addresses = [\"2001:db8::1\"]"), "[::]:80");
    assert_eq!(listen("addresses = [\"2001:db8::1\", \"192.0.2.1\"]"), "0.0.0.0:80 [::]:80");
}

#[test]
fn an_edge_says_it_key_by_key_over_all_edges() {
    let text = parts("site")
        + "[cache]\nmemory = \"1 GiB\"\neviction = \"lru\"\n[limits]\nheader_count = 50\n\
           [[edge]]\nname = \"a\"\nlocation = [0, 0]\ncache.memory = \"2 GiB\"\n\
           limits.connections = 7\n[[edge]]\nname = \"b\"\nlocation = [0.5, -1]\n";
    let config = config(&text);
    let cache = |edge: usize| &config.edges[edge].cache;
    assert_eq!((cache(0).memory_bytes, cache(0).eviction), (2 << 30, Eviction::Lru));
    assert_eq!((cache(1).memory_bytes, cache(1).eviction), (1 << 30, Eviction::Lru));
    let limits = |edge: usize| &config.edges[edge].limits;
    assert_eq!((limits(0).connections, limits(0).header_count), (7, 50));
    assert_eq!((limits(1).connections, limits(1).header_count), (20_000, 50));
}

#[test]
fn a_site_answers_at_its_name_in_the_zone() {
    let hosts = |text: &str| {
        let hosts = config(text).sites[0].hosts.clone();
        hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    let without = "[[site]]\nname = \"shop\"\norigin = [\"http://192.0.2.1\"]\n";
    let zone = parts("cdn edge");
    assert_eq!(hosts(&format!("{zone}{without}")), "shop.kingcdn.test");
    let listed = "hosts = [\"shop.test\", \"SHOP.kingcdn.test.\"]\n";
    assert_eq!(hosts(&format!("{zone}{without}{listed}")), "shop.test shop.kingcdn.test");
    assert_eq!(hosts(&parts("edge site")), "video.netcinema.test");
}

#[test]
fn paths_begin_at_the_files_folder() {
    let text = parts("edge site") + "[origin]\nroot = \"netcinema\"\n";
    let root = |path: &str| {
        let loaded = Config::parse(&text, Path::new(path)).expect("a good file");
        loaded.config.origin.expect("an origin").root
    };
    assert_eq!(root("/etc/kingcdn/kingcdn.toml"), PathBuf::from("/etc/kingcdn/netcinema"));
    assert_eq!(root("kingcdn.toml"), PathBuf::from("netcinema"));
}

#[test]
fn origins_are_read_as_urls() {
    for (text, read) in [
        ("http://192.0.2.1", "http://192.0.2.1:80"),
        ("HTTP://Origin.Example.NET:8000/", "http://origin.example.net:8000"),
        ("http://[2001:db8::1]", "http://[2001:db8::1]:80"),
        ("http://[2001:db8::1]:8000", "http://[2001:db8::1]:8000"),
    ] {
        let origin = crate::OriginUrl::parse(text).map(|url| url.to_string());
        assert_eq!(origin.as_deref(), Ok(read));
    }
}

#[test]
fn networks_send_to_places_or_edges() {
    let text = parts("cdn dns nameserver edge site")
        + "[[dns.network]]\nprefix = \"192.0.2.0/24\"\nlocation = [1, 2.5]\n\
           [[dns.network]]\nprefix = \"0.0.0.0/0\"\nedges = [\"Seoul\"]\n";
    let networks = config(&text).dns.expect("dns").networks;
    assert!(matches!(networks[0].target, NetworkTarget::Location(place) if place.longitude == 2.5));
    assert!(matches!(&networks[1].target, NetworkTarget::Edges(edges) if edges.len() == 1));
}

/// Nodes on several machines may each have what every machine has.
#[test]
fn addresses_that_every_machine_has_may_be_shared() {
    let edge = |name: &str| {
        format!(
            "[[edge]]\nname = \"{name}\"\nlocation = [0, 0]\n\
             listen = [\"0.0.0.0:80\", \"[::]:80\", \"127.0.0.1:81\", \"127.0.0.1:0\"]\n"
        )
    };
    config(&(parts("site") + &edge("a") + &edge("b")));
}

#[test]
fn edges_without_sites_are_doubtful() {
    let warnings = parse(&parts("edge")).expect("a good file").warnings;
    assert!(warnings.to_string().starts_with("warning: there is no `[[site]]`"), "{warnings}");
    assert!(warnings.styled().contains("\u{1b}["), "colour on demand");
    assert!(!warnings.to_string().contains('\u{1b}'), "and only then");
}

fn site(lines: &str) -> Site {
    config(&(parts("edge site") + lines)).sites.remove(0)
}

#[test]
fn a_key_says_which_parameters_fields_and_cookies_count() {
    let key = site(
        "[site.key]\nquery_drop = [\"utm_*\", \"fbclid\"]\nheaders = [\"X-Device\"]\n\
         cookies = [\"Lang\"]\nquery_sort = true\nignore_case = true\n",
    )
    .key;
    let QueryKey::Drop(dropped) = &key.query else { panic!("{:?}", key.query) };
    for (name, expected) in [
        ("utm_", true),
        ("utm_source", true),
        ("fbclid", true),
        ("utm", false),
        ("UTM_source", false),
        ("fbclid2", false),
        ("", false),
    ] {
        assert_eq!(dropped.iter().any(|pattern| pattern.matches(name)), expected, "{name}");
    }
    assert_eq!(dropped.iter().map(ToString::to_string).collect::<Vec<_>>(), ["utm_*", "fbclid"]);
    assert_eq!((key.headers[0].as_str(), key.cookies[0].as_str()), ("x-device", "Lang"));
    assert!(key.query_sort && key.ignore_case);
    assert_eq!(site("[site.key]\nquery = \"none\"\n").key.query, QueryKey::None);
    assert!(matches!(site("[site.key]\nquery_keep = [\"a\"]\n").key.query, QueryKey::Keep(_)));
}

#[test]
fn one_status_stands_before_its_class() {
    let cache =
        site("[site.cache]\nnegative_ttl = { 5xx = \"1s\", 503 = \"0s\", 404 = \"1m\" }\n").cache;
    let read: Vec<_> =
        cache.negative_ttl.iter().map(|of| (of.statuses.clone(), of.ttl.as_secs())).collect();
    assert_eq!(read, [(404..=404, 60), (503..=503, 0), (500..=599, 1)]);
}

#[test]
fn protocols_are_named_in_any_case() {
    let read = site("upgrade = [\"WebSocket\", \"x-own\"]\n").upgrade;
    assert_eq!(read.iter().map(ToString::to_string).collect::<Vec<_>>(), ["websocket", "x-own"]);
}
