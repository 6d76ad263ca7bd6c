//! What a run brings.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::{Arrival, CLAIM_SLICES, Slot, State};

/// The slices that a run brings. What hasn't come when it is dropped can be claimed anew.
pub(crate) struct Claim {
    arrival: Arc<Arrival>,
    run: u64,
    slices: Range<u64>,
    resumes: bool,
    failed: bool,
}

impl Claim {
    pub(super) fn new(arrival: &Arc<Arrival>, state: &mut State, slices: Range<u64>) -> Self {
        state.runs_ever += 1;
        let run = state.runs_ever;
        for number in slices.clone() {
            state.slots.insert(number, Slot::of(run));
        }
        let resumes = state.broken_at.take_if(|number| slices.contains(number)).is_some();
        Self { arrival: Arc::clone(arrival), run, slices, resumes, failed: false }
    }

    /// What it is a part of.
    pub(crate) fn arrival(&self) -> &Arc<Arrival> {
        &self.arrival
    }

    /// The slices that were claimed at first.
    pub(crate) fn slices(&self) -> &Range<u64> {
        &self.slices
    }

    /// Whether it takes up what another run began and didn't end.
    pub(crate) fn resumes(&self) -> bool {
        self.resumes
    }

    /// The origin gives all slices in order, whatever was asked for: whoever wants one waits for
    /// this run to come to it.
    pub(crate) fn comes_in_order(&self) {
        self.arrival.lock().in_order = Some((self.run, 0));
        self.arrival.progress.notify_waiters();
    }

    /// The run has come to slice `number`. False where another one brings it, or it is `held`.
    /// Claims the next few too, up to `end`.
    pub(crate) fn begin(&self, number: u64, end: u64, held: impl Fn(u64) -> bool) -> bool {
        let mut state = self.arrival.lock();
        if let Some((run, at)) = &mut state.in_order
            && *run == self.run
        {
            *at = number;
        }
        for next in number..end.min(number.saturating_add(CLAIM_SLICES)) {
            if !state.slots.contains_key(&next) && !held(next) {
                state.slots.insert(next, Slot::of(self.run));
            }
        }
        self.slot(&mut state, number).is_some()
    }

    /// Appends a frame to slice `number`.
    pub(crate) fn append(&self, number: u64, frame: Bytes) {
        let mut state = self.arrival.lock();
        if let Some(slot) = self.slot(&mut state, number) {
            slot.frames.push(frame);
        }
        drop(state);
        self.arrival.progress.notify_waiters();
    }

    /// Slice `number` is complete: it takes the place of its frames. It stays for as long as a
    /// reader is to come to it; where memory is not `ample`, only for one that waits for it.
    pub(crate) fn complete(&self, number: u64, slice: Bytes, ample: bool) {
        let mut state = self.arrival.lock();
        let Some(slot) = self.slot(&mut state, number) else { return };
        slot.frames = vec![slice];
        slot.complete = true;
        if !ample {
            state.let_go_of_what_is_far();
        } else if !state.seats.values().any(|seat| seat.contains(&number)) {
            state.slots.remove(&number);
        }
        drop(state);
        self.arrival.progress.notify_waiters();
    }

    /// The run ends because of the origin.
    pub(crate) fn fail(&mut self) {
        self.failed = true;
    }

    fn slot<'s>(&self, state: &'s mut State, number: u64) -> Option<&'s mut Slot> {
        state.slots.get_mut(&number).filter(|slot| slot.run == self.run && !slot.complete)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut state = self.arrival.lock();
        let is_ours = |slot: &Slot| !slot.complete && slot.run == self.run;
        if self.failed {
            let first = state.slots.iter().find(|(_, slot)| is_ours(slot));
            state.broken_at = first.map(|(number, _)| *number);
            state.failures += 1;
        }
        state.slots.retain(|_, slot| !is_ours(slot));
        if state.in_order.is_some_and(|(run, _)| run == self.run) {
            state.in_order = None;
        }
        drop(state);
        self.arrival.progress.notify_waiters();
    }
}

impl Slot {
    fn of(run: u64) -> Self {
        Self { run, frames: Vec::new(), complete: false }
    }
}
