//! Slices that are wanted and aren't held, fetched by range.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_RANGE, IF_RANGE, RANGE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use http_body::Body as _;

use super::room::{PASS_BYTES, room_within};
use super::run::{Run, RunRoom};
use crate::arrivals::{Arrival, Claim};
use crate::budget::{Need, Reservation};
use crate::caching::range::ContentRange;
use crate::caching::{self, ETag, Times, update};
use crate::key::Key;
use crate::node::Node;
use crate::purge::{self, Moment, Standing};
use crate::site::Site;
use crate::store::{Object, Sliced};
use crate::upstream::{AnswerBody, RequestBody};

/// How long an origin that failed twice is left alone before it is asked for the same again; twice
/// as long the next time.
const RETRY_REST: Duration = Duration::from_millis(200);

/// How long a reader waits for memory before its response is ended.
const MEMORY_PATIENCE: Duration = Duration::from_secs(10);

/// Bytes of a content that pass to one reader.
pub(crate) struct Passing {
    pub(crate) body: AnswerBody,
    /// Bytes of the body before those that were asked for.
    pub(crate) skip: u64,
    /// How many come after that: maybe fewer than were asked for.
    pub(crate) left: u64,
    /// What its buffers take.
    pub(crate) memory: Reservation,
}

/// What is needed to fetch slices of one content.
pub(crate) struct Supply {
    pub(crate) node: Arc<Node>,
    pub(crate) site: Arc<Site>,
    pub(crate) key: Key,
    pub(crate) target: PathAndQuery,
    /// The client's fields, which Vary and Authorization are judged by.
    pub(crate) client: HeaderMap,
    /// The fields that the origin gets.
    pub(crate) upstream: HeaderMap,
    /// Strong: what the content is known by.
    pub(crate) etag: ETag,
}

/// What an answer brings of a content.
#[derive(Debug, PartialEq, Eq)]
enum Brought {
    /// These bytes of it.
    Part(Range<u64>),
    /// All of it.
    Whole,
    /// Nothing: the origin has something else by now.
    Other,
    /// Nothing: the origin is in trouble.
    Trouble,
}

impl Supply {
    /// Fetches what `claim` says, in this much room; for the `attempt`th time, from 0 on.
    pub(crate) fn fetch(self: &Arc<Self>, claim: Claim, room: RunRoom, attempt: u32) {
        self.node.metrics.slices.gap_fetches.inc();
        if claim.resumes() {
            self.node.metrics.slices.resumed.inc();
        }
        self.node.runtime.spawn(Arc::clone(self).fill(claim, room, attempt));
    }

    /// These `bytes` of a content for one reader alone, past the store; for the `attempt`th time,
    /// from 0 on. None where they can't be had.
    pub(crate) async fn pass(
        self: Arc<Self>,
        arrival: Arc<Arrival>,
        bytes: Range<u64>,
        attempt: u32,
    ) -> Option<Passing> {
        rest(attempt).await;
        let memory = room_within(&self.node, PASS_BYTES, Need::Stream, MEMORY_PATIENCE).await;
        let memory = memory.inspect_err(|_| self.node.metrics.shed.inc()).ok()?;
        self.node.metrics.slices.passed.inc();
        let answer = self.site.upstream.send(self.request(&bytes)).await.ok()?;
        let (parts, body) = answer.into_parts();
        let length = body.size_hint().exact();
        let sliced = arrival.sliced();
        let left = bytes.end - bytes.start;
        match brought(parts.status, &parts.headers, length, &self.etag, sliced, &bytes) {
            Brought::Part(part) => {
                let left = left.min(part.end - part.start);
                Some(Passing { body, skip: 0, left, memory })
            }
            Brought::Whole => Some(Passing { body, skip: bytes.start, left, memory }),
            Brought::Other => {
                self.outdated(&arrival);
                None
            }
            Brought::Trouble => None,
        }
    }

