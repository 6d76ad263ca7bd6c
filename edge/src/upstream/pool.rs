//! Connections to one origin.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::client::conn::http1::SendRequest;
use kingcdn_config::clock::Timestamp;
use tokio::sync::OwnedSemaphorePermit;

use super::RequestBody;

/// How long a connection is kept without use. Many origins close theirs after 5 s or more; one
/// that closes under a request is covered by a repetition.
const IDLE_MAX: Duration = Duration::from_secs(15);
/// A request that can't be repeated only takes a connection that was in use this recently.
const SURE_MAX: Duration = Duration::from_secs(1);
/// Idle connections kept.
const IDLE_CONNECTIONS_MAX: usize = 64;

/// An open connection and its share of the origin's limit.
pub(super) struct Connection {
    pub(super) sender: SendRequest<RequestBody>,
    pub(super) permit: OwnedSemaphorePermit,
}

/// Idle connections, the one last used on top.
#[derive(Default)]
pub(super) struct Pool(Arc<Mutex<Vec<Idle>>>);

struct Idle {
    sender: SendRequest<RequestBody>,
    since: Timestamp,
}

impl Pool {
    /// A connection that is ready, if there is one.
    pub(super) fn take(
        &self,
        repeatable: bool,
        now: Timestamp,
    ) -> Option<SendRequest<RequestBody>> {
        let limit = if repeatable { IDLE_MAX } else { SURE_MAX };
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|connection| connection.is_good(now));
        idle.pop_if(|top| now.since(top.since) < limit).map(|top| top.sender)
    }

    /// Keeps a connection. Without room it is closed.
    pub(super) fn put(&self, sender: SendRequest<RequestBody>, now: Timestamp) {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|connection| connection.is_good(now));
        if idle.len() < IDLE_CONNECTIONS_MAX {
            idle.push(Idle { sender, since: now });
        }
    }
}

impl Idle {
    fn is_good(&self, now: Timestamp) -> bool {
        self.sender.is_ready() && now.since(self.since) < IDLE_MAX
    }
}
