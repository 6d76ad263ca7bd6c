use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::caching::testing::{
    HOUR_AGO, IN_AN_HOUR, NOW, NOW_TEXT, TIMES, after, any_headers, any_policy, get, headers,
    stored,
};
use crate::caching::{Cookies, Unstorable};

#[test]
fn a_304_updates_the_stored_fields() {
    let stored = [
        "Cache-Control: max-age=1",
        "ETag: \"a\"",
        "Foo: 1",
        "Foo: 2",
        "Kept: 1",
        "Content-Type: text/plain",
        "Content-Length: 5",
        "Content-Encoding: gzip",
        "Content-Range: bytes 0-4/5",
    ];
    for (clause, newer, name, expected) in [
        ("3.2 replaced", "Cache-Control: max-age=9", "cache-control", vec!["max-age=9"]),
        ("3.2 every line is replaced", "Foo: 3", "foo", vec!["3"]),
        ("3.2 added", "New: 1", "new", vec!["1"]),
        ("3.2 not named, kept", "New: 1", "kept", vec!["1"]),
        (
            "3.2 Content-* is nothing special",
            "Content-Type: text/html",
            "content-type",
            vec!["text/html"],
        ),
        ("3.2 Content-Length", "Content-Length: 9", "content-length", vec!["5"]),
        ("3.2 Content-Encoding", "Content-Encoding: br", "content-encoding", vec!["gzip"]),
        ("3.2 Content-Range", "Content-Range: bytes 0-9/9", "content-range", vec!["bytes 0-4/5"]),
        ("3.1 Connection", "Connection: close", "connection", vec![]),
        ("3.1 proxies", "Proxy-Authenticate: Basic", "proxy-authenticate", vec![]),
        ("3.1 Transfer-Encoding", "Transfer-Encoding: chunked", "transfer-encoding", vec![]),
        ("7.3 Set-Cookie", "Set-Cookie: a=1", "set-cookie", vec![]),
    ] {
        let updated = freshen(&headers(&stored), &headers(&[newer]), &Policy::default());
        let values: Vec<_> = updated.get_all(name).iter().map(|value| value.as_bytes()).collect();
        let expected: Vec<_> = expected.iter().map(|value| value.as_bytes()).collect();
        assert_eq!(values, expected, "RFC 9111 section {clause}");
    }
}

#[test]
fn a_304_obeys_the_cookie_policy() {
    for (cookies, expected) in
        [(Cookies::Pass, false), (Cookies::Strip, false), (Cookies::Store, true)]
    {
        let policy = Policy { cookies, ..Policy::default() };
        let updated = freshen(&headers(&["Foo: 1"]), &headers(&["Set-Cookie: a=1"]), &policy);
        assert_eq!(updated.contains_key("set-cookie"), expected, "{cookies:?}");
    }
}

#[test]
fn new_directives_concern_old_fields_and_old_ones_new_fields() {
    // RFC 9111 sections 5.2.2.4 and 5.2.2.7.
    let updated = freshen(
        &headers(&["Foo: 1"]),
        &headers(&["Cache-Control: private=\"foo\""]),
        &Policy::default(),
    );
    assert!(!updated.contains_key("foo"));
    let updated = freshen(
        &headers(&["Cache-Control: private=\"foo\""]),
        &headers(&["Foo: 1"]),
        &Policy::default(),
    );
    assert!(!updated.contains_key("foo"));
}

fn refreshed(newer: &[&str]) -> Refreshed {
    let held = headers(&["Cache-Control: max-age=60", "ETag: \"a\"", &format!("Date: {HOUR_AGO}")]);
    let held = Response { status: http::StatusCode::OK, headers: &held };
    let asked = headers(&[]);
    refresh(get(&asked), held, &headers(newer), TIMES, &Policy::default())
}

#[test]
fn a_confirmed_answer_is_young_again() {
    for (clause, newer, age, ttl) in [
        ("4.3.4 with a new Date", vec![format!("Date: {NOW_TEXT}")], 0, 60),
        ("RFC 9110 6.6.1 without Date: when it arrived", vec![], 0, 60),
        ("4.2.3 Age of the 304", vec!["Age: 20".to_owned()], 20, 40),
        ("4.2.1 new lifetime", vec!["Cache-Control: max-age=90".to_owned()], 0, 90),
    ] {
        let newer: Vec<&str> = newer.iter().map(String::as_str).collect();
        let Refreshed { headers, terms } = refreshed(&newer);
        let terms = terms.expect("storable");
        assert_eq!(terms.age(NOW), Duration::from_secs(age), "RFC 9111 section {clause}");
        assert_eq!(terms.ttl_secs(NOW), ttl, "RFC 9111 section {clause}");
        assert!(!headers.contains_key("age"), "{clause}");
        assert_eq!(headers.get("date").map(|date| date.as_bytes()), Some(NOW_TEXT.as_bytes()));
    }
}

