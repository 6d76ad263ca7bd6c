//! What isn't part of a key and yet changes an answer: whoever sends it may choose what he gets
//! himself, never what others get.

#![allow(clippy::unwrap_used, clippy::panic)] // What fails here fails the test.

mod stage;

use std::net::SocketAddr;

use stage::{Answer, HOST, Stage, read_head};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const EVIL: &str = "evil.example";

/// An origin that puts all that it is told into a page that everybody may keep.
async fn mirror() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut page = read_head(&mut stream).await.unwrap_or_default();
                let length = page.to_ascii_lowercase();
                let length = length.split("content-length: ").nth(1).unwrap_or_default();
                let length = length.lines().next().unwrap_or_default().parse().unwrap_or(0);
                let mut content = vec![0; length];
                stream.read_exact(&mut content).await.unwrap();
                page.push_str(&String::from_utf8_lossy(&content));
                let head = format!(
                    "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: {}\r\n\
                     Connection: close\r\n\r\n",
                    page.len()
                );
                let _gone = stream.write_all((head + &page).as_bytes()).await;
            });
        }
    });
    address
}

/// Requests for `/N`, each with `evil.example` in it where a request may have it. A client's own
/// validators aren't among them: they go on where nothing is held (RFC 9111 section 4.3.1).
fn attacks() -> Vec<String> {
    let fields = [
        "Forwarded: host=evil.example",
        "Forwarded: for=1.2.3.4;host=\"evil.example\";proto=https",
        "X-Forwarded-Host: evil.example",
        "X-Forwarded-Host: a.test\r\nX-Forwarded-Host: evil.example",
        "x_forwarded_host: evil.example",
        "X_Forwarded-Host: evil.example",
        "X-Forwarded-For: evil.example",
        "X-Forwarded-Port: evil.example",
        "X-Forwarded-Proto: evil.example",
        "X-Forwarded-Scheme: evil.example",
        "X-Forwarded-Server: evil.example",
        "X-Forwarded-Ssl: evil.example",
        "X-Forwarded-Prefix: /evil.example",
        "X-Forwarded-Path: /evil.example",
        "X-Forwarded-Uri: /evil.example",
        "X-Forwarded-Anything: evil.example",
        "Front-End-Https: evil.example",
        "X-Real-IP: evil.example",
        "X-Client-IP: evil.example",
        "True-Client-IP: evil.example",
        "Client-IP: evil.example",
        "X-Host: evil.example",
        "X-HTTP-Host-Override: evil.example",
        "X-Original-Host: evil.example",
        "X-Original-URL: /evil.example",
        "X_Original_URL: /evil.example",
        "X-Original-Method: evil.example",
        "X-Rewrite-URL: /evil.example",
        "X-Backend-Host: evil.example",
        "X-HTTP-Method: evil.example",
        "X-HTTP-Method-Override: evil.example",
        "X-Method-Override: evil.example",
        "X-HTTP-Path-Override: /evil.example",
        "X-URL-Scheme: evil.example",
        "X-Script-Name: /evil.example",
        "X-Middleware-Subrequest: evil.example",
        "Base-Url: evil.example",
        "Request-Uri: evil.example",
        "Proxy: evil.example",
        "Proxy-Host: evil.example",
        "X-Wap-Profile: http://evil.example/",
        "Proxy-Connection: evil.example",
        "Connection: close, x-hop\r\nX-Hop: evil.example",
        "TE: evil.example",
        "Range: bytes=0-1\r\nIf-Range: \"evil.example\"",
        "If-Match: \"evil.example\"",
        "Upgrade: evil.example\r\nConnection: close, upgrade",
        "Expect: evil.example",
        "Content-Length: 12\r\n\r\nevil.example",
        "Transfer-Encoding: chunked\r\n\r\nc\r\nevil.example\r\n0\r\n\r\n",
    ];
    let mut attacks: Vec<String> = fields
        .iter()
        .map(|field| {
            let end = if field.contains("\r\n\r\n") { "" } else { "\r\n\r\n" };
            format!("GET /N HTTP/1.1\r\nHost: {HOST}\r\n{field}{end}")
        })
        .collect();
    let own = |line: &str, host: &str| format!("{line} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    attacks.extend([
        own("GET /N", EVIL),
        own("GET /N", &format!("{HOST}:80@evil.example")),
        own("GET /N", &format!("{HOST}/evil.example")),
        own("GET /N", &format!("{HOST} evil.example")),
        own("GET /N", &format!("{HOST}\r\nHost: evil.example")),
        own("GET /N", &format!("evil.example\r\nHost: {HOST}")),
        own("GET /N", &format!("{HOST}:evil.example")),
        own("GET http://evil.example/N", HOST),
        own(&format!("GET http://{HOST}/N"), EVIL),
        own(&format!("GET http://evil.example@{HOST}/N"), HOST),
        own("GET //evil.example/N", HOST),
        own("GET /N?evil.example", HOST),
        own("GET /N#evil.example", HOST),
        own("GET /evil.example/../N", HOST),
        own("POST /N?evil.example", HOST),
        format!("POST /N HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 12\r\n\r\nevil.example"),
        format!("FROB /N HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 12\r\n\r\nevil.example"),
    ]);
    attacks
}

