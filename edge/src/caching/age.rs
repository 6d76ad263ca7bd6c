//! How old an answer is (RFC 9111 section 4.2.3).

use std::time::Duration;

use http::HeaderMap;
use http::header::{AGE, DATE};
use kingcdn_config::clock::Timestamp;

use super::{Times, control, date, fields};

/// The value of Age (RFC 9111 section 5.1): the first member counts; if it isn't a number of
/// seconds, there is none.
pub(super) fn value(headers: &HeaderMap) -> Option<Duration> {
    headers
        .get_all(AGE)
        .iter()
        .flat_map(|line| fields::members(line.as_bytes()))
        .next()
        .and_then(control::delta_seconds)
}

/// When the answer's age was zero: `corrected_initial_age` before it arrived.
pub(super) fn born(headers: &HeaderMap, times: Times) -> Timestamp {
    let date = date::of(headers, &DATE, times.response).unwrap_or(times.response);
    // Date has whole seconds, so the difference is one of whole seconds too: an answer that was
    // sent in this second isn't up to 999 ms old because of it.
    let apparent_secs = times.response.as_secs().saturating_sub(date.as_secs());
    let apparent = Duration::from_secs(u64::try_from(apparent_secs).unwrap_or(0));
    let delay = times.response.since(times.request);
    let corrected = value(headers).unwrap_or_default() + delay;
    let initial = apparent.max(corrected).as_millis();
    let initial = i64::try_from(initial).unwrap_or(i64::MAX);
    Timestamp::from_millis(times.response.as_millis().saturating_sub(initial))
}
