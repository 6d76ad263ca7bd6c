//! Preconditions (RFC 9110 section 13): the client's, and ours towards the origin.

use http::header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE};
use http::{HeaderMap, HeaderName, HeaderValue};
use kingcdn_config::clock::Timestamp;

use super::validator::{Tag, tags};
use super::{ETag, Request, Terms, date, fields};

/// What a request's preconditions make of a stored answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The answer is sent.
    Proceed,
    /// The client's copy is still good: 304.
    NotModified,
    /// 412.
    PreconditionFailed,
}

/// Evaluates the preconditions of a GET or HEAD against a 200 with these validators, in the
/// order of RFC 9110 section 13.2.2. `now` gives two-digit years their century.
///
/// If-Match and If-Unmodified-Since may be ignored by a cache (RFC 9111 section 4.3.2). They are
/// evaluated here, because the edge stands in for the origin.
pub fn evaluate(
    request: Request<'_>,
    etag: Option<&ETag>,
    last_modified: Option<Timestamp>,
    now: Timestamp,
) -> Outcome {
    evaluate_with(request, etag, last_modified, last_modified, now)
}

/// [`evaluate`] for a stored answer: If-Modified-Since is compared with its Date where it has no
/// Last-Modified (RFC 9111 section 4.3.2).
pub fn evaluate_stored(request: Request<'_>, terms: &Terms, now: Timestamp) -> Outcome {
    let last_modified = terms.last_modified();
    let modified = last_modified.unwrap_or_else(|| terms.date());
    evaluate_with(request, terms.etag(), last_modified, Some(modified), now)
}

/// `modified` is what If-Modified-Since is compared with.
fn evaluate_with(
    request: Request<'_>,
    etag: Option<&ETag>,
    last_modified: Option<Timestamp>,
    modified: Option<Timestamp>,
    now: Timestamp,
) -> Outcome {
    let headers = request.headers;
    let tag = etag.map(ETag::tag);
    // RFC 9110 section 13.2.2, steps 1 and 2.
    if headers.contains_key(IF_MATCH) {
        if !matches(headers, &IF_MATCH, |asked| tag.is_some_and(|held| held.strong_eq(asked))) {
            return Outcome::PreconditionFailed;
        }
    } else if let Some(since) = date::of(headers, &IF_UNMODIFIED_SINCE, now)
        && last_modified.is_some_and(|modified| modified > since)
    {
        return Outcome::PreconditionFailed;
    }
    // Steps 3 and 4: with If-None-Match, If-Modified-Since isn't looked at.
    if headers.contains_key(IF_NONE_MATCH) {
        if matches(headers, &IF_NONE_MATCH, |asked| tag.is_some_and(|held| held.weak_eq(asked))) {
            return Outcome::NotModified;
        }
    } else if let Some(since) = date::of(headers, &IF_MODIFIED_SINCE, now)
        && modified.is_some_and(|modified| modified <= since)
    {
        return Outcome::NotModified;
    }
    Outcome::Proceed
}

/// Whether a list of tags holds one that `is_held`, or is `*`: something is held.
fn matches(headers: &HeaderMap, name: &HeaderName, is_held: impl Fn(Tag<'_>) -> bool) -> bool {
    headers
        .get_all(name)
        .iter()
        .any(|line| fields::trim(line.as_bytes()) == b"*" || tags(line.as_bytes()).any(&is_held))
}

/// The fields of a conditional request to the origin for a held answer: If-None-Match,
/// If-Modified-Since (RFC 9111 section 4.3.1).
pub fn validation_fields(terms: &Terms) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    let none_match = terms.etag().map(|etag| (IF_NONE_MATCH, etag.as_header_value().clone()));
    // RFC 9110 section 13.1.3: the very text that the origin sent, for origins that compare text.
    let modified_since = terms.last_modified_text().map(|text| (IF_MODIFIED_SINCE, text.clone()));
    none_match.into_iter().chain(modified_since)
}

/// The If-None-Match that asks the origin whether any of `variants` answers a request that none
/// of them matches (RFC 9111 section 4.3.1); `None` where none has an entity tag.
pub fn validation_of_variants<'t>(
    variants: impl Iterator<Item = &'t Terms>,
) -> Option<HeaderValue> {
    let mut list: Vec<&[u8]> = Vec::new();
    for etag in variants.filter_map(Terms::etag) {
        let text = etag.as_header_value().as_bytes();
        if !list.contains(&text) {
            list.push(text);
        }
    }
    if list.is_empty() {
        return None;
    }
    HeaderValue::from_bytes(&list.join(&b", "[..])).ok()
}

#[cfg(test)]
mod tests;
