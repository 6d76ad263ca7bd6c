use http::HeaderMap;
use proptest::prelude::*;

use super::ClientControl::{Ignore, Obey};
use super::*;
use crate::caching::testing::{
    NOW, TIMES, after, any_headers, any_policy, get, headers, judged, stored,
};
use crate::caching::{Policy, Response, judge};

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

const VALIDATED: [&str; 2] = ["Cache-Control: max-age=60", "ETag: \"a\""];

#[test]
fn nothing_held() {
    let asked = headers(&[]);
    for (held, expected) in [
        (Held::Nothing, Decision::Miss(Forward::UriMiss)),
        (Held::OtherVariants, Decision::Miss(Forward::VaryMiss)),
    ] {
        assert_eq!(decide(get(&asked), held, Obey, NOW), expected);
    }
    let asked = headers(&["Cache-Control: only-if-cached"]);
    for clients in [Obey, Ignore] {
        let decision = decide(get(&asked), Held::OtherVariants, clients, NOW);
        assert_eq!(decision, Decision::OnlyIfCached, "RFC 9111 section 5.2.1.7");
    }
}

#[test]
fn only_get_and_head_are_answered_from_the_cache() {
    let (asked, terms) = (headers(&[]), stored(&VALIDATED));
    for (method, expected) in [
        ("GET", Decision::Fresh { age: secs(0) }),
        ("HEAD", Decision::Fresh { age: secs(0) }),
        ("POST", Decision::Bypass(Forward::Method)),
        ("OPTIONS", Decision::Bypass(Forward::Method)),
        ("FOO", Decision::Bypass(Forward::Method)),
    ] {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let request = Request { method: &method, headers: &asked };
        assert_eq!(decide(request, Held::This(&terms), Obey, NOW), expected, "{method}");
    }
}

#[test]
fn what_a_held_answer_is_used_for() {
    let fresh = |age| Decision::Fresh { age: secs(age) };
    let swr = |age| Decision::StaleWhileRevalidate { age: secs(age) };
    let stale = Decision::Revalidate(Forward::Stale);
    for (clause, directives, elapsed, expected) in [
        ("RFC 9111 4.2 fresh", "max-age=60", 59, fresh(59)),
        ("RFC 9111 4.2 its age reached its lifetime", "max-age=60", 60, stale),
        ("RFC 9111 5.2.2.2 fresh", "max-age=60, must-revalidate", 59, fresh(59)),
        ("RFC 9111 5.2.2.2 stale", "max-age=60, must-revalidate", 60, stale),
        ("RFC 9111 5.2.2.4 no-cache", "max-age=60, no-cache", 0, stale),
        ("RFC 9111 5.2.2.4 no-cache for fields", "max-age=60, no-cache=\"a\"", 0, fresh(0)),
        ("RFC 5861 3 first second", "max-age=60, stale-while-revalidate=5", 60, swr(60)),
        ("RFC 5861 3 last second", "max-age=60, stale-while-revalidate=5", 64, swr(64)),
        ("RFC 5861 3 beyond", "max-age=60, stale-while-revalidate=5", 65, stale),
        (
            "RFC 5861 3 never with must-revalidate",
            "max-age=60, stale-while-revalidate=5, must-revalidate",
            60,
            stale,
        ),
        ("RFC 9111 5.2.2.8", "max-age=60, stale-while-revalidate=5, proxy-revalidate", 60, stale),
        ("RFC 9111 5.2.2.10", "s-maxage=60, stale-while-revalidate=5", 60, stale),
        ("RFC 5861 3 never with no-cache", "no-cache, stale-while-revalidate=5", 0, stale),
        ("RFC 5861 4 isn't for working origins", "max-age=60, stale-if-error=5", 60, stale),
        ("RFC 8246 2 stale all the same", "max-age=60, immutable", 60, stale),
    ] {
        let terms = stored(&[&format!("Cache-Control: {directives}"), "ETag: \"a\""]);
        let asked = headers(&[]);
        let decision = decide(get(&asked), Held::This(&terms), Obey, after(elapsed));
        assert_eq!(decision, expected, "{clause}");
        let only = headers(&["Cache-Control: only-if-cached"]);
        let decision = decide(get(&only), Held::This(&terms), Ignore, after(elapsed));
        let expected = if expected == stale { Decision::OnlyIfCached } else { expected };
        assert_eq!(decision, expected, "RFC 9111 section 5.2.1.7, {clause}");
    }
}

