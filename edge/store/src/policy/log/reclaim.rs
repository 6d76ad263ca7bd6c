//! Making room: a victim, and what survives of it.

use super::index::{Record, Slot};
use super::segments::{Stay, Use};
use super::{Log, Place};
use crate::Id;

/// Of a segment's length, at most this much survives.
const SURVIVE_MOST: f64 = 0.8;
/// Free segments that a log should have ahead: one for survivors, one for what is new.
const AHEAD: usize = 2;

/// A segment to be freed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reclaim {
    /// Which one.
    pub victim: u16,
    /// What has to be copied out of it before, in the order of its new places.
    pub survivors: Vec<Survivor>,
    /// A free segment that becomes the open one for survivors.
    pub opened: Option<u16>,
    /// A segment that gets no more survivors.
    pub closed: Option<u16>,
}

/// A record that survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Survivor {
    /// Which one.
    pub id: Id,
    /// Where it is.
    pub from: Place,
    /// The room that it has been given.
    pub to: Place,
}

impl Log {
    /// Whether a segment should be reclaimed, ahead of need.
    #[must_use]
    pub fn wants_reclaim(&self) -> bool {
        self.segments.free_count() < AHEAD && self.reclaimed.is_none()
    }

    /// Chooses the closed segment with the least worth keeping, and evicts what isn't. What is
    /// has room elsewhere: copy it there, tell [`Log::moved`] of each, then [`Log::reclaimed`].
    /// Until then survivors are found where they are. None while another one is under way, or when
    /// none is closed.
    pub fn reclaim(&mut self) -> Option<Reclaim> {
        if self.reclaimed.is_some() {
            return None;
        }
        while self.worth.kept() > self.steering.kept_most_bytes() {
            self.threshold.raise();
            self.worth.risen(self.threshold.bin());
            self.segments.risen(self.threshold.bin());
        }
        let victim = self.segments.least()?;
        let (reclaim, bytes) = self.survivors_of(victim);
        if let Some(segment) = self.segments.get_mut(victim) {
            segment.used = Use::Reclaimed;
        }
        self.reclaimed = Some(victim);
        self.stats.reclaims += 1;
        self.stats.reinserted_bytes += bytes;
        self.ledger.wrote(bytes);
        self.steering.rewrote(bytes, self.shape().segment_bytes);
        Some(reclaim)
    }

    /// A survivor's bytes are in their new place. False when it was removed or replaced meanwhile.
    pub fn moved(&mut self, id: &Id, to: Place) -> bool {
        let Some(slot) = self.index.find(id) else { return false };
        let Some(record) = self.index.get_mut(slot) else { return false };
        if self.reclaimed != Some(record.segment) || record.len != to.len {
            return false;
        }
        let from = record.segment;
        (record.segment, record.offset) = (to.segment, to.offset);
        let (value, len) = (record.value, record.len);
        if let Some(segment) = self.segments.get_mut(from) {
            segment.take(self.threshold, value, len);
        }
        if let Some(segment) = self.segments.get_mut(to.segment) {
            segment.add(self.threshold, slot, value, len);
        }
        true
    }

    /// Ends a reclaim: the victim is free. Survivors that weren't moved are evicted.
    pub fn reclaimed(&mut self, victim: u16) {
        if self.reclaimed != Some(victim) {
            return;
        }
        for slot in self.slots_of(victim) {
            self.evict(slot);
        }
        self.reclaimed = None;
        self.segments.set_free(victim);
    }

    /// Gives new places to what survives, the most worth first, and evicts the rest. Also tells
    /// how many bytes survive.
    fn survivors_of(&mut self, victim: u16) -> (Reclaim, u64) {
        let mut records: Vec<(Slot, Record)> = self
            .slots_of(victim)
            .into_iter()
            .filter_map(|slot| Some((slot, *self.index.get(slot)?)))
            .collect();
        records.sort_unstable_by_key(|(_, it)| (std::cmp::Reverse(it.value), it.offset));
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Below a segment.
        let most = (f64::from(self.shape().segment_bytes) * SURVIVE_MOST) as u64;
        let most = most.min(self.steering.allowance_bytes());
        let mut reclaim = Reclaim { victim, survivors: Vec::new(), opened: None, closed: None };
        let mut bytes = 0;
        for (slot, record) in records {
            let after = bytes + u64::from(record.len);
            let survives = self.threshold.keeps(record.value) && after <= most;
            let room = match survives {
                true => self.segments.room(Stay::Survivor, record.len),
                false => None,
            };
            let Some(room) = room else {
                self.evict(slot);
                continue;
            };
            bytes = after;
            reclaim.opened = reclaim.opened.or(room.opened);
            reclaim.closed = reclaim.closed.or(room.closed);
            let survivor = Survivor { id: record.id, from: record.place(), to: room.place };
            reclaim.survivors.push(survivor);
        }
        (reclaim, bytes)
    }

    fn evict(&mut self, slot: Slot) {
        if let Some(record) = self.take(slot) {
            self.stats.evicted += 1;
            self.stats.evicted_bytes += u64::from(record.len);
            self.ledger.note(&record.id, record.frequency);
        }
    }
}
