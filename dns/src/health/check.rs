//! One check of one address.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use kingcdn_config::{Config, Dns, HealthCheck, HttpCheck};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::tls::{Tls, TlsError};
use crate::zone::ZoneError;

/// Why a check failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum CheckError {
    /// There was no answer in time.
    #[error("no answer in time")]
    Timeout,
    /// No connection could be made.
    #[error("no connection: {0}")]
    Connect(ErrorKind),
    /// No TLS on the connection.
    #[error("no TLS: {0}")]
    Tls(#[from] TlsError),
    /// The connection broke, or what came isn't HTTP.
    #[error("no HTTP answer")]
    Http,
    /// The answer isn't the one that is wanted.
    #[error("status {0}")]
    Status(StatusCode),
}

/// Checks addresses, as a configuration says.
pub(crate) struct Prober {
    how: HealthCheck,
    http: HttpCheck,
    /// For `Host`; the address itself where there is none.
    host: Option<String>,
    /// Over HTTPS.
    tls: Option<Tls>,
}

impl Prober {
    /// Reads the certificates that edges' are held against, if that is wished.
    pub(crate) fn new(config: &Config, dns: &Dns) -> Result<Self, ZoneError> {
        let policy = &dns.health;
        let https = policy.check == HealthCheck::Https;
        let first = || config.sites.first().and_then(|site| site.hosts.first()).filter(|_| https);
        let host = policy.http.host.as_ref().or_else(first).map(ToString::to_string);
        let tls = https.then(|| Tls::new(host.as_deref(), policy.http.ca.as_deref()));
        Ok(Self { how: policy.check, http: policy.http.clone(), host, tls: tls.transpose()? })
    }

    /// Whether another one finds the same.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.how == other.how && self.http == other.http && self.host == other.host
    }

    /// What a check is.
    pub(super) fn how(&self) -> HealthCheck {
        self.how
    }

    /// Checks an address; an answer that isn't there within `limit` never comes.
    pub(super) async fn check(
        &self,
        service: SocketAddr,
        limit: Duration,
    ) -> Result<(), CheckError> {
        let checked = async {
            if self.how == HealthCheck::None {
                return Ok(());
            }
            let connected = TcpStream::connect(service).await;
            let stream = connected.map_err(|error| CheckError::Connect(error.kind()))?;
            match (self.how, &self.tls) {
                (HealthCheck::Https, Some(tls)) => {
                    self.get(service, tls.connect(service, stream).await?).await
                }
                (HealthCheck::Http, _) => self.get(service, stream).await,
                _ => Ok(()),
            }
        };
        timeout(limit, checked).await.unwrap_or(Err(CheckError::Timeout))
    }

    async fn get<S>(&self, service: SocketAddr, stream: S) -> Result<(), CheckError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let shaken = http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = shaken.map_err(|_| CheckError::Http)?;
        let host = self.host.clone().unwrap_or_else(|| service.to_string());
        let request = Request::get(&self.http.path)
            .header(header::HOST, host)
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
        match self.http.status.contains(&status.as_u16()) {
            true => Ok(()),
            false => Err(CheckError::Status(status)),
        }
    }
}
