//! Answers, with what the cache had to do with them.

use std::sync::Arc;
use std::time::Duration;

use http::header::{ALLOW, CONNECTION, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode, Version};
use kingcdn_config::clock::Timestamp;

use crate::admission::Refusal;
use crate::budget::Reservation;
use crate::cache_status::{Cache, CacheStatus};
use crate::caching::{self, Forward, NoStale, Trouble, fields};
use crate::content::Content;
use crate::deliver;
use crate::fill::Head;
use crate::node::Node;
use crate::record::Recorded;
use crate::store::Object;
use crate::upstream::{AnswerBody, FetchError};

/// An answer, and what the cache had to do with it.
pub(crate) struct Answer {
    pub(crate) response: Response<Content>,
    pub(crate) cache: Cache,
    pub(crate) status: CacheStatus,
}

pub(crate) fn from_store(
    request: caching::Request<'_>,
    object: Option<Arc<Object>>,
    age: Duration,
    now: Timestamp,
    cache: Cache,
) -> Answer {
    let Some(object) = object else {
        return failed(FetchError::Aborted, Forward::Miss);
    };
    let response = deliver::stored(request, &object, age, now);
    // What a purge made stale isn't fresh any more, whatever its terms say.
    let latest = if cache == Cache::Stale { 0 } else { i64::MAX };
    let ttl = Some(object.terms.ttl_secs(now).min(latest));
    Answer { response, cache, status: CacheStatus { ttl, ..CacheStatus::default() } }
}

/// The held object, which the origin has just confirmed.
pub(crate) fn confirmed(
    request: caching::Request<'_>,
    object: &Object,
    why: Forward,
    now: Timestamp,
) -> Answer {
    let status = CacheStatus {
        fwd: Some(why),
        fwd_status: Some(StatusCode::NOT_MODIFIED),
        ttl: Some(object.terms.ttl_secs(now)),
        ..CacheStatus::default()
    };
    let response = deliver::stored(request, object, object.terms.age(now), now);
    Answer { response, cache: Cache::Revalidated, status }
}

/// An answer on its way in. `own`: this request caused the fetch.
pub(crate) fn arriving(
    response: Response<Content>,
    head: &Head,
    why: Forward,
    own: bool,
    now: Timestamp,
) -> Answer {
    let status = CacheStatus {
        fwd: Some(why),
        fwd_status: Some(head.status),
        stored: own && head.terms.is_ok(),
        collapsed: !own,
        ttl: head.terms.as_ref().ok().map(|terms| terms.ttl_secs(now)),
        detail: head.terms.as_ref().err().map(|reason| reason.as_str()),
        own_answer: false,
    };
    Answer { response, cache: Cache::Miss, status }
}

/// The held object in place of an origin in trouble, or the reason why it may not be.
pub(crate) fn stale_instead(
    request: caching::Request<'_>,
    held: &Object,
    trouble: Trouble,
    detail: &'static str,
    now: Timestamp,
) -> Result<Answer, NoStale> {
    let age = caching::stale_on_error(request, &held.terms, trouble, now)?;
    let status = CacheStatus {
        fwd: Some(Forward::Stale),
        fwd_status: match trouble {
            Trouble::Status(status) => Some(status),
            Trouble::Unreachable => None,
        },
        ttl: Some(held.terms.ttl_secs(now)),
        detail: Some(detail),
        ..CacheStatus::default()
    };
    let response = deliver::stored(request, held, age, now);
    Ok(Answer { response, cache: Cache::Stale, status })
}

/// No origin answered and nothing may stand in.
pub(crate) fn failed(error: FetchError, why: Forward) -> Answer {
    let status = error.status();
    let mut response = deliver::text(
        status,
        match status {
            StatusCode::GATEWAY_TIMEOUT => "The origin does not answer in time.\n",
            StatusCode::SERVICE_UNAVAILABLE => "Too much is under way here.\n",
            StatusCode::BAD_REQUEST => "The request's body is broken.\n",
            StatusCode::REQUEST_TIMEOUT => "The request's body does not arrive in time.\n",
            StatusCode::PAYLOAD_TOO_LARGE => "The request's body is too long.\n",
            _ => "The origin does not answer.\n",
        },
    );
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    let detail = Some(error.as_str());
    let status = CacheStatus { fwd: Some(why), detail, ..CacheStatus::default() };
    Answer { response, cache: Cache::Error, status }
}

/// An origin's answer, past the cache.
pub(crate) fn passed_on(answer: Response<AnswerBody>, memory: Reservation, why: Forward) -> Answer {
    let mut response = answer.map(|body| Content::Pass { body, _memory: memory });
    fields::strip_hop_by_hop(response.headers_mut());
    // The edge's own, whatever the origin speaks (RFC 9112 section 2.3).
    *response.version_mut() = Version::HTTP_11;
    let fwd_status = Some(response.status());
    let status = CacheStatus { fwd: Some(why), fwd_status, ..CacheStatus::default() };
    Answer { response, cache: Cache::Bypass, status }
}

/// The edge has no room for what the request wants.
pub(crate) fn refused(refusal: Refusal) -> Answer {
    let (status, reason, text) = refusal.describe();
    let mut response = deliver::text(status, text);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    let status = CacheStatus { own_answer: true, detail: Some(reason), ..CacheStatus::default() };
    Answer { response, cache: Cache::Error, status }
}

/// What may be asked of an edge.
const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// The edge's own answer to OPTIONS that may go no further (RFC 9110 section 9.3.7).
pub(crate) fn options() -> Answer {
    let mut response = Response::new(Content::Empty);
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(METHODS));
    let detail = Some("max-forwards");
    let status = CacheStatus { own_answer: true, detail, ..CacheStatus::default() };
    Answer { response, cache: Cache::Bypass, status }
}

/// RFC 9111 section 5.2.1.7.
pub(crate) fn only_if_cached() -> Answer {
    let text = "The cache has no answer that it may use, and was told not to ask for one.\n";
    let detail = Some("only-if-cached");
    Answer {
        response: deliver::text(StatusCode::GATEWAY_TIMEOUT, text),
        cache: Cache::Error,
        status: CacheStatus { own_answer: true, detail, ..CacheStatus::default() },
    }
}

/// The answer to a request that isn't admitted.
pub(crate) fn refuse(node: &Node, refusal: Refusal) -> Response<Recorded> {
    node.metrics.refuse(refusal);
    let (status, reason, text) = refusal.describe();
    tracing::debug!(reason, "request refused");
    let mut response = deliver::text(status, text);
    if refusal.ends_connection() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(METHODS));
    }
    uncounted(response)
}

/// The answer to a health check.
pub(crate) fn health(node: &Node) -> Response<Content> {
    if node.is_draining() {
        deliver::text(StatusCode::SERVICE_UNAVAILABLE, "draining\n")
    } else {
        deliver::text(StatusCode::OK, "ok\n")
    }
}

/// An answer that is counted for no site.
pub(crate) fn uncounted(response: Response<Content>) -> Response<Recorded> {
    response.map(|content| Recorded::new(content, None))
}
