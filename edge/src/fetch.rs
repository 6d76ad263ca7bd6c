//! Fetching an object from its origin into the store and to all who wait.
//!
//! A fetch is a task of its own. Whoever started it follows its [`Fill`] like
//! everybody else, and may leave.

mod gap;
mod intake;
mod rest;
mod room;
mod run;

use std::fmt;
use std::sync::Arc;

use http::header::{IF_MODIFIED_SINCE, IF_NONE_MATCH, RANGE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use kingcdn_config::clock::Timestamp;

pub(crate) use self::gap::{Passing, Supply};
pub(crate) use self::room::{FETCH_BYTES, PASS_BYTES, room};
pub(crate) use self::run::RunRoom;
use crate::budget::{Need, Reservation};
use crate::caching::conditional::{validation_fields, validation_of_variants};
use crate::caching::{self, Terms, Times, Unstorable, update};
use crate::collapse::{Kind, Lead, Place};
use crate::fill::{Fill, Outcome};
use crate::interim;
use crate::key::Key;
use crate::node::Node;
use crate::purge::{self, Moment, Standing};
use crate::site::Site;
use crate::store::Object;
pub(crate) use crate::upstream::FetchError;
use crate::upstream::{AnswerBody, RequestBody};

/// Why an answer isn't stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum NotStored {
    /// The rules of HTTP forbid it.
    Rules(Unstorable),
    /// It is large, and has no strong validator to fetch it by in slices.
    TooLarge,
    /// The memory for answers on their way in is used up.
    NoMemory,
    /// It is an error, and what is held may still stand in for it.
    StaleStandsIn,
}

impl From<Unstorable> for NotStored {
    fn from(why: Unstorable) -> Self {
        Self::Rules(why)
    }
}

impl NotStored {
    /// Those that aren't the rules' own, for the metric.
    pub(crate) const OURS: [Self; 3] = [Self::TooLarge, Self::NoMemory, Self::StaleStandsIn];

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
    /// Where the range is, where others may want the same.
    pub(crate) place: Option<Place>,
    /// Which variant it is for, where it is known what answers vary by.
    pub(crate) variant: Option<u64>,
    /// What is held of this key and may be what the origin would answer.
    pub(crate) held: Vec<Arc<Object>>,
    /// Where messages before the answer go, for the client that caused the fetch.
    pub(crate) interims: Option<interim::Sender>,
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
    /// When this began, among purges and writes.
    began: Moment,
}

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
    let memory = node.store.budget().reservation();
    let began = lead.as_ref().map_or_else(|| node.store.ledger().moment(), Lead::began);
    let pull = Pull { node: Arc::clone(node), fetch, fill, lead, memory, began };
    node.metrics.fills.inc();
    // On this client's thread, where its connection to the origin lives: most clients of a fetch are
    // the one that caused it.
    tokio::spawn(pull.run());
}

impl Pull {
    async fn run(mut self) {
        match room(&self.node, FETCH_BYTES, Need::Answer).await {
            Ok(memory) => self.memory = memory,
            Err(error) => return self.fill.announce(Outcome::Failed(error)),
        }
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
        if let Some(interims) = self.fetch.interims.clone() {
            interims.listen(&mut request);
        }
        request
    }

    /// 304: what is held is still good, with newer fields; for this request too, if it wasn't
    /// before (RFC 9111 section 4.1).
    fn take_confirmation(&mut self, answer: &Response<AnswerBody>, times: Times) {
        let [held] = &self.fetch.held[..] else { return };
        let request = self.client();
        let stored = caching::Response { status: held.status, headers: &held.headers };
        let policy = &self.fetch.site.policy;
        let refreshed = update::refresh(request, stored, answer.headers(), times, policy);
        let why_not = refreshed.terms.as_ref().err().copied();
        let (key, store) = (self.fetch.key, &self.node.store);
        let terms = refreshed.terms.unwrap_or_else(|_| held.terms.clone());
        let body = held.body.clone();
        let (budget, headers) = (store.budget(), refreshed.headers);
        let standing = self.standing(&headers);
        let newer = Object::new(budget, held.status, headers, terms, body, standing);
        let newer = Arc::new(newer);
        match why_not {
            // For this one client: what is held stays as it is.
            Some(why) if why.is_the_requests_own() => {}
            Some(_) => store.forget(key, held),
            None if held.terms.serves(request) => store.refresh(key, held, Arc::clone(&newer)),
            None => {
                store.insert(key, Arc::clone(&newer), request, self.began);
            }
        }
        let terms = why_not.map_or_else(|| Ok(newer.terms.clone()), |why| Err(why.into()));
        self.remember_whether_shared(&terms, false, times.response);
        self.lead = None;
        self.fill.announce(Outcome::Validated(newer));
    }

    fn remember_whether_shared(
        &self,
        terms: &Result<Terms, NotStored>,
        server_error: bool,
        now: Timestamp,
    ) {
        let (collapse, key) = (&self.node.collapse, &self.fetch.key);
        let kind = Kind::of(&self.fetch.client, self.fetch.range.is_some());
        match terms {
            Ok(terms) if terms.reusable_without_validation(now) => {
                collapse.forget_unshared(key, kind);
            }
            Ok(_) => collapse.remember_unshared(key, kind, false, now),
            // That was about one client's copy or wish, not about what is shared.
            Err(NotStored::Rules(Unstorable::NotModified | Unstorable::RequestNoStore)) => {}
            Err(why) => {
                let soon_over = server_error || *why == NotStored::NoMemory;
                collapse.remember_unshared(key, kind, soon_over, now);
            }
        }
    }

    /// What purges know an answer with these fields by.
    fn standing(&self, headers: &HeaderMap) -> Standing {
        let (site, target) = (&self.fetch.site.name, self.fetch.target.as_str());
        Standing::new(self.began, site, target, &purge::tags(headers))
    }

    fn client(&self) -> caching::Request<'_> {
        caching::Request { method: &Method::GET, headers: &self.fetch.client }
    }
}

impl Drop for Pull {
    fn drop(&mut self) {
        // First, so that nobody joins what has ended.
        self.lead = None;
        self.fill.abort();
        let none = self.memory.budget().reservation();
        self.fill.hold(std::mem::replace(&mut self.memory, none));
        self.node.metrics.fills.dec();
    }
}

impl fmt::Display for NotStored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
