//! Reading a large body: slice after slice, wherever each is to be had.

mod past;

use std::collections::VecDeque;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::sync::futures::OwnedNotified;

use self::past::{Broken, Past};
use crate::answer::{Answer, failed};
use crate::arrivals::{AHEAD_SLICES, Arrival, Next, Seat};
use crate::budget::Need;
use crate::cache_status::Cache;
use crate::caching::{ETag, Forward};
use crate::content::{self, Content, EndedEarly, Order, Piece};
use crate::fetch::{FetchError, PASS_BYTES, RunRoom, Supply};
use crate::node::Node;
use crate::store::{SLICE_BYTES, Slice, Sliced, slices_of};

/// How often one slice is asked for anew after its origin failed, before the response ends.
const TRIES_MAX: u32 = 3;
/// Slices that are looked for to know whether all are held.
const LOOKS_MAX: u64 = 1024;
/// Slices behind the one that is waited for that are read from disk meanwhile.
const READ_AHEAD_SLICES: u64 = 2;
/// Slices that one request past the store brings, at most.
const PAST_SLICES: u64 = 16;
/// What a client's connection gets at once where memory is short.
const SIP_BYTES: usize = 32 << 10;

/// Lets an answer with pieces of a large body be read. It gets what it takes to fetch those slices
/// that aren't held, and says so where some aren't.
pub(crate) fn open(node: &Arc<Node>, answer: &mut Answer, supply: impl FnOnce(ETag) -> Supply) {
    let Content::Ordered(order) = answer.response.body_mut() else { return };
    let Order { sliced, etag, pieces } = order;
    let (sliced, pieces) = (*sliced, std::mem::take(pieces));
    let Some(etag) = etag.take() else {
        // Its slices can't be fetched one by one: they must all be here, and were a moment ago.
        *answer.response.body_mut() = match node.store.all_slices(&sliced) {
            Some(all) => content::of_slices(&all, &pieces),
            None => Content::Sliced(Box::new(Reading::new(node, None, sliced, pieces))),
        };
        return;
    };
    let mut reading = Reading::new(node, Some(Arc::new(supply(etag))), sliced, pieces);
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

/// Whether there is memory for a slice, or at least for what passes.
fn has_room(node: &Node) -> bool {
    RunRoom::take(node).is_some() || node.store.room(PASS_BYTES, Need::Stream).is_some()
}

/// Reads pieces of a large body.
pub(crate) struct Reading {
    node: Arc<Node>,
    /// None where what isn't held can't be had.
    supply: Option<Arc<Supply>>,
    sliced: Sliced,
    pieces: VecDeque<Piece>,
    /// What the store has of this slice, and the next few where disks are waited for.
    coming: VecDeque<(u64, Slice)>,
    /// A slice that the store hasn't, though it says so: a disk that can't give it.
    lost: Option<u64>,
    /// The slice that is being read.
    at: u64,
    /// Held or claimed by somebody, up to this slice.
    covered: u64,
    /// Its place, once there was something that the store didn't have.
    seat: Option<Seat>,
    waiting: Option<Pin<Box<OwnedNotified>>>,
    /// What comes to it alone, because there is no memory for slices.
    past: Option<Past>,
    /// How often the slice was asked for anew, and the failures known by then.
    tries: u32,
    failures: u64,
}

impl Reading {
    pub(crate) fn new(
        node: &Arc<Node>,
        supply: Option<Arc<Supply>>,
        sliced: Sliced,
        pieces: VecDeque<Piece>,
    ) -> Self {
        Self {
            node: Arc::clone(node),
            supply,
            sliced,
            pieces,
            coming: VecDeque::new(),
            lost: None,
            at: u64::MAX,
            covered: 0,
            seat: None,
            waiting: None,
            past: None,
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

    /// Whether the store has all that is wanted. Of very many slices only some are looked for.
    pub(crate) fn is_held(&self) -> bool {
        self.pieces.iter().all(|piece| match piece {
            Piece::Text(_) => true,
            Piece::Range(range) => {
                let slices = slices_of(range);
                let step = (slices.end - slices.start).div_ceil(LOOKS_MAX).max(1);
                let step = usize::try_from(step).unwrap_or(usize::MAX);
                slices.step_by(step).all(|number| self.has(number))
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
            if self.past.is_none() && !self.is_ample() {
                bytes = self.sip(bytes);
            }
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
            if let Some(past) = &mut self.past {
                match ready!(past.poll_next(cx)) {
                    Ok(Some(bytes)) => return Poll::Ready(Ok(bytes)),
                    Ok(None) => {}
                    Err(Broken) => self.tries += 1,
                }
                self.past = None;
            }
            let Some(arrival) = self.seat.as_ref().map(|seat| Arc::clone(seat.arrival())) else {
                match ready!(self.poll_held(&slices, within, cx)) {
                    Some(bytes) => return Poll::Ready(Ok(bytes)),
                    None if self.supply.is_none() => return Poll::Ready(Err(EndedEarly)),
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
                    if let Some(bytes) = ready!(self.poll_held(&slices, within, cx)) {
                        return Poll::Ready(Ok(bytes));
                    }
                    self.tries += u32::from(failures > self.failures);
                    self.failures = failures;
                    if self.tries > TRIES_MAX {
                        return Poll::Ready(Err(EndedEarly));
                    }
                    let end = if self.is_ample() { number + AHEAD_SLICES } else { number + 1 };
                    match RunRoom::take(&self.node) {
                        Some(room) => self.fetch(number..slices.end.min(end), room),
                        None => self.read_past(&arrival, wanted),
                    }
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

    /// The first of these slices from byte `within` on, if the store has it. While it is read from
    /// disk, so are the next.
    fn poll_held(
        &mut self,
        slices: &Range<u64>,
        within: u64,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Bytes>> {
        let number = slices.start;
        self.coming.retain(|(coming, _)| slices.contains(coming));
        if self.coming.front().is_none_or(|(first, _)| *first != number) {
            self.coming.clear();
            self.coming.push_back((number, self.slice(number)));
        }
        if let Some((_, Slice::Pending(_))) = self.coming.front() {
            let ahead = slices.end.min(number + 1 + READ_AHEAD_SLICES);
            for next in number + self.coming.len() as u64..ahead {
                match self.slice(next) {
                    Slice::Missing => break,
                    slice => self.coming.push_back((next, slice)),
                }
            }
        }
        let found = match self.coming.front_mut() {
            Some((_, Slice::Held(bytes))) => Some(bytes.clone()),
            Some((_, Slice::Pending(pending))) => ready!(Pin::new(pending).poll(cx)),
            Some((_, Slice::Missing)) | None => None,
        };
        self.coming.pop_front();
        let found = found.filter(|bytes| bytes.len() as u64 == self.sliced.len_of(number));
        if found.is_none() {
            self.lost = Some(number);
        }
        let within = usize::try_from(within).unwrap_or(usize::MAX);
        Poll::Ready(found.filter(|bytes| within < bytes.len()).map(|bytes| bytes.slice(within..)))
    }

    fn slice(&self, number: u64) -> Slice {
        self.node.store.slice(self.sliced.content, number)
    }

    fn has(&self, number: u64) -> bool {
        self.lost != Some(number) && self.node.store.has_slice(self.sliced.content, number)
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
        if self.supply.is_some()
            && self.covered.max(slices.start + 1) < far_enough
            && self.is_ample()
        {
            let from = self.covered.max(slices.start + 1);
            let until = slices.end.min(slices.start + AHEAD_SLICES);
            let missing = |&number: &u64| !self.has(number);
            match (from..until).find(missing) {
                // At the start, the first one is fetched together with those behind it.
                Some(_) if self.covered == 0 && missing(&slices.start) => {}
                Some(first) => {
                    if let Some(room) = RunRoom::take(&self.node) {
                        self.sit(slices);
                        self.fetch(first..until, room);
                    }
                }
                None => self.covered = until,
            }
        }
    }

    /// Fetches the first of the `wanted` slices that are missing, unless somebody does.
    fn fetch(&mut self, wanted: Range<u64>, room: RunRoom) {
        let Some(seat) = &self.seat else { return };
        let Some(supply) = &self.supply else { return };
        match seat.arrival().claim(wanted.clone(), |number| self.has(number)) {
            Some(claim) => {
                self.covered = claim.slices().end;
                supply.fetch(claim, room, self.tries);
            }
            None => self.covered = wanted.end,
        }
    }

    /// Asks for what comes next for this reader alone, up to where something is held.
    fn read_past(&mut self, arrival: &Arc<Arrival>, wanted: &Range<u64>) {
        let Some(supply) = &self.supply else { return };
        let slices = slices_of(wanted);
        let most = slices.end.min(slices.start + PAST_SLICES);
        let end = (slices.start + 1..most).find(|&number| self.has(number)).unwrap_or(most);
        let bytes = wanted.start..wanted.end.min(self.sliced.bytes_of(end - 1).end);
        self.covered = end;
        self.past = Some(Past::ask(supply, arrival, bytes, self.tries));
    }

    /// A few of `bytes`, in memory of their own where there is some: a slow client would keep the
    /// whole slice.
    fn sip(&self, bytes: Bytes) -> Bytes {
        let few = bytes.len().min(SIP_BYTES);
        match self.node.store.budget().reserve(few as u64, Need::Stream) {
            Some(memory) => memory.attach(Bytes::copy_from_slice(&bytes[..few])),
            None => bytes,
        }
    }

    fn sit(&mut self, slices: Range<u64>) {
        if self.seat.is_none() {
            let arrival = self.node.arrivals.open(self.sliced);
            self.failures = arrival.failures();
            self.seat = Some(arrival.sit(slices));
        }
    }

    fn is_ample(&self) -> bool {
        self.node.store.budget().is_ample()
    }
}
