//! One look at an edge's `/status`.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use kingcdn_config::status::EdgeStatus;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Bytes of a document at most: about a thousand for each five sites.
const DOCUMENT_BYTES: usize = 4 << 20;

/// Why there is no document. None of these says anything against the edge: many admin addresses
/// are reached from their own machine alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum FetchError {
    /// There was no answer in time.
    #[error("no answer in time")]
    Timeout,
    /// No connection could be made.
    #[error("no connection: {0}")]
    Connect(ErrorKind),
    /// The connection broke, what came isn't HTTP, or it is too much.
    #[error("no HTTP answer within bounds")]
    Http,
    /// The answer isn't 200.
    #[error("status {0}")]
    Status(StatusCode),
    /// What came isn't the document of an edge.
    #[error("no status document of an edge")]
    Document,
    /// Another node answers there: every machine has the usual admin address.
    #[error("another node answers there")]
    OtherNode,
}

/// The document of the edge called `name`, if it is there within `limit`.
pub(crate) async fn fetch(
    name: &str,
    admin: SocketAddr,
    limit: Duration,
) -> Result<EdgeStatus, FetchError> {
    let octets = timeout(limit, get(admin)).await.unwrap_or(Err(FetchError::Timeout))?;
    let status: EdgeStatus = serde_json::from_slice(&octets).map_err(|_| FetchError::Document)?;
    if status.node == name { Ok(status) } else { Err(FetchError::OtherNode) }
}

async fn get(admin: SocketAddr) -> Result<Bytes, FetchError> {
    let connected = TcpStream::connect(admin).await;
    let stream = TokioIo::new(connected.map_err(|error| FetchError::Connect(error.kind()))?);
    let (mut sender, connection) = http1::handshake(stream).await.map_err(|_| FetchError::Http)?;
    let request = Request::get("/status")
        .header(header::HOST, admin.to_string())
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|_| FetchError::Http)?;
    let answered = async {
        let response = sender.send_request(request).await.map_err(|_| FetchError::Http)?;
        match response.status() {
            StatusCode::OK => {
                let body = Limited::new(response.into_body(), DOCUMENT_BYTES);
                Ok(body.collect().await.map_err(|_| FetchError::Http)?.to_bytes())
            }
            status => Err(FetchError::Status(status)),
        }
    };
    // Both run here, so that the connection ends with the look.
    let mut answered = std::pin::pin!(answered);
    tokio::select! {
        answered = &mut answered => answered,
        // It may end because all has been read.
        _ = connection => answered.await,
    }
}
