//! Who stays in an append-only log of segments.
//!
//! Records are appended to open segments; nothing is overwritten. To make room, the segment with
//! the least worth keeping is reclaimed: what in it is worth more than a threshold `L` is appended
//! again elsewhere, the rest is evicted. `L` rises so that a share of the log is above it; a
//! controller sets that share by what reclaims have to write again, which bounds write
//! amplification whatever the workload. `POLICY.md` has the reasons and the figures.
//!
//! This decides; somebody else moves the bytes. Lock it as a whole: all of it takes less than a
//! microsecond, but for [`Log::reclaim`], which takes as long as sorting the records of a segment.

mod index;
mod reclaim;
mod restore;
mod segments;
mod shape;
mod steering;
#[cfg(test)]
mod tests;
mod worth;

use std::sync::Arc;

use self::index::{Index, Record, Slot};
pub use self::reclaim::{Reclaim, Survivor};
pub use self::restore::{Entry, State};
pub use self::segments::Use;
use self::segments::{Segments, Stay};
pub use self::shape::{Shape, TooSmall};
use self::steering::Steering;
use self::worth::{Histogram, Threshold};
use super::{Eviction, Ledger};
use crate::Id;

/// How much the size counts for what a record is worth: 0 favours bytes, more favours object hits.
const SIZE_EXPONENT: f64 = 0.2;

/// An append-only log, as far as its policy goes.
#[derive(Debug)]
pub struct Log {
    eviction: Eviction,
    ledger: Arc<Ledger>,
    index: Index,
    segments: Segments,
    reclaimed: Option<u16>,
    threshold: Threshold,
    /// Bytes of all records by what they are worth.
    worth: Histogram,
    steering: Steering,
    /// Bytes of new records so far: the clock of [`Eviction::Lru`].
    clock_bytes: u64,
    mean_bytes: f64,
    stats: Stats,
}

/// Where a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Number of the segment, from 0.
    pub segment: u16,
    /// Where in the segment it begins, in bytes.
    pub offset: u32,
    /// Bytes of the record.
    pub len: u32,
}

/// Where a new record belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// Its place.
    pub place: Place,
    /// A free segment that becomes the open one by this.
    pub opened: Option<u16>,
    /// A segment that gets no more records.
    pub closed: Option<u16>,
}

/// Why a record has no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoRoom {
    /// No segment is free: reclaim one first.
    #[error("no segment is free")]
    Reclaim,
    /// It is larger than a segment, or empty.
    #[error("a record of {0} bytes has no place in a segment")]
    Length(u32),
}

/// What happened so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Bytes of new records appended.
    pub appended_bytes: u64,
    /// Bytes of survivors appended again.
    pub reinserted_bytes: u64,
    /// Records evicted.
    pub evicted: u64,
    /// Their bytes.
    pub evicted_bytes: u64,
    /// Segments reclaimed.
    pub reclaims: u64,
}

impl Log {
    /// An empty log.
    #[must_use]
    pub fn new(shape: Shape, eviction: Eviction, ledger: Arc<Ledger>) -> Self {
        Self {
            eviction,
            ledger,
            index: Index::new(),
            segments: Segments::new(shape),
            reclaimed: None,
            threshold: Threshold::new(0),
            worth: Histogram::new(),
            steering: Steering::new(shape.capacity_bytes),
            clock_bytes: 0,
            mean_bytes: 0.0,
            stats: Stats::default(),
        }
    }

    /// Where the record is. Counts as a hit.
    pub fn get(&mut self, id: &Id) -> Option<Place> {
        let slot = self.index.find(id)?;
        let record = *self.index.get(slot)?;
        let frequency = record.frequency.saturating_add(1);
        let value = self.value(record.len, frequency, self.ledger.memory_bytes());
        let value = value.max(record.value);
        self.worth.change(self.threshold, record.len, record.value, value);
        if let Some(segment) = self.segments.get_mut(record.segment) {
            segment.worth.change(self.threshold, record.len, record.value, value);
        }
        if let Some(record) = self.index.get_mut(slot) {
            record.frequency = frequency;
            record.value = value;
        }
        self.ledger.requested(u64::from(record.len));
        Some(record.place())
    }

    /// Where the record is. Counts as nothing.
    #[must_use]
    pub fn peek(&self, id: &Id) -> Option<Place> {
        self.index.get(self.index.find(id)?).map(Record::place)
    }

