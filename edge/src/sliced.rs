//! Reading a large body: slice after slice, wherever each is to be had.

use std::collections::VecDeque;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::sync::futures::OwnedNotified;

use crate::answer::{Answer, failed};
use crate::arrivals::{AHEAD_SLICES, Next, Seat};
use crate::budget::Need;
use crate::cache_status::Cache;
use crate::caching::{ETag, Forward};
use crate::content::{self, Content, EndedEarly, Order, Piece};
use crate::fetch::{FetchError, Supply};
use crate::node::Node;
use crate::store::{SLICE_BYTES, Slice, Sliced, slices_of, stored_bytes};

/// How often one slice is asked for anew after its origin failed, before the response ends.
const TRIES_MAX: u32 = 3;

/// Lets an answer with pieces of a large body be read. It gets what it takes to fetch those slices
/// that aren't held, and says so where some aren't.
pub(crate) fn open(node: &Node, answer: &mut Answer, supply: impl FnOnce(ETag) -> Supply) {
    let Content::Ordered(order) = answer.response.body_mut() else { return };
    let Order { sliced, etag, pieces } = order;
    let (sliced, pieces) = (*sliced, std::mem::take(pieces));
    let Some(etag) = etag.take() else {
        // Its slices can't be fetched one by one: they must all be here, and were a moment ago.
        let all = node.store.all_slices(&sliced);
        *answer.response.body_mut() = content::of_slices(all, &pieces);
        return;
    };
    let mut reading = Reading::new(Arc::new(supply(etag)), sliced, pieces);
    if !reading.is_held() {
        reading = reading.seated();
        if answer.status.fwd.is_none() {
            if !has_room(node) {
                node.metrics.shed.inc();
                *answer = failed(FetchError::NoMemory, Forward::Partial);
                return;
            }
            answer.status.fwd = Some(Forward::Partial);
            answer.cache = Cache::Miss;
        }
    }
    *answer.response.body_mut() = Content::Sliced(Box::new(reading));
}

/// Whether there is memory for a slice.
fn has_room(node: &Node) -> bool {
    let has = || node.store.budget().reserve(stored_bytes(SLICE_BYTES), Need::Now).is_some();
    has() || {
        node.store.maintain();
        has()
    }
}

/// Reads pieces of a large body.
pub(crate) struct Reading {
    supply: Arc<Supply>,
    sliced: Sliced,
    pieces: VecDeque<Piece>,
    /// The slice that is being read.
    at: u64,
    /// Held or claimed by somebody, up to this slice.
    covered: u64,
    /// Its place, once there was something that the store didn't have.
    seat: Option<Seat>,
    waiting: Option<Pin<Box<OwnedNotified>>>,
    /// How often the slice was asked for anew, and the failures known by then.
    tries: u32,
    failures: u64,
}

impl Reading {
    pub(crate) fn new(supply: Arc<Supply>, sliced: Sliced, pieces: VecDeque<Piece>) -> Self {
        Self {
            supply,
            sliced,
            pieces,
            at: u64::MAX,
            covered: 0,
            seat: None,
            waiting: None,
            tries: 0,
            failures: 0,
        }
    }

    /// Takes a place at once: what is under way then waits for this reader.
    pub(crate) fn seated(mut self) -> Self {
        let first = self.pieces.iter().find_map(|piece| match piece {
            Piece::Range(range) => Some(slices_of(range)),
            Piece::Text(_) => None,
        });
        if let Some(first) = first {
            self.sit(first);
        }
        self
    }

    /// Whether the store has all that is wanted.
    pub(crate) fn is_held(&self) -> bool {
        let store = &self.supply.node.store;
        self.pieces.iter().all(|piece| match piece {
            Piece::Text(_) => true,
            Piece::Range(range) => {
                slices_of(range).all(|number| store.has_slice(self.sliced.content, number))
            }
        })
    }

    /// What is left to read.
    pub(crate) fn pieces(&self) -> &VecDeque<Piece> {
        &self.pieces
    }

    /// The next bytes, none at the end.
    pub(crate) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, EndedEarly>>> {
        loop {
            let wanted = match self.pieces.front_mut() {
                None => return Poll::Ready(None),
                Some(Piece::Text(text)) => {
                    let text = std::mem::take(text);
                    self.pieces.pop_front();
                    return Poll::Ready(Some(Ok(text)));
                }
                Some(Piece::Range(range)) => range.clone(),
            };
            if wanted.is_empty() {
                self.pieces.pop_front();
                continue;
            }
            let mut bytes = match ready!(self.poll_bytes(&wanted, cx)) {
                Ok(bytes) => bytes,
                Err(ended) => return Poll::Ready(Some(Err(ended))),
            };
            let left = usize::try_from(wanted.end - wanted.start).unwrap_or(usize::MAX);
            bytes.truncate(left);
            if let Some(Piece::Range(range)) = self.pieces.front_mut() {
                range.start += bytes.len() as u64;
                if range.is_empty() {
                    self.pieces.pop_front();
                }
            }
            return Poll::Ready(Some(Ok(bytes)));
        }
    }

