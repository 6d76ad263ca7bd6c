//! Fetching an object from its origin into the store and to all who wait.
//!
//! A fetch is a task of its own. Whoever started it follows its [`Fill`] like
//! everybody else, and may leave.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, IF_MODIFIED_SINCE, IF_NONE_MATCH, RANGE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body::Body as _;
use http_body_util::BodyExt;
use kingcdn_config::clock::Timestamp;

use crate::caching::conditional::{validation_fields, validation_of_variants};
use crate::caching::range::ContentRange;
use crate::caching::{self, Terms, Times, Trouble, Unstorable, fields, stale_on_error, update};
use crate::collapse::Lead;
use crate::fill::{Fill, Head, Outcome, Reservation};
use crate::key::Key;
use crate::node::Node;
use crate::site::Site;
use crate::store::{Body, Moment, Object};
pub(crate) use crate::upstream::FetchError;
use crate::upstream::{AnswerBody, RequestBody};

/// Frames below this are copied: a small one would hold the whole buffer that it was read into.
const SMALL_FRAME_BYTES: usize = 4096;
/// What a frame costs beside its bytes, counted so that a trickle can't hide behind it.
const FRAME_OVERHEAD_BYTES: u64 = 64;

/// Why an answer isn't stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum NotStored {
    /// The rules of HTTP forbid it.
    Rules(Unstorable),
    /// It is larger than the store takes.
    TooLarge,
    /// The memory for answers on their way in is used up.
    NoMemory,
    /// It is an error, and what is held may still stand in for it.
    StaleStandsIn,
}

impl NotStored {
    /// For `Cache-Status`, the log and a metric's label.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Rules(reason) => reason.as_str(),
            Self::TooLarge => "too-large",
            Self::NoMemory => "no-memory",
            Self::StaleStandsIn => "stale-stands-in",
        }
    }
}

/// What is to be fetched, and for whom.
pub(crate) struct Fetch {
    /// The site that it belongs to.
    pub(crate) site: Arc<Site>,
    /// Where it is kept.
    pub(crate) key: Key,
    /// Path and query.
    pub(crate) target: PathAndQuery,
    /// The client's fields, which Vary and Authorization are judged by.
    pub(crate) client: HeaderMap,
    /// The fields that the origin gets.
    pub(crate) upstream: HeaderMap,
    /// The one range that is wanted of it; nothing for all of it.
    pub(crate) range: Option<HeaderValue>,
    /// What is held of this key and may be what the origin would answer.
    pub(crate) held: Vec<Arc<Object>>,
}

impl Fetch {
    /// Whether the origin is asked about the client's own copy. With something held it is asked
    /// about that.
    fn with_the_clients_validators(&self) -> bool {
        self.held.is_empty()
            && (self.upstream.contains_key(IF_NONE_MATCH)
                || self.upstream.contains_key(IF_MODIFIED_SINCE))
    }
}

/// The pulling end of a fill. Whatever happens to the task, its followers come to an end.
struct Pull {
    node: Arc<Node>,
    fetch: Fetch,
    fill: Arc<Fill>,
    /// Others may join as long as this is held.
    lead: Option<Lead>,
    memory: Reservation,
    /// When this began, among the invalidations of the store.
    began: Moment,
}

/// Nobody who waits needs more of this answer.
struct GivenUp;

/// Starts a fetch that others may join, into the fill of `lead`.
pub(crate) fn start(node: &Arc<Node>, lead: Lead, fetch: Fetch) {
    let fill = Arc::clone(lead.fill());
    spawn(node, fetch, fill, Some(lead));
}

/// Starts a fetch that others can't join, into `fill`. Whoever wants to follow it does so first:
/// what nobody follows and nobody may keep is given up.
pub(crate) fn start_alone(node: &Arc<Node>, fill: Arc<Fill>, fetch: Fetch) {
    spawn(node, fetch, fill, None);
}

fn spawn(node: &Arc<Node>, fetch: Fetch, fill: Arc<Fill>, lead: Option<Lead>) {
    let memory = node.fill_budget.reservation();
    let pull =
        Pull { node: Arc::clone(node), fetch, fill, lead, memory, began: node.store.moment() };
    node.metrics.fills.inc();
    node.runtime.spawn(pull.run());
}

impl Pull {
    async fn run(mut self) {
        match self.ask().await {
            Ok((answer, times))
                if answer.status() == StatusCode::NOT_MODIFIED && !self.fetch.held.is_empty() =>
            {
                self.take_confirmation(&answer, times);
            }
            Ok((answer, times)) => self.take_in(answer, times).await,
            Err(error) => {
                self.note_failure();
                self.fill.announce(Outcome::Failed(error));
            }
        }
    }

