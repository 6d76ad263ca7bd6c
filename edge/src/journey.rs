//! A request's journey through the edge, top-down.
//!
//! All branching is here; what is decided and why is in [`crate::caching`].

mod asked;
mod joined;
mod look;

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{HeaderMap, HeaderName, HeaderValue, MAX_FORWARDS, VIA};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use hyper::body::Incoming;
use kingcdn_config::clock::{Stopwatch, Timestamp};
use kingcdn_config::status::HEALTH_PATH;

use self::joined::Before;
use self::look::Seen;
use crate::admission::{self, Refusal};
use crate::answer::{
    Answer, arriving, confirmed, failed, from_store, health, only_if_cached, options, passed_on,
    refuse, stale_instead, uncounted,
};
use crate::budget::Need;
use crate::cache_status::Cache;
use crate::caching::{
    self, ClientControl, Decision, Forward, Held, Terms, Trouble, fields, invalidation,
};
use crate::collapse::Place;
use crate::deliver;
use crate::fetch;
use crate::fill::{Head, Outcome, Reader};
use crate::forward::{self, LastHop};
use crate::heads::Flaw;
use crate::interim;
use crate::key::Key;
use crate::node::Node;
use crate::record::{Record, Recorded};
use crate::serving::Serving;
use crate::site::Site;
use crate::sliced;
use crate::store::{Lookup, Object};
use crate::trace::Tracing;
use crate::upgrade;
use crate::upstream::{FetchError, RequestBody};
use crate::wanted::{Wanted, wanted};

/// How often a request decides again, because what it waited for turned out not to be for it,
/// before it fetches for itself.
const ROUNDS_MAX: usize = 4;

/// What a request takes that has to wait for something: room for all that may happen to it.
const WAITING_BYTES: u64 = 16 << 10;

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Who asks.
pub(crate) struct Client {
    pub(crate) address: IpAddr,
    /// How it gets messages before the answer.
    pub(crate) interims: interim::Client,
    /// What is wrong with the request's head, as it came.
    pub(crate) flaw: Option<Flaw>,
}

/// A request that was admitted: whose it is and what it asks for.
struct Visit {
    node: Arc<Node>,
    site: Arc<Site>,
    client: Client,
    /// As the client wrote it, with a port if it named one.
    host: HeaderValue,
    /// Path and query, as the client wrote them.
    target: PathAndQuery,
    /// What the site's key makes of them: the origin is asked for this when the object is wanted.
    object: PathAndQuery,
    key: Key,
    trace: Option<Tracing>,
}

/// The answer that a request waited for isn't for it.
enum NotForUs {
    /// The store may have one by now: decide again.
    DecideAgain,
    /// The next one won't be either: fetch alone.
    FetchAlone,
    /// It is another variant: wait for this one.
    OtherVariant(u64),
    /// It is another part than the one that was asked for: pass.
    Pass,
}

/// The whole journey. What is held and fresh is answered before this returns: most requests need
/// no task of their own, and the room for all that may happen to the others is made when it does.
pub(crate) fn serve(node: &Arc<Node>, client: Client, request: Request<Incoming>) -> Serving {
    let started = Stopwatch::start();
    if let Some(flaw) = client.flaw {
        return Serving::at_once(node, refuse(node, flaw.into()));
    }
    if request.uri().path() == HEALTH_PATH {
        return Serving::at_once(node, uncounted(health(node)));
    }
    let (mut parts, body) = request.into_parts();
    fields::strip_nominated(&mut parts.headers);
    let visit = match admit(node, client, &parts) {
        Ok(visit) => visit,
        Err(refusal) => return Serving::at_once(node, refuse(node, refusal)),
    };
    let seen = match visit.at_hand(&parts, body.is_end_stream()) {
        Ok(answer) => return Serving::at_once(node, visit.finish(&parts, answer, started)),
        Err(seen) => seen,
    };
    let Some(memory) = node.store.room(WAITING_BYTES, Need::Answer) else {
        node.metrics.shed.inc();
        let answer = failed(FetchError::NoMemory, Forward::Miss);
        return Serving::at_once(node, visit.finish(&parts, answer, started));
    };
    Serving::later(Arc::clone(node), async move {
        let _memory = memory;
        let answer = visit.answer(&parts, body, seen).await;
        visit.finish(&parts, answer, started)
    })
}

/// The way of a request for what is held and fresh, alone, for measuring it.
pub(crate) fn at_hand(
    node: &Arc<Node>,
    client: Client,
    parts: &Parts,
) -> Option<Response<Recorded>> {
    let started = Stopwatch::start();
    let visit = admit(node, client, parts).ok()?;
    let answer = visit.at_hand(parts, true).ok()?;
    Some(visit.finish(parts, answer, started))
}