#[test]
fn a_304_may_end_the_storing() {
    for (directive, reason) in [("no-store", Unstorable::NoStore), ("private", Unstorable::Private)]
    {
        let terms = refreshed(&[&format!("Cache-Control: {directive}")]).terms;
        assert_eq!(terms.err(), Some(reason), "RFC 9111 section 3.2");
    }
}

#[test]
fn which_stored_answers_a_304_confirms() {
    let variant = |validator: &str, date: &str| {
        stored(&["Cache-Control: max-age=9999", validator, &format!("Date: {date}")])
    };
    let a = variant("ETag: \"a\"", HOUR_AGO);
    let b = variant("ETag: \"b\"", HOUR_AGO);
    let weak = variant("ETag: W/\"a\"", HOUR_AGO);
    let weak_now = variant("ETag: W/\"a\"", NOW_TEXT);
    let modified = variant(&format!("Last-Modified: {HOUR_AGO}"), NOW_TEXT);
    let bare = variant("Other: 1", NOW_TEXT);
    let (lm, other_lm) =
        (format!("Last-Modified: {HOUR_AGO}"), format!("Last-Modified: {IN_AN_HOUR}"));
    for (clause, variants, newer, expected) in [
        ("strong: all with it", vec![&a, &b, &a], vec!["ETag: \"a\""], vec![0, 2]),
        ("strong: none with it", vec![&b], vec!["ETag: \"a\""], vec![]),
        ("strong: a weak one isn't it", vec![&weak], vec!["ETag: \"a\""], vec![]),
        ("strong: whatever the date", vec![&modified], vec!["ETag: \"a\"", &lm], vec![]),
        ("weak: the most recent", vec![&weak_now, &weak], vec!["ETag: W/\"a\""], vec![0]),
        ("weak: the most recent", vec![&weak, &weak_now], vec!["ETag: W/\"a\""], vec![1]),
        ("weak: date", vec![&b, &modified], vec![&*lm], vec![1]),
        ("weak: other date", vec![&modified], vec![&*other_lm], vec![]),
        ("none, one stored", vec![&bare], vec![], vec![0]),
        ("none, the one that was asked about", vec![&a], vec![], vec![0]),
        ("none, several stored", vec![&a, &b], vec![], vec![]),
    ] {
        let confirmed = confirmed(&variants, &headers(&newer), TIMES);
        assert_eq!(confirmed, expected, "RFC 9111 section 4.3.4 {clause}");
    }
}

proptest! {
    #[test]
    fn freshen_never_touches_what_is_excluded(
        held in any_headers(),
        newer in any_headers(),
        policy in any_policy(),
    ) {
        let held = fields::storable(
            Response { status: http::StatusCode::OK, headers: &held },
            &policy,
        );
        // Directives may take any field away; that is another rule.
        let control = |headers: &HeaderMap| headers.contains_key("cache-control")
            || headers.contains_key("cdn-cache-control");
        prop_assume!(!control(&newer) && !control(&held));
        let updated = freshen(&held, &newer, &policy);
        for name in ["content-length", "content-range", "content-encoding"] {
            let values = |headers: &HeaderMap| -> Vec<_> {
                headers.get_all(name).iter().cloned().collect()
            };
            prop_assert_eq!(values(&updated), values(&held));
        }
        for name in held.keys() {
            prop_assert!(updated.contains_key(name), "{} is gone", name);
        }
        prop_assert!(!updated.contains_key("connection"));
    }

    #[test]
    fn a_refreshed_answer_is_never_older_than_its_exchange(
        newer in any_headers(),
        delay in 0..9_i64,
    ) {
        let held = headers(&["Cache-Control: max-age=60", "ETag: \"a\""]);
        let held = Response { status: http::StatusCode::OK, headers: &held };
        let mut newer = newer;
        newer.remove("age");
        newer.remove("date");
        let times = Times { request: NOW, response: after(delay) };
        let asked = HeaderMap::new();
        if let Ok(terms) = refresh(get(&asked), held, &newer, times, &Policy::default()).terms {
            prop_assert_eq!(terms.age(after(delay)).as_secs(), u64::try_from(delay).expect("positive"));
        }
    }
}
