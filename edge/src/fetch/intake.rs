//! An answer with content on its way in: judged, handed to all who wait, and stored.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, TRAILER};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt;
use kingcdn_config::clock::Timestamp;

use super::rest::Rest;
use super::run::{Run, RunRoom};
use super::{FetchError, NotStored, PASS_BYTES, Pull, room};
use crate::arrivals::{CLAIM_SLICES, Claim, Seat};
use crate::budget::Need;
use crate::caching::range::ContentRange;
use crate::caching::{self, ETag, Terms, Times, Trouble, fields, stale_on_error};
use crate::collapse::Place;
use crate::fill::{Head, Outcome, WINDOW_BYTES, WINDOW_MIN_BYTES};
use crate::store::{Body, Object, SLICE_BYTES, Sliced, assemble, stored_bytes};
use crate::upstream::AnswerBody;

/// Frames below this are copied: a small one would hold the whole buffer that it was read into.
const SMALL_FRAME_BYTES: usize = 4096;
/// What a frame costs beside its bytes, counted so that a trickle can't hide behind it.
const FRAME_OVERHEAD_BYTES: u64 = 64;

/// Nobody who waits needs more of this answer.
struct GivenUp;

impl Pull {
    /// An answer with content: to all who wait, and into the store if it may be.
    pub(super) async fn take_in(&mut self, answer: Response<AnswerBody>, times: Times) {
        let (mut parts, mut body) = answer.into_parts();
        let length = body.size_hint().exact();
        let part = part_of(parts.status, &parts.headers);
        let slices = self
            .judge(&parts, part.is_some(), times)
            .map(|terms| in_slices(&terms, parts.status, length, part.clone()));
        if let Ok(Some((range, complete))) = slices {
            // Without memory it passes like an answer that can't be stored.
            if let Some(room) = RunRoom::take(&self.node) {
                return self.take_in_slices(parts, body, (range, complete), room, times).await;
            }
        } else if matches!(self.fetch.place, Some(Place::Slice(_))) && part.is_some() {
            self.node.collapse.remember_unsliceable(&self.fetch.key);
        }
        let terms = self.terms(&parts, length, times);
        let shared = self.shared_headers(&parts, times);
        own_fields(&mut parts.headers, times);
        self.remember_whether_shared(&terms, parts.status.is_server_error(), times.response);
        let storable = terms.is_ok();
        if let Err(reason) = &terms {
            self.node.metrics.not_stored(*reason);
        }
        let head =
            Arc::new(Head { status: parts.status, headers: parts.headers, shared, length, terms });
        if !storable {
            // Before those who follow learn that it isn't for them: they would join it again.
            self.lead = None;
            if let Err(error) = self.open_window(length).await {
                return self.fill.announce(Outcome::Failed(error));
            }
        }
        self.fill.announce(Outcome::Answer(Arc::clone(&head)));
        if !storable {
            // What served this request isn't what the origin gives any more, errors aside.
            let client = self.client();
            let outdated = |held: &&Arc<Object>| held.terms.serves(client);
            if head.status.is_server_error() {
                self.note_failure();
            } else if !is_about_the_request(&head) {
                for held in self.fetch.held.iter().filter(outdated) {
                    self.node.store.forget(self.fetch.key, held);
                }
            }
        }
        let mut kept = storable;
        let rest = Rest::of(&head, part.as_ref());
        let Ok(last) = self.pull(&mut body, rest, (length, part.is_some()), &mut kept).await else {
            return;
        };
        // Whoever has the last byte finds the object in the store.
        if kept {
            self.commit(&head, last.clone());
        }
        if let Some(last) = last {
            self.fill.append(last);
        }
        self.fill.complete();
    }

