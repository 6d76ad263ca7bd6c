//! What the tables and properties of all rules share.

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use kingcdn_config::clock::Timestamp;
use proptest::prelude::*;

use super::{Policy, Request, Response, Terms, Times, Unstorable, judge};

/// When every exchange in these tests happens: [`NOW_TEXT`].
pub(super) const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
pub(super) const NOW_TEXT: &str = "Tue, 14 Nov 2023 22:13:20 GMT";
/// An hour before [`NOW`].
pub(super) const HOUR_AGO: &str = "Tue, 14 Nov 2023 21:13:20 GMT";
/// An hour after [`NOW`].
pub(super) const IN_AN_HOUR: &str = "Tue, 14 Nov 2023 23:13:20 GMT";

/// An exchange that took no time.
pub(super) const TIMES: Times = Times { request: NOW, response: NOW };

pub(super) fn after(secs: i64) -> Timestamp {
    Timestamp::from_millis(NOW.as_millis() + secs * 1000)
}

/// Fields from lines like `Name: value`.
pub(super) fn headers(lines: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(':').expect("a line has a colon");
        headers.append(
            HeaderName::from_bytes(name.as_bytes()).expect("a name"),
            HeaderValue::from_str(value.trim_matches(' ')).expect("a value"),
        );
    }
    headers
}

/// What `judge` says about a 200 with these lines to a plain GET.
pub(super) fn judged(answer: &[&str], policy: &Policy) -> Result<Terms, Unstorable> {
    exchange(&[], 200, answer, policy)
}

/// What `judge` says about an answer with these lines to a GET with those.
pub(super) fn exchange(
    asked: &[&str],
    status: u16,
    answer: &[&str],
    policy: &Policy,
) -> Result<Terms, Unstorable> {
    let (asked, answer) = (headers(asked), headers(answer));
    let status = StatusCode::from_u16(status).expect("a status");
    judge(get(&asked), Response { status, headers: &answer }, TIMES, policy)
}

pub(super) fn stored(answer: &[&str]) -> Terms {
    judged(answer, &Policy::default()).expect("storable")
}

pub(super) fn get(headers: &HeaderMap) -> Request<'_> {
    Request { method: &Method::GET, headers }
}

/// Any bytes that a field's value can have.
pub(super) fn any_value() -> impl Strategy<Value = HeaderValue> {
    let byte = prop_oneof![
        8 => prop::sample::select(b" \t,;=\"\\-/*:0123456789abcqGMTW".to_vec()),
        1 => prop_oneof![Just(b'\t'), 0x20..=0x7e_u8, 0x80..=0xff_u8],
    ];
    prop::collection::vec(byte, 0..60)
        .prop_filter_map("valid bytes", |bytes| HeaderValue::from_bytes(&bytes).ok())
}

/// Directives and dates, often meaningful ones.
pub(super) fn likely_value() -> impl Strategy<Value = HeaderValue> {
    let words = prop::sample::select(vec![
        "no-store",
        "no-cache",
        "private",
        "public",
        "max-age=60",
        "max-age=0",
        "s-maxage=9",
        "max-age=\"7\"",
        "max-age=x",
        "must-revalidate",
        "proxy-revalidate",
        "must-understand",
        "immutable",
        "stale-while-revalidate=5",
        "stale-if-error=5",
        "private=\"set-cookie\"",
        "no-cache=\"etag\"",
        "*",
        "accept",
        "gzip;q=0.5",
        "\"a\"",
        "W/\"b\"",
        NOW_TEXT,
        HOUR_AGO,
        IN_AN_HOUR,
        "bytes=0-4",
        "max-stale",
        "min-fresh=5",
        "only-if-cached",
        "10",
    ]);
    let list = prop::collection::vec(words, 1..4)
        .prop_map(|words| HeaderValue::from_str(&words.join(", ")).expect("a value"));
    prop_oneof![3 => list, 1 => any_value()]
}

/// Fields that these rules read, with values of every kind.
pub(super) fn any_headers() -> impl Strategy<Value = HeaderMap> {
    let names = prop::sample::select(vec![
        "accept-encoding",
        "accept-language",
        "age",
        "authorization",
        "cache-control",
        "cdn-cache-control",
        "connection",
        "content-length",
        "content-location",
        "content-range",
        "date",
        "etag",
        "expires",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "last-modified",
        "location",
        "pragma",
        "range",
        "set-cookie",
        "vary",
        "x-other",
    ]);
    let line = (names, likely_value());
    prop::collection::vec(line, 0..8).prop_map(|lines| {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), value);
        }
        headers
    })
}

pub(super) fn any_status() -> impl Strategy<Value = StatusCode> {
    let usual = prop::sample::select(vec![200_u16, 203, 206, 301, 302, 304, 404, 500, 503, 599]);
    prop_oneof![3 => usual, 1 => 100..1000_u16]
        .prop_filter_map("a status", |code| StatusCode::from_u16(code).ok())
}

/// Policies of every kind.
pub(super) fn any_policy() -> impl Strategy<Value = Policy> {
    use std::time::Duration;

    use super::Cookies;

    let secs = prop::sample::select(vec![0_u64, 60]).prop_map(Duration::from_secs);
    let cookies = prop::sample::select(vec![Cookies::Pass, Cookies::Store, Cookies::Strip]);
    let negative = secs.clone().prop_map(|ttl| vec![(400..=599, ttl)]);
    (secs.clone(), secs.clone(), secs, any::<bool>(), cookies, negative).prop_map(
        |(
            default_ttl,
            stale_if_error,
            stale_while_revalidate,
            heuristic,
            cookies,
            negative_ttl,
        )| Policy {
            default_ttl,
            stale_if_error,
            stale_while_revalidate,
            heuristic,
            cookies,
            negative_ttl,
            ..Policy::default()
        },
    )
}
