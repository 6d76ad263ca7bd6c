//! What a newer answer changes in a stored one (RFC 9111 sections 3.2 and 4.3.4).

use http::HeaderMap;
use http::header::{AGE, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, LAST_MODIFIED};

use super::{ETag, Policy, Request, Response, Terms, Times, Unstorable, date, fields};

/// A stored answer after the origin confirmed it.
#[derive(Debug)]
pub struct Refreshed {
    /// Its fields.
    pub headers: HeaderMap,
    /// On what terms it may stay stored; it may be sent in answer to this request either way.
    pub terms: Result<Terms, Unstorable>,
}

/// Which of the `variants`, whose validators were sent, a 304 with the fields `newer` confirms
/// (RFC 9111 section 4.3.4); none where the 304 is about something else, so that the request must
/// be sent again without validators.
pub fn confirmed(variants: &[&Terms], newer: &HeaderMap, times: Times) -> Vec<usize> {
    let etag = ETag::of(newer);
    let modified = date::of(newer, &LAST_MODIFIED, times.response);
    let indices = |matches: &dyn Fn(&Terms) -> bool| -> Vec<usize> {
        (0..variants.len())
            .filter(|index| variants.get(*index).is_some_and(|terms| matches(terms)))
            .collect()
    };
    match (etag, modified) {
        (Some(tag), _) if tag.is_strong() => {
            indices(&|terms| terms.etag().is_some_and(|held| held.strong_eq(&tag)))
        }
        (Some(tag), _) => most_recent(
            variants,
            indices(&|terms| terms.etag().is_some_and(|held| held.weak_eq(&tag))),
        ),
        (None, Some(modified)) => {
            most_recent(variants, indices(&|terms| terms.last_modified() == Some(modified)))
        }
        // An origin that doesn't say what it confirms can only mean the one that it was asked
        // about.
        (None, None) if variants.len() == 1 => vec![0],
        (None, None) => Vec::new(),
    }
}

fn most_recent(variants: &[&Terms], matching: Vec<usize>) -> Vec<usize> {
    matching
        .into_iter()
        .max_by_key(|index| variants.get(*index).map(|terms| terms.date()))
        .into_iter()
        .collect()
}

/// `stored` as a 304 to `request` with the fields `newer` leaves it: its age begins anew.
pub fn refresh(
    request: Request<'_>,
    stored: Response<'_>,
    newer: &HeaderMap,
    times: Times,
    policy: &Policy,
) -> Refreshed {
    let mut newer = newer.clone();
    // The stored Date says nothing about when this answer was sent.
    fields::complete_date(&mut newer, times.response);
    let mut headers = freshen(stored.headers, &newer, policy);
    for age in newer.get_all(AGE) {
        headers.append(AGE, age.clone());
    }
    let response = Response { status: stored.status, headers: &headers };
    let terms = super::judge(request, response, times, policy);
    headers.remove(AGE);
    Refreshed { headers, terms }
}

/// The stored fields after a 304 with the fields `newer`: those that RFC 9111 section 3.2
/// excludes stay.
///
/// They are the fields that aren't stored at all, Content-Length, and what tells how the stored
/// bytes came about: Content-Encoding and Content-Range.
pub fn freshen(stored: &HeaderMap, newer: &HeaderMap, policy: &Policy) -> HeaderMap {
    let answer = Response { status: http::StatusCode::NOT_MODIFIED, headers: newer };
    let mut newer = fields::storable(answer, policy);
    for name in [CONTENT_LENGTH, CONTENT_ENCODING, CONTENT_RANGE] {
        newer.remove(name);
    }
    let mut headers = stored.clone();
    for name in newer.keys() {
        headers.remove(name);
    }
    for (name, value) in &newer {
        headers.append(name, value.clone());
    }
    // Old directives may concern new fields, and the other way round.
    fields::strip_unstorable(&mut headers, policy);
    headers
}

#[cfg(test)]
mod tests;