    /// A large object with a strong validator: its slices go to the store one by one, and everybody
    /// reads them from there, this fetch's own client too.
    async fn take_in_slices(
        &mut self,
        mut parts: http::response::Parts,
        body: AnswerBody,
        (range, complete_bytes): (Range<u64>, u64),
        room: RunRoom,
        times: Times,
    ) {
        let Ok(terms) = self.judge(&parts, true, times) else { return };
        let mut shared = self.shared_headers(&parts, times);
        own_fields(&mut parts.headers, times);
        let kept_terms = Ok(terms.clone());
        self.remember_whether_shared(&kept_terms, false, times.response);
        let head = Arc::new(Head {
            status: parts.status,
            headers: parts.headers,
            shared: HeaderMap::new(),
            length: Some(complete_bytes),
            terms: kept_terms,
        });
        shared.remove(CONTENT_RANGE);
        shared.insert(CONTENT_LENGTH, HeaderValue::from(complete_bytes));
        // Claimed before anybody can know of it, so that nobody fetches what is here.
        let fresh = Sliced::fresh(complete_bytes);
        let (mut claim, mut usher) = self.claim(fresh, &range);
        let store = &self.node.store;
        let body_of = Body::Sliced(fresh);
        let standing = self.standing(&shared);
        let object = Object::new(store.budget(), StatusCode::OK, shared, terms, body_of, standing);
        let object = store.insert(self.fetch.key, Arc::new(object), self.client(), self.began);
        match object.body {
            Body::Sliced(sliced) if sliced == fresh => {}
            Body::Sliced(sliced) => (claim, usher) = self.claim(sliced, &range),
            // It was held whole by then.
            Body::Whole(_) | Body::Parts(_) => {
                return self.fill.announce(Outcome::Validated(object));
            }
        }
        self.fill.announce(Outcome::Sliced(object, head));
        self.lead = None;
        let Some(claim) = claim else { return };
        let free = store.keeps_whole(complete_bytes);
        let node = Arc::clone(&self.node);
        let run = Run { node, claim, keeps: true, free, room, usher: Some(usher) };
        run.feed(body, range.start, range.end).await;
    }

    /// Claims the first slices that lie in `range`, and keeps a place for the readers who come in
    /// a moment. No claim where others bring them, or where no whole slice lies in it.
    fn claim(&self, sliced: Sliced, range: &Range<u64>) -> (Option<Claim>, Seat) {
        let arrival = self.node.arrivals.open(sliced);
        let first = range.start.div_ceil(SLICE_BYTES);
        let whole = range.end >= sliced.complete_bytes;
        let last = if whole { sliced.count() } else { range.end / SLICE_BYTES };
        let usher = arrival.sit(first..sliced.count());
        let held = |number| self.node.store.has_slice(sliced.content, number);
        let claim = arrival.claim(first..last.min(first.saturating_add(CLAIM_SLICES)), held);
        (claim, usher)
    }

    /// On what terms the answer may be stored by the rules of HTTP.
    fn judge(
        &self,
        parts: &http::response::Parts,
        is_part: bool,
        times: Times,
    ) -> Result<Terms, NotStored> {
        let policy = &self.fetch.site.policy;
        let terms = if is_part {
            // A part may be stored when the whole could be (RFC 9111 section 3.3).
            let mut headers = parts.headers.clone();
            headers.remove(CONTENT_RANGE);
            let whole = caching::Response { status: StatusCode::OK, headers: &headers };
            caching::judge(self.client(), whole, times, policy)
        } else {
            let response = caching::Response { status: parts.status, headers: &parts.headers };
            caching::judge(self.client(), response, times, policy)
        };
        terms.map_err(NotStored::Rules)
    }

    /// On what terms the answer may be stored, by the rules and by what there is room for.
    fn terms(
        &mut self,
        parts: &http::response::Parts,
        length: Option<u64>,
        times: Times,
    ) -> Result<Terms, NotStored> {
        let is_part = part_of(parts.status, &parts.headers).is_some();
        let terms = self.judge(parts, is_part, times)?;
        if self.stale_stands_in(parts.status, times.response) {
            return Err(NotStored::StaleStandsIn);
        }
        let announced = length.unwrap_or(0);
        if announced > SLICE_BYTES && in_slices(&terms, parts.status, length, None).is_some() {
            return Err(NotStored::NoMemory);
        }
        if announced > self.largest_bytes(is_part) {
            return Err(NotStored::TooLarge);
        }
        if !self.memory.grow_to(announced, Need::of(announced)) {
            return Err(NotStored::NoMemory);
        }
        Ok(terms)
    }

    /// The largest answer that is kept though it can't be fetched slice by slice.
    fn largest_bytes(&self, is_part: bool) -> u64 {
        if is_part { SLICE_BYTES } else { self.node.store.unsliceable_max_bytes() }
    }

