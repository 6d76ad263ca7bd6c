//! What the tiers know together.

use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Eviction;
use super::hash::hash;
use super::history::History;
use crate::Id;

/// Of the bytes asked for, the share that may be written to disk for records that were asked for
/// only once.
const WRITTEN_SHARE: f64 = 1.0;

/// How often was asked for what isn't held any more, and how much may be written to disk. All
/// tiers of an edge share one. Its lock is taken for what is stored and evicted, never for a hit.
#[derive(Debug)]
pub struct Ledger {
    eviction: Eviction,
    disk_bytes: u64,
    memory_bytes: AtomicU64,
    history: Mutex<History>,
    /// Records held by all tiers: as many as that are remembered once or twice over.
    held: AtomicUsize,
    /// Bytes that may be written for what was asked for once.
    tokens: AtomicI64,
}

/// What becomes of a record that leaves memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// It is worth a write to disk; the log wants to know how often it was asked for.
    Write {
        /// Requests so far, those before it was last evicted included.
        frequency: u8,
    },
    /// It goes.
    Drop,
}

impl Ledger {
    /// For an edge whose disks hold `disk_bytes` together; 0 without disks.
    #[must_use]
    pub fn new(eviction: Eviction, disk_bytes: u64) -> Self {
        Self {
            eviction,
            disk_bytes,
            memory_bytes: AtomicU64::new(0),
            history: Mutex::new(History::new()),
            held: AtomicUsize::new(0),
            tokens: AtomicI64::new(0),
        }
    }

    /// Whether a response of so many bytes is worth keeping at all. In order of the last request
    /// one that is larger than all tiers together would push out everything, and then itself.
    pub(super) fn keeps(&self, response_bytes: u64) -> bool {
        match self.eviction {
            Eviction::Lfu => true,
            Eviction::Lru => response_bytes <= self.disk_bytes.saturating_add(self.memory_bytes()),
        }
    }

    /// Bytes of the memory tier.
    pub(super) fn memory_bytes(&self) -> u64 {
        self.memory_bytes.load(Ordering::Relaxed)
    }

    /// There is a memory tier of so many bytes.
    pub(super) fn set_memory_bytes(&self, bytes: u64) {
        self.memory_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Whether there is a disk tier.
    #[must_use]
    pub fn has_disk(&self) -> bool {
        self.disk_bytes > 0
    }

    /// Requests for `id` before it was last evicted, 0 when that isn't known.
    #[must_use]
    pub fn frequency(&self, id: &Id) -> u8 {
        match self.eviction {
            Eviction::Lfu => self.history().frequency(hash(id)),
            Eviction::Lru => 0,
        }
    }

    /// Remembers how often `id` was asked for, now that it isn't held any more.
    pub fn note(&self, id: &Id, frequency: u8) {
        if self.eviction == Eviction::Lfu {
            let held = self.held.load(Ordering::Relaxed);
            self.history().note(hash(id), frequency, held);
        }
    }

    /// All that it remembers, to be kept in a file. Eleven bytes for each record that is held.
    #[must_use]
    pub fn remembered(&self) -> [Vec<u32>; 2] {
        self.history().words()
    }

    /// Goes on with what [`Ledger::remembered`] gave another, where this one remembers nothing yet.
    pub fn remember(&self, words: [Vec<u32>; 2]) {
        self.history().restore(words);
    }

    /// What becomes of a record of `len` bytes that was asked for `frequency` times and has no
    /// place in memory any more. What is dropped is remembered.
    #[must_use]
    pub fn leave(&self, id: &Id, len: u64, frequency: u8) -> Leave {
        let worth_it = match self.eviction {
            _ if !self.has_disk() || len > self.disk_bytes => false,
            Eviction::Lru => true,
            Eviction::Lfu => frequency > 1 || self.tokens.load(Ordering::Relaxed) > 0,
        };
        if worth_it {
            return Leave::Write { frequency };
        }
        self.note(id, frequency);
        Leave::Drop
    }

    /// What becomes of a new record that is too large for memory, and was asked for.
    #[must_use]
    pub fn direct(&self, id: &Id, len: u64) -> Leave {
        self.requested(len);
        self.leave(id, len, self.frequency(id).saturating_add(1))
    }

    /// Counts bytes that clients asked for.
    pub(super) fn requested(&self, bytes: u64) {
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
        self.earn((bytes as f64 * WRITTEN_SHARE) as i64);
    }

    /// Counts bytes that were written to disk, those of reclaim included.
    pub(super) fn wrote(&self, bytes: u64) {
        self.earn(-i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    fn earn(&self, bytes: i64) {
        let bound = i64::try_from(self.disk_bytes / 2).unwrap_or(i64::MAX);
        let _ = self.tokens.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |tokens| {
            Some(tokens.saturating_add(bytes).clamp(-bound, bound))
        });
    }

    /// Counts a record that a tier holds from now on.
    pub(super) fn joined(&self) {
        self.held.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a record that a tier doesn't hold any more.
    pub(super) fn left(&self) {
        self.held.fetch_sub(1, Ordering::Relaxed);
    }

    /// Memory that the history takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.history().bytes()
    }

    fn history(&self) -> MutexGuard<'_, History> {
        // A panic elsewhere leaves nothing half done in here.
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