#[test]
fn what_a_client_may_demand() {
    let fresh = |age| Decision::Fresh { age: secs(age) };
    let swr = |age| Decision::StaleWhileRevalidate { age: secs(age) };
    let demanded = Decision::Revalidate(Forward::Request);
    let stale = Decision::Revalidate(Forward::Stale);
    // Every row: what is said, of what is held, when; what it gets when clients are obeyed, and
    // when they are ignored.
    for (clause, asked, held, elapsed, obeyed, ignored) in [
        ("9111 5.2.1.4", "no-cache", "max-age=60", 5, demanded, fresh(5)),
        ("9111 5.2.1.5 is about storing", "no-store", "max-age=60", 5, fresh(5), fresh(5)),
        ("9111 5.2.1.1 reload", "max-age=0", "max-age=60", 0, demanded, fresh(0)),
        ("9111 5.2.1.1 too old", "max-age=4", "max-age=60", 5, demanded, fresh(5)),
        ("9111 5.2.1.1 young enough", "max-age=5", "max-age=60", 5, fresh(5), fresh(5)),
        ("9111 5.2.1.3 too short", "min-fresh=56", "max-age=60", 5, demanded, fresh(5)),
        ("9111 5.2.1.3 long enough", "min-fresh=55", "max-age=60", 5, fresh(5), fresh(5)),
        ("9111 5.2.1.3 invalid", "min-fresh=x", "max-age=60", 5, fresh(5), fresh(5)),
        ("9111 5.2.1.2 any", "max-stale", "max-age=60", 999, swr(999), swr(999)),
        ("9111 5.2.1.2 within", "max-stale=5", "max-age=60", 65, swr(65), swr(65)),
        ("9111 5.2.1.2 beyond", "max-stale=5", "max-age=60", 66, stale, stale),
        ("9111 5.2.2.2", "max-stale", "max-age=60, must-revalidate", 65, stale, stale),
        ("9111 5.2.2.8", "max-stale", "max-age=60, proxy-revalidate", 65, stale, stale),
        ("9111 5.2.2.10", "max-stale", "s-maxage=60", 65, stale, stale),
        ("9111 5.2.2.4", "max-stale", "max-age=60, no-cache", 65, stale, stale),
        (
            "9111 5.2.1.1 no stale answers",
            "max-age=99",
            "max-age=60, stale-while-revalidate=9",
            65,
            stale,
            swr(65),
        ),
        (
            "9111 5.2.1.1 beside max-stale",
            "max-age=99, max-stale",
            "max-age=60",
            65,
            swr(65),
            swr(65),
        ),
        ("9111 5.2.1.1 too old for it", "max-age=64, max-stale", "max-age=60", 65, stale, swr(65)),
        (
            "9111 5.2.1.2 limits the origin's window",
            "max-stale=3",
            "max-age=60, stale-while-revalidate=9",
            65,
            stale,
            swr(65),
        ),
        (
            "9111 5.2.1.4 stale",
            "no-cache",
            "max-age=60, stale-while-revalidate=9",
            65,
            stale,
            swr(65),
        ),
        ("8246 2 reload", "max-age=0", "max-age=60, immutable", 5, fresh(5), fresh(5)),
        ("8246 2 forced reload", "no-cache", "max-age=60, immutable", 5, demanded, fresh(5)),
        ("8246 2 another age", "max-age=4", "max-age=60, immutable", 5, demanded, fresh(5)),
    ] {
        let terms = stored(&[&format!("Cache-Control: {held}"), "ETag: \"a\""]);
        let asked = headers(&[&format!("Cache-Control: {asked}")]);
        for (clients, expected) in [(Obey, obeyed), (Ignore, ignored)] {
            let decision = decide(get(&asked), Held::This(&terms), clients, after(elapsed));
            assert_eq!(decision, expected, "RFC {clause}, {clients:?}");
        }
    }
}

#[test]
fn pragma_speaks_where_cache_control_is_silent() {
    let terms = stored(&VALIDATED);
    for (lines, expected) in [
        (vec!["Pragma: no-cache"], Decision::Revalidate(Forward::Request)),
        (vec!["Pragma: no-cache", "Cache-Control: max-age=9"], Decision::Fresh { age: secs(0) }),
    ] {
        let asked = headers(&lines);
        let decision = decide(get(&asked), Held::This(&terms), Obey, NOW);
        assert_eq!(decision, expected, "RFC 9111 section 5.4: {lines:?}");
    }
}

#[test]
fn without_a_validator_the_whole_answer_is_fetched() {
    let terms = stored(&["Cache-Control: max-age=60"]);
    for (lines, elapsed, expected) in [
        (vec![], 60, Decision::Miss(Forward::Stale)),
        (vec!["Cache-Control: no-cache"], 0, Decision::Miss(Forward::Request)),
    ] {
        let asked = headers(&lines);
        let decision = decide(get(&asked), Held::This(&terms), Obey, after(elapsed));
        assert_eq!(decision, expected);
    }
}

#[test]
fn names_are_those_of_rfc_9211() {
    use Forward::{Bypass, Method, Miss, Partial, Request, Stale, UriMiss, VaryMiss};
    let all = [Bypass, Method, UriMiss, VaryMiss, Miss, Request, Stale, Partial];
    assert_eq!(
        all.map(Forward::as_str),
        ["bypass", "method", "uri-miss", "vary-miss", "miss", "request", "stale", "partial"]
    );
}

proptest! {
    #[test]
    fn a_second_request_gets_what_was_promised(
        headers in any_headers(),
        policy in any_policy(),
        elapsed in 0..200_i64,
    ) {
        let asked = HeaderMap::new();
        let response = Response { status: http::StatusCode::OK, headers: &headers };
        if let Ok(terms) = judge(get(&asked), response, TIMES, &policy) {
            let now = after(elapsed);
            let decision = decide(get(&asked), Held::This(&terms), Obey, now);
            let used = matches!(
                decision,
                Decision::Fresh { .. } | Decision::StaleWhileRevalidate { .. }
            );
            prop_assert_eq!(used, terms.reusable_without_validation(now));
        }
    }

    #[test]
    fn ignored_clients_never_reach_the_origin_sooner(
        asked in any_headers(),
        elapsed in 0..200_i64,
        held in prop::sample::select(vec!["max-age=60", "max-age=60, stale-while-revalidate=50",
            "s-maxage=60", "max-age=60, no-cache"]),
    ) {
        let held = [&format!("Cache-Control: {held}"), "ETag: \"a\""];
        let terms = judged(&held, &Policy::default()).expect("storable");
        let now = after(elapsed);
        let plain = decide(get(&HeaderMap::new()), Held::This(&terms), Ignore, now);
        let wishful = decide(get(&asked), Held::This(&terms), Ignore, now);
        if !matches!(plain, Decision::Revalidate(_)) {
            prop_assert_eq!(plain, wishful);
        }
    }
}