    async fn fill(self: Arc<Self>, mut claim: Claim, room: RunRoom, attempt: u32) {
        rest(attempt).await;
        let sliced = *claim.arrival().sliced();
        let slices = claim.slices();
        let asked = sliced.bytes_of(slices.start).start..sliced.bytes_of(slices.end - 1).end;
        let (sent, began) = (self.node.clock.now(), self.node.store.ledger().moment());
        let Ok(answer) = self.site.upstream.send(self.request(&asked)).await else {
            claim.fail();
            return;
        };
        let times = Times { request: sent, response: self.node.clock.now() };
        let (parts, body) = answer.into_parts();
        let length = body.size_hint().exact();
        let part = match brought(parts.status, &parts.headers, length, &self.etag, &sliced, &asked)
        {
            Brought::Part(part) => part,
            Brought::Whole => {
                claim.comes_in_order();
                0..sliced.complete_bytes
            }
            Brought::Other => return self.outdated(claim.arrival()),
            Brought::Trouble => {
                claim.fail();
                return;
            }
        };
        let keeps = self.may_keep(&parts.headers, times);
        if keeps {
            self.update(&sliced, &parts.headers, times, began);
        }
        let node = Arc::clone(&self.node);
        let run = Run { node, claim, keeps, free: false, room, usher: None };
        run.feed(body, part.start, part.end).await;
    }

    fn request(&self, asked: &Range<u64>) -> Request<RequestBody> {
        let mut request = Request::new(RequestBody::Empty);
        *request.uri_mut() = Uri::from(self.target.clone());
        *request.headers_mut() = self.upstream.clone();
        let range = format!("bytes={}-{}", asked.start, asked.end.saturating_sub(1));
        if let Ok(range) = HeaderValue::try_from(range) {
            request.headers_mut().insert(RANGE, range);
        }
        request.headers_mut().insert(IF_RANGE, self.etag.as_header_value().clone());
        request
    }

    /// Slices of two versions never meet: what is held of the older one is forgotten, and whoever
    /// was being served it gets no more.
    fn outdated(&self, arrival: &Arrival) {
        tracing::info!(
            site = %self.site.name, target = %self.target,
            "an object changed at its origin while it was served"
        );
        self.node.metrics.slices.outdated.inc();
        self.node.store.forget_content(self.key, arrival.sliced().content);
        arrival.outdate();
    }

    /// What is held of a content has the fields of the newest answer that brought a part of it (RFC
    /// 9111 section 3.4), and is as young.
    fn update(&self, sliced: &Sliced, newer: &HeaderMap, times: Times, began: Moment) {
        let store = &self.node.store;
        let Some(held) = store.of_content(self.key, sliced.content) else { return };
        let stored = caching::Response { status: held.status, headers: &held.headers };
        let request = caching::Request { method: &Method::GET, headers: &self.client };
        let refreshed = update::refresh(request, stored, newer, times, &self.site.policy);
        let Ok(terms) = refreshed.terms else { return };
        let tags = purge::tags(&refreshed.headers);
        let standing = Standing::new(began, &self.site.name, self.target.as_str(), &tags);
        let (headers, body) = (refreshed.headers, held.body.clone());
        let newer = Object::new(store.budget(), held.status, headers, terms, body, standing);
        store.refresh(self.key, &held, Arc::new(newer));
    }

    /// A part may be stored when the whole could be (RFC 9111 section 3.3).
    fn may_keep(&self, headers: &HeaderMap, times: Times) -> bool {
        let mut headers = headers.clone();
        headers.remove(CONTENT_RANGE);
        let whole = caching::Response { status: StatusCode::OK, headers: &headers };
        let request = caching::Request { method: &Method::GET, headers: &self.client };
        caching::judge(request, whole, times, &self.site.policy).is_ok()
    }
}

/// Leaves an origin alone for a while that has failed twice.
async fn rest(attempt: u32) {
    if let Some(doublings) = attempt.checked_sub(2) {
        tokio::time::sleep(RETRY_REST * (1 << doublings.min(4))).await;
    }
}

