//! How much of an object is fetched for a request.

use http::Method;
use http::header::{HeaderValue, RANGE};

use crate::caching::Request;
use crate::caching::range::{self, Asked};

/// A range that begins this far into an object not held is fetched and kept as a part of it; one
/// that begins before waits for the whole to arrive.
const RANGE_REACH_BYTES: u64 = 4 << 20;

/// What is fetched for a request.
pub(crate) enum Wanted {
    /// The whole object.
    Whole,
    /// One range of it.
    Part(HeaderValue),
    /// So little that nothing is stored: the request passes.
    Little,
}

/// What is fetched for a request whose answer isn't held, or of which `lacking` says that just
/// the right part isn't.
pub(crate) fn wanted(request: Request<'_>, lacking: bool) -> Wanted {
    if *request.method == Method::HEAD {
        return Wanted::Little;
    }
    let Some(spec) = range::requested(request.headers) else { return Wanted::Whole };
    let range = request.headers.get(RANGE);
    match (spec.asked(), range) {
        (&[asked], Some(range)) if lacking || begins_far_in(asked) => Wanted::Part(range.clone()),
        (several, _) if several.iter().all(|&asked| begins_far_in(asked)) => Wanted::Little,
        _ => Wanted::Whole,
    }
}

/// Whether a range begins so far into the object that its client would wait for long.
fn begins_far_in(asked: Asked) -> bool {
    match asked {
        Asked::Between(first, _) | Asked::From(first) => first >= RANGE_REACH_BYTES,
        // How far that is, only the origin knows.
        Asked::Last(_) => true,
    }
}
