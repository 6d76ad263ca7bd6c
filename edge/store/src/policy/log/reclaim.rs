//! Making room: a victim, and what survives of it.

use super::index::{Record, Slot};
use super::segments::Use;
use super::{Log, Place};
use crate::Id;

/// What reclaims may write again, of what they free: write amplification of 1 / (1 − 0.33).
const REWRITTEN: f64 = 0.33;
/// How fast the share of the log that is kept follows.
const GAIN: f64 = 0.01;
pub(super) const SHARE_LEAST: f64 = 0.2;
pub(super) const SHARE_MOST: f64 = 0.97;
pub(super) const SHARE_FIRST: f64 = 0.7;
/// Of a victim, at most this much survives.
const SURVIVE_MOST: f64 = 0.6;
/// Free segments that a log should have ahead: one for survivors, one for what is new.
const AHEAD: usize = 2;

/// A segment to be freed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reclaim {
    /// Which one.
    pub victim: u16,
    /// What has to be copied out of it before.
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
        self.free.len() < AHEAD && self.reclaimed.is_none()
    }

    /// Chooses the closed segment with the least worth keeping, and evicts what isn't. What is
    /// has room elsewhere: copy it there, tell [`Log::moved`] of each, then [`Log::reclaimed`].
    /// None while another one is under way, or when none is closed.
    pub fn reclaim(&mut self) -> Option<Reclaim> {
        if self.reclaimed.is_some() {
            return None;
        }
        self.raise_threshold();
        let victim = self.victim()?;
        let mut records: Vec<(Slot, Record)> = self
            .slots_of(victim)
            .into_iter()
            .filter_map(|slot| Some((slot, *self.index.get(slot)?)))
            .collect();
        records
            .sort_unstable_by_key(|(_, record)| (std::cmp::Reverse(record.value), record.offset));

        let segment_bytes = f64::from(self.shape.segment_bytes);
        let mut left = (segment_bytes * SURVIVE_MOST) as u64;
        let mut reclaim = Reclaim { victim, survivors: Vec::new(), opened: None, closed: None };
        let mut bytes = 0;
        for (slot, record) in records {
            let len = u64::from(record.len);
            let survives = self.threshold.keeps(record.value) && len <= left;
            let room = if survives { self.room(Use::Survivors, record.len) } else { None };
            let Some(room) = room else {
                self.evict(slot);
                continue;
            };
            left -= len;
            bytes += len;
            reclaim.opened = reclaim.opened.or(room.opened);
            reclaim.closed = reclaim.closed.or(room.closed);
            let survivor = Survivor { id: record.id, from: record.place(), to: room.place };
            reclaim.survivors.push(survivor);
        }
        if let Some(segment) = self.segments.get_mut(usize::from(victim)) {
            segment.used = Use::Reclaimed;
        }
        self.reclaimed = Some(victim);
        self.stats.reclaims += 1;
        self.stats.reinserted_bytes += bytes;
        self.ledger.wrote(bytes);
        #[allow(clippy::cast_precision_loss)]
        let rewritten = bytes as f64 / segment_bytes;
        self.share = (self.share + GAIN * (REWRITTEN - rewritten)).clamp(SHARE_LEAST, SHARE_MOST);
        Some(reclaim)
    }

    /// A survivor's bytes are in their new place. False when it was removed or replaced meanwhile.
    pub fn moved(&mut self, id: &Id, to: Place) -> bool {
        let Some(slot) = self.index.find(id) else { return false };
        let Some(record) = self.index.get_mut(slot) else { return false };
        if self.reclaimed != Some(record.segment) || record.len != to.len {
            return false;
        }
        let from = usize::from(record.segment);
        (record.segment, record.offset) = (to.segment, to.offset);
        let (value, len) = (record.value, record.len);
        if let Some(segment) = self.segments.get_mut(from) {
            segment.take(self.threshold, value, len);
        }
        if let Some(segment) = self.segments.get_mut(usize::from(to.segment)) {
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
        self.set_free(victim);
    }

    /// Raises the threshold until no more than the wanted share is above it.
    fn raise_threshold(&mut self) {
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
        #[allow(clippy::cast_sign_loss)]
        let most = (self.share * self.shape.capacity_bytes() as f64) as u64;
        while self.worth.kept() > most {
            self.threshold.raise();
            let bin = self.threshold.bin();
            self.worth.risen(bin);
            for segment in &mut self.segments {
                segment.worth.risen(bin);
            }
        }
    }

    fn victim(&self) -> Option<u16> {
        let closed = (0u16..).zip(&self.segments).filter(|(_, it)| it.used == Use::Closed);
        closed.min_by_key(|(_, it)| (it.worth.kept(), it.closed)).map(|(number, _)| number)
    }

    fn evict(&mut self, slot: Slot) {
        if let Some(record) = self.take(slot) {
            self.stats.evicted += 1;
            self.stats.evicted_bytes += u64::from(record.len);
            self.ledger.note(&record.id, record.frequency);
        }
    }
}
