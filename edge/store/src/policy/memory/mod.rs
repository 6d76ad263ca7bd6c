//! Who stays in memory.
//!
//! The values are in a concurrent map of the caller's; this knows ids and weights. A hit is noted
//! in a ring of its thread and counted later. What is stored evicts at once, so that the sum of all
//! weights never exceeds the capacity.
//!
//! Alone, every record has a value `H = L + f / (size/mean)^b`, where `f` counts requests, those
//! before it was last evicted included, and `L` is the value of what was last evicted for something
//! that was asked for more than once: GreedyDual with frequency and history. In front of a disk it is the first stop of what is new, in order of
//! the last request. See `POLICY.md`.

mod hits;
mod queue;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::hits::Hits;
use self::queue::{Entry, Queue};
use super::hash::hash;
use super::{Eviction, Leave, Ledger};
use crate::Id;

/// What memory holds, as far as its policy goes. Shared by all threads.
#[derive(Debug)]
pub struct Memory {
    capacity_bytes: u64,
    /// What it may hold for the time being.
    bound_bytes: AtomicU64,
    ledger: Arc<Ledger>,
    hits: Hits,
    inner: Mutex<Queue>,
}

/// What has to go from memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Victim {
    /// Which record.
    pub id: Id,
    /// What it weighed.
    pub weight_bytes: u64,
    /// Requests for it, those before it was last evicted included.
    pub frequency: u8,
}

/// Where a new record goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstStop {
    /// To memory.
    Memory,
    /// Past memory to disk, if [`Ledger::direct`] says so: it would push out too much.
    Disk,
    /// It isn't kept: no tier has room for it.
    Nowhere,
}

/// How a memory tier orders what it holds.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Order {
    /// By the last request.
    Recency,
    /// By `f / (size/mean)^exponent`, with aging.
    Value { exponent: f64 },
}

/// How much the size counts for an edge that has only memory. Larger favours object hits, smaller
/// favours bytes; `POLICY.md` has the figures.
const SIZE_EXPONENT: f64 = 0.6;

impl Memory {
    /// An empty one for `capacity_bytes`, overhead included, used by `threads` threads.
    #[must_use]
    pub fn new(
        capacity_bytes: u64,
        threads: usize,
        eviction: Eviction,
        ledger: Arc<Ledger>,
    ) -> Self {
        let order = match eviction {
            Eviction::Lfu if !ledger.has_disk() => Order::Value { exponent: SIZE_EXPONENT },
            Eviction::Lfu | Eviction::Lru => Order::Recency,
        };
        ledger.set_memory_bytes(capacity_bytes);
        let inner = Mutex::new(Queue::new(order));
        let bound_bytes = AtomicU64::new(capacity_bytes);
        Self { capacity_bytes, bound_bytes, ledger, hits: Hits::new(threads), inner }
    }

    /// Where a new record of `weight_bytes` goes first. It is all or a slice of a response of
    /// `response_bytes`.
    #[must_use]
    pub fn first_stop(&self, weight_bytes: u64, response_bytes: u64) -> FirstStop {
        if !self.ledger.keeps(response_bytes) {
            FirstStop::Nowhere
        } else if self.ledger.has_disk() && weight_bytes > self.capacity_bytes / 8 {
            FirstStop::Disk
        } else if weight_bytes > self.capacity_bytes {
            FirstStop::Nowhere
        } else {
            FirstStop::Memory
        }
    }

    /// Notes a hit. Takes no lock; when far too many come at once, some aren't counted.
    pub fn hit(&self, id: &Id) {
        self.hits.record(hash(id));
    }

    /// Makes room for a record, and counts it from now on: call this before it is put into the
    /// map, and take the `victims` out of it first. A record that is held already gets another
    /// weight, which isn't a request. What is heavier than the capacity becomes a victim itself.
    pub fn insert(&self, id: &Id, weight_bytes: u64, victims: &mut Vec<Victim>) {
        let mut inner = self.lock();
        self.count_hits(&mut inner);
        let hash = hash(id);
        if let Some(held) = inner.get(hash) {
            if held == *id {
                inner.reweigh(hash, weight_bytes);
                self.evict(&mut inner, victims);
                return;
            }
            // Two ids of one hash: the older one goes.
            victims.extend(self.take(&mut inner, hash));
        }
        let frequency = self.ledger.frequency(id).saturating_add(1);
        self.ledger.requested(weight_bytes);
        if weight_bytes > self.bound_bytes.load(Ordering::Relaxed) {
            victims.push(Victim { id: *id, weight_bytes, frequency });
            return;
        }
        self.make_room(&mut inner, weight_bytes, frequency, victims);
        inner.insert(hash, *id, weight_bytes, frequency);
        self.ledger.joined();
    }

