//! Connections to one origin.

use std::collections::VecDeque;
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
/// Idle connections kept. When many fetches go on at once, those that end before others begin leave
/// as many; to open one anew costs more than a fetch over it.
const IDLE_CONNECTIONS_MAX: usize = 256;

/// An open connection and its share of the origin's limit.
pub(super) struct Connection {
    pub(super) sender: SendRequest<RequestBody>,
    pub(super) permit: OwnedSemaphorePermit,
}

/// Idle connections, the one last used at the back. Both ends are looked at, never all of them: one
/// that its origin has closed meanwhile is found when it comes to one of them.
#[derive(Default)]
pub(super) struct Pool(Arc<Mutex<VecDeque<Idle>>>);

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
        drop_worst(&mut idle, now);
        while idle.pop_back_if(|last| !last.is_good(now)).is_some() {}
        idle.pop_back_if(|last| now.since(last.since) < limit).map(|last| last.sender)
    }

    /// Keeps a connection. Without room it is closed.
    pub(super) fn put(&self, sender: SendRequest<RequestBody>, now: Timestamp) {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        drop_worst(&mut idle, now);
        if idle.len() < IDLE_CONNECTIONS_MAX {
            idle.push_back(Idle { sender, since: now });
        }
    }
}

/// Drops those at the front that are of no use any more.
fn drop_worst(idle: &mut VecDeque<Idle>, now: Timestamp) {
    while idle.pop_front_if(|first| !first.is_good(now)).is_some() {}
}

impl Idle {
    fn is_good(&self, now: Timestamp) -> bool {
        self.sender.is_ready() && now.since(self.since) < IDLE_MAX
    }
}
