//! The memory that content may take, all together: what is stored, what is on its way in, and what
//! somebody still reads though it was evicted.
//!
//! Whatever is counted carries its [`Reservation`] with it, and gives it back when its last holder
//! lets go of it. So the number of bytes in use is true at any moment, whoever holds them.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::Notify;

/// A number of bytes that many share.
#[derive(Debug, Clone)]
pub(crate) struct Budget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// What each need may fill the budget up to, by its number.
    limits: [u64; 5],
    used_bytes: AtomicU64,
    /// Those who wait for memory, and what wakes them.
    waiting: AtomicUsize,
    released: Notify,
}

/// What memory is for. The later ones get some when the earlier ones get none any more: what is
/// large and stays for long can't starve what is small and over in a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// What will be wanted, probably.
    Ahead,
    /// A piece of a large object that somebody waits for, to be kept for others.
    Slice,
    /// Buffers through which something passes to one client at its pace.
    Stream,
    /// A client connection: it may be for what is held.
    Connection,
    /// A small answer that somebody waits for, or the beginning of any.
    Answer,
}

impl Need {
    /// Of an answer of `bytes` that is to be kept.
    pub(crate) fn of(bytes: u64) -> Self {
        if bytes <= SMALL_BYTES { Self::Answer } else { Self::Slice }
    }

    /// Of an answer that passes by, of which `bytes` are held at once.
    pub(crate) fn stream_of(bytes: u64) -> Self {
        if bytes <= SMALL_BYTES { Self::Answer } else { Self::Stream }
    }
}

/// An answer up to this size is small, and over in a moment: it fits into the system's buffers.
const SMALL_BYTES: u64 = 64 << 10;

/// Of what the store leaves, in hundredths: how far each need may go.
const SHARES: [u64; 5] = [30, 50, 65, 85, 100];

/// Bytes taken from a [`Budget`], given back on drop.
#[derive(Debug)]
pub(crate) struct Reservation {
    budget: Budget,
    bytes: u64,
}

/// Bytes, and the memory that they take.
struct Counted {
    bytes: Bytes,
    _memory: Arc<Reservation>,
}

impl Budget {
    /// A budget of `total_bytes`, of which the store fills up `store_bytes`.
    pub(crate) fn new(total_bytes: u64, store_bytes: u64) -> Self {
        let store_bytes = store_bytes.min(total_bytes);
        let rest = total_bytes - store_bytes;
        Self(Arc::new(Shared {
            limits: SHARES.map(|share| store_bytes + rest.saturating_mul(share) / 100),
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
        let mut reservation = self.reservation();
        reservation.grow_to(bytes, need).then_some(reservation)
    }

    /// How far `need` may fill the budget.
    pub(crate) fn limit(&self, need: Need) -> u64 {
        self.0.limits[need as usize]
    }

    /// `bytes` of what can't be refused, be the budget used up or not: small things beside larger
    /// ones that asked.
    pub(crate) fn charge(&self, bytes: u64) -> Reservation {
        self.0.used_bytes.fetch_add(bytes, Ordering::Relaxed);
        Reservation { budget: self.clone(), bytes }
    }

    /// Whether there is memory for more than what is waited for.
    pub(crate) fn is_ample(&self) -> bool {
        self.used_bytes() < self.limit(Need::Ahead)
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
    /// Makes this at least `bytes` large; false, and unchanged, where there isn't as much for this
    /// `need`.
    pub(crate) fn grow_to(&mut self, bytes: u64, need: Need) -> bool {
        let Some(more) = bytes.checked_sub(self.bytes) else {
            return true;
        };
        let limit = self.budget.limit(need);
        let used = &self.budget.0.used_bytes;
        let taken = used.fetch_update(Ordering::SeqCst, Ordering::Relaxed, |used| {
            used.checked_add(more).filter(|&sum| sum <= limit)
        });
        if taken.is_ok() {
            self.bytes = bytes;
        }
        taken.is_ok()
    }

    /// Makes a reservation of its own of `bytes` of it, or of all where it isn't as much.
    pub(crate) fn split(&mut self, bytes: u64) -> Self {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        Self { budget: self.budget.clone(), bytes }
    }

    /// Gives back all but `bytes`.
    pub(crate) fn shrink_to(&mut self, bytes: u64) {
        drop(self.split(self.bytes.saturating_sub(bytes)));
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
        Arc::new(self).cover(bytes)
    }

    /// `bytes`, which are in this memory together with others: it is taken for as long as anybody
    /// has any of them all.
    pub(crate) fn cover(self: &Arc<Self>, bytes: Bytes) -> Bytes {
        Bytes::from_owner(Counted { bytes, _memory: Arc::clone(self) })
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
