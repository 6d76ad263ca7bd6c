//! Zones handed out: to dig, and to NSD as a secondary that is told of changes. Needs the Debian
//! packages `bind9-dnsutils`, `knot-dnsutils` and, for the latter, `nsd`.
#![allow(clippy::unwrap_used, clippy::expect_used)] // Helpers of tests, where clippy looks only at tests themselves.

mod common;

use std::fmt::Write as _;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use common::{Server, free, query, run, testing};
use kingcdn_config::clock::Stopwatch;
use kingcdn_config::{Config, DomainName, Label, Secondary, Zone};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const SECRET: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// `tsig-keygen`'s file.
fn key(folder: &Path, name: &str, secret: &str) -> PathBuf {
    let file = folder.join(format!("{name}.key"));
    let text =
        format!("key \"{name}\" {{\n\talgorithm hmac-sha256;\n\tsecret \"{secret}\";\n}};\n");
    std::fs::write(&file, text).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    file
}

/// A zone of so many hosts, with glue, a wildcard and odd types.
fn zone(serial: u32, hosts: usize) -> String {
    let mut text = format!(
        "$TTL 300\n@ SOA ns1 h {serial} 1d 2h 4w 60\n@ NS ns1\n@ NS ns.child\n@ MX 10 mail\n\
         ns1 A 127.0.0.1\nchild NS ns.child\nns.child A 192.0.2.9\n*.any TXT \"a b\" c\n\
         old DNAME example.org.\nprivate TYPE65280 \\# 4 c0000201\n@ CAA 0 issue \"ca.example\"\n"
    );
    for host in 0..hosts {
        let [a, b] = u16::try_from(host).unwrap().to_be_bytes();
        writeln!(text, "host{host} A 10.0.{a}.{b}").unwrap();
    }
    text
}

/// Records in a zone of [`zone`].
fn records(hosts: usize) -> usize {
    10 + hosts
}

