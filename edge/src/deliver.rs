//! Answers for clients, out of what the store holds or a fill brings.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, AGE, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE, HeaderMap, HeaderValue,
};
use http::{Method, Response, StatusCode};
use kingcdn_config::clock::Timestamp;

use crate::caching::conditional::{self, Outcome};
use crate::caching::range::{self, Selection};
use crate::caching::{Request, Terms};
use crate::content::{Content, Order, Piece};
use crate::decimal::Decimal;
use crate::fill::{Head, Reader};
use crate::store::{Body, Object};

/// What the client gets of an answer.
enum Shape {
    /// All of it.
    Whole,
    /// The head alone: the request was HEAD.
    HeadOnly,
    /// 206 with this part.
    Part(Range<u64>),
    /// 206 with these parts.
    Parts(Vec<Range<u64>>),
    /// 304.
    NotModified,
    /// 412.
    PreconditionFailed,
    /// 416.
    Unsatisfiable,
}

/// A stored object, as `request` asks for it.
pub(crate) fn stored(
    request: Request<'_>,
    object: &Object,
    age: Duration,
    now: Timestamp,
) -> Response<Content> {
    with_headers(request, object, object.headers.clone(), age, now)
}

/// An object whose slices are on their way in. `own`: this request caused the fetch, and gets the
/// fields that are for it alone.
pub(crate) fn arriving_in_slices(
    request: Request<'_>,
    head: &Head,
    object: &Object,
    own: bool,
    now: Timestamp,
) -> Response<Content> {
    let mut headers = if own { head.headers.clone() } else { object.headers.clone() };
    headers.remove(CONTENT_RANGE);
    headers.insert(CONTENT_LENGTH, HeaderValue::from(object.body.complete_bytes()));
    with_headers(request, object, headers, object.terms.age(now), now)
}

fn with_headers(
    request: Request<'_>,
    object: &Object,
    mut headers: HeaderMap,
    age: Duration,
    now: Timestamp,
) -> Response<Content> {
    let length = object.body.complete_bytes();
    let shape = shape(request, object.status, Some(&object.terms), Some(length), now);
    headers.insert(AGE, seconds(age));
    match shape {
        Shape::Whole => answer(object.status, headers, portion(object, 0..length)),
        Shape::Part(part) => {
            describe_part(&mut headers, &part, length);
            answer(StatusCode::PARTIAL_CONTENT, headers, portion(object, part))
        }
        Shape::Parts(parts) => multipart(headers, object, &parts, now),
        other => without_content(object.status, headers, &other, length),
    }
}

/// Whether all that `request` gets of an object is held, or can be fetched for it on the way.
pub(crate) fn is_held(request: Request<'_>, object: &Object, now: Timestamp) -> bool {
    let Body::Parts(_) = object.body else { return true };
    let length = object.body.complete_bytes();
    match shape(request, object.status, Some(&object.terms), Some(length), now) {
        Shape::Whole | Shape::Parts(_) => false,
        Shape::Part(part) => object.body.find(&part).is_some(),
        Shape::HeadOnly | Shape::NotModified | Shape::PreconditionFailed | Shape::Unsatisfiable => {
            true
        }
    }
}

/// A part of a stored body. What isn't held ends the connection, by being missing.
fn portion(object: &Object, part: Range<u64>) -> Content {
    match &object.body {
        Body::Sliced(_) => pieces(object, [Piece::Range(part)].into()),
        body => Content::Bytes(body.find(&part).unwrap_or_default()),
    }
}

/// Pieces of a stored body and texts between them. What isn't held ends the connection, by being
/// missing.
fn pieces(object: &Object, pieces: VecDeque<Piece>) -> Content {
    if let Body::Sliced(sliced) = object.body {
        let etag = object.terms.etag().filter(|etag| etag.is_strong()).cloned();
        return Content::Ordered(Order { sliced, etag, pieces });
    }
    let mut found = pieces.into_iter().map(|piece| match piece {
        Piece::Text(text) => text,
        Piece::Range(range) => object.body.find(&range).unwrap_or_default(),
    });
    match (found.next(), found.len()) {
        (None, _) => Content::Empty,
        (Some(only), 0) => Content::Bytes(only),
        (Some(first), _) => Content::Several(std::iter::once(first).chain(found).collect()),
    }
}

/// An answer on its way in, as `request` asks for it. `own`: this request caused the fetch.
pub(crate) fn arriving(
    request: Request<'_>,
    head: &Head,
    reader: Reader,
    own: bool,
    now: Timestamp,
) -> Response<Content> {
    let terms = head.terms.as_ref().ok();
    let shape = shape(request, head.status, terms, head.length, now);
    let mut headers = if own { head.headers.clone() } else { head.shared.clone() };
    if let Some(terms) = terms {
        headers.insert(AGE, seconds(terms.age(now)));
    }
    let length = head.length.unwrap_or(0);
    match shape {
        // Several parts would have to wait for each other: the whole is a valid answer too
        // (RFC 9110 section 14.2).
        Shape::Whole | Shape::Parts(_) => {
            answer(head.status, headers, Content::Fill { reader, skip: 0, left: head.length })
        }
        Shape::Part(part) => {
            describe_part(&mut headers, &part, length);
            let left = Some(part.end - part.start);
            let content = Content::Fill { reader, skip: part.start, left };
            answer(StatusCode::PARTIAL_CONTENT, headers, content)
        }
        other => without_content(head.status, headers, &other, length),
    }
}