    /// Some bytes from the first that is wanted on, in one slice.
    fn poll_bytes(
        &mut self,
        wanted: &Range<u64>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Bytes, EndedEarly>> {
        let (number, within) = (wanted.start / SLICE_BYTES, wanted.start % SLICE_BYTES);
        let slices = slices_of(wanted);
        if number != self.at {
            self.go_to(slices.clone());
        }
        loop {
            let Some(arrival) = self.seat.as_ref().map(|seat| Arc::clone(seat.arrival())) else {
                match self.held(number, within) {
                    Some(bytes) => return Poll::Ready(Ok(bytes)),
                    None => self.sit(slices.clone()),
                }
                continue;
            };
            match arrival.next(number, within) {
                Next::Frame(bytes) => {
                    self.waiting = None;
                    return Poll::Ready(Ok(bytes));
                }
                Next::Outdated => return Poll::Ready(Err(EndedEarly)),
                Next::Missing(failures) => {
                    if let Some(bytes) = self.held(number, within) {
                        return Poll::Ready(Ok(bytes));
                    }
                    self.tries += u32::from(failures > self.failures);
                    self.failures = failures;
                    if self.tries > TRIES_MAX {
                        return Poll::Ready(Err(EndedEarly));
                    }
                    let end = if self.is_ample() { number + AHEAD_SLICES } else { number + 1 };
                    self.fetch(number..slices.end.min(end));
                    continue;
                }
                Next::NotYet => {}
            }
            match &mut self.waiting {
                // Registered first, looked again after: what comes in between isn't missed.
                None => {
                    let mut progress = Box::pin(arrival.progress());
                    progress.as_mut().enable();
                    self.waiting = Some(progress);
                }
                Some(progress) => {
                    ready!(progress.as_mut().poll(cx));
                    self.waiting = None;
                }
            }
        }
    }

    /// Slice `number` from byte `within` on, if the store has it.
    fn held(&self, number: u64, within: u64) -> Option<Bytes> {
        match self.supply.node.store.slice(self.sliced.content, number) {
            Slice::Held(bytes) => {
                let within = usize::try_from(within).ok()?;
                (within < bytes.len()).then(|| bytes.slice(within..))
            }
            Slice::Missing => None,
        }
    }

    /// Begins to read the first of these slices, and sees to it that the next ones come in time.
    fn go_to(&mut self, slices: Range<u64>) {
        if slices.start != self.at.wrapping_add(1) {
            self.covered = 0;
        }
        self.at = slices.start;
        self.tries = 0;
        if let Some(seat) = &self.seat {
            seat.move_to(slices.clone());
            self.failures = seat.arrival().failures();
        }
        let far_enough = slices.end.min(slices.start + AHEAD_SLICES / 2);
        if self.covered.max(slices.start + 1) < far_enough && self.is_ample() {
            let from = self.covered.max(slices.start + 1);
            let until = slices.end.min(slices.start + AHEAD_SLICES);
            let store = &self.supply.node.store;
            let missing = |&number: &u64| !store.has_slice(self.sliced.content, number);
            match (from..until).find(missing) {
                // At the start, the first one is fetched together with those behind it.
                Some(_) if self.covered == 0 && missing(&slices.start) => {}
                Some(first) => {
                    self.sit(slices);
                    self.fetch(first..until);
                }
                None => self.covered = until,
            }
        }
    }

    /// Fetches the first of the `wanted` slices that are missing, unless somebody does.
    fn fetch(&mut self, wanted: Range<u64>) {
        let Some(seat) = &self.seat else { return };
        let store = &self.supply.node.store;
        let held = |number| store.has_slice(self.sliced.content, number);
        match seat.arrival().claim(wanted.clone(), held) {
            Some(claim) => {
                self.covered = claim.slices().end;
                self.supply.fetch(claim, self.tries);
            }
            None => self.covered = wanted.end,
        }
    }

    fn sit(&mut self, slices: Range<u64>) {
        if self.seat.is_none() {
            let arrival = self.supply.node.arrivals.open(self.sliced);
            self.failures = arrival.failures();
            self.seat = Some(arrival.sit(slices));
        }
    }

    fn is_ample(&self) -> bool {
        self.supply.node.store.budget().is_ample()
    }
}