/// A server whose zone `static.test` a secondary at these addresses may have.
async fn server(keys: &Path, hosts: usize, addresses: Vec<SocketAddr>) -> Server {
    let key = key(keys, "backup", SECRET);
    let change = |config: &mut Config| {
        let file = keys.join("static.zone");
        std::fs::write(&file, zone(1, hosts)).unwrap();
        let dns = config.dns.as_mut().unwrap();
        dns.zones.push(Zone { name: DomainName::parse("static.test").unwrap(), file });
        let name = Label::parse("backup").unwrap();
        dns.secondaries.push(Secondary { name, addresses, key });
        dns.tls = Some(testing::certificate(keys, "ns1", (2025, 2035)));
    };
    common::server(change).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dig_gets_whole_zones_with_the_key() {
    let keys = tempfile::tempdir().unwrap();
    let deaf = UdpSocket::bind("127.0.0.1:0").unwrap();
    let server = server(keys.path(), 3000, vec![deaf.local_addr().unwrap()]).await;
    let ours = format!("-k {}", keys.path().join("backup.key").display());
    let forged = "-y hmac-sha256:backup:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWE=";
    let stranger = format!("-y hmac-sha256:stranger:{SECRET}");
    let dig = async |arguments: String| run("dig", server.address, &arguments).await;

    let whole = dig(format!("{ours} static.test AXFR +nocookie")).await;
    let lines = whole.lines().filter(|line| !line.is_empty() && !line.starts_with(';'));
    let lines: Vec<&str> = lines.filter(|line| !line.contains("\tTSIG\t")).collect();
    assert_eq!(lines.len(), records(3000) + 2, "{whole}");
    assert!(lines[0].contains("\tSOA\t") && lines[0] == lines[lines.len() - 1], "{whole}");
    for record in [
        "host2999.static.test.\t300\tIN\tA\t10.0.11.183",
        "ns.child.static.test.\t300\tIN\tA\t192.0.2.9",
        "*.any.static.test.\t300\tIN\tTXT\t\"a b\" \"c\"",
        "old.static.test.\t300\tIN\tDNAME\texample.org.",
        "private.static.test.\t300\tIN\tTYPE65280 \\# 4 C0000201",
    ] {
        assert!(lines.contains(&record), "no {record} in {whole}");
    }
    let messages = whole.lines().find(|line| line.contains("XFR size")).unwrap();
    let count: usize =
        messages.split("messages ").nth(1).unwrap().split(',').next().unwrap().parse().unwrap();
    assert!((4..=8).contains(&count), "{messages}");

    let incremental = dig(format!("{ours} static.test IXFR=0")).await;
    assert!(incremental.contains("host2999"), "{incremental}");
    for (arguments, expected) in [
        (format!("{ours} static.test IXFR=1"), "SOA\tns1.static.test. h.static.test. 1 "),
        (format!("{ours} static.test IXFR=0 +notcp"), "(UDP)"),
        (format!("{ours} static.test SOA"), "NOERROR"),
        (format!("{ours} nothing.static.test A +tcp"), "NXDOMAIN"),
        (format!("{forged} static.test SOA"), "BADSIG"),
        (format!("{stranger} static.test SOA"), "BADKEY"),
        ("static.test AXFR".to_owned(), "Transfer failed"),
        (format!("{forged} static.test AXFR"), "Transfer failed"),
        // Sites are in them.
        (format!("{ours} kingcdn.test AXFR"), "Transfer failed"),
        (format!("{ours} netcinema.test AXFR"), "Transfer failed"),
        (format!("{ours} example.org AXFR"), "Transfer failed"),
        // From an address that isn't the secondary's.
        (format!("{ours} -b 127.0.0.9 static.test AXFR"), "Transfer failed"),
    ] {
        let printed = dig(format!("+tries=1 {arguments}")).await;
        assert!(printed.contains(expected), "{arguments}: no `{expected}` in\n{printed}");
        let unproven = ["Couldn't verify signature", "tsig verify failure", "expected a TSIG"];
        let good = arguments.starts_with("-k") && expected != "Transfer failed";
        let verified = !unproven.iter().any(|text| printed.contains(text));
        assert!(!good || verified, "{arguments}:\n{printed}");
    }
}

/// A signed request for the zone with its length, as dig sends it.
async fn request(keys: &Path) -> Vec<u8> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let key = keys.join("backup.key").display().to_string();
    let dig = tokio::spawn(async move {
        run("dig", address, &format!("-k {key} +tries=1 static.test AXFR")).await
    });
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut request = vec![0; 2];
    stream.read_exact(&mut request).await.unwrap();
    let length = u16::from_be_bytes([request[0], request[1]]);
    request.resize(2 + usize::from(length), 0);
    stream.read_exact(&mut request[2..]).await.unwrap();
    drop((stream, listener));
    dig.await.unwrap();
    request
}

/// The next message on a connection.
async fn next(stream: &mut TcpStream) -> Vec<u8> {
    let mut message = vec![0; stream.read_u16().await.unwrap().into()];
    stream.read_exact(&mut message).await.unwrap();
    message
}

/// RFC 7766 section 6.2.1.1: what takes long holds nothing up that is asked behind it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_zone_on_its_way_holds_nobody_up() {
    let keys = tempfile::tempdir().unwrap();
    let deaf = UdpSocket::bind("127.0.0.1:0").unwrap();
    let server = server(keys.path(), 20_000, vec![deaf.local_addr().unwrap()]).await;
    let zone = request(keys.path()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let ask = |id| {
        let packet = query(id, "host7.static.test");
        [&u16::try_from(packet.len()).unwrap().to_be_bytes()[..], &packet].concat()
    };
    // Two zones, of which one waits for the other, with questions between and behind them.
    let both = [&zone[..], &ask(1), &ask(2), &zone, &ask(3)].concat();
    stream.write_all(&both).await.unwrap();
    let (mut zones, mut messages, mut answered) = (0, 0, Vec::new());
    while answered.len() < 3 {
        let message = next(&mut stream).await;
        if message[..2] == zone[2..4] {
            messages += 1;
            // The first of a zone repeats the question.
            zones += u32::from(message[5]);
        } else {
            assert_eq!(message[message.len() - 4..], [10, 0, 0, 7]);
            answered.push((message[1], zones, messages));
        }
    }
    let [(1, 0..=1, first), (2, 0..=1, second), (3, 1..=2, third)] = answered[..] else {
        panic!("{answered:?}")
    };
    assert!(first < 5 && second < 5 && third > 15, "{answered:?}");
    stream.write_all(&ask(4)).await.unwrap();
    while next(&mut stream).await[..2] != [0, 4] {}
    drop(stream);

    // Over TLS as well.
    let key = keys.path().join("backup.key").display().to_string();
    let tls = server.dns.encrypted_addresses()[0];
    let arguments = format!("+tls -k {key} static.test AXFR");
    let whole = run("dig", tls, &arguments).await;
    assert!(whole.contains("host19999.static.test."), "{whole}");
    let arguments = format!("+tls -y hmac-sha256:backup:{SECRET} static.test AXFR");
    let whole = run("kdig", tls, &arguments).await;
    let records = format!("{} records)", records(20_000) + 2);
    assert!(whole.contains(&records) && whole.contains("NOERROR"), "{whole}");
}