    /// Whether what is held serves better than an answer with this status: an error that took its
    /// place would be all that is left of it (RFC 5861 section 4).
    fn stale_stands_in(&self, status: StatusCode, now: Timestamp) -> bool {
        // Not as this client wishes: what is stored is for all.
        let no_wishes = HeaderMap::new();
        let anybody = caching::Request { method: &Method::GET, headers: &no_wishes };
        self.fetch.held.iter().any(|held| {
            held.terms.serves(self.client())
                && stale_on_error(anybody, &held.terms, Trouble::Status(status), now).is_ok()
        })
    }

    /// The fields that others than the client that caused the fetch may see.
    fn shared_headers(&self, parts: &http::response::Parts, times: Times) -> HeaderMap {
        let response = caching::Response { status: parts.status, headers: &parts.headers };
        let mut headers = fields::storable(response, &self.fetch.site.policy);
        fields::complete_date(&mut headers, times.response);
        headers
    }

    /// Pulls the whole body. `kept` turns false when it proves too large to keep. The last frame is
    /// returned where it is known to be the last of an answer that is kept.
    async fn pull(
        &mut self,
        body: &mut AnswerBody,
        mut rest: Option<Rest>,
        (length, is_part): (Option<u64>, bool),
        kept: &mut bool,
    ) -> Result<Option<Bytes>, GivenUp> {
        let mut taken_bytes: u64 = 0;
        let mut cost_bytes: u64 = 0;
        loop {
            let frame = tokio::select! {
                frame = body.frame() => frame,
                () = self.fill.abandoned() => return Err(GivenUp),
            };
            let data = match frame {
                None => return Ok(None),
                // Trailers aren't kept (RFC 9110 section 6.5.1 permits it).
                Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
                Some(Err(error)) => {
                    let site = &self.fetch.site.name;
                    let target = &self.fetch.target;
                    tracing::warn!(%site, %target, taken_bytes, %error, "an answer ended early");
                    let Some(rest) = &mut rest else { return Err(GivenUp) };
                    tokio::select! {
                        taken_up = rest.take_up(self, taken_bytes) => {
                            *body = taken_up.ok_or(GivenUp)?;
                        }
                        () = self.fill.abandoned() => return Err(GivenUp),
                    }
                    continue;
                }
            };
            if data.is_empty() {
                continue;
            }
            taken_bytes += data.len() as u64;
            cost_bytes += data.len() as u64 + FRAME_OVERHEAD_BYTES;
            let room = taken_bytes <= self.largest_bytes(is_part);
            if *kept && !(room && self.memory.grow_to(cost_bytes, Need::of(cost_bytes))) {
                *kept = false;
                let reason = if room { NotStored::NoMemory } else { NotStored::TooLarge };
                self.stop_keeping(reason);
            }
            if *kept && length == Some(taken_bytes) {
                return Ok(Some(compact(data)));
            }
            self.fill.append(compact(data));
            self.fill.room().await.map_err(|_abandoned| GivenUp)?;
        }
    }

    /// What was to be stored can't be after all: whoever follows it gets the rest, nobody else.
    fn stop_keeping(&mut self, reason: NotStored) {
        self.lead = None;
        self.memory.shrink_to(WINDOW_BYTES + PASS_BYTES);
        let window = self.memory.bytes().saturating_sub(PASS_BYTES);
        self.fill.become_window(window.max(WINDOW_MIN_BYTES));
        self.node.metrics.not_stored(reason);
        self.remember_whether_shared(&Err(reason), false, self.node.clock.now());
    }

    /// Memory for an answer that isn't kept: a small window where there isn't more.
    async fn open_window(&mut self, length: Option<u64>) -> Result<(), FetchError> {
        let wanted = length.unwrap_or(WINDOW_BYTES).min(WINDOW_BYTES);
        self.memory.shrink_to(0);
        self.memory = match self.node.store.budget().reserve(wanted + PASS_BYTES, Need::Ahead) {
            Some(memory) => memory,
            None => {
                let least = wanted.min(PASS_BYTES);
                room(&self.node, least, Need::stream_of(least)).await?
            }
        };
        let window = self.memory.bytes().saturating_sub(PASS_BYTES);
        self.fill.limit_window(window.max(WINDOW_MIN_BYTES));
        Ok(())
    }