/// Finds the site that a request is for, or the reason why there is no answer.
fn admit(node: &Arc<Node>, client: Client, parts: &Parts) -> Result<Visit, Refusal> {
    let host = admission::host(&parts.method, &parts.uri, parts.version, &parts.headers)?;
    let name = admission::name(&host)?;
    let sites = node.sites.load();
    let site = Arc::clone(sites.find(name).ok_or(Refusal::UnknownHost)?);
    if forward::is_loop(&parts.headers, &node.name) {
        return Err(Refusal::Loop);
    }
    let root = PathAndQuery::from_static("/");
    let target = parts.uri.path_and_query().cloned().unwrap_or(root);
    let object = site.key.target(&target).map_err(|_| Refusal::BadTarget)?;
    let key = site.key.key(&site.name, &object, &parts.headers);
    let trace = node.tracer.as_ref().map(Tracing::begin);
    Ok(Visit { node: Arc::clone(node), site, client, host, target, object, key, trace })
}

impl Visit {
    /// The answer to a request for what is held and fresh. To all others what was seen, where they
    /// are such that the store was looked at.
    fn at_hand(&self, parts: &Parts, bodiless: bool) -> Result<Answer, Option<Seen>> {
        let cacheable = matches!(parts.method, Method::GET | Method::HEAD) && bodiless;
        if !cacheable || upgrade::proposed(parts, &self.site.upgrade).is_some() {
            return Err(None);
        }
        let request = caching::Request { method: &parts.method, headers: &parts.headers };
        let seen = self.look(request);
        match caching::decide(request, seen.held.held(), ClientControl::Obey, seen.now) {
            Decision::Fresh { age } => {
                Ok(from_store(request, seen.held.object(), age, seen.now, Cache::Hit))
            }
            _ => Err(Some(seen)),
        }
    }

    async fn answer(&self, parts: &Parts, body: Incoming, seen: Option<Seen>) -> Answer {
        if body.is_end_stream()
            && let Some(proposal) = upgrade::proposed(parts, &self.site.upgrade)
        {
            let request = self.passing(parts, RequestBody::Empty, Forward::Bypass);
            return upgrade::switch(&self.node, &self.site, request, proposal).await;
        }
        // The key says nothing of a request's content: what has any passes by.
        let cacheable = matches!(parts.method, Method::GET | Method::HEAD);
        if cacheable && body.is_end_stream() {
            return self.through_cache(parts, seen).await;
        }
        let why = if cacheable { Forward::Bypass } else { Forward::Method };
        let limits = self.node.limits.load();
        let body = RequestBody::client(body, limits.request_body_bytes, limits.body_timeout);
        match body {
            Ok(body) => self.pass(parts, body, why).await,
            Err(_too_long) => {
                self.node.metrics.refuse(Refusal::BodyTooLong);
                failed(FetchError::RequestTooLong, why)
            }
        }
    }

    /// Decides, and decides again after each wait that brought nothing for this request.
    async fn through_cache(&self, parts: &Parts, mut seen: Option<Seen>) -> Answer {
        let request = caching::Request { method: &parts.method, headers: &parts.headers };
        let (mut alone, mut told) = (false, None);
        for round in 1.. {
            let seen = seen.take().unwrap_or_else(|| self.look(request));
            let Seen { now, held, lacking, from_disk } = self.look_on_disk(request, seen).await;
            let why = match self.decide(request, held.held(), now) {
                Decision::Fresh { age } => {
                    let mut answer = from_store(request, held.object(), age, now, Cache::Hit);
                    answer.status.detail = from_disk.then_some("disk");
                    return answer;
                }
                Decision::StaleWhileRevalidate { age } => {
                    self.refresh_behind(parts, held.candidates(), now);
                    return from_store(request, held.object(), age, now, Cache::Stale);
                }
                Decision::OnlyIfCached => return only_if_cached(),
                Decision::Bypass(why) => return self.pass(parts, RequestBody::Empty, why).await,
                Decision::Revalidate(why) | Decision::Miss(why) => why,
            };
            let why = if lacking { Forward::Partial } else { why };
            let wanted = match &held {
                Lookup::Found(_) | Lookup::Purged(_) => Wanted::Whole,
                Lookup::Nothing | Lookup::OtherVariants(_) => {
                    wanted(request, lacking, self.node.collapse.is_sliceable(&self.key))
                }
            };
            if let Wanted::Little = wanted {
                return self.pass(parts, RequestBody::Empty, why).await;
            }
            let mut fetch = self.fetch(parts, held.candidates(), wanted);
            let (sender, interims) = interim::channel(parts.version).unzip();
            fetch.interims = sender;
            fetch.variant = fetch.variant.or(told);
            let place = fetch.place;
            let alone_now = alone || round >= ROUNDS_MAX;
            let held = held.object();
            let seen = if lacking { Before::Part } else { Before::Object(held.as_ref()) };
            let (reader, own) = self.join(request, fetch, (alone_now, seen), now);
            let Some(reader) = reader else { continue };
            let outcome = self.client.interims.meanwhile(interims, reader.outcome()).await;
            match self.follow(request, held, why, (reader, outcome), (own, place)) {
                Ok(answer) => return answer,
                Err(NotForUs::DecideAgain) => {}
                Err(NotForUs::FetchAlone) => alone = true,
                Err(NotForUs::OtherVariant(variant)) => told = Some(variant),
                Err(NotForUs::Pass) => return self.pass(parts, RequestBody::Empty, why).await,
            }
        }
        failed(FetchError::Aborted, Forward::Miss)
    }

