//! The name server behind a real recursive resolver, unbound, that caches by
//! client subnet. Needs the Debian packages `unbound` and `dnsutils`.
#![allow(clippy::unwrap_used, clippy::expect_used)] // Helpers of tests, where clippy looks only at tests.

mod common;

use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use common::{run, server};
use kingcdn_config::clock::Stopwatch;

/// An unbound that ends with the test.
struct Unbound(Child);

impl Drop for Unbound {
    fn drop(&mut self) {
        let _ended = self.0.kill().and_then(|()| self.0.wait());
    }
}

fn unbound(folder: &Path, authority: SocketAddr) -> (Unbound, SocketAddr) {
    let address = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let folder = folder.display();
    let stub =
        |zone| format!("stub-zone:\n name: {zone}\n stub-addr: 127.0.0.1@{}\n", authority.port());
    let text = format!(
        "server:\n\
         \x20interface: 127.0.0.1\n port: {}\n directory: \"{folder}\"\n chroot: \"\"\n\
         \x20username: \"\"\n pidfile: \"\"\n use-syslog: no\n logfile: \"unbound.log\"\n\
         \x20do-daemonize: no\n num-threads: 1\n module-config: \"subnetcache validator iterator\"\n\
         \x20send-client-subnet: 127.0.0.1\n client-subnet-always-forward: yes\n\
         \x20do-not-query-localhost: no\n local-zone: \"test.\" nodefault\n\
         \x20domain-insecure: \"test.\"\n qname-minimisation: yes\n\
         remote-control:\n control-enable: no\n{}{}",
        address.port(),
        stub("kingcdn.test"),
        stub("netcinema.test"),
    );
    let file = Path::new(&folder.to_string()).join("unbound.conf");
    std::fs::write(&file, text).unwrap();
    let child = Command::new("unbound").arg("-d").arg("-c").arg(&file).spawn();
    (Unbound(child.expect("unbound is installed")), address)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_one_resolver_get_their_own_edges() {
    let server = server(|_| ()).await;
    let (_unbound, resolver) = unbound(server.folder.path(), server.address);
    let waited = Stopwatch::start();
    let ready = "ns1.netcinema.test A +short +tries=1 +time=1";
    while run("dig", resolver, ready).await.trim() != "127.0.0.1" {
        assert!(waited.elapsed() < Duration::from_secs(20), "unbound doesn't answer");
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
