//! Reading everything, slowly, to find what rots.

use std::sync::Arc;
use std::time::Duration;

use super::counters::add;
use super::device;
use super::segment::{LARGE_BYTES, Segment};
use super::volume::Volume;
use crate::policy::log::Entry;

/// Where the scrub is.
pub(crate) struct Scrub {
    bytes_per_second: u64,
    /// Bytes that may be read now.
    budget: u64,
    /// The segment that is next, by the log's number.
    slot: u16,
    /// What is left of the one under way, the first last.
    left: Vec<Entry>,
    of: Option<Arc<Segment>>,
    buffer: Vec<u8>,
}

impl Scrub {
    pub(crate) fn new(bytes_per_second: u64) -> Self {
        let (left, buffer) = (Vec::new(), Vec::new());
        Self { bytes_per_second, budget: 0, slot: 0, left, of: None, buffer }
    }

    /// Verifies as much as its rate permits in `elapsed`. A bad record is dropped.
    pub(crate) fn go_on(&mut self, volume: &Volume, elapsed: Duration) {
        let earned = elapsed.as_millis() * u128::from(self.bytes_per_second) / 1000;
        let most = self.bytes_per_second * 2;
        self.budget = (self.budget + u64::try_from(earned).unwrap_or(most)).min(most);
        let mut rounds = 0;
        while self.budget > 0 && !volume.has_failed() {
            let (Some(segment), Some(entry)) = (&self.of, self.left.pop()) else {
                if !self.next_segment(volume, &mut rounds) {
                    return;
                }
                continue;
            };
            let place = entry.place;
            self.budget = self.budget.saturating_sub(u64::from(place.len));
            if volume.index().log.peek(&entry.id) != Some(place) {
                continue;
            }
            let part = place.offset..place.offset + place.len;
            if part.end > segment.written() {
                continue;
            }
            let was_resident = segment.is_resident(part);
            if volume.read_record(entry.id, place, segment, &mut self.buffer).is_some() {
                add(&volume.counters.bytes_scrubbed, u64::from(place.len));
                if place.len >= LARGE_BYTES {
                    segment.set_verified(place.offset);
                }
            }
            if !was_resident {
                // Others need the memory more.
                let at = Segment::at(place.offset);
                device::forget(&segment.file, at, u64::from(place.len));
            }
        }
    }

    /// Takes up the next segment. False when all were looked at in this call.
    fn next_segment(&mut self, volume: &Volume, rounds: &mut usize) -> bool {
        let index = volume.index();
        if *rounds >= index.segments.len() {
            return false;
        }
        *rounds += 1;
        self.slot =
            if usize::from(self.slot) + 1 < index.segments.len() { self.slot + 1 } else { 0 };
        self.of = index.segments.get(usize::from(self.slot)).cloned().flatten();
        self.left = index.log.entries_of(self.slot);
        drop(index);
        self.left.sort_unstable_by_key(|entry| std::cmp::Reverse(entry.place.offset));
        true
    }
}
