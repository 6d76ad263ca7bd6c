//! What the fuzzers call, and `src/fuzzing/tests.rs` with it: one function for each kind of thing
//! that a name server reads from others. Each panics where the name server does, and where it
//! contradicts itself.

use std::net::IpAddr;

use kingcdn_config::Config;
use kingcdn_dns::fuzzing::{self, Server};

const CONFIG: &str = r#"
[cdn]
zone = "kingcdn.test"
[dns]
geoip = "none"
[dns.limits]
rate = 0
[dns.health]
check = "none"
[[dns.nameserver]]
name = "ns1"
addresses = ["192.0.2.53"]
[[dns.network]]
prefix = "10.2.0.0/20"
edges = ["frankfurt"]
[[dns.network]]
prefix = "2001:db8:f::/48"
edges = ["frankfurt"]
[[dns.zone]]
name = "netcinema.test"
file = "netcinema.zone"
[[edge]]
name = "seoul"
location = [37.57, 126.98]
addresses = ["192.0.2.1", "2001:db8::1"]
[[edge]]
name = "frankfurt"
location = [50.11, 8.68]
addresses = ["192.0.2.2"]
[[site]]
name = "netcinema"
hosts = ["host.netcinema.test"]
origin = ["http://192.0.2.9"]
"#;
const ZONE: &str = r#"
$TTL 300
@        SOA ns1 hostmaster 1 1d 2h 4w 60
@        NS  ns1
@        MX  10 mail
ns1      A   192.0.2.53
video    CNAME netcinema.kingcdn.test.
long     CNAME video
away     CNAME www.example.org.
child    NS  ns.child
ns.child A   192.0.2.55
*.any    A   192.0.2.7
old      DNAME netcinema.test.
private  TYPE65280 \# 4 c0000201
"#;
const FROM: [&str; 4] = ["192.0.2.77", "10.2.3.4", "2001:db8:f::1", "::ffff:10.2.3.4"];

thread_local! {
    /// Without signatures and with.
    static SERVERS: [Server; 2] = servers();
}

fn servers() -> [Server; 2] {
    let folder = std::env::temp_dir().join(format!("kingcdn-dns-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("netcinema.zone"), ZONE).unwrap();
    let load = |text: &str| match Config::parse(text, &folder.join("cdn.toml")) {
        Ok(loaded) => Server::new(&loaded.config),
        Err(report) => panic!("{report}"),
    };
    for zone in ["kingcdn.test", "netcinema.test"] {
        kingcdn_dns::keys::make(zone, &folder.join("keys")).unwrap();
    }
    let servers = [load(CONFIG), load(&format!("{CONFIG}[dns.dnssec]\nkeys = \"keys\"\n"))];
    std::fs::remove_dir_all(&folder).unwrap();
    servers
}

/// An octet that says to whom, from where and over what, and a packet.
pub(crate) fn packet(data: &[u8]) {
    let Some((case, packet)) = data.split_first() else { return };
    let from: IpAddr = FROM[usize::from(case >> 2 & 3)].parse().unwrap();
    SERVERS.with(|servers| servers[usize::from(case & 1)].packet(packet, from, case & 2 != 0));
}

/// A zone file for `fuzz.test`.
pub(crate) fn zone(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        fuzzing::zone(text);
    }
}
