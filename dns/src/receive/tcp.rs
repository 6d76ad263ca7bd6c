//! Connections: DNS over TCP (RFC 7766), over TLS (RFC 7858) and over HTTPS (RFC 8484).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::debug;

use super::{Limits, https, stream};
use crate::journey::Journey;
use crate::record::{Handshake, Transport};

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// What a connection over TLS keeps of what its client doesn't read.
const TLS_BUFFER: usize = 32 << 10;

/// What is spoken on a connection.
#[derive(Clone)]
pub(super) enum Spoken {
    Plain,
    /// DNS over TLS.
    Tls(Arc<ServerConfig>),
    Https(Arc<ServerConfig>),
}

impl Spoken {
    fn transport(&self) -> Transport {
        match self {
            Self::Plain => Transport::Tcp,
            Self::Tls(_) => Transport::Tls,
            Self::Https(_) => Transport::Https,
        }
    }
}

/// Accepts connections until `stop` turns true, then lets those that are open finish their query.
pub(super) async fn serve(
    listener: TcpListener,
    spoken: Spoken,
    journey: Journey,
    limits: Limits,
    mut stop: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    let transport = spoken.transport();
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            accepted = limits.accept(&listener, transport) => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        if let Some((stream, client, admitted)) = accepted {
            let with = Context { client: client.ip(), journey: journey.clone() };
            let task = connection(stream, spoken.clone(), with, limits.clone(), stop.clone());
            connections.spawn(async move {
                task.await;
                drop(admitted);
            });
        }
    }
    while connections.join_next().await.is_some() {}
}

/// Who asks, and who answers.
pub(super) struct Context {
    pub(super) client: IpAddr,
    pub(super) journey: Journey,
}

async fn connection(
    stream: TcpStream,
    spoken: Spoken,
    with: Context,
    limits: Limits,
    stop: watch::Receiver<bool>,
) {
    match spoken {
        Spoken::Plain => stream::converse(stream, Transport::Tcp, with, limits, stop).await,
        Spoken::Tls(tls) => {
            if let Some(stream) = shake_hands(stream, tls, &with, &limits).await {
                stream::converse(stream, Transport::Tls, with, limits, stop).await;
            }
        }
        Spoken::Https(tls) => {
            if let Some(stream) = shake_hands(stream, tls, &with, &limits).await {
                https::converse(stream, with, limits, stop).await;
            }
        }
    }
}

/// A connection with TLS, unless it fails or takes too long.
pub(super) async fn shake_hands<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    tls: Arc<ServerConfig>,
    with: &Context,
    limits: &Limits,
) -> Option<TlsStream<S>> {
    let bounded = |tls: &mut rustls::ServerConnection| tls.set_buffer_limit(Some(TLS_BUFFER));
    let shaken = timeout(HANDSHAKE, TlsAcceptor::from(tls).accept_with(stream, bounded)).await;
    let (how, stream) = match shaken {
        Ok(Ok(stream)) => (Handshake::Done, Some(stream)),
        Ok(Err(error)) => {
            debug!(%error, client = %with.client, "no TLS");
            (Handshake::Failed, None)
        }
        Err(_) => (Handshake::Late, None),
    };
    limits.metrics.encrypted.shook_hands(how);
    stream
}
