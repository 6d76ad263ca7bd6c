//! Nodes are replaced under load, and nobody notices.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http::Request;
use http::header::{CONNECTION, HOST};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, UdpSocket, UnixDatagram};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::harness::{Answer, Cdn, Origin, PATIENCE, eventually, tables};

/// Two lives of each node are ended like this.
const ROUNDS: usize = 2;
/// Clients of each kind.
const CLIENTS: usize = 4;
/// Between two ends, so many things are asked.
const ASKED: u64 = 200;

/// Those who ask without a pause, until told that it is enough.
#[derive(Default)]
struct Crowd {
    count: Count,
    clients: JoinSet<anyhow::Result<()>>,
}

#[derive(Default, Clone)]
struct Count {
    enough: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
}

impl Count {
    /// Counts one more; false when it is enough.
    fn goes_on(&self) -> bool {
        self.asked.fetch_add(1, Ordering::Relaxed);
        !self.enough.load(Ordering::Relaxed)
    }
}

impl Crowd {
    /// Waits until the clients have asked some more. Panics as soon as one has failed.
    async fn asks_on(&mut self) {
        let until = self.count.asked.load(Ordering::Relaxed) + ASKED;
        eventually("the crowd asks on", || {
            if let Some(ended) = self.clients.try_join_next() {
                panic!("a client ended: {:?}", ended.expect("no panic"));
            }
            let asked = self.count.asked.load(Ordering::Relaxed);
            async move { (asked >= until).then_some(()) }
        })
        .await;
    }

    /// Ends the load; panics when anything has failed.
    async fn ends_well(mut self) {
        self.count.enough.store(true, Ordering::Relaxed);
        while let Some(ended) = self.clients.join_next().await {
            ended.expect("no panic").expect("every answer");
        }
    }
}

/// Asks over one connection as long as the edge keeps it.
async fn keep_asking(edge: SocketAddr, count: Count) -> anyhow::Result<()> {
    let mut open = None;
    while count.goes_on() {
        let sender = match open.take() {
            Some(sender) => sender,
            None => connect(edge).await?,
        };
        open = get(sender).await?;
    }
    Ok(())
}

/// Asks the name server where to go, every time, and then there.
async fn follow_dns(dns: SocketAddr, port: u16, count: Count) -> anyhow::Result<()> {
    while count.goes_on() {
        let edge = resolve(dns).await?;
        get(connect((edge, port).into()).await?).await?;
    }
    Ok(())
}

/// Asks the name server only.
async fn keep_resolving(dns: SocketAddr, count: Count) -> anyhow::Result<()> {
    while count.goes_on() {
        resolve(dns).await?;
    }
    Ok(())
}

type Sender = SendRequest<Empty<Bytes>>;

