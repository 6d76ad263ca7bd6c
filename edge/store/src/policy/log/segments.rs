//! The segments of a log: which are free, open, closed, and what is worth keeping in each.

use super::index::Slot;
use super::worth::{Histogram, Threshold};

/// What a segment is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Nothing: it may be opened.
    Free,
    /// New records are appended to it.
    New,
    /// Records that survived a reclaim are appended to it.
    Survivors,
    /// It is full.
    Closed,
    /// Its survivors are on their way out.
    Reclaimed,
}

#[derive(Debug)]
pub(super) struct Segment {
    pub(super) used: Use,
    /// Bytes appended.
    pub(super) end: u32,
    /// When it was closed: the oldest first.
    pub(super) closed: u64,
    /// What was appended, in order; some are dead by now, their slots perhaps another record's.
    pub(super) slots: Vec<u32>,
    /// Bytes of live records.
    pub(super) live: u64,
    pub(super) worth: Histogram,
}

impl Segment {
    pub(super) fn new() -> Self {
        let worth = Histogram::new();
        Self { used: Use::Free, end: 0, closed: 0, slots: Vec::new(), live: 0, worth }
    }

    pub(super) fn add(&mut self, threshold: Threshold, slot: Slot, value: u32, len: u32) {
        self.slots.push(slot.0);
        self.live += u64::from(len);
        self.worth.add(threshold, value, len);
    }

    pub(super) fn take(&mut self, threshold: Threshold, value: u32, len: u32) {
        self.live -= u64::from(len);
        self.worth.take(threshold, value, len);
    }

    pub(super) fn free(&mut self) {
        self.used = Use::Free;
        self.end = 0;
        self.live = 0;
        self.slots = Vec::new();
        self.worth.clear();
    }
}
