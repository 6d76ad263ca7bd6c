//! An answer with content on its way in: judged, handed to all who wait, and stored.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt;
use kingcdn_config::clock::Timestamp;

use super::{NotStored, Pull};
use crate::caching::range::ContentRange;
use crate::caching::{self, Terms, Times, Trouble, fields, stale_on_error};
use crate::fill::{Head, Outcome};
use crate::store::{Body, Object};
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
        let terms = self.terms(&parts, length, times);
        let shared = self.shared_headers(&parts, times);
        fields::strip_hop_by_hop(&mut parts.headers);
        fields::complete_date(&mut parts.headers, times.response);
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
        }
        self.fill.announce(Outcome::Answer(Arc::clone(&head)));
        if !storable {
            // What served this request isn't what the origin gives any more, errors aside.
            let client = self.client();
            let outdated = |held: &&Arc<Object>| held.terms.serves(client);
            if head.status.is_server_error() {
                self.note_failure();
            } else {
                for held in self.fetch.held.iter().filter(outdated) {
                    self.node.store.forget(self.fetch.key, held);
                }
            }
        }
        let mut kept = storable;
        if self.pull(&mut body, &mut kept).await.is_err() {
            return;
        }
        if kept {
            self.commit(&head);
        }
        self.fill.complete();
    }

    /// On what terms the answer may be stored, by the rules and by what there is room for.
    fn terms(
        &mut self,
        parts: &http::response::Parts,
        length: Option<u64>,
        times: Times,
    ) -> Result<Terms, NotStored> {
        let policy = &self.fetch.site.policy;
        let terms = if part_of(parts.status, &parts.headers).is_some() {
            // A part may be stored when the whole could be (RFC 9111 section 3.3).
            let mut headers = parts.headers.clone();
            headers.remove(CONTENT_RANGE);
            let whole = caching::Response { status: StatusCode::OK, headers: &headers };
            caching::judge(self.client(), whole, times, policy)
        } else {
            let response = caching::Response { status: parts.status, headers: &parts.headers };
            caching::judge(self.client(), response, times, policy)
        };
        let terms = terms.map_err(NotStored::Rules)?;
        if self.stale_stands_in(parts.status, times.response) {
            return Err(NotStored::StaleStandsIn);
        }
        let announced = length.unwrap_or(0);
        if announced > self.node.store.object_max_bytes() {
            return Err(NotStored::TooLarge);
        }
        if !self.memory.grow_to(announced) {
            return Err(NotStored::NoMemory);
        }
        Ok(terms)
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

    /// Pulls the whole body. `kept` turns false when it proves too large to keep.
    async fn pull(&mut self, body: &mut AnswerBody, kept: &mut bool) -> Result<(), GivenUp> {
        let mut taken_bytes: u64 = 0;
        let mut cost_bytes: u64 = 0;
        loop {
            let frame = tokio::select! {
                frame = body.frame() => frame,
                () = self.fill.abandoned() => return Err(GivenUp),
            };
            let data = match frame {
                None => return Ok(()),
                // Trailers aren't kept (RFC 9110 section 6.5.1 permits it).
                Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
                Some(Err(error)) => {
                    tracing::warn!(
                        site = %self.fetch.site.name, target = %self.fetch.target, taken_bytes,
                        %error, "the origin's answer ended early"
                    );
                    return Err(GivenUp);
                }
            };
            if data.is_empty() {
                continue;
            }
            taken_bytes += data.len() as u64;
            cost_bytes += data.len() as u64 + FRAME_OVERHEAD_BYTES;
            let room = taken_bytes <= self.node.store.object_max_bytes();
            if *kept && !(room && self.memory.grow_to(cost_bytes)) {
                *kept = false;
                let reason = if room { NotStored::NoMemory } else { NotStored::TooLarge };
                self.stop_keeping(reason);
            }
            self.fill.append(compact(data));
            self.fill.room().await.map_err(|_abandoned| GivenUp)?;
        }
    }

    /// What was to be stored can't be after all: whoever follows it gets the rest, nobody else.
    fn stop_keeping(&mut self, reason: NotStored) {
        self.lead = None;
        self.fill.become_window();
        self.node.metrics.not_stored(reason);
        self.remember_whether_shared(&Err(reason), false, self.node.clock.now());
    }

    /// Stores the complete answer.
    fn commit(&self, head: &Head) {
        let Ok(terms) = &head.terms else { return };
        let slices = self.fill.gather();
        let (status, body) = match part_of(head.status, &head.headers) {
            None => (head.status, Body::Whole(slices)),
            Some((range, complete)) => {
                if range.end - range.start != slices.len_bytes() as u64 {
                    return; // It isn't what it said.
                }
                (StatusCode::OK, Body::part(range.start, slices, complete))
            }
        };
        let mut headers = head.shared.clone();
        headers.remove(CONTENT_RANGE);
        // An answer without content may have no Content-Length (RFC 9110 section 8.6).
        if status != StatusCode::NO_CONTENT {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(body.complete_bytes()));
        }
        let object = Object { status, headers, terms: terms.clone(), body };
        self.node.store.insert(self.fetch.key, Arc::new(object), self.client(), self.began);
    }
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

fn compact(data: Bytes) -> Bytes {
    if data.len() < SMALL_FRAME_BYTES { Bytes::copy_from_slice(&data) } else { data }
}
