//! DNS over TLS and HTTPS, asked by kdig, curl and unbound. Needs the Debian packages
//! `knot-dnsutils`, `curl` and `unbound`.
#![allow(clippy::unwrap_used)] // Helpers of tests, where clippy looks only at tests themselves.

mod common;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use common::{Server, query, run, server, testing, unbound_over};
use data_encoding::BASE64URL_NOPAD;
use kingcdn_config::DnsTls;
use kingcdn_config::clock::{Clock, Stopwatch};
use kingcdn_dns::{Dns, ReloadError};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const NAME: &str = "netcinema.kingcdn.test";
const HOST: &str = "ns1.kingcdn.test";

/// A server with a certificate in `folder`, and its addresses for TLS and for HTTPS.
async fn encrypted(
    folder: &Path,
    change: impl FnOnce(&mut DnsTls),
) -> (Server, DnsTls, [SocketAddr; 2]) {
    let mut files = testing::certificate(folder, "ns1", (2025, 2035));
    change(&mut files);
    let tls = files.clone();
    let server = server(|config| config.dns.as_mut().unwrap().tls = Some(tls)).await;
    let addresses = [server.dns.encrypted_addresses()[0], server.dns.encrypted_addresses()[1]];
    (server, files, addresses)
}

fn metrics(server: &Server) -> String {
    prometheus::TextEncoder::new().encode_to_string(&server.registry.gather()).unwrap()
}

