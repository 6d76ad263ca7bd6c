//! A name server on real sockets, and clients for it.
#![allow(dead_code)] // Each test uses its part.

#[path = "../../src/testing.rs"]
pub(crate) mod testing;

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use kingcdn_config::Config;
use kingcdn_config::clock::Clock;
use kingcdn_dns::Dns;
use tempfile::TempDir;

pub(crate) const ZONE: &str = "\
$TTL 300
@     SOA ns1 hostmaster 1 1d 2h 4w 60
@     NS  ns1
ns1   A   127.0.0.1
video CNAME netcinema.kingcdn.test.
";

pub(crate) struct Server {
    pub(crate) dns: Dns,
    pub(crate) address: SocketAddr,
    pub(crate) config: Config,
    pub(crate) registry: prometheus::Registry,
    pub(crate) folder: TempDir,
}

/// A name server with the configuration that tests share, changed.
pub(crate) async fn server(change: impl FnOnce(&mut Config)) -> Server {
    let folder = tempfile::tempdir().unwrap();
    let mut config = testing::config(folder.path(), &[("netcinema.test", ZONE)]);
    change(&mut config);
    let registry = prometheus::Registry::new();
    let dns = Dns::start(Arc::new(config.clone()), Clock::system(), &registry).await.unwrap();
    Server { address: dns.addresses()[0], dns, config, registry, folder }
}

/// What a client program prints. `@` and `-p` are added.
pub(crate) async fn run(program: &str, address: SocketAddr, arguments: &str) -> String {
    let mut command = Command::new(program);
    command.arg(format!("@{}", address.ip()));
    command.arg("-p").arg(address.port().to_string());
    command.args(arguments.split_whitespace());
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = output.await.unwrap().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Sends a packet over UDP; the answer, if there is one in time.
pub(crate) fn exchange(address: SocketAddr, packet: &[u8], wait: Duration) -> Option<Vec<u8>> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(wait)).unwrap();
    socket.send_to(packet, address).unwrap();
    let mut answer = [0; 65535];
    let length = socket.recv(&mut answer).ok()?;
    Some(answer[..length].to_vec())
}

/// A query for a name's A records, without EDNS.
pub(crate) fn query(id: u16, name: &str) -> Vec<u8> {
    let mut packet = id.to_be_bytes().to_vec();
    packet.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        packet.push(u8::try_from(label.len()).unwrap());
        packet.extend(label.as_bytes());
    }
    packet.extend([0, 0, 1, 0, 1]);
    packet
}

/// An address that nobody has for UDP nor TCP, outside of where the system takes ports from: whoever
/// else runs here may get any of those before a program of ours does.
pub(crate) fn free() -> SocketAddr {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    let ports = std::iter::repeat_with(|| {
        let next = std::process::id() * 31 + TAKEN.fetch_add(1, Ordering::Relaxed);
        20_000 + u16::try_from(next % 9000).unwrap()
    });
    let addresses = ports.map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let is_free = |at: &SocketAddr| UdpSocket::bind(at).is_ok() && TcpListener::bind(at).is_ok();
    addresses.take(9000).find(is_free).unwrap()
}

/// An unbound that ends with the test.
pub(crate) struct Unbound(Child);

impl Drop for Unbound {
    fn drop(&mut self) {
        let _ended = self.0.kill().and_then(|()| self.0.wait());
    }
}

/// An unbound that asks `authority`, and believes these keys (DS records) or, without any,
/// everything.
pub(crate) fn unbound(
    folder: &Path,
    authority: SocketAddr,
    anchors: &[String],
) -> (Unbound, SocketAddr) {
    unbound_over(folder, &format!("127.0.0.1@{}", authority.port()), None, anchors)
}

/// The same over TLS, where there is a file with the certificate to believe.
pub(crate) fn unbound_over(
    folder: &Path,
    authority: &str,
    tls: Option<&Path>,
    anchors: &[String],
) -> (Unbound, SocketAddr) {
    let address = free();
    let folder = folder.display();
    let over = tls.map_or("", |_| " stub-tls-upstream: yes\n");
    let bundle = tls.map(|file| format!(" tls-cert-bundle: \"{}\"\n", file.display()));
    let bundle = bundle.unwrap_or_default();
    let stub = |zone| format!("stub-zone:\n name: {zone}\n stub-addr: {authority}\n{over}");
    let trust: String = match anchors {
        [] => " domain-insecure: \"test.\"\n".to_owned(),
        anchors => anchors.iter().map(|ds| format!(" trust-anchor: \"{ds}\"\n")).collect(),
    };
    let text = format!(
        "server:\n\
         \x20interface: 127.0.0.1\n port: {}\n directory: \"{folder}\"\n chroot: \"\"\n\
         \x20username: \"\"\n pidfile: \"\"\n use-syslog: no\n logfile: \"unbound.log\"\n\
         \x20do-daemonize: no\n num-threads: 1\n module-config: \"subnetcache validator iterator\"\n\
         \x20send-client-subnet: 127.0.0.1\n client-subnet-always-forward: yes\n\
         \x20do-not-query-localhost: no\n local-zone: \"test.\" nodefault\n\
         \x20qname-minimisation: yes\n{trust}{bundle}\
         remote-control:\n control-enable: no\n{}{}",
        address.port(),
        stub("kingcdn.test"),
        stub("netcinema.test"),
    );
    let file = Path::new(&folder.to_string()).join("unbound.conf");
    std::fs::write(&file, text).unwrap();
    let child = Command::new("unbound").arg("-d").arg("-c").arg(&file).spawn();
    (Unbound(child.unwrap()), address)
}
