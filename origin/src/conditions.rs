//! Conditional requests: RFC 9110 section 13.

use std::time::UNIX_EPOCH;

use http::header::{
    HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE,
};
use kingcdn_config::clock::Timestamp;

use crate::tag::{Candidate, EntityTag, candidates};

/// What the representation is compared by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Validators<'a> {
    pub(crate) tag: &'a EntityTag,
    /// `Last-Modified`, in seconds since the epoch.
    pub(crate) modified_secs: i64,
}

/// What the conditions of a GET or HEAD leave to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Perform the method.
    Perform,
    /// The client holds the same representation: 304.
    NotModified,
    /// What the client requires isn't so: 412.
    Failed,
}

/// Judges the conditions of a GET or HEAD in the order of RFC 9110 section 13.2.2, steps 1 to 4.
pub(crate) fn judge(headers: &HeaderMap, validators: Validators<'_>) -> Verdict {
    let Validators { tag, modified_secs } = validators;
    if headers.contains_key(IF_MATCH) {
        if !any_tag(headers, &IF_MATCH, |candidate| tag.strong_eq(candidate)) {
            return Verdict::Failed;
        }
    } else if date(headers, &IF_UNMODIFIED_SINCE).is_some_and(|date| modified_secs > date) {
        return Verdict::Failed;
    }
    if headers.contains_key(IF_NONE_MATCH) {
        if any_tag(headers, &IF_NONE_MATCH, |candidate| tag.weak_eq(candidate)) {
            return Verdict::NotModified;
        }
    } else if date(headers, &IF_MODIFIED_SINCE).is_some_and(|date| modified_secs <= date) {
        return Verdict::NotModified;
    }
    Verdict::Perform
}

/// Whether a `Range` may be honoured: there is no `If-Range`, or it holds (RFC 9110 section
/// 13.2.2, step 5).
pub(crate) fn range_applies(
    headers: &HeaderMap,
    validators: Validators<'_>,
    now: Timestamp,
) -> bool {
    if !headers.contains_key(IF_RANGE) {
        return true;
    }
    let Some(value) = single(headers, &IF_RANGE) else {
        return false;
    };
    if let Some(candidate) = candidates(value).next() {
        return validators.tag.strong_eq(&candidate);
    }
    // A date must match exactly, and be strong: a file that was written within the last second
    // may be written again within the same (RFC 9110 sections 13.1.5 and 8.8.2.2).
    let modified_secs = validators.modified_secs;
    date(headers, &IF_RANGE) == Some(modified_secs) && modified_secs < now.as_secs()
}

/// `*`, or a list with a tag that satisfies `matches`. `*` is true of anything that exists, and
/// without a representation nobody asks.
fn any_tag(
    headers: &HeaderMap,
    field: &HeaderName,
    matches: impl Fn(&Candidate<'_>) -> bool,
) -> bool {
    if single(headers, field).is_some_and(|value| value.as_bytes().trim_ascii() == b"*") {
        return true;
    }
    headers.get_all(field).iter().flat_map(candidates).any(|candidate| matches(&candidate))
}

/// A field's date in seconds since the epoch. None where it is absent, no date, or there are
/// several: such a condition is ignored (RFC 9110 sections 13.1.3 and 13.1.4).
fn date(headers: &HeaderMap, field: &HeaderName) -> Option<i64> {
    let text = single(headers, field)?.to_str().ok()?;
    let date = httpdate::parse_http_date(text).ok()?;
    let since_epoch = date.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since_epoch.as_secs()).ok()
}

/// The value of a field that may stand once only.
pub(crate) fn single<'a>(headers: &'a HeaderMap, field: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(field).iter();
    values.next().filter(|_| values.next().is_none())
}