/// What an answer of `length` bytes to a request for the bytes `asked` brings of the content that
/// is known by `etag`. Only a strong validator says that two parts are of the same content (RFC
/// 9110 section 15.3.7.3).
fn brought(
    status: StatusCode,
    headers: &HeaderMap,
    length: Option<u64>,
    etag: &ETag,
    sliced: &Sliced,
    asked: &Range<u64>,
) -> Brought {
    let same = ETag::of(headers).is_some_and(|tag| tag.strong_eq(etag));
    match (status, ContentRange::of(headers)) {
        (StatusCode::PARTIAL_CONTENT, Some(ContentRange::Part(part, complete))) if same => {
            // A server may send less than all (RFC 9110 section 15.3.7), from the start on.
            let fits = part.start == asked.start && part.end <= asked.end;
            let told = length.is_none_or(|length| length == part.end - part.start);
            match complete {
                Some(complete) if complete != sliced.complete_bytes => Brought::Other,
                _ if fits && told => Brought::Part(part),
                _ => Brought::Trouble,
            }
        }
        (StatusCode::OK, _) if same => match length {
            Some(length) if length != sliced.complete_bytes => Brought::Other,
            _ => Brought::Whole,
        },
        (
            StatusCode::OK
            | StatusCode::PARTIAL_CONTENT
            | StatusCode::NOT_FOUND
            | StatusCode::GONE
            | StatusCode::PRECONDITION_FAILED
            | StatusCode::RANGE_NOT_SATISFIABLE,
            _,
        ) => Brought::Other,
        _ => Brought::Trouble,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderName;

    fn fields(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair =
            |&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
        lines.iter().map(pair).collect()
    }

    #[test]
    fn only_what_is_surely_of_the_same_content_is_taken() {
        let etag = ETag::of(&fields(&[("etag", "\"v1\"")])).unwrap();
        let sliced = Sliced::fresh(1000);
        let (v1, weak, v2) = (("etag", "\"v1\""), ("etag", "W/\"v1\""), ("etag", "\"v2\""));
        let range = |text| ("content-range", text);
        for (status, lines, length, expected) in [
            (206, vec![v1, range("bytes 100-199/1000")], Some(100), Brought::Part(100..200)),
            (206, vec![v1, range("bytes 100-199/*")], None, Brought::Part(100..200)),
            (206, vec![v1, range("bytes 100-149/1000")], Some(50), Brought::Part(100..150)),
            (206, vec![v1, range("bytes 100-199/1000")], Some(99), Brought::Trouble),
            (206, vec![v1, range("bytes 100-200/1000")], Some(101), Brought::Trouble),
            (206, vec![v1, range("bytes 99-199/1000")], Some(101), Brought::Trouble),
            (206, vec![v1, range("bytes 100-199/1001")], Some(100), Brought::Other),
            (206, vec![v2, range("bytes 100-199/1000")], Some(100), Brought::Other),
            (206, vec![weak, range("bytes 100-199/1000")], Some(100), Brought::Other),
            (206, vec![range("bytes 100-199/1000")], Some(100), Brought::Other),
            (206, vec![v1], Some(100), Brought::Other),
            (200, vec![v1], Some(1000), Brought::Whole),
            (200, vec![v1], None, Brought::Whole),
            (200, vec![v1], Some(999), Brought::Other),
            (200, vec![v2], Some(1000), Brought::Other),
            (200, vec![], Some(1000), Brought::Other),
            (404, vec![], None, Brought::Other),
            (416, vec![range("bytes */50")], None, Brought::Other),
            (500, vec![v1], None, Brought::Trouble),
            (503, vec![], None, Brought::Trouble),
            (403, vec![], None, Brought::Trouble),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let headers = fields(&lines);
            let got = brought(status, &headers, length, &etag, &sliced, &(100..200));
            assert_eq!(got, expected, "{status} {lines:?} {length:?}");
        }
    }
}