async fn connect(edge: SocketAddr) -> anyhow::Result<Sender> {
    let stream = TcpStream::connect(edge).await.with_context(|| format!("connect {edge}"))?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

/// One request; the connection, unless the answer says that it is closed.
async fn get(mut sender: Sender) -> anyhow::Result<Option<Sender>> {
    let request = Request::get("/film").header(HOST, tables::HOST).body(Empty::new())?;
    let answer = timeout(PATIENCE, sender.send_request(request)).await?.context("a request")?;
    ensure!(answer.status() == 200, "{}", answer.status());
    let closes = answer.headers().get(CONNECTION).is_some_and(|value| value == "close");
    let body = answer.into_body().collect().await.context("a body")?.to_bytes();
    ensure!(body == "film", "{body:?}");
    Ok((!closes).then_some(sender))
}

/// The address of netcinema. One packet, no second try.
async fn resolve(dns: SocketAddr) -> anyhow::Result<IpAddr> {
    let query = b"\x12\x34\0\0\0\x01\0\0\0\0\0\0\x09netcinema\x07kingcdn\x04test\0\0\x01\0\x01";
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    socket.connect(dns).await?;
    socket.send(query).await?;
    let mut answer = [0; 512];
    let octets = timeout(PATIENCE, socket.recv(&mut answer)).await.context("no answer")??;
    let address = answer[..octets].last_chunk::<4>().context("an address")?;
    ensure!(answer[7] == 1, "one answer");
    Ok(Ipv4Addr::from(*address).into())
}

/// One that starts fast.
fn name_server(listen: SocketAddr, admin: SocketAddr) -> String {
    tables::dns(listen, admin).replace("ttl =", "geoip = \"none\"\nttl =")
}

#[tokio::test]
async fn listeners_are_handed_over_under_load() {
    let cdn = Cdn::new();
    let network = cdn.network;
    let (dns, dns_admin) = (network.socket(53), network.socket(53));
    let (seoul, seoul_admin) = (network.socket(11), network.socket(11));
    let origin = Origin::start(network.socket(1), |_| {
        Answer::new(200, "film").field("cache-control", "max-age=60")
    })
    .await;
    cdn.configure(
        &[
            name_server(dns, dns_admin),
            tables::edge("seoul", tables::SEOUL, seoul, seoul_admin),
            tables::site(origin.address),
        ]
        .concat(),
    );
    let mut edge = cdn.successor("edge", "seoul", seoul_admin).await;
    let mut server = cdn.successor("dns", "dns", dns_admin).await;

    let mut crowd = Crowd::default();
    for _ in 0..CLIENTS {
        crowd.clients.spawn(keep_asking(seoul, crowd.count.clone()));
        crowd.clients.spawn(keep_resolving(dns, crowd.count.clone()));
        crowd.clients.spawn(follow_dns(dns, seoul.port(), crowd.count.clone()));
    }
    for _ in 0..ROUNDS {
        let next = cdn.successor("edge", "seoul", seoul_admin).await;
        assert_eq!(edge.ended().await.code(), Some(0));
        edge = next;
        crowd.asks_on().await;
        let next = cdn.successor("dns", "dns", dns_admin).await;
        assert_eq!(server.ended().await.code(), Some(0));
        server = next;
        crowd.asks_on().await;
    }
    crowd.ends_well().await;
    assert!(edge.log().contains("started"));
}

/// A process that isn't our child. It is killed when dropped.
struct Stranger(String);

impl Stranger {
    fn signal(&self, signal: &str) -> bool {
        let kill =
            Command::new("kill").args(["-s", signal, &self.0]).stderr(Stdio::null()).status();
        kill.expect("kill runs").success()
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.signal("KILL");
    }
}

/// What a service manager is told next.
async fn told(manager: &UnixDatagram) -> String {
    let mut word = [0; 512];
    let octets =
        timeout(PATIENCE, manager.recv(&mut word)).await.expect("in time").expect("a word");
    String::from_utf8(word[..octets].to_vec()).expect("text").trim_end().to_owned()
}

/// As a service of systemd is upgraded: its main process starts the next one by itself.
#[tokio::test]
async fn a_node_starts_its_successor_under_load_and_tells_the_service_manager() {
    let cdn = Cdn::new();
    let manager = UnixDatagram::bind(cdn.manager()).expect("a socket");
    let network = cdn.network;
    let (dns, admin) = (network.socket(53), network.socket(53));
    cdn.configure(
        &[
            name_server(dns, admin),
            tables::edge("seoul", tables::SEOUL, network.socket(11), network.socket(11)),
            tables::site(network.socket(1)),
        ]
        .concat(),
    );
    let mut server = cdn.successor("dns", "dns", admin).await;
    assert_eq!(told(&manager).await, "READY=1");

    let mut crowd = Crowd::default();
    for _ in 0..CLIENTS {
        crowd.clients.spawn(keep_resolving(dns, crowd.count.clone()));
    }
    // One that doesn't start changes nothing.
    let config = std::fs::read_to_string(cdn.config_file()).expect("the file");
    cdn.configure("[dsn]");
    server.signal("USR2");
    eventually("the log says that it failed", || async {
        server.log().contains("no upgrade: the successor ended").then_some(())
    })
    .await;
    crowd.asks_on().await;
    cdn.configure(&config);

    server.signal("USR2");
    let main = told(&manager).await;
    let successor = main.strip_prefix("MAINPID=").unwrap_or_else(|| panic!("{main}"));
    let successor = Stranger(successor.to_owned());
    assert_eq!(server.ended().await.code(), Some(0));
    crowd.asks_on().await;
    assert!(successor.signal("USR2"), "the next one can do the same");
    let main = told(&manager).await;
    let last = Stranger(main.strip_prefix("MAINPID=").expect("another").to_owned());
    crowd.asks_on().await;
    crowd.ends_well().await;
    last.signal("TERM");
    assert_eq!(told(&manager).await, "STOPPING=1");
}

#[tokio::test]
async fn an_edge_that_is_told_to_stop_serves_until_its_clients_are_gone() {
    let cdn = Cdn::new();
    let network = cdn.network;
    let (dns, dns_admin) = (network.socket(53), network.socket(53));
    let seoul = network.socket(11);
    let tokyo = SocketAddr::new(network.address(12), seoul.port());
    let (seoul_admin, tokyo_admin) = (network.socket(11), network.socket(12));
    let origin = Origin::start(network.socket(1), |_| {
        Answer::new(200, "film").field("cache-control", "max-age=60")
    })
    .await;
    let health = "[dns.health]\ninterval = \"200ms\"\ntimeout = \"200ms\"\ndown_after = 1\n";
    cdn.configure(
        &[
            name_server(dns, dns_admin),
            health.to_owned(),
            tables::edge("seoul", tables::SEOUL, seoul, seoul_admin),
            tables::edge("tokyo", tables::TOKYO, tokyo, tokyo_admin),
            "[edge.limits]\nlame_duck = \"1h\"\n".to_owned(),
            tables::site(origin.address),
        ]
        .concat(),
    );
    let mut edge = cdn.edge("seoul", seoul_admin).await;
    let mut other = cdn.edge("tokyo", tokyo_admin).await;
    let _server = cdn.dns(dns_admin).await;
    let sent_to = async |address: IpAddr| {
        eventually("DNS sends clients there", || async {
            resolve(dns).await.is_ok_and(|it| it == address).then_some(())
        })
        .await;
    };
    sent_to(seoul.ip()).await;

    let mut crowd = Crowd::default();
    for _ in 0..CLIENTS {
        crowd.clients.spawn(follow_dns(dns, seoul.port(), crowd.count.clone()));
    }
    crowd.asks_on().await;
    edge.signal("TERM");
    sent_to(tokyo.ip()).await;
    assert_eq!(edge.ended().await.code(), Some(0));
    let _edge = cdn.edge("seoul", seoul_admin).await;
    sent_to(seoul.ip()).await;
    crowd.asks_on().await;
    crowd.ends_well().await;

    // Whoever says it twice doesn't want to wait.
    other.signal("TERM");
    eventually("it has heard the first", || async {
        other.log().contains("unhealthy from now on").then_some(())
    })
    .await;
    other.signal("TERM");
    assert_eq!(other.ended().await.code(), Some(0));
}