    /// Stores the complete answer.
    fn commit(&self, head: &Head, last: Option<Bytes>) {
        let Ok(terms) = &head.terms else { return };
        let mut frames = self.fill.frames();
        frames.extend(last);
        let length: u64 = frames.iter().map(|frame| frame.len() as u64).sum();
        let mut headers = head.shared.clone();
        let (status, body) = match part_of(head.status, &head.headers) {
            None if length > SLICE_BYTES => (head.status, self.commit_slices(&frames, length)),
            None => (head.status, self.counted(&frames).map(Body::Whole)),
            Some((range, _)) if range.end - range.start != length => return, // It isn't what it said.
            Some((range, complete)) => {
                headers.remove(CONTENT_RANGE);
                let part = self.counted(&frames);
                (StatusCode::OK, part.map(|bytes| Body::part(range.start, bytes, complete)))
            }
        };
        let Some(body) = body else {
            self.node.metrics.not_stored(NotStored::NoMemory);
            return;
        };
        // An answer without content may have no Content-Length (RFC 9110 section 8.6).
        if status != StatusCode::NO_CONTENT {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(body.complete_bytes()));
        }
        let store = &self.node.store;
        let standing = self.standing(&headers);
        let object = Object::new(store.budget(), status, headers, terms.clone(), body, standing);
        store.insert(self.fetch.key, Arc::new(object), self.client(), self.began);
    }

    /// The frames in one piece, whose memory is counted.
    fn counted(&self, frames: &[Bytes]) -> Option<Bytes> {
        let length = frames.iter().map(|frame| frame.len() as u64).sum();
        if length == 0 {
            return Some(Bytes::new());
        }
        let memory = self.node.store.room(stored_bytes(length), Need::of(length))?;
        Some(memory.attach(assemble(frames)))
    }

    /// Keeps a large body whose length or validator wasn't known at its start.
    fn commit_slices(&self, frames: &[Bytes], length: u64) -> Option<Body> {
        let sliced = Sliced::fresh(length);
        let mut frames = frames.iter().cloned();
        let mut rest = Bytes::new();
        for number in 0..sliced.count() {
            let mut left = usize::try_from(sliced.len_of(number)).ok()?;
            let mut pieces = Vec::new();
            while left > 0 {
                if rest.is_empty() {
                    rest = frames.next()?;
                }
                let piece = rest.split_to(left.min(rest.len()));
                left -= piece.len();
                pieces.push(piece);
            }
            self.node.store.put_slice(&sliced, number, self.counted(&pieces)?);
        }
        Some(Body::Sliced(sliced))
    }
}

/// An answer's fields, as the client that caused the fetch gets them. Trailers don't go on, so none
/// are announced.
fn own_fields(headers: &mut HeaderMap, times: Times) {
    fields::strip_hop_by_hop(headers);
    headers.remove(TRAILER);
    fields::complete_date(headers, times.response);
}

/// Whether it is the request alone that keeps an answer out of the store.
fn is_about_the_request(head: &Head) -> bool {
    matches!(&head.terms, Err(NotStored::Rules(why)) if why.is_the_requests_own())
}

/// Which bytes of how long a content an answer brings that is read slice by slice: only a strong
/// validator can tell that slices are of the same content.
fn in_slices(
    terms: &Terms,
    status: StatusCode,
    length: Option<u64>,
    part: Option<(Range<u64>, u64)>,
) -> Option<(Range<u64>, u64)> {
    let (range, complete) = match (part, status, length) {
        (Some((range, complete)), _, length) => {
            let told = length.is_none_or(|length| length == range.end - range.start);
            told.then_some((range, complete))?
        }
        (None, StatusCode::OK, Some(length)) => (0..length, length),
        (None, ..) => return None,
    };
    let strong = terms.etag().is_some_and(ETag::is_strong);
    (strong && complete > SLICE_BYTES).then_some((range, complete))
}

/// Which part of how long a content an answer has, if it is one part of a known whole.
fn part_of(status: StatusCode, headers: &HeaderMap) -> Option<(Range<u64>, u64)> {
    match ContentRange::of(headers)? {
        ContentRange::Part(range, Some(complete)) if status == StatusCode::PARTIAL_CONTENT => {
            Some((range, complete))
        }
        ContentRange::Part(..) | ContentRange::Unsatisfied(_) => None,
    }
}

/// The same bytes; in memory of their own where they are few.
pub(super) fn compact(data: Bytes) -> Bytes {
    if data.len() < SMALL_FRAME_BYTES { Bytes::copy_from_slice(&data) } else { data }
}
