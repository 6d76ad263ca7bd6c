//! What of a log survives a restart.

use super::index::Record;
use super::worth::Threshold;
use super::{Log, Place};
use crate::Id;

/// A record as a snapshot has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Which one.
    pub id: Id,
    /// Where it is.
    pub place: Place,
    /// Requests for it.
    pub frequency: u8,
    /// What it is worth, relative to [`State::threshold`].
    pub value: u32,
}

/// What a log knows beside its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// The threshold, in bins.
    pub threshold: u32,
    /// The share that is kept, in millionths.
    pub share: u32,
    /// Bytes of new records so far.
    pub clock_bytes: u64,
    /// Mean length of a record.
    pub mean_bytes: u32,
}

impl Log {
    /// The live records of one segment: a snapshot is taken segment by segment, so that the log is
    /// locked only briefly.
    #[must_use]
    pub fn entries_of(&self, segment: u16) -> Vec<Entry> {
        let slots = self.slots_of(segment);
        let entries =
            slots.into_iter().filter_map(|slot| self.index.get(slot)).map(|record| Entry {
                id: record.id,
                place: record.place(),
                frequency: record.frequency,
                value: record.value,
            });
        entries.collect()
    }

    /// What to keep beside the records.
    #[must_use]
    pub fn state(&self) -> State {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Both are in range.
        State {
            threshold: self.threshold.bin(),
            share: (self.steering.share() * 1e6) as u32,
            clock_bytes: self.clock_bytes,
            mean_bytes: self.mean_bytes as u32,
        }
    }

    /// Goes on with what was known before. Call this first, on a new log.
    pub fn restore_state(&mut self, state: State) {
        // Far from the end, so that no arithmetic on it overflows.
        self.threshold = Threshold::new(state.threshold.min(u32::MAX / 4));
        self.steering.set_share(f64::from(state.share) / 1e6);
        self.clock_bytes = state.clock_bytes.min(u64::MAX / 4);
        self.mean_bytes = f64::from(state.mean_bytes);
    }

    /// So many records will be restored.
    pub fn expect(&mut self, records: usize) {
        self.index.expect(records);
    }

    /// Adds a segment as it was found, `end` bytes long, with its records. It is closed. Gives how
    /// many records were taken: one that lies outside of the segment isn't, and of two with one id
    /// the later one counts. A segment that is in use already takes nothing.
    pub fn restore_segment(&mut self, segment: u16, end: u32, entries: &[Entry]) -> usize {
        let end = end.min(self.shape().segment_bytes);
        if self.segments.found(segment, end).is_none() {
            return 0;
        }
        let mut taken = 0;
        for entry in entries {
            let place = entry.place;
            let within = place.offset.checked_add(place.len).is_some_and(|it| it <= end);
            if place.segment != segment || place.len == 0 || !within {
                continue;
            }
            self.remove(&entry.id);
            let record = Record {
                id: entry.id,
                offset: place.offset,
                len: place.len,
                value: self.threshold.capped(entry.value),
                segment,
                frequency: entry.frequency,
            };
            taken += usize::from(self.add(record).is_some());
        }
        taken
    }

    /// The value of a record whose own isn't known any more: as if asked for now.
    #[must_use]
    pub fn value_of_new(&self, len: u32, frequency: u8) -> u32 {
        self.value(len, frequency, 0)
    }
}
