//! Slices on their way in, and who waits for them.
//!
//! A large body comes in by *runs*: the answer to the first request for it, and
//! requests for the gaps that readers find. A run claims the slices that it will
//! bring, so that each is fetched once however many want it; readers follow a
//! slice frame by frame while it arrives. A run that ends early gives its claim
//! up: whoever still wants a slice of it claims that anew, which is how an
//! answer that broke off is taken up again where it ended.
//!
//! Slices that have arrived stay here for those readers who will come to them,
//! as far as memory permits, whatever the store makes of them.

mod claim;
mod metrics;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

pub(crate) use self::claim::Claim;
pub(crate) use self::metrics::SliceMetrics;
use crate::store::{ContentId, SLICE_BYTES, Sliced};

/// How many slices a run is ahead of the reader that it is for, at most.
pub(crate) const AHEAD_SLICES: u64 = (4 << 20) / SLICE_BYTES;

/// How many slices a run claims before it comes to them: more than a reader looks ahead.
pub(crate) const CLAIM_SLICES: u64 = 2 * AHEAD_SLICES;

/// All contents of which something is on its way in, or which somebody waits for.
#[derive(Default)]
pub(crate) struct Arrivals(Arc<Contents>);

#[derive(Default)]
struct Contents(Mutex<HashMap<ContentId, Weak<Arrival>>>);

/// One content, as it arrives.
pub(crate) struct Arrival {
    contents: Arc<Contents>,
    sliced: Sliced,
    state: Mutex<State>,
    /// Rung for readers: something came, or won't come.
    progress: Arc<Notify>,
    /// Rung for runs: a reader moved, came or left.
    moved: Notify,
}

#[derive(Default)]
struct State {
    slots: BTreeMap<u64, Slot>,
    /// The slices that each reader still wants, from the one that it is at.
    seats: HashMap<u64, Range<u64>>,
    seats_ever: u64,
    runs_ever: u64,
    /// Runs that ended because of the origin.
    failures: u64,
    /// Where the last of them ended, until somebody takes it up from there.
    broken_at: Option<u64>,
    /// The origin has another content by now.
    outdated: bool,
    /// The run that brings all slices in order, as its origin knows no ranges, and where it is.
    in_order: Option<(u64, u64)>,
}

/// A slice that a run has claimed.
struct Slot {
    run: u64,
    frames: Vec<Bytes>,
    complete: bool,
}

/// What there is of a slice from some byte on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// This; more may follow.
    Frame(Bytes),
    /// Nothing yet.
    NotYet,
    /// Nobody brings it. Also says how many runs have failed so far.
    Missing(u64),
    /// Nothing, and never: the content isn't the origin's any more.
    Outdated,
}

/// A reader's place in a content.
pub(crate) struct Seat {
    arrival: Arc<Arrival>,
    number: u64,
}

impl Arrivals {
    /// What arrives of a content.
    pub(crate) fn open(&self, sliced: Sliced) -> Arc<Arrival> {
        let mut contents = self.0.lock();
        if let Some(arrival) = contents.get(&sliced.content).and_then(Weak::upgrade) {
            return arrival;
        }
        let arrival = Arc::new(Arrival {
            contents: Arc::clone(&self.0),
            sliced,
            state: Mutex::default(),
            progress: Arc::default(),
            moved: Notify::new(),
        });
        contents.insert(sliced.content, Arc::downgrade(&arrival));
        arrival
    }
}

impl Arrivals {
    /// Memory is short: lets go of what has arrived and isn't read right now. The store may have
    /// it, for as long as it has memory for it.
    pub(crate) fn let_go(&self) {
        let contents: Vec<_> = self.0.lock().values().filter_map(Weak::upgrade).collect();
        for arrival in contents {
            arrival.lock().let_go_of_what_is_far();
        }
    }
}

impl Contents {
    fn lock(&self) -> MutexGuard<'_, HashMap<ContentId, Weak<Arrival>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Arrival {
    /// The content.
    pub(crate) fn sliced(&self) -> &Sliced {
        &self.sliced
    }

    /// Takes a place, for a reader that wants these slices in order.
    pub(crate) fn sit(self: &Arc<Self>, wanted: Range<u64>) -> Seat {
        let mut state = self.lock();
        state.seats_ever += 1;
        let number = state.seats_ever;
        state.seats.insert(number, wanted);
        drop(state);
        self.moved.notify_waiters();
        Seat { arrival: Arc::clone(self), number }
    }

    /// What there is of slice `number` from byte `within` of it on.
    pub(crate) fn next(&self, number: u64, within: u64) -> Next {
        let state = self.lock();
        if let Some(slot) = state.slots.get(&number) {
            return slot.from(within).map_or(Next::NotYet, Next::Frame);
        }
        match state.in_order {
            _ if state.outdated => Next::Outdated,
            Some((_, at)) if at <= number => Next::NotYet,
            _ => Next::Missing(state.failures),
        }
    }

