//! DNS over TCP (RFC 7766).

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kingcdn_config::DnsLimits;
use kingcdn_config::clock::Stopwatch;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{debug, info};

use crate::journey::Journey;
use crate::record::{Metrics, OpenConnection, TransferEnd, Transport};
use crate::transfer::{Transfer, send as send_zone};

/// The longest query. Nobody makes us keep what no query needs.
const QUERY_BYTES: usize = 16 << 10;
/// While more than this share of the connections is taken, those that idle have …
const CROWDED: usize = 4;
/// … this time alone (RFC 7766 section 6.2.3).
const IDLE_CROWDED: Duration = Duration::from_secs(1);
/// How long a connection is listened to once the server stops: a query may be under way.
const FAREWELL: Duration = Duration::from_millis(250);
/// A pause for when no connection can be accepted.
const BREATH: Duration = Duration::from_millis(100);

/// What bounds connections.
#[derive(Clone)]
pub(crate) struct Limits {
    all: Arc<Semaphore>,
    limits: DnsLimits,
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
    /// Connections on all addresses, and those of one client: the rest are for others (RFC 7766
    /// section 6.2.2).
    pub(crate) fn new(limits: DnsLimits, metrics: Arc<Metrics>) -> Self {
        let all = Arc::new(Semaphore::new(limits.tcp_connections));
        Self { all, limits, clients: Arc::default(), metrics }
    }

    /// How long a connection may idle (RFC 7766 section 6.2.3).
    fn idle(&self) -> Duration {
        let crowded = self.all.available_permits() < self.limits.tcp_connections / CROWDED;
        if crowded { self.limits.tcp_idle.min(IDLE_CROWDED) } else { self.limits.tcp_idle }
    }

    /// A place for a connection of this client, unless it has too many.
    fn admit(&self, client: IpAddr, place: OwnedSemaphorePermit) -> Option<Admitted> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let open = clients.entry(client).or_default();
        if *open >= self.limits.tcp_per_client {
            self.metrics.refused_connection();
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
            let task = connection(stream, client, journey.clone(), limits.clone(), stop.clone());
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
) -> Option<(TcpStream, SocketAddr, Admitted)> {
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

/// Answers one connection's queries in their order. A query is read when the answer to the one
/// before is with the kernel.
async fn connection(
    mut stream: TcpStream,
    client: SocketAddr,
    journey: Journey,
    limits: Limits,
    mut stop: watch::Receiver<bool>,
) {
    let client = client.ip();
    let (mut tally, mut packet, mut out) = (journey.tally(), Vec::new(), Vec::new());
    loop {
        let received = {
            let mut receiving = pin!(receive(&mut stream, &mut packet));
            tokio::select! {
                received = timeout(limits.idle(), &mut receiving) => received,
                () = stopped(&mut stop) => timeout(FAREWELL, receiving).await,
            }
        };
        // Closed, broken or idle.
        let Ok(Ok(())) = received else { return };
        let started = Stopwatch::start();
        let mut turn = journey.turn(Transport::Tcp, &mut tally);
        let granted = turn.answer(&packet, client, &mut out);
        turn.end(started.elapsed());
        if let Some(granted) = granted {
            match transfer(&mut stream, *granted, &journey, &limits).await {
                true => continue,
                false => return,
            }
        }
        if out.is_empty() {
            continue;
        }
        match timeout(limits.idle(), send(&mut stream, &mut out)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return debug!(%error, %client, "answer not sent"),
            Err(_) => return debug!(%client, "answer not read"),
        }
    }
}

/// Sends a zone; whether it got through.
async fn transfer(
    stream: &mut TcpStream,
    granted: Transfer,
    journey: &Journey,
    limits: &Limits,
) -> bool {
    let (secondary, zone) = (granted.secondary.clone(), granted.zone.name());
    let mut messages = send_zone(granted, journey.clock.clone());
    let (mut count, mut whole) = (0, false);
    while let Some(message) = messages.recv().await {
        let Some(mut message) = message else {
            whole = true;
            break;
        };
        count += 1;
        if !matches!(timeout(limits.limits.tcp_idle, send(stream, &mut message)).await, Ok(Ok(())))
        {
            break;
        }
    }
    info!(%secondary, %zone, messages = count, whole, "zone transferred");
    let end = if whole { TransferEnd::Sent } else { TransferEnd::Broken };
    limits.metrics.transfer(end);
    whole
}

/// Returns when the server is to stop, or is gone.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Reads the next message (RFC 1035 section 4.2.2).
async fn receive(stream: &mut TcpStream, packet: &mut Vec<u8>) -> io::Result<()> {
    let length = usize::from(stream.read_u16().await?);
    if length > QUERY_BYTES {
        return Err(io::Error::from(io::ErrorKind::InvalidData));
    }
    packet.resize(length, 0);
    stream.read_exact(packet).await?;
    Ok(())
}

/// Sends a message, its length in one write with it (RFC 7766 section 8).
async fn send(stream: &mut TcpStream, out: &mut Vec<u8>) -> io::Result<()> {
    // No answer is longer.
    let length = u16::try_from(out.len()).unwrap_or(u16::MAX);
    out.splice(..0, length.to_be_bytes());
    stream.write_all(out).await
}
