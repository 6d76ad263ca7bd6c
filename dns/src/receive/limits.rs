//! What bounds connections: all of one kind together, and those of one client.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;
use tracing::debug;

use crate::record::{Metrics, OpenConnection, Transport};

/// While more than this share of the connections is taken, those that idle have …
const CROWDED: usize = 4;
/// … this time alone (RFC 7766 section 6.2.3).
const IDLE_CROWDED: Duration = Duration::from_secs(1);
/// A pause for when no connection can be accepted.
const BREATH: Duration = Duration::from_millis(100);

/// What bounds connections of one kind.
#[derive(Clone)]
pub(crate) struct Limits {
    all: Arc<Semaphore>,
    connections: usize,
    per_client: usize,
    idle: Duration,
    /// Connections by client. Held for the time of a count.
    clients: Arc<Mutex<HashMap<IpAddr, usize>>>,
    pub(super) metrics: Arc<Metrics>,
}

/// The place of one connection, given back when it drops.
pub(super) struct Admitted {
    client: IpAddr,
    clients: Arc<Mutex<HashMap<IpAddr, usize>>>,
    _place: OwnedSemaphorePermit,
    _open: OpenConnection,
}

impl Limits {
    /// Connections on all addresses, and those of one client: the rest are for others (RFC 7766
    /// section 6.2.2). How long each may idle.
    pub(crate) fn new(
        (connections, per_client): (usize, usize),
        idle: Duration,
        metrics: &Arc<Metrics>,
    ) -> Self {
        let (all, metrics) = (Arc::new(Semaphore::new(connections)), Arc::clone(metrics));
        Self { all, connections, per_client, idle, clients: Arc::default(), metrics }
    }

    /// How long a connection may idle (RFC 7766 section 6.2.3).
    pub(super) fn idle(&self) -> Duration {
        let crowded = self.all.available_permits() < self.connections / CROWDED;
        if crowded { self.idle.min(IDLE_CROWDED) } else { self.idle }
    }

    /// How long a client has to read what it asked for.
    pub(super) fn patience(&self) -> Duration {
        self.idle
    }

    /// A place for a connection of this client, unless it has too many.
    fn admit(
        &self,
        client: IpAddr,
        transport: Transport,
        place: OwnedSemaphorePermit,
    ) -> Option<Admitted> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let open = clients.entry(client).or_default();
        if *open >= self.per_client {
            self.metrics.refused_connection(transport);
            return None;
        }
        *open += 1;
        Some(Admitted {
            client,
            clients: Arc::clone(&self.clients),
            _place: place,
            _open: self.metrics.connection(transport),
        })
    }

    /// The next connection that may stay. While all places are taken, the kernel keeps the others.
    pub(super) async fn accept(
        &self,
        listener: &TcpListener,
        transport: Transport,
    ) -> Option<(TcpStream, SocketAddr, Admitted)> {
        let place = Arc::clone(&self.all).acquire_owned().await.ok()?;
        match listener.accept().await {
            Ok((stream, client)) => {
                let admitted = self.admit(client.ip().to_canonical(), transport, place)?;
                // Answers are written whole: none waits for another.
                let _slower = stream.set_nodelay(true);
                Some((stream, client, admitted))
            }
            Err(error) => {
                debug!(%error, "no connection accepted");
                sleep(BREATH).await;
                None
            }
        }
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
