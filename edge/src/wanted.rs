//! How much of an object is fetched for a request.

use http::Method;
use http::header::{HeaderValue, IF_RANGE, RANGE};

use crate::arrivals::AHEAD_SLICES;
use crate::caching::Request;
use crate::caching::range::{self, Asked};
use crate::collapse::Place;
use crate::store::SLICE_BYTES;

/// A range that begins this far into an object not held is fetched and kept as a part of it; one
/// that begins before waits for the whole to arrive.
const RANGE_REACH_BYTES: u64 = 4 << 20;

/// What is fetched for a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The whole object.
    Whole,
    /// One range of it, as the client asks for it.
    Part(HeaderValue),
    /// A range that others may want, too: the slices in which the client's begins, or an end.
    Shared(HeaderValue, Place),
    /// So little that nothing is stored: the request passes.
    Little,
}

/// What is fetched for a request whose answer isn't held, or of which `lacking` says that just
/// the right part isn't. Slices only of what may be `sliceable`.
pub(crate) fn wanted(request: Request<'_>, lacking: bool, sliceable: bool) -> Wanted {
    if *request.method == Method::HEAD {
        return Wanted::Little;
    }
    let Some(spec) = range::requested(request.headers) else { return Wanted::Whole };
    let range = request.headers.get(RANGE);
    match (spec.asked(), range) {
        (&[Asked::Between(first, last)], _) if sliceable && first >= RANGE_REACH_BYTES => {
            slices(first, last)
        }
        (&[Asked::From(first)], _) if sliceable && first >= RANGE_REACH_BYTES => {
            slices(first, u64::MAX)
        }
        // Nobody here can tell which version the client has parts of: the origin can.
        (&[asked], _) if begins_far_in(asked) && request.headers.contains_key(IF_RANGE) => {
            Wanted::Little
        }
        (&[Asked::Last(length)], Some(range)) if sliceable && !lacking => {
            Wanted::Shared(range.clone(), Place::Last(length))
        }
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

/// The slices that hold these bytes, or the first few of them: the rest follows when its time
/// comes.
fn slices(first: u64, last: u64) -> Wanted {
    let number = first / SLICE_BYTES;
    let count = (last / SLICE_BYTES - number).saturating_add(1).min(AHEAD_SLICES);
    let start = number * SLICE_BYTES;
    let end = start.saturating_add(count * SLICE_BYTES - 1);
    match HeaderValue::try_from(format!("bytes={start}-{end}")) {
        Ok(range) => Wanted::Shared(range, Place::Slice(number)),
        Err(_) => Wanted::Whole,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    #[test]
    fn what_begins_far_in_is_fetched_in_slices_and_nothing_else_is() {
        const MIB: u64 = 1 << 20;
        let slices = |first: u64, end: u64| {
            let range = format!("bytes={}-{}", first * SLICE_BYTES, end * SLICE_BYTES - 1);
            Wanted::Shared(HeaderValue::try_from(range).unwrap(), Place::Slice(first))
        };
        let last = |range: &'static str, length| {
            Wanted::Shared(HeaderValue::from_static(range), Place::Last(length))
        };
        let far = 5 * MIB / SLICE_BYTES;
        for (range, expected) in [
            (format!("bytes={}-{}", 5 * MIB, 5 * MIB + 9), slices(far, far + 1)),
            (format!("bytes={}-{}", 5 * MIB + 9, 5 * MIB + 9), slices(far, far + 1)),
            (format!("bytes={}-{}", 5 * MIB - 1, 5 * MIB + SLICE_BYTES), slices(far - 1, far + 2)),
            (format!("bytes={}-", 5 * MIB), slices(far, far + AHEAD_SLICES)),
            (format!("bytes={}-{}", 5 * MIB, u64::MAX), slices(far, far + AHEAD_SLICES)),
            ("bytes=0-9".to_owned(), Wanted::Whole),
            ("bytes=-9".to_owned(), last("bytes=-9", 9)),
            ("bytes=5000000-5000001,6000000-6000001".to_owned(), Wanted::Little),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RANGE, HeaderValue::try_from(&range).unwrap());
            let request = Request { method: &Method::GET, headers: &headers };
            assert_eq!(wanted(request, false, true), expected, "{range}");
            let apart = wanted(request, false, false);
            assert!(!matches!(apart, Wanted::Shared(..)), "{range}");
        }
    }
}
