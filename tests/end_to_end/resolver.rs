//! The way of a real client: his resolver (unbound) follows the names, DNS names the edge that is
//! near to the client behind the resolver, and the edge has the video.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use crate::harness::{Cdn, eventually, run, tables};

/// An unbound of our own. Killed when dropped.
struct Unbound(Child);

impl Drop for Unbound {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// netcinema.test and kingcdn.test are asked at `authority`, with the client's whole address.
fn unbound(cdn: &Cdn, listen: SocketAddr, authority: SocketAddr) -> Unbound {
    let folder = cdn.folder().display();
    let stub = format!("{}@{}", authority.ip(), authority.port());
    cdn.write(
        "unbound.conf",
        &format!(
            r#"
server:
    interface: {ip}@{port}
    outgoing-interface: {ip}
    access-control: 127.0.0.0/8 allow
    do-daemonize: no
    do-not-query-localhost: no
    use-syslog: no
    username: ""
    chroot: ""
    directory: "{folder}"
    pidfile: ""
    module-config: "subnetcache iterator"
    client-subnet-zone: "netcinema.test"
    client-subnet-zone: "kingcdn.test"
    client-subnet-always-forward: yes
    max-client-subnet-ipv4: 32
    local-zone: "test." nodefault
stub-zone:
    name: "netcinema.test"
    stub-addr: {stub}
stub-zone:
    name: "kingcdn.test"
    stub-addr: {stub}
remote-control:
    control-enable: no
"#,
            ip = listen.ip(),
            port = listen.port(),
        ),
    );
    let child = Command::new("unbound")
        .args(["-d", "-c"])
        .arg(cdn.folder().join("unbound.conf"))
        .env("PATH", path_with_sbin())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    Unbound(child.expect("unbound runs; tests/run installs it"))
}

fn path_with_sbin() -> String {
    format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default())
}

#[tokio::test]
async fn clients_of_a_real_resolver_get_the_video_from_their_edge() {
    let cdn = Cdn::new();
    let network = cdn.network;
    let (dns, dns_admin) = (network.socket(53), network.socket(53));
    let (seoul, seoul_admin) = (network.socket(11), network.socket(11));
    let (frankfurt, frankfurt_admin) = (network.socket(12), network.socket(12));
    let (origin, origin_admin) = (network.socket(1), network.socket(1));
    // The clients: one in Korea, one in Germany, one resolver for both.
    let (korean, german) = (network.address(101), network.address(102));
    kingcdn_origin::sample::write_to(&cdn.folder().join("netcinema")).expect("the sample");
    cdn.write("netcinema.zone", tables::ZONE);
    cdn.configure(
        &[
            tables::dns(dns, dns_admin),
            tables::zone(),
            tables::network(&format!("{korean}/32"), tables::SEOUL),
            tables::network(&format!("{german}/32"), tables::FRANKFURT),
            tables::edge("seoul", tables::SEOUL, seoul, seoul_admin),
            tables::edge("frankfurt", tables::FRANKFURT, frankfurt, frankfurt_admin),
            tables::site(origin),
            tables::origin(origin, origin_admin),
        ]
        .concat(),
    );
    let _origin_node = cdn.origin(origin_admin).await;
    let _seoul_node = cdn.edge("seoul", seoul_admin).await;
    let _frankfurt_node = cdn.edge("frankfurt", frankfurt_admin).await;
    let dns_node = cdn.dns(dns_admin).await;
    eventually("DNS has checked its edges", || async {
        (dns_node.metric("kingcdn_edge_up", &[]).await == 2.0).then_some(())
    })
    .await;
    let resolver = network.socket(54);
    let _unbound = unbound(&cdn, resolver, dns);
    let server = format!("@{}", resolver.ip());
    let port = resolver.port().to_string();
    let arguments = ["-p", &port, &server, tables::HOST, "A", "+retry=20", "+timeout=1"];
    eventually("the resolver answers", || async {
        let asked = tokio::process::Command::new("kdig").args(arguments).output().await;
        asked.expect("kdig runs; tests/run installs it").status.success().then_some(())
    })
    .await;

    for (client, edge) in [(korean, seoul), (german, frankfurt), (korean, seoul)] {
        let client = client.to_string();
        let arguments = ["-b", &client, &server, "-p", &port, tables::HOST, "A", "+short"];
        let answer = run("dig", &arguments).await;
        let address = answer.lines().last().unwrap_or_default();
        assert_eq!(address, edge.ip().to_string(), "{client}: {answer}");

        let resolve = format!("{}:{}:{address}", tables::HOST, edge.port());
        let url = format!("http://{}:{}/master.m3u8", tables::HOST, edge.port());
        let playlist = run("curl", &["-sSf", "--resolve", &resolve, &url]).await;
        assert!(playlist.starts_with("#EXTM3U"), "{playlist}");
    }
    assert!(dns_node.metric("kingcdn_dns_ecs_queries_total", &[]).await >= 2.0);
}
