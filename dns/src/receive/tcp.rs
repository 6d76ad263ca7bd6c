//! DNS over TCP (RFC 7766).

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kingcdn_config::clock::Stopwatch;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::debug;

use crate::journey::Journey;
use crate::record::{Metrics, OpenConnection, Transport};

/// Connections at once, on all addresses …
const CONNECTIONS: usize = 1024;
/// … and from one client: the rest are for others (RFC 7766 section 6.2.2).
const CONNECTIONS_OF_ONE: usize = 64;
/// A connection without a whole query for so long is closed (RFC 7766 section 6.2.3).
const IDLE: Duration = Duration::from_secs(10);
/// The same for clients that ask, in tenths of a second (RFC 7828).
pub(crate) const KEEPALIVE_TENTHS: u16 = 100;
/// The same once the server stops: a query may be under way.
const FAREWELL: Duration = Duration::from_millis(250);
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
    mut stop: watch::Receiver<bool>,
) {
    let client = client.ip();
    let (mut tally, mut packet, mut out) = (journey.tally(), Vec::new(), Vec::new());
    loop {
        let received = {
            let mut receiving = pin!(receive(&mut stream, &mut packet));
            tokio::select! {
                received = timeout(IDLE, &mut receiving) => received,
                () = stopped(&mut stop) => timeout(FAREWELL, receiving).await,
            }
        };
        // Closed, broken or idle.
        let Ok(Ok(())) = received else { return };
        let started = Stopwatch::start();
        let mut turn = journey.turn(Transport::Tcp, &mut tally);
        turn.answer(&packet, client, &mut out);
        turn.end(started.elapsed());
        if out.is_empty() {
            continue;
        }
        match timeout(IDLE, send(&mut stream, &mut out)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return debug!(%error, %client, "answer not sent"),
            Err(_) => return debug!(%client, "answer not read"),
        }
    }
}

/// Returns when the server is to stop, or is gone.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Reads the next message (RFC 1035 section 4.2.2).
async fn receive(stream: &mut TcpStream, packet: &mut Vec<u8>) -> io::Result<()> {
    let length = stream.read_u16().await?;
    packet.resize(usize::from(length), 0);
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