    /// Forgets a record that isn't in the map any more: purged or expired.
    pub fn removed(&self, id: &Id) {
        let mut inner = self.lock();
        if inner.get(hash(id)) == Some(*id) {
            self.take(&mut inner, hash(id));
        }
    }

    /// From now on holds at most so many bytes, and never more than its capacity: others need the
    /// memory. What is over it goes with the next [`Memory::maintain`] or [`Memory::insert`].
    pub fn hold_at_most(&self, bytes: u64) {
        self.bound_bytes.store(bytes.min(self.capacity_bytes), Ordering::Relaxed);
    }

    /// Counts the hits noted so far. Call this about ten times a second, off the request's path.
    pub fn maintain(&self, victims: &mut Vec<Victim>) {
        let mut inner = self.lock();
        self.count_hits(&mut inner);
        self.evict(&mut inner, victims);
    }

    /// Lets everything go, what is worth least first.
    pub fn clear(&self, victims: &mut Vec<Victim>) {
        let mut inner = self.lock();
        self.count_hits(&mut inner);
        while let Some(entry) = inner.pop(u8::MAX) {
            self.ledger.left();
            victims.push(entry.into());
        }
    }

    /// Requests for a record that is held, those that are still to be counted aside.
    #[must_use]
    pub fn frequency(&self, id: &Id) -> Option<u8> {
        self.lock().frequency(hash(id))
    }

    /// What becomes of a victim.
    #[must_use]
    pub fn leave(&self, victim: &Victim) -> Leave {
        self.ledger.leave(&victim.id, victim.weight_bytes, victim.frequency)
    }

    /// Bytes held, overhead included. Never more than the capacity.
    #[must_use]
    pub fn held_bytes(&self) -> u64 {
        self.lock().held_bytes()
    }

    /// Bytes that may be held.
    #[must_use]
    pub fn capacity_bytes(&self) -> u64 {
        self.capacity_bytes
    }

    /// A bound for the map itself, a little above the capacity: what is on its way in and what is
    /// on its way out may meet there for a moment, and the map's own eviction shouldn't interfere.
    #[must_use]
    pub fn hard_bound_bytes(&self) -> u64 {
        self.capacity_bytes + self.capacity_bytes / 64
    }

    /// Records held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Hits that weren't counted because too many came at once.
    #[must_use]
    pub fn hits_lost(&self) -> u64 {
        self.hits.lost()
    }

    fn count_hits(&self, inner: &mut Queue) {
        let mut bytes = 0;
        self.hits.drain(|hash| bytes += inner.hit(hash));
        self.ledger.requested(bytes);
    }

    fn evict(&self, inner: &mut Queue, victims: &mut Vec<Victim>) {
        self.make_room(inner, 0, u8::MAX, victims);
    }

    fn make_room(
        &self,
        inner: &mut Queue,
        weight_bytes: u64,
        frequency: u8,
        victims: &mut Vec<Victim>,
    ) {
        let bound_bytes = self.bound_bytes.load(Ordering::Relaxed);
        while inner.held_bytes() + weight_bytes > bound_bytes {
            let Some(entry) = inner.pop(frequency) else { return };
            self.ledger.left();
            victims.push(entry.into());
        }
    }

    fn take(&self, inner: &mut Queue, hash: u64) -> Option<Victim> {
        let entry = inner.remove(hash)?;
        self.ledger.left();
        Some(entry.into())
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // A panic elsewhere leaves nothing half done in here.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<Entry> for Victim {
    fn from(entry: Entry) -> Self {
        Self { id: entry.id, weight_bytes: entry.weight_bytes, frequency: entry.frequency }
    }
}
