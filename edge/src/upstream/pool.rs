//! Connections to one origin.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hyper::client::conn::http1::SendRequest;
use kingcdn_config::clock::Timestamp;
use tokio::sync::OwnedSemaphorePermit;

use super::RequestBody;
use crate::lane;

/// How long a connection is kept without use. Many origins close theirs after 5 s or more; one
/// that closes under a request is covered by a repetition.
const IDLE_MAX: Duration = Duration::from_secs(15);
/// A request that can't be repeated only takes a connection that was in use this recently.
const SURE_MAX: Duration = Duration::from_secs(1);
/// Idle connections kept, of all lanes. When many fetches go on at once, those that end before others begin leave
/// as many; to open one anew costs more than a fetch over it.
const IDLE_CONNECTIONS_MAX: usize = 256;

/// An open connection and its share of the origin's limit.
pub(super) struct Connection {
    pub(super) sender: SendRequest<RequestBody>,
    pub(super) permit: OwnedSemaphorePermit,
    /// The lane that it lives on.
    pub(super) lane: usize,
}

/// Idle connections by the lane that they live on, the one last used at the back. Both ends are
/// looked at, never all of them: one that its origin has closed meanwhile is found when it comes to
/// one of them.
pub(super) struct Pool {
    lanes: Box<[Mutex<VecDeque<Idle>>]>,
    /// Of all lanes.
    count: AtomicUsize,
}

struct Idle {
    sender: SendRequest<RequestBody>,
    since: Timestamp,
}

impl Pool {
    pub(super) fn new() -> Self {
        let lanes = (0..=lane::threads()).map(|_| Mutex::default()).collect();
        Self { lanes, count: AtomicUsize::new(0) }
    }

    /// A connection that is ready and its lane, if there is one; one of this lane if possible. To
    /// use another lane's costs some wake-ups, a new one a round trip and more.
    pub(super) fn take(
        &self,
        repeatable: bool,
        now: Timestamp,
    ) -> Option<(SendRequest<RequestBody>, usize)> {
        let count = self.lanes.len();
        let here = lane::here() % count;
        (here..here + count).find_map(|lane| {
            if self.count.load(Ordering::Relaxed) == 0 {
                return None;
            }
            let sender = self.take_from(lane % count, repeatable, now)?;
            Some((sender, lane % count))
        })
    }

    fn take_from(
        &self,
        lane: usize,
        repeatable: bool,
        now: Timestamp,
    ) -> Option<SendRequest<RequestBody>> {
        let limit = if repeatable { IDLE_MAX } else { SURE_MAX };
        self.with(lane, |idle| {
            drop_worst(idle, now);
            while idle.pop_back_if(|last| !last.is_good(now)).is_some() {}
            idle.pop_back_if(|last| now.since(last.since) < limit).map(|last| last.sender)
        })
    }

    /// Keeps a connection that lives on `lane`. Without room it is closed.
    pub(super) fn put(&self, sender: SendRequest<RequestBody>, lane: usize, now: Timestamp) {
        self.with(lane, |idle| {
            drop_worst(idle, now);
            if self.count.load(Ordering::Relaxed) < IDLE_CONNECTIONS_MAX {
                idle.push_back(Idle { sender, since: now });
            }
        });
    }

    /// Changes a lane, and keeps count.
    fn with<T>(&self, lane: usize, change: impl FnOnce(&mut VecDeque<Idle>) -> T) -> T {
        let mut idle =
            self.lanes[lane % self.lanes.len()].lock().unwrap_or_else(PoisonError::into_inner);
        let before = idle.len();
        let result = change(&mut idle);
        self.count.fetch_add(idle.len().wrapping_sub(before), Ordering::Relaxed);
        result
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