    /// Gives a new record of `len` bytes its place, and finds it there from now on. It was asked
    /// for `frequency` times. An older record of the same id is dead.
    ///
    /// # Errors
    /// When it has no place, or none before a reclaim.
    pub fn append(&mut self, id: &Id, len: u32, frequency: u8) -> Result<Placement, NoRoom> {
        if len == 0 || len > self.shape().segment_bytes {
            return Err(NoRoom::Length(len));
        }
        let value = self.value(len, frequency, 0);
        let stay = match self.eviction {
            Eviction::Lfu if self.shape().has_many() => {
                Stay::of_new(self.threshold.units_above(value))
            }
            Eviction::Lfu | Eviction::Lru => Stay::Short,
        };
        let room = self.segments.room(stay, len).ok_or(NoRoom::Reclaim)?;
        self.remove(id);
        self.clock_bytes += u64::from(len);
        let share = if self.mean_bytes > 0.0 { 1.0 / 4096.0 } else { 1.0 };
        self.mean_bytes += (f64::from(len) - self.mean_bytes) * share;
        self.stats.appended_bytes += u64::from(len);
        self.steering.wrote(u64::from(len));
        self.ledger.wrote(u64::from(len));
        let Place { segment, offset, .. } = room.place;
        let record = Record { id: *id, offset, len, value, segment, frequency };
        self.add(record).ok_or(NoRoom::Reclaim)?;
        Ok(room)
    }

    /// Forgets a record. Its room comes back with its segment's next reclaim.
    pub fn remove(&mut self, id: &Id) -> Option<Place> {
        let slot = self.index.find(id)?;
        self.take(slot).map(|record| record.place())
    }

    /// Forgets all records of a segment that can't be read. Closed, it becomes free.
    pub fn fail(&mut self, segment: u16) {
        for slot in self.slots_of(segment) {
            self.take(slot);
        }
        if self.segment_use(segment) == Some(Use::Closed) {
            self.segments.set_free(segment);
        }
    }

    /// Records held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number and length of the segments.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.segments.shape()
    }

    /// What a segment is used for.
    #[must_use]
    pub fn segment_use(&self, segment: u16) -> Option<Use> {
        self.segments.get(segment).map(|segment| segment.used)
    }

    /// Bytes of live records in a segment.
    #[must_use]
    pub fn segment_live_bytes(&self, segment: u16) -> u64 {
        self.segments.get(segment).map_or(0, |segment| segment.live)
    }

    /// Bytes of live records.
    #[must_use]
    pub fn live_bytes(&self) -> u64 {
        self.segments.all().map(|(_, segment)| segment.live).sum()
    }

    /// Bytes that the segments take on disk: closed ones up to their end, open ones as a whole.
    /// Never more than the capacity.
    #[must_use]
    pub fn occupied_bytes(&self) -> u64 {
        self.segments.occupied_bytes()
    }

    /// What happened so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Memory that the index takes, without the ledger's share.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.index.bytes() + self.segments.bytes() + self.worth.bytes()
    }

    /// What a record is worth that was asked for now, or whose last request is so many bytes of
    /// new records `younger` than that of one that comes out of memory now.
    fn value(&self, len: u32, frequency: u8, younger: u64) -> u32 {
        match self.eviction {
            Eviction::Lru => {
                let asked = self.clock_bytes.saturating_add(younger);
                self.threshold.of_clock(asked, self.shape().capacity_bytes)
            }
            Eviction::Lfu => {
                let size = f64::from(len) / self.mean_bytes.max(1.0);
                self.threshold.of_worth(f64::from(frequency) * size.powf(-SIZE_EXPONENT))
            }
        }
    }

    /// Adds a record that isn't held, to all books.
    fn add(&mut self, record: Record) -> Option<Slot> {
        let slot = self.index.insert(record)?;
        self.worth.add(self.threshold, record.value, record.len);
        if let Some(segment) = self.segments.get_mut(record.segment) {
            segment.add(self.threshold, slot, record.value, record.len);
        }
        self.ledger.joined();
        Some(slot)
    }

    /// Takes a record out of all books.
    fn take(&mut self, slot: Slot) -> Option<Record> {
        let record = self.index.remove(slot)?;
        self.worth.take(self.threshold, record.value, record.len);
        if let Some(segment) = self.segments.get_mut(record.segment) {
            segment.take(self.threshold, record.value, record.len);
        }
        self.ledger.left();
        Some(record)
    }

    /// The live records of a segment.
    fn slots_of(&self, segment: u16) -> Vec<Slot> {
        let Some(of) = self.segments.get(segment) else { return Vec::new() };
        let mut slots: Vec<u32> = of.slots.clone();
        // A slot may have been another record's before.
        slots.sort_unstable();
        slots.dedup();
        let live = |slot: &Slot| self.index.get(*slot).is_some_and(|it| it.segment == segment);
        slots.into_iter().map(Slot).filter(live).collect()
    }
}

impl Record {
    fn place(&self) -> Place {
        Place { segment: self.segment, offset: self.offset, len: self.len }
    }
}