    /// Resolves when something has come, or is known not to come.
    pub(crate) fn progress(&self) -> OwnedNotified {
        Arc::clone(&self.progress).notified_owned()
    }

    /// Claims the first of the `wanted` slices that nobody brings and that aren't `held`, and those
    /// behind it up to the next that is. None where there is no such.
    pub(crate) fn claim(
        self: &Arc<Self>,
        wanted: Range<u64>,
        held: impl Fn(u64) -> bool,
    ) -> Option<Claim> {
        let mut state = self.lock();
        if state.outdated || state.in_order.is_some_and(|(_, at)| at <= wanted.start) {
            return None;
        }
        let missing = |number: &u64| !state.slots.contains_key(number) && !held(*number);
        let first = wanted.clone().find(missing)?;
        let end = (first..wanted.end).find(|number| !missing(number)).unwrap_or(wanted.end);
        Some(Claim::new(self, &mut state, first..end))
    }

    /// The origin has another content by now: what isn't here yet never comes.
    pub(crate) fn outdate(&self) {
        self.lock().outdated = true;
        self.progress.notify_waiters();
    }

    /// Waits until a reader wants slice `number`: soon, or right now.
    pub(crate) async fn wanted(&self, number: u64, now: bool) {
        loop {
            let moved = self.moved.notified();
            if self.lock().wants(number, if now { 1 } else { AHEAD_SLICES }) {
                return;
            }
            moved.await;
        }
    }

    /// How many runs have failed.
    pub(crate) fn failures(&self) -> u64 {
        self.lock().failures
    }

    /// Whether there have been readers, beside the place that is kept for the first.
    pub(crate) fn has_had_readers(&self) -> bool {
        self.lock().seats_ever > 1
    }

    /// Waits for the first reader.
    pub(crate) async fn reader(&self) {
        loop {
            let moved = self.moved.notified();
            if self.has_had_readers() {
                return;
            }
            moved.await;
        }
    }

    /// A panic elsewhere can't leave the state half changed: every change is complete when the
    /// lock is let go.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        let mut contents = self.contents.lock();
        // Another one may have its place by now.
        if contents.get(&self.sliced.content).is_some_and(|weak| weak.strong_count() == 0) {
            contents.remove(&self.sliced.content);
        }
    }
}

impl Seat {
    /// What it is a place in.
    pub(crate) fn arrival(&self) -> &Arc<Arrival> {
        &self.arrival
    }

    /// From now on only these slices are wanted. Lets go of those that no reader wants any more.
    pub(crate) fn move_to(&self, wanted: Range<u64>) {
        let mut state = self.arrival.lock();
        if state.seats.get(&self.number).is_some_and(|seat| *seat == wanted) {
            return;
        }
        state.seats.insert(self.number, wanted);
        state.let_go_of_what_was_read();
        drop(state);
        self.arrival.moved.notify_waiters();
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.arrival.lock();
        state.seats.remove(&self.number);
        state.let_go_of_what_was_read();
        drop(state);
        self.arrival.moved.notify_waiters();
    }
}

impl State {
    /// Whether a reader is less than `ahead` slices from `number`, on either side where it waits
    /// for a run to come to it.
    fn wants(&self, number: u64, ahead: u64) -> bool {
        let in_order = self.in_order.is_some();
        self.seats.values().any(|seat| {
            number < seat.end
                && number < seat.start.saturating_add(ahead)
                && (in_order || seat.start < number.saturating_add(ahead))
        })
    }

    /// Drops complete slices that all readers have passed.
    fn let_go_of_what_was_read(&mut self) {
        let first = self.seats.values().map(|seat| seat.start).min().unwrap_or(u64::MAX);
        while let Some(entry) = self.slots.first_entry()
            && *entry.key() < first
            && entry.get().complete
        {
            entry.remove();
        }
    }

    /// Drops complete slices that no reader is at.
    fn let_go_of_what_is_far(&mut self) {
        let seats = &self.seats;
        self.slots.retain(|number, slot| {
            !slot.complete || seats.values().any(|seat| seat.start == *number)
        });
    }
}

impl Slot {
    /// What there is from byte `within` on, as far as it lies in one frame.
    fn from(&self, within: u64) -> Option<Bytes> {
        let mut before = 0;
        for frame in &self.frames {
            let length = frame.len() as u64;
            if within < before + length {
                return Some(frame.slice(usize::try_from(within - before).ok()?..));
            }
            before += length;
        }
        None
    }
}
