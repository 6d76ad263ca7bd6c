//! DNS over TCP (RFC 7766).
//!
//! hickory's listener takes any number of connections and spins when the
//! process has no file descriptors left, so connections are accepted here;
//! their messages are hickory's.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use hickory_proto::op::{Header, MessageType, Metadata, ResponseCode, SerialMessage};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder, BinEncodable};
use hickory_server::net::runtime::TokioTime;
use hickory_server::net::runtime::iocompat::AsyncIoTokioAsStd;
use hickory_server::net::tcp::TcpStream;
use hickory_server::net::xfer::Protocol;
use hickory_server::net::{BufDnsStreamHandle, DnsStreamHandle};
use hickory_server::server::{Request, RequestHandler, ResponseHandle, TimeoutStream};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::debug;

use crate::journey::Journey;
use crate::record::{Metrics, OpenConnection};

/// Connections at once, on all addresses …
const CONNECTIONS: usize = 1024;
/// … and from one client: the rest are for others (RFC 7766 section 6.2.2).
const CONNECTIONS_OF_ONE: usize = 64;
/// A connection without a whole query for so long is closed (RFC 7766 section 6.2.3).
const IDLE: Duration = Duration::from_secs(10);
/// Answers that wait for a client to read them. A query is read only when none waits.
const WAITING_ANSWERS: usize = 4;
/// A pause for when no connection can be accepted.
const BREATH: Duration = Duration::from_millis(100);

/// What bounds connections.
#[derive(Clone)]
pub(crate) struct Limits {
    all: Arc<Semaphore>,
    /// Connections by client. Held for the time of a count.
    clients: Arc<Mutex<HashMap<IpAddr, usize>>>,
    metrics: Arc<Metrics>,
}

/// The place of one connection, given back when it drops.
struct Admitted {
    client: IpAddr,
    clients: Arc<Mutex<HashMap<IpAddr, usize>>>,
    _place: OwnedSemaphorePermit,
    _open: OpenConnection,
}

impl Limits {
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self { all: Arc::new(Semaphore::new(CONNECTIONS)), clients: Arc::default(), metrics }
    }

    /// A place for a connection of this client, unless it has too many.
    fn admit(&self, client: IpAddr, place: OwnedSemaphorePermit) -> Option<Admitted> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let open = clients.entry(client).or_default();
        if *open >= CONNECTIONS_OF_ONE {
            return None;
        }
        *open += 1;
        Some(Admitted {
            client,
            clients: Arc::clone(&self.clients),
            _place: place,
            _open: self.metrics.connection(),
        })
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = clients.get_mut(&self.client) {
            *open -= 1;
            if *open == 0 {
                clients.remove(&self.client);
            }
        }
    }
}

/// Accepts connections until `stop` turns true, then lets those that are open finish their query.
pub(super) async fn serve(
    listener: TcpListener,
    journey: Journey,
    limits: Limits,
    mut stop: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            accepted = accept(&listener, &limits) => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        if let Some((stream, client, admitted)) = accepted {
            let task = connection(stream, client, journey.clone(), stop.clone());
            connections.spawn(async move {
                task.await;
                drop(admitted);
            });
        }
    }
    while connections.join_next().await.is_some() {}
}

/// The next connection that may stay. While all places are taken, the kernel keeps the others.
async fn accept(
    listener: &TcpListener,
    limits: &Limits,
) -> Option<(tokio::net::TcpStream, SocketAddr, Admitted)> {
    let place = Arc::clone(&limits.all).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, client)) => {
            let admitted = limits.admit(client.ip().to_canonical(), place)?;
            Some((stream, client, admitted))
        }
        Err(error) => {
            debug!(%error, "no connection accepted");
            sleep(BREATH).await;
            None
        }
    }
}

/// Answers one connection's queries in their order.
async fn connection(
    stream: tokio::net::TcpStream,
    client: SocketAddr,
    journey: Journey,
    mut stop: watch::Receiver<bool>,
) {
    let stream = AsyncIoTokioAsStd(stream);
    let (stream, answers) =
        TcpStream::from_stream_with_buffer_size(stream, client, WAITING_ANSWERS);
    let mut messages = TimeoutStream::new(stream, IDLE);
    loop {
        let message = tokio::select! {
            // An answer that waits is sent before anything else: here, or never.
            biased;
            message = messages.next() => message,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        // Closed, broken, idle or not reading.
        let Some(Ok(message)) = message else { return };
        let (octets, client) = message.into_parts();
        respond(octets, client, &journey, answers.clone()).await;
    }
}

async fn respond(
    octets: Vec<u8>,
    client: SocketAddr,
    journey: &Journey,
    mut answers: BufDnsStreamHandle,
) {
    // Fewer octets than a header get no answer, and neither do answers.
    let Ok(header) = Header::read(&mut BinDecoder::new(&octets)) else { return };
    if header.message_type == MessageType::Response {
        return;
    }
    if let Ok(request) = Request::from_bytes(octets, client, Protocol::Tcp) {
        let to = ResponseHandle::new(client, answers, Protocol::Tcp);
        journey.handle_request::<_, TokioTime>(&request, to).await;
        return;
    }
    let mut metadata = Metadata::response_from_request(&header.metadata);
    metadata.response_code = ResponseCode::FormErr;
    let counts = hickory_proto::op::HeaderCounts::default();
    if let Ok(octets) = (Header { metadata, counts }).to_bytes()
        && let Err(error) = answers.send(SerialMessage::new(octets, client))
    {
        debug!(%error, %client, "answer not sent");
    }
}
