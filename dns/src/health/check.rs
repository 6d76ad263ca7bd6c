//! One check of one address.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use kingcdn_config::HealthCheck;
use kingcdn_config::status::HEALTH_PATH;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Why a check failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum CheckError {
    /// There was no answer in time.
    #[error("no answer in time")]
    Timeout,
    /// No connection could be made.
    #[error("no connection: {0}")]
    Connect(ErrorKind),
    /// The connection broke, or what came isn't HTTP.
    #[error("no HTTP answer")]
    Http,
    /// The answer isn't 200.
    #[error("status {0}")]
    Status(StatusCode),
}

/// Checks an address; an answer that isn't there within `limit` never comes.
pub(super) async fn check(
    how: HealthCheck,
    service: SocketAddr,
    limit: Duration,
) -> Result<(), CheckError> {
    let checked = async {
        match how {
            HealthCheck::None => Ok(()),
            HealthCheck::Tcp => connect(service).await.map(drop),
            HealthCheck::Http => get(service).await,
        }
    };
    timeout(limit, checked).await.unwrap_or(Err(CheckError::Timeout))
}

async fn connect(service: SocketAddr) -> Result<TcpStream, CheckError> {
    let connected = TcpStream::connect(service).await;
    connected.map_err(|error| CheckError::Connect(error.kind()))
}

async fn get(service: SocketAddr) -> Result<(), CheckError> {
    let stream = TokioIo::new(connect(service).await?);
    let (mut sender, connection) = http1::handshake(stream).await.map_err(|_| CheckError::Http)?;
    let request = Request::get(HEALTH_PATH)
        .header(header::HOST, service.to_string())
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|_| CheckError::Http)?;
    // Both run here, so that the connection ends with the check. Its body isn't read.
    let mut response = std::pin::pin!(sender.send_request(request));
    let response = tokio::select! {
        response = &mut response => response,
        // It may end because all has been read.
        _ = connection => response.await,
    };
    let status = response.map_err(|_| CheckError::Http)?.status();
    match status {
        StatusCode::OK => Ok(()),
        status => Err(CheckError::Status(status)),
    }
}