    /// The rules' decision. A client that insists on a fresh copy gets it, but not so often that
    /// a crowd of them could reach the origin.
    fn decide(&self, request: caching::Request<'_>, held: Held<'_>, now: Timestamp) -> Decision {
        let decision = caching::decide(request, held, ClientControl::Obey, now);
        let insists = matches!(
            decision,
            Decision::Revalidate(Forward::Request) | Decision::Miss(Forward::Request)
        );
        if insists && !self.site.client_refreshes.permits(now) {
            return caching::decide(request, held, ClientControl::Ignore, now);
        }
        decision
    }

    /// Takes the answer of a fill whose head is there, if it is for this request.
    fn follow(
        &self,
        request: caching::Request<'_>,
        held: Option<Arc<Object>>,
        why: Forward,
        (reader, outcome): (Reader, Outcome),
        (own, place): (bool, Option<Place>),
    ) -> Result<Answer, NotForUs> {
        let now = self.node.clock.now();
        let head = match outcome {
            Outcome::Failed(error) => {
                let stale = self.bridge(request, held, Trouble::Unreachable, error.as_str(), now);
                return Ok(stale.unwrap_or_else(|| failed(error, why)));
            }
            Outcome::Validated(object) if own => {
                return Ok(confirmed(request, &object, why, now));
            }
            // The store has it by now, or each has to ask for itself.
            Outcome::Validated(_) => return Err(NotForUs::DecideAgain),
            Outcome::Sliced(object, head) => {
                if !own && !is_shareable(&object.terms, request, now) {
                    return Err(not_for_us(&object.terms, request));
                }
                let response = deliver::arriving_in_slices(request, &head, &object, own, now);
                return Ok(arriving(response, &head, why, own, now));
            }
            Outcome::Answer(head) => head,
        };
        // A part that is read as it comes is the one that was asked for, or nobody's.
        let is_part = head.status == StatusCode::PARTIAL_CONTENT;
        if is_part && matches!(place, Some(Place::Slice(_))) {
            return Err(NotForUs::Pass);
        }
        let same_part = matches!(place, Some(Place::Last(_)));
        let trouble = Trouble::Status(head.status);
        if let Some(stale) = self.bridge(request, held, trouble, "origin-error", now) {
            return Ok(stale);
        }
        if !own && !((same_part || !is_part) && may_share(&head, request, now)) {
            // A 304 was about another client's copy: that says nothing of what is shared.
            return Err(match head.status {
                StatusCode::NOT_MODIFIED => NotForUs::DecideAgain,
                _ => head
                    .terms
                    .as_ref()
                    .map_or(NotForUs::FetchAlone, |terms| not_for_us(terms, request)),
            });
        }
        let response = deliver::arriving(request, &head, reader, own, now);
        Ok(arriving(response, &head, why, own, now))
    }

    /// What is held, in place of an answer from an origin in trouble, where that is permitted.
    fn bridge(
        &self,
        request: caching::Request<'_>,
        held: Option<Arc<Object>>,
        trouble: Trouble,
        detail: &'static str,
        now: Timestamp,
    ) -> Option<Answer> {
        let stale = stale_instead(request, held.as_deref()?, trouble, detail, now);
        stale.inspect_err(|why| self.node.metrics.not_bridged(*why)).ok()
    }

