//! The site over real sockets.

#![allow(clippy::unwrap_used)] // Helpers of tests, outside of test functions.

mod common;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{ask, config, get, parse, send, start};
use kingcdn_config::clock::Clock;
use kingcdn_origin::{Origin, StartError, sample};
use prometheus::{Registry, TextEncoder};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

fn sample_site() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    sample::write_to(folder.path()).unwrap();
    folder
}

fn paths_beneath(root: &Path, folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            paths_beneath(root, &path, found);
        } else {
            let path = path.strip_prefix(root).unwrap();
            found.push(path.to_str().unwrap().to_owned());
        }
    }
}

#[tokio::test]
async fn every_file_of_the_sample_is_served_as_it_is() {
    let folder = sample_site();
    let origin = start(folder.path()).await.unwrap();
    let mut paths = Vec::new();
    paths_beneath(folder.path(), folder.path(), &mut paths);
    assert!(paths.len() > 30);
    for path in paths {
        let response = get(&origin, &format!("/{path}")).await;
        assert_eq!(response.status, 200, "{path}");
        assert_eq!(response.body, fs::read(folder.path().join(&path)).unwrap());
        let media_type = response.field("content-type").unwrap();
        assert_ne!(media_type, "application/octet-stream", "{path}");
        let immutable = response.field("cache-control").unwrap().contains("immutable");
        assert_eq!(immutable, path.ends_with(".m4s"), "{path}");
    }
}

#[tokio::test]
async fn validators_survive_a_new_run() {
    let mut seen = Vec::new();
    for _ in 0..2 {
        let folder = sample_site();
        let origin = start(folder.path()).await.unwrap();
        let response = get(&origin, "/manifest.mpd").await;
        let validator = |name| response.field(name).unwrap().to_owned();
        seen.push((validator("etag"), validator("last-modified")));
    }
    assert_eq!(seen[0], seen[1]);

    let folder = sample_site();
    let origin = start(folder.path()).await.unwrap();
    let fields = format!("If-None-Match: {}\r\n", seen[0].0);
    let response = ask(&origin, "GET", "/manifest.mpd", &fields).await;
    assert_eq!((response.status, response.body.len()), (304, 0));
}

#[tokio::test]
async fn ranges_are_the_files_bytes() {
    let folder = sample_site();
    let origin = start(folder.path()).await.unwrap();
    let page = fs::read(folder.path().join("index.html")).unwrap();

    let one = ask(&origin, "GET", "/", "Range: bytes=10-19\r\n").await;
    assert_eq!((one.status, &one.body[..]), (206, &page[10..20]));

    let several = ask(&origin, "GET", "/", "Range: bytes=0-9, -10\r\n").await;
    assert_eq!(several.status, 206);
    let text = String::from_utf8(several.body).unwrap();
    let boundary = several.head.split("boundary=").nth(1).unwrap();
    let boundary = boundary.lines().next().unwrap();
    let parts: Vec<&str> = text.split(&format!("--{boundary}")).collect();
    let body_of = |part: &str| part.split_once("\r\n\r\n").unwrap().1.to_owned();
    assert_eq!(parts.len(), 4);
    assert_eq!(body_of(parts[1]).trim_end_matches("\r\n").as_bytes(), &page[..10]);
    assert!(body_of(parts[2]).as_bytes().starts_with(&page[page.len() - 10..]));
    assert_eq!(parts[3], "--\r\n");

    let none = ask(&origin, "GET", "/", "Range: bytes=99999999-\r\n").await;
    assert_eq!(none.status, 416);
    let length = format!("bytes */{}", page.len());
    assert_eq!(none.field("content-range"), Some(length.as_str()));
}

#[tokio::test]
async fn methods_and_hosts_are_checked() {
    let folder = sample_site();
    let origin = start(folder.path()).await.unwrap();
    let head = ask(&origin, "HEAD", "/manifest.mpd", "").await;
    let length = fs::metadata(folder.path().join("manifest.mpd")).unwrap().len();
    assert_eq!(head.field("content-length"), Some(length.to_string().as_str()));
    assert_eq!((head.status, head.body.len()), (200, 0));
    for path in ["/manifest.mpd", "*"] {
        assert_eq!(ask(&origin, "OPTIONS", path, "").await.status, 204);
    }
    for method in ["POST", "PUT", "DELETE", "PATCH", "TRACE", "BREW"] {
        let refused = ask(&origin, method, "/", "Content-Length: 0\r\n").await;
        assert_eq!(refused.status, 405, "{method}");
        assert_eq!(refused.field("allow"), Some("GET, HEAD, OPTIONS"));
    }
    for (request, status) in [
        ("GET / HTTP/1.1\r\nConnection: close\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n", 400),
        ("GET / HTTP/1.0\r\n\r\n", 200),
    ] {
        assert_eq!(send(&origin, request.as_bytes()).await.status, status, "{request}");
    }
}

#[tokio::test]
async fn too_much_of_a_head_is_refused() {
    let folder = sample_site();
    let origin = start(folder.path()).await.unwrap();
    let long = format!("X: {}\r\n", "x".repeat(17 << 10));
    assert_eq!(ask(&origin, "GET", "/", &long).await.status, 431);
    let many = "X: x\r\n".repeat(120);
    assert_eq!(ask(&origin, "GET", "/", &many).await.status, 431);
}