#[tokio::test]
async fn what_is_not_in_the_key_reaches_nobody_else() {
    let stage = Stage::facing(Some(mirror().await), "").await;
    let mut stored = 0;
    for (number, attack) in attacks().into_iter().enumerate() {
        let target = format!("/{number}");
        let attack = attack.replace("/N", &target);
        let (line, rest) = attack.split_once("\r\n").unwrap();
        let attack = match rest.contains("Connection: close") {
            true => format!("{line}\r\n{rest}"),
            false => format!("{line}\r\nConnection: close\r\n{rest}"),
        };
        let said = stage.raw(&attack).await;
        for host in [HOST.to_owned(), HOST.to_uppercase(), format!("{HOST}:80")] {
            let got = stage.get_with(&target, &[("host", &host)]).await;
            assert!(!got.text().contains(EVIL), "{attack}\n{said:?}\n{}", got.text());
            let address = &got.text().to_ascii_lowercase();
            assert!(address.contains(&format!("host: {HOST}\r\n")), "{address}");
        }
        stored += u32::from(stage.get(&target).await.is_hit());
    }
    assert_eq!(stored as usize, attacks().len(), "each is in the cache by then");
}

/// What Connection names goes no further (RFC 9110 section 7.6.1), so it tells nobody apart either:
/// what everybody else gets isn't kept for those who send it.
#[tokio::test]
async fn what_connection_names_chooses_nothing() {
    for (site, vary) in [("", "x-device"), ("[site.key]\nheaders = [\"X-Device\"]", "accept")] {
        let stage = Stage::with(site).await;
        stage.origin.on("/", Answer::fresh("for all").field("vary", vary));
        let attack = "X-Device: phone\r\nConnection: close, X-Device";
        let attack = format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n{attack}\r\n\r\n");
        assert!(stage.raw(&attack).await.ends_with("for all"));
        assert!(!stage.origin.last().headers.contains_key("x-device"));
        stage.origin.on("/", Answer::fresh("for phones").field("vary", vary));
        let phone = stage.get_with("/", &[("x-device", "phone")]).await;
        assert_eq!(phone.text(), "for phones", "{vary}");
        assert_eq!(stage.get("/").await.text(), "for all", "{vary}");
        assert_eq!(stage.origin.count(), 2, "{vary}");
    }
}

#[tokio::test]
async fn several_spellings_of_a_target_are_not_one() {
    let stage = Stage::facing(Some(mirror().await), "").await;
    for target in
        ["/a", "/a?", "/a?b", "/a?b&", "/%61", "/./a", "//a", "/a/", "/A", "/a%00", "/a;b"]
    {
        let got = stage.get(target).await;
        assert!(!got.is_hit(), "{target}");
        assert!(got.text().starts_with(&format!("GET {target} HTTP/1.1\r\n")), "{}", got.text());
    }
}