/// A short text of the edge's own.
pub(crate) fn text(status: StatusCode, text: &'static str) -> Response<Content> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(text.len()));
    // Whatever this is about, the next request may fare better.
    headers.insert(http::header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer(status, headers, Content::Bytes(Bytes::from_static(text.as_bytes())))
}

/// Preconditions first, then the range (RFC 9110 section 13.2.2).
fn shape(
    request: Request<'_>,
    status: StatusCode,
    terms: Option<&Terms>,
    length: Option<u64>,
    now: Timestamp,
) -> Shape {
    if status == StatusCode::OK
        && let Some(terms) = terms
    {
        match conditional::evaluate_stored(request, terms, now) {
            Outcome::Proceed => {}
            Outcome::NotModified => return Shape::NotModified,
            Outcome::PreconditionFailed => return Shape::PreconditionFailed,
        }
    }
    if *request.method == Method::HEAD {
        return Shape::HeadOnly;
    }
    match (status, terms, length) {
        (StatusCode::OK, Some(terms), Some(length)) => {
            match range::resolve(request, terms, length) {
                Selection::Whole => Shape::Whole,
                Selection::Part(part) => Shape::Part(part),
                Selection::Parts(parts) => Shape::Parts(parts),
                Selection::Unsatisfiable => Shape::Unsatisfiable,
            }
        }
        _ => Shape::Whole,
    }
}

fn without_content(
    status: StatusCode,
    mut headers: HeaderMap,
    shape: &Shape,
    length: u64,
) -> Response<Content> {
    match shape {
        Shape::NotModified => {
            // What describes the content that isn't sent (RFC 9110 section 15.4.5).
            for name in
                [CONTENT_LENGTH, CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_RANGE]
            {
                headers.remove(name);
            }
            answer(StatusCode::NOT_MODIFIED, headers, Content::Empty)
        }
        Shape::PreconditionFailed => {
            text(StatusCode::PRECONDITION_FAILED, "The precondition is not met.\n")
        }
        Shape::Unsatisfiable => {
            let mut response =
                text(StatusCode::RANGE_NOT_SATISFIABLE, "The range lies outside the content.\n");
            if let Ok(range) = HeaderValue::try_from(format!("bytes */{length}")) {
                response.headers_mut().insert(CONTENT_RANGE, range);
            }
            response
        }
        Shape::Whole | Shape::HeadOnly | Shape::Part(_) | Shape::Parts(_) => {
            answer(status, headers, Content::Empty)
        }
    }
}

fn seconds(age: Duration) -> HeaderValue {
    let text = Decimal::new(age.as_secs());
    HeaderValue::from_str(text.as_str()).unwrap_or_else(|_| HeaderValue::from_static("0"))
}

fn describe_part(headers: &mut HeaderMap, part: &Range<u64>, length: u64) {
    let range = format!("bytes {}-{}/{length}", part.start, part.end - 1);
    if let Ok(range) = HeaderValue::try_from(range) {
        headers.insert(CONTENT_RANGE, range);
    }
    headers.insert(CONTENT_LENGTH, HeaderValue::from(part.end - part.start));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
}

/// multipart/byteranges (RFC 9110 section 14.6).
fn multipart(
    mut headers: HeaderMap,
    object: &Object,
    parts: &[Range<u64>],
    now: Timestamp,
) -> Response<Content> {
    let length = object.body.complete_bytes();
    // Nobody who stored the content could have foreseen this.
    let digest = blake3::hash(format!("{parts:?} {length} {now:?}").as_bytes());
    let boundary = &digest.to_hex()[..32];
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.map(|kind| format!("Content-Type: {kind}\r\n")).unwrap_or_default();
    let mut all = VecDeque::with_capacity(2 * parts.len() + 1);
    for part in parts {
        let (first, last) = (part.start, part.end - 1);
        let text = format!(
            "\r\n--{boundary}\r\n{kind}Content-Range: bytes {first}-{last}/{length}\r\n\r\n"
        );
        all.push_back(Piece::Text(text.into()));
        all.push_back(Piece::Range(part.clone()));
    }
    all.push_back(Piece::Text(format!("\r\n--{boundary}--\r\n").into()));
    let content = pieces(object, all);
    headers.remove(CONTENT_RANGE);
    if let Some(length) = content.size_hint().exact() {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    if let Ok(kind) = HeaderValue::try_from(format!("multipart/byteranges; boundary={boundary}")) {
        headers.insert(CONTENT_TYPE, kind);
    }
    answer(StatusCode::PARTIAL_CONTENT, headers, content)
}

fn answer(status: StatusCode, headers: HeaderMap, content: Content) -> Response<Content> {
    let mut response = Response::new(content);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