/// What kdig prints, and what it complains of.
async fn kdig(address: SocketAddr, arguments: &str) -> String {
    let (host, port) = (format!("@{}", address.ip()), address.port().to_string());
    let mut command = Command::new("kdig");
    command.args(["-d", "+retry=0", "-p", &port, &host]).args(arguments.split(' '));
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kdig_asks_over_tls_and_https() {
    let folder = tempfile::tempdir().unwrap();
    let (server, files, [tls, https]) = encrypted(folder.path(), |_| ()).await;
    let trust = format!("+tls-ca={} +tls-hostname={HOST}", files.certificate.display());
    let elsewhere = trust.replace(HOST, "ns2.kingcdn.test");
    for (address, arguments, expected) in [
        (tls, format!("{NAME} A +tls {trust}"), vec!["(TLS1.3)", "NOERROR", "A\t127.0.0.11"]),
        (tls, format!("{NAME} A +tls +padding {trust}"), vec!["PADDING", "468 B"]),
        (tls, format!("{NAME} A +tls +subnet=10.1.2.0/24 {trust}"), vec!["10.1.2.0/24/16"]),
        (tls, format!("nobody.kingcdn.test A +tls {trust}"), vec!["NXDOMAIN"]),
        (tls, format!("{NAME} A +tls {elsewhere}"), vec!["failed to query server"]),
        (https, format!("{NAME} A +https {trust}"), vec!["HTTP/2-POST", "A\t127.0.0.11"]),
        (https, format!("{NAME} A +https +https-get {trust}"), vec!["HTTP/2-GET", "127.0.0.11"]),
        (https, format!("{NAME} A +https +padding {trust}"), vec!["PADDING", "468 B"]),
        (https, format!("{NAME} A +https=/other {trust}"), vec!["404"]),
    ] {
        let printed = kdig(address, &arguments).await;
        for text in expected {
            assert!(printed.contains(text), "{arguments}: no `{text}` in\n{printed}");
        }
    }
    let metrics = metrics(&server);
    for line in [
        r#"kingcdn_dns_queries_total{rcode="NOERROR",transport="tls",type="A"} "#,
        r#"kingcdn_dns_queries_total{rcode="NXDOMAIN",transport="tls",type="A"} "#,
        r#"kingcdn_dns_queries_total{rcode="NOERROR",transport="https",type="A"} "#,
        r#"kingcdn_dns_tls_handshakes_total{result="done"} "#,
        // The first of January 2035.
        "kingcdn_dns_certificate_expiry_seconds 2051222400",
    ] {
        assert!(metrics.contains(line), "no {line} in {metrics}");
    }
}

/// What curl prints of a request: its status and protocol, its header, its body.
async fn curl(certificate: &Path, arguments: Vec<String>) -> (String, String, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let [head, body] = ["head", "body"].map(|name| folder.path().join(name));
    let mut command = Command::new("curl");
    command.args(["-s", "-S", "--max-time", "20", "-w", "%{http_code} %{http_version}"]);
    command.arg("--cacert").arg(certificate).arg("-D").arg(&head).arg("-o").arg(&body);
    command.args(arguments);
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let head = fs::read_to_string(head).unwrap_or(errors).to_ascii_lowercase();
    (said, head, fs::read(body).unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_asks_over_https() {
    let folder = tempfile::tempdir().unwrap();
    let (_server, files, [_, https]) = encrypted(folder.path(), |_| ()).await;
    let asked = query(0, NAME);
    let [packet, long] = ["packet", "long"].map(|name| folder.path().join(name));
    fs::write(&packet, &asked).unwrap();
    fs::write(&long, [0; 20_000]).unwrap();
    let url = |path: &str| format!("https://{HOST}:{}{path}", https.port());
    let place = format!("{HOST}:{}:{}", https.port(), https.ip());
    let get = url(&format!("/dns-query?dns={}", BASE64URL_NOPAD.encode(&asked)));
    let nobody = query(0, "nobody.kingcdn.test");
    let nobody = url(&format!("/dns-query?x=y&dns={}", BASE64URL_NOPAD.encode(&nobody)));
    let mut response = asked.clone();
    response[2] |= 0x80;
    let response = url(&format!("/dns-query?dns={}", BASE64URL_NOPAD.encode(&response)));
    let post = |file: &Path, kind: &str| {
        let body = format!("@{}", file.display());
        let kind = format!("Content-Type: {kind}");
        vec!["--data-binary".to_owned(), body, "-H".to_owned(), kind, url("/dns-query")]
    };
    let message = "application/dns-message";
    let good = ["content-type: application/dns-message", "cache-control: private, max-age=30"];
    let cases: [(Vec<String>, &str, &[&str]); 12] = [
        (vec![get.clone()], "200 2", &good),
        (vec!["--http1.1".to_owned(), get.clone()], "200 1.1", &good),
        (post(&packet, message), "200 2", &good),
        ([vec!["--http1.1".to_owned()], post(&packet, message)].concat(), "200 1.1", &good),
        (vec![nobody], "200 2", &["cache-control: private, max-age=60"]),
        (vec![url("/")], "404 2", &["no-store"]),
        (vec![url("/dns-query")], "400 2", &[]),
        (vec![url("/dns-query?dns=AAA*")], "400 2", &[]),
        (vec![response], "400 2", &[]),
        (vec!["-X".to_owned(), "PUT".to_owned(), get.clone()], "405 2", &["allow: get, post"]),
        (post(&packet, "text/plain"), "415 2", &[]),
        (post(&long, message), "413 2", &[]),
    ];
    for (arguments, said, fields) in cases {
        let what = format!("{arguments:?}");
        let resolve = ["--resolve".to_owned(), place.clone()].to_vec();
        let (printed, head, body) = curl(&files.certificate, [resolve, arguments].concat()).await;
        assert_eq!(printed, said, "{what}: {head}");
        for field in fields {
            assert!(head.contains(field), "{what}: {head}");
        }
        if printed.starts_with("200") {
            assert_eq!(body[..2], [0, 0], "{what}");
            assert!(body.ends_with(&[127, 0, 0, 11]) || body[3] & 15 == 3, "{what}: {body:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unbound_asks_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let (server, files, [tls, _]) = encrypted(folder.path(), |_| ()).await;
    let authority = format!("127.0.0.1@{}#{HOST}", tls.port());
    let (_unbound, resolver) =
        unbound_over(server.folder.path(), &authority, Some(&files.certificate), &[]);
    let waited = Stopwatch::start();
    while run("dig", resolver, &format!("{NAME} A +short +tries=1 +time=1")).await.trim()
        != "127.0.0.11"
    {
        assert!(waited.elapsed() < Duration::from_secs(20), "unbound doesn't answer");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let metrics = metrics(&server);
    assert!(metrics.contains(r#"transport="tls""#), "{metrics}");
    assert!(!metrics.contains(r#"transport="udp""#), "{metrics}");
}

/// A connection that believes this certificate.
async fn connect(address: SocketAddr, certificate: &Path) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.unwrap().with_root_certificates(roots).with_no_client_auth();
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from(HOST).unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

async fn ask(stream: &mut TlsStream<TcpStream>) -> std::io::Result<Vec<u8>> {
    let packet = query(7, NAME);
    stream.write_u16(u16::try_from(packet.len()).unwrap()).await?;
    stream.write_all(&packet).await?;
    let mut answer = vec![0; stream.read_u16().await?.into()];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_change_beneath_open_connections() {
    let folder = tempfile::tempdir().unwrap();
    let (server, first, [tls, _]) = encrypted(folder.path(), |_| ()).await;
    let newer = testing::certificate(folder.path(), "newer", (2025, 2036));
    let expired = testing::certificate(folder.path(), "expired", (2020, 2021));
    let mut stays = connect(tls, &first.certificate).await.unwrap();
    ask(&mut stays).await.unwrap();
    let reload = |files: &DnsTls| {
        let mut config = server.config.clone();
        config.dns.as_mut().unwrap().tls = Some(files.clone());
        server.dns.reload(&config)
    };
    let mismatched = DnsTls { key: first.key.clone(), ..newer.clone() };
    for (bad, said) in [(&expired, "has expired"), (&mismatched, "isn't the key of the")] {
        let Err(ReloadError::Zones(errors)) = reload(bad) else { panic!("{said}") };
        assert!(errors[0].to_string().contains(said), "{errors:?}");
        ask(&mut connect(tls, &first.certificate).await.unwrap()).await.unwrap();
    }
    reload(&newer).unwrap();
    ask(&mut connect(tls, &newer.certificate).await.unwrap()).await.unwrap();
    assert!(connect(tls, &first.certificate).await.is_err());
    ask(&mut stays).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let bound = |files: &mut DnsTls| files.per_client = 3;
    let (server, files, [tls, https]) = encrypted(folder.path(), bound).await;
    let mut held = Vec::new();
    for address in [tls, https, tls] {
        let stream = connect(address, &files.certificate).await.unwrap();
        held.push(stream);
    }
    assert!(connect(tls, &files.certificate).await.is_err());
    let text = metrics(&server);
    for line in [
        "kingcdn_dns_tls_refused_total 1",
        r#"kingcdn_dns_tls_connections{transport="https"} 1"#,
        r#"kingcdn_dns_tls_connections{transport="tls"} 2"#,
        // They leave plain TCP its places.
        "kingcdn_dns_tcp_connections 0",
    ] {
        assert!(text.contains(line), "no {line} in {text}");
    }
    assert!(run("dig", server.address, &format!("{NAME} +tcp")).await.contains("127.0.0.11"));
    held.remove(0);
    let waited = Stopwatch::start();
    loop {
        assert!(waited.elapsed() < Duration::from_secs(5), "no place is given back");
        let Ok(mut stream) = connect(tls, &files.certificate).await else { continue };
        if ask(&mut stream).await.is_ok() {
            break;
        }
    }
    server.dns.drain(Duration::from_secs(10)).await;
    assert!(TcpStream::connect(tls).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_successor_takes_over_encrypted_addresses_too() {
    let folder = tempfile::tempdir().unwrap();
    let (first, mut files, [tls, https]) = encrypted(folder.path(), |_| ()).await;
    (files.listen, files.https) = (vec![tls], vec![https]);
    let mut config = first.config.clone();
    let dns = config.dns.as_mut().unwrap();
    (dns.listen, dns.tls) = (vec![first.address], Some(files.clone()));
    let sockets = first.dns.take_sockets().into_iter().map(socket2::Socket::from);
    let (tcp, udp): (Vec<_>, Vec<_>) =
        sockets.partition(|socket| socket.r#type().unwrap() == socket2::Type::STREAM);
    let sockets =
        (udp.into_iter().map(Into::into).collect(), tcp.into_iter().map(Into::into).collect());
    // Nobody else could listen there.
    let (registry, clock) = (prometheus::Registry::new(), Clock::system());
    let second = Dns::start_on(sockets, Arc::new(config), clock, &registry).await.unwrap();
    assert_eq!(second.encrypted_addresses(), [tls, https]);
    first.dns.drain(Duration::from_secs(10)).await;
    for _ in 0..5 {
        ask(&mut connect(tls, &files.certificate).await.unwrap()).await.unwrap();
    }
}
