//! Fields that are never stored or forwarded, and the syntax that list-based fields share.

use http::header::{
    AGE, CONNECTION, CONTENT_LENGTH, DATE, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION,
    SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use kingcdn_config::clock::Timestamp;

use super::control::Qualified;
use super::{Cookies, Policy, Response, date, targeted};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const PROXY_AUTHENTICATION_INFO: HeaderName = HeaderName::from_static("proxy-authentication-info");

/// Removes the fields that are for one connection only: those that Connection names, and those
/// that always are (RFC 9110 section 7.6.1).
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    for name in nominated(headers) {
        headers.remove(name);
    }
    for name in [CONNECTION, PROXY_CONNECTION, KEEP_ALIVE, TE, TRANSFER_ENCODING, UPGRADE] {
        headers.remove(name);
    }
}

/// Removes from a request what Connection names, so that nothing is decided by a field that the
/// origin isn't told: else a client could have what answers the request without it kept for those
/// who send it. What routes and frames the message is read first.
pub fn strip_nominated(headers: &mut HeaderMap) {
    for name in nominated(headers) {
        if ![HOST, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE, CONNECTION].contains(&name) {
            headers.remove(name);
        }
    }
}

/// The fields that Connection names. Most often it says only whether the connection stays open.
fn nominated(headers: &HeaderMap) -> Vec<HeaderName> {
    let options = [&b"keep-alive"[..], b"close"];
    let lines = headers.get_all(CONNECTION).iter();
    lines
        .flat_map(|line| members(line.as_bytes()))
        .filter(|member| !options.iter().any(|option| option.eq_ignore_ascii_case(member)))
        .filter_map(|name| HeaderName::from_bytes(name).ok())
        .collect()
}

/// A copy of an answer's fields without those that may not be stored (RFC 9111 section 3.1).
///
/// Without Age too, which is counted anew for each answer from the cache. The values are copied
/// out of the buffer that they arrived in, so that a few bytes don't keep all of it.
pub fn storable(response: Response<'_>, policy: &Policy) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(response.headers.keys_len());
    for (name, value) in response.headers {
        headers.append(name, detached(value));
    }
    strip_unstorable(&mut headers, policy);
    headers
}

/// Removes what may not be stored from an answer's fields.
pub(super) fn strip_unstorable(headers: &mut HeaderMap, policy: &Policy) {
    // Read first: Connection may name Cache-Control.
    let control = targeted::control(headers, policy);
    strip_hop_by_hop(headers);
    // RFC 9111 section 3.1: what a proxy said about itself is for that proxy's client.
    // Trailers aren't stored, so none are announced.
    for name in [AGE, PROXY_AUTHENTICATE, PROXY_AUTHENTICATION_INFO, PROXY_AUTHORIZATION, TRAILER] {
        headers.remove(name);
    }
    if policy.cookies != Cookies::Store {
        headers.remove(SET_COOKIE);
    }
    // RFC 9111 sections 5.2.2.7 and 5.2.2.4: fields for one user, and fields that would have to be
    // validated before each use.
    for qualified in [control.private, control.no_cache] {
        if let Qualified::Fields(names) = qualified {
            for name in names {
                headers.remove(name);
            }
        }
    }
}

/// Gives an answer without a valid Date the moment in which it was received (RFC 9110 section
/// 6.6.1).
pub fn complete_date(headers: &mut HeaderMap, received: Timestamp) {
    if date::of(headers, &DATE, received).is_none() {
        headers.insert(DATE, date::format(received));
    }
}

/// The same value in memory of its own.
pub(super) fn detached(value: &HeaderValue) -> HeaderValue {
    let mut copy = HeaderValue::from_bytes(value.as_bytes()).unwrap_or_else(|_| value.clone());
    copy.set_sensitive(value.is_sensitive());
    copy
}

/// The members of a list-based field's line that aren't empty, without the white space around
/// them (RFC 9110 section 5.6.1.2). Commas in quoted strings don't count.
pub(crate) fn members(line: &[u8]) -> Members<'_> {
    Members { rest: line, quotes: true }
}

/// See [`members`].
#[derive(Debug, Clone)]
pub(crate) struct Members<'a> {
    rest: &'a [u8],
    /// Off after a quote that is never closed: it can't hide the members after it.
    quotes: bool,
}

impl<'a> Iterator for Members<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while !self.rest.is_empty() {
            let end = self.end_of_member();
            let (member, rest) = self.rest.split_at(end);
            self.rest = rest.get(1..).unwrap_or_default();
            let member = trim(member);
            if !member.is_empty() {
                return Some(member);
            }
        }
        None
    }
}

impl Members<'_> {
    fn end_of_member(&mut self) -> usize {
        let mut at = 0;
        while let Some(byte) = self.rest.get(at) {
            match byte {
                b',' => return at,
                b'"' if self.quotes => match closing_quote(self.rest, at) {
                    Some(closing) => at = closing + 1,
                    None => self.quotes = false,
                },
                _ => at += 1,
            }
        }
        at
    }
}

/// Where the quoted string that opens at `open` closes.
fn closing_quote(text: &[u8], open: usize) -> Option<usize> {
    let mut at = open + 1;
    loop {
        match text.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// What a quoted string says (RFC 9110 section 5.6.4); `None` if it isn't just one.
pub(super) fn unquote(inner: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return None,
            b'\\' => text.push(*bytes.next()?),
            _ => text.push(*byte),
        }
    }
    Some(text)
}

/// Without the white space around it (OWS of RFC 9110 section 5.6.3).
pub(crate) fn trim(text: &[u8]) -> &[u8] {
    let mut text = text;
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

#[cfg(test)]
mod tests;