    /// What is held, if anything, stays as it is for now.
    fn note_failure(&self) {
        if !self.fetch.held.is_empty() {
            self.node.collapse.rest(&self.fetch.key, self.node.clock.now());
        }
    }

    /// Asks the origin, first whether what is held is still good. A 304 that speaks of something
    /// else is no answer to that (RFC 9111 section 4.3.4): then for the whole.
    async fn ask(&mut self) -> Result<(Response<AnswerBody>, Times), FetchError> {
        loop {
            let request = self.request();
            let sent = self.node.clock.now();
            let answer = self.fetch.site.upstream.send(request).await?;
            let times = Times { request: sent, response: self.node.clock.now() };
            if answer.status() != StatusCode::NOT_MODIFIED {
                return Ok((answer, times));
            }
            let held: Vec<&Terms> = self.fetch.held.iter().map(|object| &object.terms).collect();
            let confirmed = update::confirmed(&held, answer.headers(), times);
            if let Some(&index) = confirmed.first() {
                self.fetch.held = vec![self.fetch.held.swap_remove(index)];
                return Ok((answer, times));
            }
            if self.fetch.held.is_empty() {
                // The client's own copy is good; or the 304 answers what nobody asked.
                let asked = self.fetch.with_the_clients_validators();
                return if asked { Ok((answer, times)) } else { Err(FetchError::Protocol) };
            }
            self.fetch.held.clear();
        }
    }

    fn request(&self) -> Request<RequestBody> {
        let mut request = Request::new(RequestBody::Empty);
        *request.uri_mut() = Uri::from(self.fetch.target.clone());
        *request.headers_mut() = self.fetch.upstream.clone();
        if let Some(range) = &self.fetch.range {
            request.headers_mut().insert(RANGE, range.clone());
        }
        match &self.fetch.held[..] {
            [] => {}
            [held] => request.headers_mut().extend(validation_fields(&held.terms)),
            several => {
                let terms = several.iter().map(|object| &object.terms);
                if let Some(tags) = validation_of_variants(terms) {
                    request.headers_mut().insert(IF_NONE_MATCH, tags);
                }
            }
        }
        request
    }

    /// 304: what is held is still good, with newer fields; for this request too, if it wasn't
    /// before (RFC 9111 section 4.1).
    fn take_confirmation(&self, answer: &Response<AnswerBody>, times: Times) {
        let [held] = &self.fetch.held[..] else { return };
        let request = self.client();
        let stored = caching::Response { status: held.status, headers: &held.headers };
        let policy = &self.fetch.site.policy;
        let refreshed = update::refresh(request, stored, answer.headers(), times, policy);
        let kept = refreshed.terms.is_ok();
        let newer = Arc::new(Object {
            status: held.status,
            headers: refreshed.headers,
            terms: refreshed.terms.unwrap_or_else(|_| held.terms.clone()),
            body: held.body.clone(),
        });
        let (key, store) = (self.fetch.key, &self.node.store);
        if !kept {
            store.forget(key, held);
            self.node.collapse.remember_unshared(&key, false, times.response);
        } else {
            if held.terms.serves(request) {
                store.refresh(key, held, Arc::clone(&newer));
            } else {
                store.insert(key, Arc::clone(&newer), request, self.began);
            }
            self.remember_whether_shared(&Ok(newer.terms.clone()), false, times.response);
        }
        self.fill.announce(Outcome::Validated(newer));
    }

    /// An answer with content: to all who wait, and into the store if it may be.
    async fn take_in(&mut self, answer: Response<AnswerBody>, times: Times) {
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
        self.fill.announce(Outcome::Answer(Arc::clone(&head)));
        if !storable {
            self.lead = None;
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
        self.fetch.held.iter().any(|held| {
            held.terms.serves(self.client())
                && stale_on_error(&held.terms, Trouble::Status(status), now).is_ok()
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

    fn remember_whether_shared(
        &self,
        terms: &Result<Terms, NotStored>,
        server_error: bool,
        now: Timestamp,
    ) {
        let collapse = &self.node.collapse;
        match terms {
            Ok(terms) if terms.reusable_without_validation(now) => {
                collapse.forget_unshared(&self.fetch.key);
            }
            Ok(_) => collapse.remember_unshared(&self.fetch.key, false, now),
            // That was about one client's copy, not about what is shared.
            Err(NotStored::Rules(Unstorable::NotModified)) => {}
            Err(why) => {
                let soon_over = server_error || *why == NotStored::NoMemory;
                collapse.remember_unshared(&self.fetch.key, soon_over, now);
            }
        }
    }

    fn client(&self) -> caching::Request<'_> {
        caching::Request { method: &Method::GET, headers: &self.fetch.client }
    }
}

impl Drop for Pull {
    fn drop(&mut self) {
        self.fill.abort();
        self.node.metrics.fills.dec();
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

impl fmt::Display for NotStored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
