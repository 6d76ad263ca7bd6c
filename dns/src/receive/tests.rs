//! Connections in simulated time.

use std::sync::Arc;
use std::time::Duration;

use hickory_proto::rr::RecordType;
use prometheus::TextEncoder;
use rustix::net::sockopt::{
    Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, ip_mtu_discover, ipv6_mtu_discover,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::tcp::{Context, shake_hands};
use super::{Inherited, Limits, bind, stream};
use crate::journey::tests::harness::{Server, query};
use crate::record::{Metrics, Transport};
use crate::testing::certificate;
use crate::tls::Tls;

/// Time-outs are of that length here.
const IDLE: Duration = Duration::from_secs(10);

struct Connected {
    client: DuplexStream,
    task: JoinHandle<()>,
    stop: watch::Sender<bool>,
    _server: Server,
}

impl Connected {
    /// A connection whose ways hold so many octets.
    fn new(room: usize) -> Self {
        let server = Server::new(|_| ());
        let metrics = Metrics::new(&prometheus::Registry::new()).unwrap();
        let limits = Limits::new((4, 4), IDLE, &metrics);
        let (client, ours) = duplex(room);
        let with =
            Context { client: "192.0.2.1".parse().unwrap(), journey: server.journey.clone() };
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(stream::converse(ours, Transport::Tcp, with, limits, stopped));
        Self { client, task, stop, _server: server }
    }

    async fn answer(&mut self) -> Vec<u8> {
        let length = self.client.read_u16().await.unwrap();
        let mut answer = vec![0; length.into()];
        self.client.read_exact(&mut answer).await.unwrap();
        answer
    }

    /// Whether it is open after this time.
    async fn is_open_after(&mut self, time: Duration) -> bool {
        timeout(time, &mut self.task).await.is_err()
    }
}

fn framed(name: &str, rtype: RecordType) -> Vec<u8> {
    let packet = query(name, rtype).packet();
    [&u16::try_from(packet.len()).unwrap().to_be_bytes()[..], &packet].concat()
}

fn site() -> Vec<u8> {
    framed("netcinema.kingcdn.test.", RecordType::A)
}

const ALMOST: Duration = Duration::from_millis(9_900);
const BIT: Duration = Duration::from_millis(200);

#[tokio::test(start_paused = true)]
async fn who_says_nothing_is_left() {
    let mut silent = Connected::new(1 << 16);
    assert!(silent.is_open_after(ALMOST).await);
    assert!(!silent.is_open_after(BIT).await);
    // Each query gives him as long again.
    let mut slow = Connected::new(1 << 16);
    for _ in 0..5 {
        assert!(slow.is_open_after(ALMOST).await);
        slow.client.write_all(&site()).await.unwrap();
        assert_eq!(slow.answer().await[3] & 15, 0);
    }
    assert!(slow.is_open_after(ALMOST).await);
    assert!(!slow.is_open_after(BIT).await);
    // A part of one doesn't (RFC 7766 section 6.2.3).
    let mut dripping = Connected::new(1 << 16);
    for octet in &site()[..9] {
        dripping.client.write_u8(*octet).await.unwrap();
        sleep(Duration::from_secs(1)).await;
    }
    assert!(!dripping.is_open_after(Duration::from_millis(1100)).await);
}

#[tokio::test(start_paused = true)]
async fn queries_in_pieces_and_many_at_once() {
    let mut connected = Connected::new(1 << 20);
    let mut octets = [site(), framed("nobody.netcinema.test.", RecordType::A)].concat();
    octets.extend(framed("big.netcinema.test.", RecordType::TXT));
    for octet in octets.repeat(3) {
        connected.client.write_u8(octet).await.unwrap();
        tokio::task::yield_now().await;
    }
    connected.client.write_all(&octets.repeat(500)).await.unwrap();
    for _ in 0..503 {
        let codes = [connected.answer().await, connected.answer().await, connected.answer().await]
            .map(|answer| answer[3] & 15);
        assert_eq!(codes, [0, 3, 0]);
    }
    // What it asked before it hung up is answered.
    connected.client.write_all(&site()).await.unwrap();
    connected.client.shutdown().await.unwrap();
    assert_eq!(connected.answer().await[7], 1);
    assert!(!connected.is_open_after(BIT).await);
}

/// A client that asks and doesn't read has us keep a few answers, for a while.
#[tokio::test(start_paused = true)]
async fn who_doesnt_read_is_left() {
    let mut deaf = Connected::new(4 << 10);
    let flood = framed("big.netcinema.test.", RecordType::TXT).repeat(10_000);
    let (mut reader, mut writer) = tokio::io::split(deaf.client);
    let writing = tokio::spawn(async move { writer.write_all(&flood).await });
    // It reads slowly: every answer moves on, but the whole takes too long.
    let mut read = 0;
    while timeout(Duration::from_secs(60), reader.read_u8()).await.is_ok_and(|it| it.is_ok()) {
        read += 1;
        assert!(read < 100_000, "it is never left");
        sleep(Duration::from_millis(10)).await;
    }
    assert!(timeout(BIT, &mut deaf.task).await.is_ok());
    assert!(writing.await.unwrap().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_query_that_is_too_long_ends_it() {
    let mut connected = Connected::new(1 << 16);
    connected.client.write_all(&[0x40, 0x01, 0, 0]).await.unwrap();
    assert!(!connected.is_open_after(BIT).await);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stops_hears_a_last_query() {
    let mut connected = Connected::new(1 << 16);
    assert!(connected.is_open_after(BIT).await);
    connected.stop.send_replace(true);
    sleep(BIT).await;
    connected.client.write_all(&site()).await.unwrap();
    assert_eq!(connected.answer().await[7], 1);
    assert!(!connected.is_open_after(2 * BIT).await);
    let gone = Connected::new(1 << 16);
    drop(gone.stop);
    assert!(timeout(2 * BIT, gone.task).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_handshake_has_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let files = certificate(folder.path(), "ns1", (2025, 2035));
    let registry = prometheus::Registry::new();
    let metrics = Metrics::new(&registry).unwrap();
    let server = Server::new(|_| ());
    let tls = Tls::start(&files, &server.clock, &metrics).unwrap();
    let limits = Limits::new((4, 4), IDLE, &metrics);
    let with = Context { client: "192.0.2.1".parse().unwrap(), journey: server.journey.clone() };
    let (_silent, ours) = duplex(1 << 10);
    let shaking = shake_hands(ours, Arc::clone(&tls.dns), &with, &limits);
    assert!(timeout(Duration::from_secs(6), shaking).await.unwrap().is_none());
    let (mut wrong, ours) = duplex(1 << 10);
    wrong.write_all(&site()).await.unwrap();
    assert!(shake_hands(ours, Arc::clone(&tls.dns), &with, &limits).await.is_none());
    let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    for result in ["late", "failed"] {
        let line = format!("kingcdn_dns_tls_handshakes_total{{result=\"{result}\"}} 1");
        assert!(text.contains(&line), "{text}");
    }
}

#[test]
fn nobody_makes_us_answer_in_fragments() {
    let bind = |address: &str| bind(address.parse().unwrap(), 1, &mut Inherited::default());
    let v4 = bind("127.0.0.1:0").unwrap();
    assert_eq!(ip_mtu_discover(&v4.udp[0]).unwrap(), Ipv4PathMtuDiscovery::OMIT);
    // Not every machine has IPv6.
    if let Ok(v6) = bind("[::1]:0") {
        assert_eq!(ipv6_mtu_discover(&v6.udp[0]).unwrap(), Ipv6PathMtuDiscovery::OMIT);
    }
}
