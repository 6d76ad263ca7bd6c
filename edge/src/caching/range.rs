//! Ranges (RFC 9110 section 14).

use std::ops::Range;

use http::HeaderMap;

use super::{Request, Terms};

/// What of an answer of known length is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// All of it: 200.
    Whole,
    /// One part: 206.
    Part(Range<u64>),
    /// Several parts, not overlapping: 206 as multipart/byteranges.
    Parts(Vec<Range<u64>>),
    /// None of the ranges lies within the answer, or too many were asked for: 416.
    Unsatisfiable,
}

/// The ranges that a request asks for, before any length is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec;

/// Which bytes of a stored answer of `length` bytes `request` gets. Evaluates If-Range.
pub fn resolve(request: Request<'_>, terms: &Terms, length: u64) -> Selection {
    let _ = (request, terms, length);
    Selection::Whole
}

/// The ranges that these fields ask for; `None` where there is no usable Range.
pub fn requested(headers: &HeaderMap) -> Option<Spec> {
    let _ = headers;
    None
}
