//! What an origin is told: a client's request header section, made ready to go on.
//!
//! Pure. What leaves here is what the client said, less what concerns only its
//! connection to us or could poison the cache, plus who asked and through whom.

use std::net::IpAddr;

use http::header::{
    EXPECT, FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, MAX_FORWARDS, RANGE, VIA,
};

use kingcdn_config::hearsay;

use crate::caching::fields;
use crate::trace::Tracing;

const CDN_LOOP: HeaderName = HeaderName::from_static("cdn-loop");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Who asks, and through whom.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hop<'a> {
    /// The client's address.
    pub(crate) client: IpAddr,
    /// The host that the origin is asked for.
    pub(crate) host: &'a HeaderValue,
    /// This edge's name.
    pub(crate) node: &'a str,
    /// `Via` of this edge, for requests.
    pub(crate) via: &'a HeaderValue,
    /// The request's trace, where requests are traced at all.
    pub(crate) trace: Option<&'a Tracing>,
}

/// The fields of a request that passes through as the client sent it.
pub(crate) fn pass(client: &HeaderMap, hop: Hop<'_>) -> HeaderMap {
    let mut headers = client.clone();
    fields::strip_hop_by_hop(&mut headers);
    // We answer 100 (Continue) ourselves, by reading the body. RFC 9110 section 10.1.1
    headers.remove(EXPECT);
    remove(&mut headers, hearsay::is_spoken_for);
    headers.insert(HOST, hop.host.clone());
    headers.append(VIA, hop.via.clone());
    append(&mut headers, CDN_LOOP, hop.node);
    append(&mut headers, X_FORWARDED_FOR, &hop.client.to_string());
    headers.insert(X_FORWARDED_HOST, hop.host.clone());
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("http"));
    append(&mut headers, FORWARDED, &forwarded(hop));
    if let Some(trace) = hop.trace {
        trace.tell(&mut headers);
    }
    headers
}

/// The fields of a fetch of a whole object: the client's wishes for its own copy or for a part
/// don't go along.
pub(crate) fn fetch(client: &HeaderMap, hop: Hop<'_>) -> HeaderMap {
    let mut headers = pass(client, hop);
    for name in [RANGE, IF_RANGE, IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE] {
        headers.remove(name);
    }
    // Not what the edge says itself.
    remove(&mut headers, |name| hearsay::steers(name) && !hearsay::is_spoken_for(name));
    headers
}

