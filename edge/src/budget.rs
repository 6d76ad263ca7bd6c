//! The memory that content may take, all together: what is stored, what is on its way in, and what
//! somebody still reads though it was evicted.
//!
//! Whatever is counted carries its [`Reservation`] with it, and gives it back when its last holder
//! lets go of it. So the number of bytes in use is true at any moment, whoever holds them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::Notify;

/// A number of bytes that many share.
#[derive(Debug, Clone)]
pub(crate) struct Budget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    total_bytes: u64,
    /// Beyond this only what somebody waits for gets memory.
    ahead_bytes: u64,
    used_bytes: AtomicU64,
    /// Those who wait for memory, and what wakes them.
    waiting: AtomicUsize,
    released: Notify,
}

/// How urgent memory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Somebody waits for what it is for.
    Now,
    /// It is for what will be wanted, probably.
    Ahead,
}

/// Bytes taken from a [`Budget`], given back on drop.
#[derive(Debug)]
pub(crate) struct Reservation {
    budget: Budget,
    bytes: u64,
}

/// Bytes, and the memory that they take.
struct Counted {
    bytes: Bytes,
    _memory: Reservation,
}

impl Budget {
    /// A budget of `total_bytes`, of which the store fills up `store_bytes`.
    pub(crate) fn new(total_bytes: u64, store_bytes: u64) -> Self {
        let store_bytes = store_bytes.min(total_bytes);
        Self(Arc::new(Shared {
            total_bytes,
            ahead_bytes: store_bytes + (total_bytes - store_bytes) / 2,
            used_bytes: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
            released: Notify::new(),
        }))
    }

    /// An empty reservation, to grow.
    pub(crate) fn reservation(&self) -> Reservation {
        Reservation { budget: self.clone(), bytes: 0 }
    }

    /// `bytes` where there are so many.
    pub(crate) fn reserve(&self, bytes: u64, need: Need) -> Option<Reservation> {
        let limit = match need {
            Need::Now => self.0.total_bytes,
            Need::Ahead => self.0.ahead_bytes,
        };
        let mut reservation = self.reservation();
        reservation.grow_within(bytes, limit).then_some(reservation)
    }

    /// `bytes` of what can't be refused, be the budget used up or not: small things beside larger
    /// ones that asked.
    pub(crate) fn charge(&self, bytes: u64) -> Reservation {
        self.0.used_bytes.fetch_add(bytes, Ordering::Relaxed);
        Reservation { budget: self.clone(), bytes }
    }

    /// Whether there is memory for more than what is waited for.
    pub(crate) fn is_ample(&self) -> bool {
        self.used_bytes() < self.0.ahead_bytes
    }

    /// Bytes taken now.
    pub(crate) fn used_bytes(&self) -> u64 {
        self.0.used_bytes.load(Ordering::Relaxed)
    }

    /// Waits until `attempt` has memory. It is tried again whenever some was given back.
    pub(crate) async fn wait<T>(&self, mut attempt: impl FnMut() -> Option<T>) -> T {
        if let Some(done) = attempt() {
            return done;
        }
        let _waiting = Waiting::new(&self.0.waiting);
        loop {
            let released = self.0.released.notified();
            if let Some(done) = attempt() {
                return done;
            }
            released.await;
        }
    }
}

/// Counts one who waits.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Reservation {
    /// Makes this at least `bytes` large; false, and unchanged, where the budget has no more.
    pub(crate) fn grow_to(&mut self, bytes: u64) -> bool {
        let total = self.budget.0.total_bytes;
        self.grow_within(bytes, total)
    }

    fn grow_within(&mut self, bytes: u64, limit: u64) -> bool {
        let Some(more) = bytes.checked_sub(self.bytes) else {
            return true;
        };
        let used = &self.budget.0.used_bytes;
        let taken = used.fetch_update(Ordering::SeqCst, Ordering::Relaxed, |used| {
            used.checked_add(more).filter(|&sum| sum <= limit)
        });
        if taken.is_ok() {
            self.bytes = bytes;
        }
        taken.is_ok()
    }

    /// Gives back all but `bytes`.
    pub(crate) fn shrink_to(&mut self, bytes: u64) {
        let less = self.bytes.saturating_sub(bytes);
        self.bytes -= less;
        drop(Self { budget: self.budget.clone(), bytes: less });
    }

    /// How much it is.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What this was taken from.
    pub(crate) fn budget(&self) -> &Budget {
        &self.budget
    }

    /// `bytes`, which take this memory for as long as anybody has any of them.
    pub(crate) fn attach(self, bytes: Bytes) -> Bytes {
        Bytes::from_owner(Counted { bytes, _memory: self })
    }
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        self.budget.0.used_bytes.fetch_sub(self.bytes, Ordering::SeqCst);
        if self.budget.0.waiting.load(Ordering::SeqCst) > 0 {
            self.budget.0.released.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_more_than_the_total_is_taken_and_all_comes_back() {
        let budget = Budget::new(100, 80);
        let mut first = budget.reservation();
        let mut second = budget.reservation();
        assert!(first.grow_to(60));
        assert!(!second.grow_to(41));
        assert!(second.grow_to(40));
        assert!(first.grow_to(10), "a smaller wish is met already");
        assert!(!first.grow_to(61));
        assert_eq!(budget.used_bytes(), 100);
        first.shrink_to(70);
        assert_eq!(first.bytes(), 60);
        first.shrink_to(10);
        assert_eq!((first.bytes(), budget.used_bytes()), (10, 50));
        drop(first);
        assert!(second.grow_to(100));
        assert!(!second.grow_to(u64::MAX));
        drop(second);
        assert_eq!(budget.used_bytes(), 0);
    }

    #[test]
    fn what_nobody_waits_for_yet_leaves_room_for_what_somebody_does() {
        let budget = Budget::new(100, 80);
        let kept = budget.reserve(90, Need::Ahead).unwrap();
        assert!(budget.reserve(1, Need::Ahead).is_none());
        assert!(!budget.is_ample());
        assert!(budget.reserve(10, Need::Now).is_some());
        drop(kept);
        assert!(budget.is_ample());
    }

    #[test]
    fn bytes_count_until_the_last_piece_of_them_is_gone() {
        let budget = Budget::new(100, 80);
        let whole = budget.reserve(4, Need::Now).unwrap().attach(Bytes::from_static(b"1234"));
        let piece = whole.slice(3..);
        drop(whole);
        assert_eq!((&piece[..], budget.used_bytes()), (&b"4"[..], 4));
        drop(piece);
        assert_eq!(budget.used_bytes(), 0);
    }

    #[tokio::test]
    async fn who_waits_for_memory_is_woken_when_there_is_some() {
        let budget = Budget::new(100, 80);
        let held = budget.charge(120);
        let waiter = tokio::spawn({
            let budget = budget.clone();
            async move { budget.wait(|| budget.reserve(100, Need::Now)).await.bytes }
        });
        tokio::task::yield_now().await;
        assert!(!waiter.is_finished());
        drop(held);
        assert_eq!(waiter.await.unwrap(), 100);
    }
}
