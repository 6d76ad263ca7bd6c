//! An origin on a port of its own, and a client that sends what it is told.

#![allow(dead_code)] // Each test file uses its share.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use kingcdn_config::clock::Clock;
use kingcdn_origin::{Origin, StartError};
use prometheus::Registry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) fn config(root: &Path) -> kingcdn_config::Origin {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    kingcdn_config::Origin {
        listen: vec![any],
        admin: any,
        root: root.to_owned(),
        cache_control: BTreeMap::new(),
    }
}

pub(crate) async fn start(root: &Path) -> Result<Origin, StartError> {
    Origin::start(&config(root), Clock::system(), &Registry::new()).await
}

/// A response as it came: nothing decoded.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().skip(1);
        fields
            .filter_map(|line| line.split_once(": "))
            .find_map(|(field, value)| field.eq_ignore_ascii_case(name).then_some(value))
    }
}

/// Sends bytes on a connection of their own and reads until the origin closes it.
pub(crate) async fn send(origin: &Origin, request: &[u8]) -> Response {
    let mut stream = TcpStream::connect(origin.addresses()[0]).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    parse(&bytes)
}

pub(crate) fn parse(bytes: &[u8]) -> Response {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
    let end = end.unwrap();
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    Response { status: head[9..12].parse().unwrap(), head, body: bytes[end + 4..].to_vec() }
}

/// One request whose answer ends the connection. `fields` are whole lines.
pub(crate) async fn ask(origin: &Origin, method: &str, path: &str, fields: &str) -> Response {
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: video.netcinema.test\r\nConnection: close\r\n{fields}\r\n"
    );
    send(origin, request.as_bytes()).await
}

pub(crate) async fn get(origin: &Origin, path: &str) -> Response {
    ask(origin, "GET", path, "").await
}