/// A large file and a client that has read its head, and no more than what is on the way.
async fn begin_large(folder: &Path, origin: &Origin) -> TcpStream {
    let file = File::create(folder.join("large.mp4")).unwrap();
    file.set_len(LARGE_BYTES).unwrap();
    let mut stream = TcpStream::connect(origin.addresses()[0]).await.unwrap();
    let request = b"GET /large.mp4 HTTP/1.1\r\nHost: a\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut byte = [0];
    stream.read_exact(&mut byte).await.unwrap();
    stream
}

/// More than what socket buffers hold.
const LARGE_BYTES: u64 = 60 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_shrinks_ends_the_connection() {
    let folder = tempfile::tempdir().unwrap();
    let origin = start(folder.path()).await.unwrap();
    let mut stream = begin_large(folder.path(), &origin).await;
    let file = File::options().write(true).open(folder.path().join("large.mp4"));
    file.unwrap().set_len(1000).unwrap();
    let mut rest = Vec::new();
    let ended = stream.read_to_end(&mut rest).await;
    assert!((rest.len() as u64) < LARGE_BYTES, "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_finishes_what_is_open_and_takes_nothing_new() {
    let folder = tempfile::tempdir().unwrap();
    let origin = Arc::new(start(folder.path()).await.unwrap());
    let mut open = begin_large(folder.path(), &origin).await;
    let mut idle = TcpStream::connect(origin.addresses()[0]).await.unwrap();
    // A connection that nobody has accepted yet would be reset instead of ended.
    while origin.status()["connections"] != 2 {
        tokio::task::yield_now().await;
    }
    let draining = {
        let origin = Arc::clone(&origin);
        tokio::spawn(async move { origin.drain(Duration::from_secs(60)).await })
    };
    // The idle connection's end tells that draining began.
    let mut nothing = Vec::new();
    idle.read_to_end(&mut nothing).await.unwrap();
    assert!(nothing.is_empty());
    assert_eq!(origin.status()["draining"], true);
    assert!(!draining.is_finished());

    let mut rest = vec![b'H'];
    open.read_to_end(&mut rest).await.unwrap();
    assert_eq!(parse(&rest).body.len() as u64, LARGE_BYTES);
    draining.await.unwrap();
    let refused = TcpStream::connect(origin.addresses()[0]).await;
    assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_ends_at_its_limit() {
    let folder = tempfile::tempdir().unwrap();
    let origin = start(folder.path()).await.unwrap();
    let mut open = begin_large(folder.path(), &origin).await;
    origin.drain(Duration::from_millis(1)).await;
    let mut rest = Vec::new();
    let ended = open.read_to_end(&mut rest).await;
    assert!((rest.len() as u64) < LARGE_BYTES, "{ended:?}");
}

#[tokio::test]
async fn a_start_that_fails_says_why() {
    let folder = sample_site();
    let missing = folder.path().join("missing");
    let error = start(&missing).await.unwrap_err();
    assert!(matches!(&error, StartError::Root { root, .. } if *root == missing));
    let file = folder.path().join("index.html");
    assert!(matches!(start(&file).await, Err(StartError::Root { .. })));

    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = config(folder.path());
    config.listen = vec![taken.local_addr().unwrap()];
    let registry = Registry::new();
    let error = Origin::start(&config, Clock::system(), &registry).await;
    let error = error.unwrap_err();
    assert!(matches!(error, StartError::Listen { address, .. } if address == config.listen[0]));
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn every_request_is_recorded_and_counted() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt().json().with_writer(move || writer.clone()).finish();
    // The runtime of this test is this thread.
    let _guard = tracing::subscriber::set_default(subscriber);

    let folder = sample_site();
    let registry = Registry::new();
    let config = config(folder.path());
    let origin = Origin::start(&config, Clock::system(), &registry).await.unwrap();
    ask(&origin, "GET", "/", "Range: bytes=0-9\r\n").await;
    ask(&origin, "HEAD", "/../etc", "").await;
    ask(&origin, "GET", "/nope", "").await;

    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let records: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|record: &serde_json::Value| record["target"] == "kingcdn::access")
        .map(|record| record["fields"].clone())
        .collect();
    let told = |index: usize, name: &str| records[index][name].to_string();
    assert_eq!(records.len(), 3);
    for (name, values) in [
        ("method", ["\"GET\"", "\"HEAD\"", "\"GET\""]),
        ("path", ["\"/\"", "\"/../etc\"", "\"/nope\""]),
        ("status", ["206", "404", "404"]),
        ("bytes", ["10", "0", "14"]),
        ("range", ["\"bytes=0-9\"", "\"\"", "\"\""]),
        ("complete", ["true", "true", "true"]),
        ("reason", ["\"\"", "\"a hidden name in the path\"", "\"no such file\""]),
    ] {
        assert_eq!([0, 1, 2].map(|index| told(index, name)), values, "{name}");
    }

    let metrics = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    for line in [
        "kingcdn_origin_requests_total{status=\"206\"} 1",
        "kingcdn_origin_requests_total{status=\"404\"} 2",
        "kingcdn_origin_bytes_total 24",
        "kingcdn_origin_request_seconds_count 3",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line}");
    }
    let status = origin.status();
    assert_eq!(status["requests"], 3);
    assert_eq!(status["bytes"], 24);
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    let again = Origin::start(&config, Clock::system(), &registry).await;
    assert!(matches!(again, Err(StartError::Metrics(_))));
}