    /// Refreshes what was just served stale. Nobody waits for it. A request whose answer may not be
    /// stored leaves that to the next.
    fn refresh_behind(&self, parts: &Parts, held: Vec<Arc<Object>>, now: Timestamp) {
        let request = caching::Request { method: &parts.method, headers: &parts.headers };
        if caching::forbids_storing(request) {
            return;
        }
        let ledger = self.node.store.ledger();
        let wish = self.wish(&parts.headers, None, asked::variant(parts, &held));
        if let Some(lead) = self.node.collapse.lead_refresh(wish, ledger, now) {
            fetch::start(&self.node, lead, self.fetch(parts, held, Wanted::Whole));
        }
    }

    /// Sends a request past the cache, both bodies streaming.
    async fn pass(&self, parts: &Parts, body: RequestBody, why: Forward) -> Answer {
        let memory = match fetch::room(&self.node, fetch::PASS_BYTES, Need::Stream).await {
            Ok(memory) => memory,
            Err(error) => return failed(error, why),
        };
        let mut request = self.passing(parts, body, why);
        match forward::forwards_left(&parts.headers) {
            Some(Err(LastHop)) if parts.method == Method::OPTIONS => return options(),
            Some(Ok(left)) if parts.method == Method::OPTIONS => {
                request.headers_mut().insert(MAX_FORWARDS, HeaderValue::from(left));
            }
            Some(_) | None => {}
        }
        let interims = interim::channel(parts.version).map(|(sender, receiver)| {
            sender.listen(&mut request);
            receiver
        });
        let sent = self.site.upstream.send(request);
        let answer = match self.client.interims.meanwhile(interims, sent).await {
            Ok(answer) => answer,
            Err(error) => return failed(error, why),
        };
        if invalidation::invalidates(&parts.method, answer.status()) {
            self.invalidate(parts, answer.headers());
        }
        passed_on(answer, memory, why)
    }

    /// A write has succeeded: what is stored of its target isn't what the origin has any more
    /// (RFC 9111 section 4.4).
    fn invalidate(&self, parts: &Parts, answer: &HeaderMap) {
        let invalidate = |key: &Key| {
            self.node.collapse.part_from(key);
            self.node.store.invalidate(key);
        };
        invalidate(&self.key);
        let host = self.host.to_str().unwrap_or_default();
        let Ok(uri) = format!("http://{host}{}", self.target).parse() else {
            return;
        };
        for other in invalidation::targets(&uri, answer) {
            if let Ok(object) = self.site.key.target(&other) {
                invalidate(&self.site.key.key(&self.site.name, &object, &parts.headers));
            }
        }
    }

    /// Says what happened: in the response, the metrics and the log.
    fn finish(self, parts: &Parts, mut answer: Answer, started: Stopwatch) -> Response<Recorded> {
        sliced::open(&self.node, &mut answer, |etag| self.supply(parts, etag));
        let Answer { mut response, cache, status } = answer;
        let key = self.site.shows_key.then(|| (&*self.site.name, self.object.as_str()));
        let said = status.to_header_value(&self.node.identifier, key);
        if let Some(why) = status.fwd {
            self.node.metrics.forward(why);
        }
        response.headers_mut().append(CACHE_STATUS, said);
        response.headers_mut().append(VIA, self.node.via.clone());
        let reason = status.detail.or(status.fwd.map(Forward::as_str)).unwrap_or("fresh");
        let asked = (&parts.method, &parts.uri);
        let span = self.trace.as_ref().and_then(|trace| {
            trace.request(&self.site.name, asked, (response.status(), cache, reason))
        });
        let record = Record::new(self.node, self.site, cache, started)
            .with_line(self.client.address, asked, response.status(), reason)
            .with_span(span);
        response.map(|content| Recorded::new(content, Some(record)))
    }
}

/// Whether a request may have the answer to another one's fetch.
fn may_share(head: &Head, request: caching::Request<'_>, now: Timestamp) -> bool {
    head.terms.as_ref().is_ok_and(|terms| is_shareable(terms, request, now))
}

/// What a request does whose answer this isn't: one that varies is another one's, who has it in
/// common with others.
fn not_for_us(terms: &Terms, request: caching::Request<'_>) -> NotForUs {
    match terms.variant_of(request) {
        Some(variant) if !terms.serves(request) => NotForUs::OtherVariant(variant),
        _ => NotForUs::FetchAlone,
    }
}

fn is_shareable(terms: &Terms, request: caching::Request<'_>, now: Timestamp) -> bool {
    terms.serves(request) && terms.reusable_without_validation(now)
}
