//! What a hit in memory costs between the parsed request and the response that hyper gets: site,
//! key, look-up, decision, head, record. The budget is one microsecond.

use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::thread;

use criterion::{Criterion, criterion_group, criterion_main};
use http::Request;
use http::request::Parts;
use kingcdn_config::Config;
use kingcdn_config::clock::Clock;
use kingcdn_edge::Edge;
use prometheus::Registry;

const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: video/mp4\r\n\
     Cache-Control: public, max-age=86400\r\nETag: \"5f3c-18c2a\"\r\n\
     Last-Modified: Tue, 14 Nov 2023 21:13:20 GMT\r\nAccept-Ranges: bytes\r\n\
     Access-Control-Allow-Origin: *\r\nConnection: close\r\n\r\nhello";

/// What a browser sends.
const BROWSER: [(&str, &str); 7] = [
    ("host", "video.netcinema.test"),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("accept", "*/*"),
    ("accept-language", "ko-KR,ko;q=0.8,en-US;q=0.5,en;q=0.3"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("referer", "http://video.netcinema.test/"),
    ("connection", "keep-alive"),
];

/// Answers every connection once.
fn origin() -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _client_left =
                stream.read(&mut [0; 8192]).and_then(|_| stream.write_all(ANSWER.as_bytes()));
        }
    });
    Ok(address)
}

async fn edge(origin: SocketAddr) -> Option<Edge> {
    let text = format!(
        r#"
        [[edge]]
        name = "seoul"
        location = [37.57, 126.98]
        listen = ["127.0.0.1:0"]
        admin = "127.0.0.1:1"
        [[site]]
        name = "netcinema"
        hosts = ["video.netcinema.test"]
        origin = ["http://{origin}"]
        "#
    );
    let config = Config::parse(&text, Path::new("bench.toml")).ok()?.config;
    Edge::start(Arc::new(config), "seoul", Clock::system(), &Registry::new()).await.ok()
}

/// Has the edge fetch the object; whether it did.
fn warm_up(edge: &Edge) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(edge.addresses()[0])?;
    stream.write_all(
        b"GET /film.mp4 HTTP/1.1\r\nHost: video.netcinema.test\r\nConnection: close\r\n\r\n",
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.starts_with("HTTP/1.1 200"))
}

fn request(fields: &[(&str, &str)]) -> Option<Parts> {
    let builder = Request::get("/film.mp4");
    let builder =
        fields.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value));
    Some(builder.body(()).ok()?.into_parts().0)
}

fn hits(criterion: &mut Criterion) {
    let Ok(runtime) = tokio::runtime::Runtime::new() else { return };
    let Some(edge) = origin().ok().and_then(|origin| runtime.block_on(edge(origin))) else {
        return;
    };
    assert!(warm_up(&edge).is_ok_and(|fetched| fetched), "the object can't be fetched");
    let range = [&BROWSER[..], &[("range", "bytes=1-3")]].concat();
    for (name, fields) in
        [("hit, bare request", &BROWSER[..1]), ("hit, browser", &BROWSER), ("hit, range", &range)]
    {
        let Some(request) = request(fields) else { continue };
        assert!(edge.at_hand(&request).is_some(), "{name} is at hand");
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| edge.at_hand(black_box(&request)));
        });
    }
}

criterion_group!(benches, hits);
criterion_main!(benches);
