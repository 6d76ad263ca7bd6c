//! What checks see of edges on real sockets.

use std::io::ErrorKind;

use kingcdn_config::{DnsTls, HttpCheck};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::super::tls::TlsError;
use super::*;

/// Whatever an edge sees of a check: SNI, if there is any, and the request.
type Seen = Arc<Mutex<Vec<String>>>;

/// An edge that answers every connection with this, or says nothing.
async fn edge(answer: Option<&'static str>, tls: Option<Arc<ServerConfig>>) -> (SocketAddr, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Seen::default();
    let seeing = Arc::clone(&seen);
    tokio::spawn(async move {
        let mut silent = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            let Some(answer) = answer else {
                silent.push(stream);
                continue;
            };
            let Some(tls) = &tls else {
                reply(stream, answer, "", &seeing).await;
                continue;
            };
            if let Ok(stream) = TlsAcceptor::from(Arc::clone(tls)).accept(stream).await {
                let name = stream.get_ref().1.server_name().unwrap_or_default().to_owned();
                reply(stream, answer, &name, &seeing).await;
            }
        }
    });
    (address, seen)
}

async fn reply<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    answer: &str,
    name: &str,
    seen: &Seen,
) {
    let mut request = [0; 1024];
    let length = stream.read(&mut request).await.unwrap_or(0);
    let request = String::from_utf8_lossy(&request[..length]).to_ascii_lowercase();
    seen.lock().unwrap().push(format!("{name}|{request}"));
    let _gone = stream.write_all(answer.as_bytes()).await;
    let _gone = stream.flush().await;
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
const NO_CONTENT: &str = "HTTP/1.1 204 No Content\r\n\r\n";
const LIMIT: Duration = Duration::from_millis(500);

fn prober(how: HealthCheck, http: HttpCheck) -> Prober {
    let folder = tempfile::tempdir().unwrap();
    let config = testing::config(folder.path(), &[]);
    let mut dns = config.dns.clone().unwrap();
    (dns.health.check, dns.health.http) = (how, http);
    Prober::new(&config, &dns).unwrap()
}

async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn checks_see_what_is_there() {
    use HealthCheck::{Http, None as Nothing, Tcp};
    let (ok, seen) = edge(Some(OK), None).await;
    let (draining, _) = edge(Some("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n"), None).await;
    let (babbling, _) = edge(Some("SSH-2.0-OpenSSH\r\n"), None).await;
    let (closing, _) = edge(Some(""), None).await;
    let (silent, _) = edge(None, None).await;
    let nobody = nobody().await;
    let unavailable = http::StatusCode::SERVICE_UNAVAILABLE;
    let refused = Err(CheckError::Connect(ErrorKind::ConnectionRefused));
    for (how, address, expected) in [
        (Http, ok, Ok(())),
        (Http, draining, Err(CheckError::Status(unavailable))),
        (Http, babbling, Err(CheckError::Http)),
        (Http, closing, Err(CheckError::Http)),
        (Http, silent, Err(CheckError::Timeout)),
        (Http, nobody, refused),
        (Tcp, silent, Ok(())),
        (Tcp, nobody, refused),
        (Nothing, nobody, Ok(())),
    ] {
        let result = prober(how, HttpCheck::default()).check(address, LIMIT).await;
        assert_eq!(result, expected, "{how:?}");
    }
    let seen = seen.lock().unwrap()[0].clone();
    assert!(seen.starts_with("|get /.well-known/kingcdn/health http/1.1\r\n"), "{seen}");
    assert!(seen.contains(&format!("\r\nhost: {ok}\r\n")), "{seen}");
}

#[tokio::test]
async fn a_check_asks_what_is_wished() {
    let (address, seen) = edge(Some(NO_CONTENT), None).await;
    let wished = HttpCheck {
        host: Some(kingcdn_config::DomainName::parse("www.example.net").unwrap()),
        path: "/ping?who=us".to_owned(),
        status: vec![204, 301],
        ca: None,
    };
    let strict = HttpCheck { status: vec![200], ..wished.clone() };
    assert_eq!(prober(HealthCheck::Http, wished).check(address, LIMIT).await, Ok(()));
    let other = Err(CheckError::Status(http::StatusCode::NO_CONTENT));
    assert_eq!(prober(HealthCheck::Http, strict).check(address, LIMIT).await, other);
    let seen = seen.lock().unwrap()[0].clone();
    assert!(seen.starts_with("|get /ping?who=us http/1.1\r\n"), "{seen}");
    assert!(seen.contains("\r\nhost: www.example.net\r\n"), "{seen}");
}

/// TLS of an edge with this certificate.
fn serving(files: &DnsTls) -> Arc<ServerConfig> {
    let metrics = Metrics::new(&prometheus::Registry::new()).unwrap();
    let clock = Clock::manual(Timestamp::default());
    Arc::clone(&crate::tls::Tls::start(files, &clock, &metrics).unwrap().https)
}

#[tokio::test]
async fn checks_over_https() {
    let folder = tempfile::tempdir().unwrap();
    let make = |name, years| testing::certificate(folder.path(), name, years);
    let [good, other] = [make("good", (2025, 2035)), make("other", (2025, 2035))];
    let old = make("old", (2020, 2021));
    let (up, seen) = edge(Some(OK), Some(serving(&good))).await;
    let (expired, _) = edge(Some(OK), Some(serving(&old))).await;
    let (plain, _) = edge(Some(OK), None).await;
    let (silent, _) = edge(None, None).await;
    let ours = Some("ns1.kingcdn.test");
    let fails = |why| Err(CheckError::Tls(why));
    for (address, host, ca, expected) in [
        (up, None, None, Ok(())),
        (up, Some("www.example.net"), None, Ok(())),
        (expired, None, None, Ok(())),
        (up, ours, Some(&good), Ok(())),
        (up, Some("www.example.net"), Some(&good), fails(TlsError::Name)),
        (up, ours, Some(&other), fails(TlsError::Issuer)),
        (expired, ours, Some(&old), fails(TlsError::Dates)),
        (plain, ours, None, fails(TlsError::Handshake)),
        (silent, ours, None, Err(CheckError::Timeout)),
        (nobody().await, ours, None, Err(CheckError::Connect(ErrorKind::ConnectionRefused))),
    ] {
        let http = HttpCheck {
            host: host.map(|host| kingcdn_config::DomainName::parse(host).unwrap()),
            ca: ca.map(|files| files.certificate.clone()),
            ..HttpCheck::default()
        };
        let result = prober(HealthCheck::Https, http).check(address, LIMIT).await;
        assert_eq!(result, expected, "{host:?} {:?}", ca.map(|files| &files.certificate));
    }
    // The first host of the first site, where nothing is said.
    let seen = seen.lock().unwrap();
    for (at, name) in
        ["video.netcinema.test", "www.example.net", "ns1.kingcdn.test"].iter().enumerate()
    {
        let expected =
            format!("{name}|get /.well-known/kingcdn/health http/1.1\r\nhost: {name}\r\n");
        assert!(seen[at].starts_with(&expected), "{}", seen[at]);
    }
}

#[test]
fn certificates_to_check_against_must_be_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = testing::config(folder.path(), &[]);
    let file = folder.path().join("ca.pem");
    let health = &mut config.dns.as_mut().unwrap().health;
    (health.check, health.http.ca) = (HealthCheck::Https, Some(file.clone()));
    let check = |config: &Config| crate::check(config).unwrap_err()[0].to_string();
    assert!(check(&config).contains("ca.pem: can't be read"), "{}", check(&config));
    std::fs::write(file, "nothing").unwrap();
    let said = check(&config);
    assert!(said.contains("has no certificate in PEM (`dns.health.ca`)"), "{said}");
}