/// An NSD that ends with the test.
struct Nsd(Child);

impl Drop for Nsd {
    fn drop(&mut self) {
        // Its children end with it, unless it is killed.
        let _told = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ended = self.0.wait();
    }
}

fn nsd(folder: &Path, address: SocketAddr, primary: SocketAddr) -> Option<Nsd> {
    let program =
        ["/usr/sbin/nsd", "/usr/bin/nsd"].into_iter().find(|it| Path::new(it).exists())?;
    let at = folder.display();
    let text = format!(
        "server:\n ip-address: {}@{}\n username: \"\"\n chroot: \"\"\n database: \"\"\n\
         \x20zonesdir: \"{at}\"\n zonelistfile: \"{at}/list\"\n xfrdfile: \"{at}/xfrd\"\n\
         \x20xfrdir: \"{at}\"\n pidfile: \"{at}/pid\"\n logfile: \"{at}/log\"\n server-count: 1\n\
         remote-control:\n control-enable: no\n\
         key:\n name: backup\n algorithm: hmac-sha256\n secret: \"{SECRET}\"\n\
         zone:\n name: static.test\n zonefile: \"copy.zone\"\n\
         \x20request-xfr: {}@{} backup\n allow-notify: 127.0.0.1 backup\n",
        address.ip(),
        address.port(),
        primary.ip(),
        primary.port(),
    );
    let file = folder.join("nsd.conf");
    std::fs::write(&file, text).unwrap();
    let child = Command::new(program).arg("-d").arg("-c").arg(&file).spawn().unwrap();
    Some(Nsd(child))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secondary_follows_changes() {
    let keys = tempfile::tempdir().unwrap();
    let home = tempfile::tempdir().unwrap();
    let address = free();
    let server = server(keys.path(), 2000, vec![address]).await;
    let Some(_nsd) = nsd(home.path(), address, server.address) else {
        return eprintln!("skipped: NSD isn't installed");
    };
    let serial = async || run("dig", address, "+short +tries=1 +timeout=1 static.test SOA").await;
    let follows = async |expected: &str| {
        let waiting = Stopwatch::start();
        while !serial().await.contains(expected) {
            let log = || std::fs::read_to_string(home.path().join("log")).unwrap_or_default();
            assert!(waiting.elapsed() < Duration::from_secs(60), "{}", log());
        }
    };
    follows(" 1 86400 ").await;
    let copied = run("dig", address, "+short host1999.static.test A").await;
    assert_eq!(copied.trim(), "10.0.7.207");
    // Its own timers would ask in a day.
    std::fs::write(keys.path().join("static.zone"), zone(2, 10)).unwrap();
    server.dns.reload(&server.config).unwrap();
    follows(" 2 86400 ").await;
    let gone = run("dig", address, "host1999.static.test A").await;
    assert!(gone.contains("NXDOMAIN"), "{gone}");
    // What it confirmed isn't told again.
    let heard = || {
        let families = server.registry.gather();
        let family = families.iter().find(|it| it.name() == "kingcdn_dns_notices_total").unwrap();
        let heard = family.get_metric().iter().find(|it| it.get_label()[0].value() == "heard");
        heard.unwrap().get_counter().get_value()
    };
    let waiting = Stopwatch::start();
    while heard() < 1.0 {
        assert!(waiting.elapsed() < Duration::from_secs(60), "NOTIFY isn't answered");
        tokio::task::yield_now().await;
    }
}
