//! How long an answer stays fresh (RFC 9111 section 4.2).

use std::time::Duration;

use http::header::{DATE, EXPIRES, LAST_MODIFIED, PRAGMA};
use http::{HeaderMap, StatusCode};
use kingcdn_config::clock::Timestamp;

use super::control::ResponseControl;
use super::{Policy, date, fields};

/// What an answer says about its freshness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Explicit {
    /// It is fresh until it is this old.
    Lifetime(Duration),
    /// Nothing.
    Silent,
}

/// RFC 9111 section 4.2.1, for a shared cache. `expires` is false where a targeted field decides,
/// which replaces Expires too (RFC 9213 section 2.2).
pub(super) fn explicit(
    control: &ResponseControl,
    headers: &HeaderMap,
    expires: bool,
    received: Timestamp,
) -> Explicit {
    let lifetime = match (control.s_maxage, control.max_age) {
        (Some(lifetime), _) | (None, Some(lifetime)) => Some(lifetime),
        (None, None) if expires => from_expires(headers, received),
        (None, None) => None,
    };
    lifetime.map_or(Explicit::Silent, Explicit::Lifetime)
}

/// Expires − Date. Of several the shortest; an invalid one, like `0`, is in the past (RFC 9111
/// section 5.3).
fn from_expires(headers: &HeaderMap, received: Timestamp) -> Option<Duration> {
    // RFC 9110 section 6.6.1: without Date, the moment of arrival.
    let date = date::of(headers, &DATE, received)
        .unwrap_or_else(|| Timestamp::from_secs(received.as_secs()));
    headers
        .get_all(EXPIRES)
        .iter()
        .map(|line| date::parse(fields::trim(line.as_bytes()), received))
        .map(|expires| expires.map_or(Duration::ZERO, |expires| expires.since(date)))
        .min()
}

/// Freshness that the site gives to an error that is silent about it. It is the site's word alone,
/// and holds for statuses, too, that RFC 9111 section 3 wouldn't store without one.
pub(super) fn negative(
    status: StatusCode,
    headers: &HeaderMap,
    policy: &Policy,
) -> Option<Duration> {
    policy.negative(status).filter(|_| !unwanted(headers))
}

/// Freshness for an answer that is silent about it: guessed, or as the site says.
pub(super) fn implicit(
    status: StatusCode,
    control: &ResponseControl,
    headers: &HeaderMap,
    received: Timestamp,
    policy: &Policy,
) -> Duration {
    if unwanted(headers) {
        return Duration::ZERO;
    }
    if policy.heuristic
        && (heuristically_cacheable(status) || control.public)
        && let Some(guess) = heuristic(headers, received)
    {
        return guess.min(policy.heuristic_max);
    }
    if has_default_ttl(status) { policy.default_ttl } else { Duration::ZERO }
}

/// Pragma has no meaning in answers (RFC 9111 section 5.4), but who sends `no-cache` there wouldn't
/// want freshness to be made up.
fn unwanted(headers: &HeaderMap) -> bool {
    headers
        .get_all(PRAGMA)
        .iter()
        .flat_map(|line| fields::members(line.as_bytes()))
        .any(|member| member.eq_ignore_ascii_case(b"no-cache"))
}

/// RFC 9111 section 4.2.2: a tenth of the time for which it hadn't changed when it was sent.
fn heuristic(headers: &HeaderMap, received: Timestamp) -> Option<Duration> {
    let last_modified = date::of(headers, &LAST_MODIFIED, received)?;
    let date = date::of(headers, &DATE, received).unwrap_or(received);
    Some(date.since(last_modified) / 10)
}

/// Whether an answer with this status may be stored without saying anything about freshness (RFC
/// 9110 section 15.1).
pub(super) fn heuristically_cacheable(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 206 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

/// Whether a site's `default_ttl` concerns an answer with this status.
///
/// Of the heuristically cacheable ones these are the answers that a site means when it says how
/// long its content lasts. Errors aren't among them: a page that was missing for a moment would
/// stay missing. Nor is 204: it spares the origin no content, and is how beacons are answered,
/// each of which the origin wants to see.
fn has_default_ttl(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 300 | 301 | 308)
}

#[cfg(test)]
mod tests;