fn remove(headers: &mut HeaderMap, which: impl Fn(&str) -> bool) {
    let names: Vec<HeaderName> =
        headers.keys().filter(|name| which(name.as_str())).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// With nothing held the origin is asked whether the client's own copy is still good, rather than
/// for the whole: the client's validators go along.
pub(crate) fn ask_about_the_clients_copy(fetch: &mut HeaderMap, client: &HeaderMap) {
    for name in [IF_NONE_MATCH, IF_MODIFIED_SINCE] {
        for value in client.get_all(&name) {
            fetch.append(&name, value.clone());
        }
    }
}

/// What is left of `Max-Forwards` (RFC 9110 section 7.6.2): nothing where the request may go on as
/// it is, else one less than it said.
pub(crate) fn forwards_left(client: &HeaderMap) -> Option<Result<u64, LastHop>> {
    let said = client.get(MAX_FORWARDS)?.to_str().ok()?.trim().parse::<u64>().ok()?;
    Some(said.checked_sub(1).ok_or(LastHop))
}

/// The request may go no further: who has it answers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LastHop;

/// Whether this request has been here before (RFC 8586 section 2).
pub(crate) fn is_loop(client: &HeaderMap, node: &str) -> bool {
    client
        .get_all(CDN_LOOP)
        .iter()
        .flat_map(|line| fields::members(line.as_bytes()))
        .filter_map(|cdn| cdn.split(|&byte| byte == b';').next())
        .any(|id| id.trim_ascii().eq_ignore_ascii_case(node.as_bytes()))
}

/// RFC 7239 section 4.
fn forwarded(hop: Hop<'_>) -> String {
    let client = match hop.client {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("\"[{address}]\""),
    };
    let host = hop.host.to_str().unwrap_or_default();
    format!("for={client};host=\"{host}\";proto=http")
}

fn append(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.append(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |&(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        let mut map = HeaderMap::new();
        for (name, value) in lines.iter().map(pair) {
            map.append(name, value);
        }
        map
    }

    fn lines(map: &HeaderMap, name: &str) -> Vec<String> {
        map.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
    }

    fn with_hop<T>(client: &str, act: impl FnOnce(Hop<'_>) -> T) -> T {
        let host = HeaderValue::from_static("video.netcinema.test:8080");
        let via = HeaderValue::from_static("1.1 seoul");
        let client = client.parse().unwrap();
        act(Hop { client, host: &host, node: "seoul", via: &via, trace: None })
    }

    #[test]
    fn the_origin_learns_who_asked_and_through_whom() {
        let client = headers(&[("accept", "*/*"), ("via", "1.0 proxy"), ("cdn-loop", "other")]);
        let sent = with_hop("2001:db8::1", |hop| pass(&client, hop));
        for (name, expected) in [
            ("accept", vec!["*/*"]),
            ("host", vec!["video.netcinema.test:8080"]),
            ("via", vec!["1.0 proxy", "1.1 seoul"]),
            ("cdn-loop", vec!["other", "seoul"]),
            ("x-forwarded-for", vec!["2001:db8::1"]),
            ("x-forwarded-host", vec!["video.netcinema.test:8080"]),
            ("x-forwarded-proto", vec!["http"]),
            (
                "forwarded",
                vec![r#"for="[2001:db8::1]";host="video.netcinema.test:8080";proto=http"#],
            ),
        ] {
            assert_eq!(lines(&sent, name), expected, "{name}");
        }
    }

    #[test]
    fn nothing_that_is_not_in_the_key_steers_the_origin() {
        for name in
            ["forwarded", "x-real-ip", "x_forwarded_host", "x-original-url", "x-http-method"]
        {
            let client = headers(&[(name, "evil.example")]);
            let sent = with_hop("192.0.2.1", |hop| fetch(&client, hop));
            let through = sent.iter().any(|(_, value)| value == "evil.example");
            assert!(!through, "{name} went through");
        }
    }

    #[test]
    fn a_fetch_asks_for_the_whole_object_unconditionally() {
        let client = headers(&[
            ("range", "bytes=0-1"),
            ("if-range", "\"a\""),
            ("if-none-match", "\"a\""),
            ("if-match", "\"a\""),
            ("if-modified-since", "Sat, 21 Nov 2026 00:00:00 GMT"),
            ("if-unmodified-since", "Sat, 21 Nov 2026 00:00:00 GMT"),
            ("connection", "x-private"),
            ("x-private", "1"),
            ("expect", "100-continue"),
        ]);
        let fetched = with_hop("192.0.2.1", |hop| fetch(&client, hop));
        for (name, _) in &client {
            assert!(!fetched.contains_key(name), "{name} went through");
        }
        let passed = with_hop("192.0.2.1", |hop| pass(&client, hop));
        assert!(passed.contains_key("range") && passed.contains_key("if-none-match"));
        assert!(!passed.contains_key("x-private"));
    }

    #[test]
    fn a_request_goes_no_further_than_it_may() {
        for (said, expected) in [
            ("0", Some(Err(LastHop))),
            ("1", Some(Ok(0))),
            ("10", Some(Ok(9))),
            ("-1", None),
            ("many", None),
        ] {
            assert_eq!(forwards_left(&headers(&[("max-forwards", said)])), expected, "{said}");
        }
    }

    #[test]
    fn an_origin_that_leads_back_here_is_noticed() {
        for (line, expected) in [
            ("seoul", true),
            ("other, SEOUL;v=1", true),
            ("other, seoul2", false),
            ("not-seoul", false),
            (r#"other;by="a, seoul, b", third"#, false),
            (r#"other;by="a, b", seoul"#, true),
            ("", false),
        ] {
            assert_eq!(is_loop(&headers(&[("cdn-loop", line)]), "seoul"), expected, "{line}");
        }
    }
}
