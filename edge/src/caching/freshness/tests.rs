use proptest::prelude::*;

use super::*;
use crate::caching::testing::{
    HOUR_AGO, IN_AN_HOUR, NOW, NOW_TEXT, after, any_headers, exchange, headers, judged, stored,
};
use crate::caching::{Times, Unstorable, age};

/// Seconds of freshness of a 200 with these lines, in seconds; it has a validator, so that it is
/// stored also when it has none.
fn ttl(lines: &[&str], policy: &Policy) -> i64 {
    let mut lines = lines.to_vec();
    lines.push("ETag: \"a\"");
    judged(&lines, policy).expect("storable").ttl_secs(NOW)
}

#[test]
fn lifetime_of_an_answer() {
    let expires = format!("Expires: {IN_AN_HOUR}");
    let past = format!("Expires: {HOUR_AGO}");
    let date = format!("Date: {NOW_TEXT}");
    for (clause, lines, expected) in [
        ("4.2.1 s-maxage before max-age", vec!["Cache-Control: max-age=9, s-maxage=5"], 5),
        (
            "4.2.1 s-maxage before a shorter max-age",
            vec!["Cache-Control: max-age=5, s-maxage=9"],
            9,
        ),
        ("4.2.1 max-age before Expires", vec!["Cache-Control: max-age=5", &expires, &date], 5),
        ("5.3 max-age=0 before Expires", vec!["Cache-Control: max-age=0", &expires, &date], 0),
        ("5.3 max-age before a past Expires", vec!["Cache-Control: max-age=5", &past], 5),
        ("4.2.1 Expires - Date", vec![&expires, &date], 3600),
        ("4.2.1 Expires without Date: since its arrival", vec![&expires], 3600),
        ("5.3 Expires = Date", vec![&date, "Expires: Tue, 14 Nov 2023 22:13:20 GMT"], 0),
        ("5.3 Expires in the past", vec![&past, &date], 0),
        ("5.3 Expires: 0", vec!["Expires: 0"], 0),
        ("5.3 Expires: -1", vec!["Expires: -1"], 0),
        ("5.3 Expires empty", vec!["Expires:"], 0),
        ("4.2.1 two Expires", vec![&expires, &past, &date], 0),
        ("4.2.1 one Expires invalid", vec![&expires, "Expires: soon"], 0),
        ("4.2.1 invalid max-age with Expires", vec!["Cache-Control: max-age=x", &expires], 0),
        ("4.2.1 invalid s-maxage with max-age", vec!["Cache-Control: max-age=9, s-maxage=x"], 0),
        ("5.2 extension beside it", vec!["Cache-Control: foo=\"max-age=9\", max-age=5"], 5),
        ("1.2.2 2^31 and more", vec!["Cache-Control: max-age=99999999999"], 1 << 31),
        (
            "5.4 Pragma in answers means nothing",
            vec!["Cache-Control: max-age=5", "Pragma: no-cache"],
            5,
        ),
        ("4.2 says nothing", vec![], 0),
    ] {
        let ttl = ttl(&lines, &Policy::default());
        assert_eq!(ttl, expected, "RFC 9111 section {clause}: {lines:?}");
    }
}

#[test]
fn expires_counts_from_date_not_from_our_clock() {
    // RFC 9111 section 4.2.1: the origin's clock is two hours ahead, both dates are its own.
    let lines = ["Date: Wed, 15 Nov 2023 00:13:20 GMT", "Expires: Wed, 15 Nov 2023 00:14:20 GMT"];
    assert_eq!(ttl(&lines, &Policy::default()), 60);
    // It is an hour behind: the difference counts as age (section 4.2.3), the lifetime stays.
    let lines = [&format!("Date: {HOUR_AGO}"), "Cache-Control: max-age=3660"];
    assert_eq!(ttl(&lines, &Policy::default()), 60);
}

#[test]
fn age_of_an_answer() {
    let hour_ago = format!("Date: {HOUR_AGO}");
    let ahead = format!("Date: {IN_AN_HOUR}");
    for (clause, lines, expected) in [
        ("4.2.3 none", vec![], 0),
        ("4.2.3 Age", vec!["Age: 30"], 30),
        ("4.2.3 apparent age", vec![&*hour_ago], 3600),
        ("4.2.3 the larger of both", vec![&*hour_ago, "Age: 30"], 3600),
        ("4.2.3 the larger of both", vec![&*hour_ago, "Age: 4000"], 4000),
        ("4.2.3 Date ahead of us", vec![&*ahead], 0),
        ("4.2.3 Date invalid: since its arrival", vec!["Date: x", "Age: 3"], 3),
        ("5.1 first of a list", vec!["Age: 30, 0"], 30),
        ("5.1 first of a list", vec!["Age: 0, 30"], 0),
        ("5.1 first of two lines", vec!["Age: 30", "Age: 0"], 30),
        ("5.1 invalid first member", vec!["Age: x, 30"], 0),
        ("5.1 negative", vec!["Age: -30"], 0),
        ("5.1 fraction", vec!["Age: 30.0"], 0),
        ("5.1 letters", vec!["Age: 30a"], 0),
        ("5.1 empty", vec!["Age:"], 0),
        ("1.2.2 more than 2^31", vec!["Age: 99999999999999999999"], 1 << 31),
    ] {
        let mut lines = lines;
        lines.extend(["ETag: \"a\"", "Cache-Control: max-age=9"]);
        let age = stored(&lines).age(NOW).as_secs();
        assert_eq!(age, expected, "RFC 9111 section {clause}: {lines:?}");
    }
}

#[test]
fn the_time_that_the_exchange_took_is_age() {
    // RFC 9111 section 4.2.3: response_delay.
    let times = Times { request: NOW, response: after(7) };
    let born = age::born(&headers(&["Age: 10"]), times);
    assert_eq!(after(7).since(born), Duration::from_secs(17));
    // Date of the same second isn't a part of a second old.
    let times = Times { request: NOW, response: Timestamp::from_millis(NOW.as_millis() + 900) };
    let born = age::born(&headers(&[&format!("Date: {NOW_TEXT}")]), times);
    assert_eq!(times.response.since(born), Duration::from_millis(900));
    let times = Times { request: times.response, response: times.response };
    let born = age::born(&headers(&[&format!("Date: {NOW_TEXT}")]), times);
    assert_eq!(times.response.since(born), Duration::ZERO);
}

#[test]
fn freshness_is_guessed_where_the_rfc_and_the_site_permit() {
    let policy = Policy { heuristic: true, ..Policy::default() };
    let date = format!("Date: {NOW_TEXT}");
    let modified = format!("Last-Modified: {HOUR_AGO}");
    let old = "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT";
    for (clause, status, lines, expected) in [
        ("4.2.2 a tenth", 200, vec![&*date, &modified], Ok(360)),
        ("4.2.2 a tenth, without Date", 200, vec![&*modified], Ok(360)),
        ("4.2.2 capped", 200, vec![&*date, old], Ok(86_400)),
        ("4.2.2 not beside max-age", 200, vec!["Cache-Control: max-age=5", old], Ok(5)),
        ("4.2.2 not beside an invalid Expires", 200, vec!["Expires: 0", old], Ok(0)),
        ("4.2.2 a status of the list", 404, vec![&*date, &modified], Ok(360)),
        ("4.2.2 a status beside the list", 302, vec![&*modified], Err(Unstorable::Status)),
        ("4.2.2 public", 302, vec!["Cache-Control: public", &modified], Ok(360)),
        ("4.2.2 public, extension status", 599, vec!["Cache-Control: public", &modified], Ok(360)),
        (
            "4.2.2 Last-Modified ahead of Date",
            200,
            vec![&*date, "Last-Modified: Tue, 14 Nov 2023 23:13:20 GMT"],
            Ok(0),
        ),
        ("5.4 Pragma: no-cache is no invitation", 200, vec![&*modified, "Pragma: no-cache"], Ok(0)),
    ] {
        let ttl = exchange(&[], status, &lines, &policy).map(|terms| terms.ttl_secs(NOW));
        assert_eq!(ttl, expected, "RFC 9111 section {clause}: {lines:?}");
        let without = exchange(&[], status, &[&*date, &modified], &Policy::default());
        assert!(without.map_or(0, |terms| terms.ttl_secs(NOW)) == 0, "off by default");
    }
}

#[test]
fn heuristically_cacheable_statuses() {
    // RFC 9110 section 15.1.
    let list: Vec<u16> = (100..=999)
        .filter(|code| heuristically_cacheable(StatusCode::from_u16(*code).expect("a status")))
        .collect();
    assert_eq!(list, [200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501]);
}

#[test]
fn the_sites_default_ttl_fills_silence() {
    let policy = Policy { default_ttl: Duration::from_secs(60), ..Policy::default() };
    for (what, status, lines, expected) in [
        ("silent", 200, vec![], 60),
        ("permanent redirect", 301, vec![], 60),
        ("says max-age", 200, vec!["Cache-Control: max-age=5"], 5),
        ("says max-age=0", 200, vec!["Cache-Control: max-age=0"], 0),
        ("says Expires", 200, vec!["Expires: 0"], 0),
        ("says Pragma: no-cache", 200, vec!["Pragma: no-cache"], 0),
        ("a missing page isn't pinned", 404, vec![], 0),
        ("a beacon isn't either", 204, vec![], 0),
        ("an error with public isn't", 500, vec!["Cache-Control: public"], 0),
    ] {
        let mut lines = lines;
        lines.push("ETag: \"a\"");
        let ttl = exchange(&[], status, &lines, &policy).expect(what).ttl_secs(NOW);
        assert_eq!(ttl, expected, "{what}");
    }
}

#[test]
fn a_guess_goes_no_further_than_the_site_lets_it() {
    let max = Duration::from_secs(60);
    let policy = Policy { heuristic: true, heuristic_max: max, ..Policy::default() };
    assert_eq!(ttl(&[&format!("Last-Modified: {HOUR_AGO}")], &policy), 60);
    assert_eq!(ttl(&["Last-Modified: Tue, 14 Nov 2023 22:13:10 GMT"], &policy), 1);
    assert_eq!(ttl(&["Cache-Control: max-age=999"], &policy), 999);
}

proptest! {
    #[test]
    fn ttl_and_age_follow_the_clock(headers in any_headers(), elapsed in 0..100_000_i64) {
        use crate::caching::{Response, judge, testing::{TIMES, get}};
        let asked = HeaderMap::new();
        let response = Response { status: StatusCode::OK, headers: &headers };
        if let Ok(terms) = judge(get(&asked), response, TIMES, &Policy::default()) {
            let elapsed_secs = u64::try_from(elapsed).expect("positive");
            prop_assert_eq!(terms.ttl_secs(after(elapsed)), terms.ttl_secs(NOW) - elapsed);
            prop_assert_eq!(
                terms.age(after(elapsed)),
                terms.age(NOW) + Duration::from_secs(elapsed_secs)
            );
        }
    }

    #[test]
    fn an_answer_is_never_younger_than_its_exchange_took(
        headers in any_headers(),
        delay in 0..1000_i64,
    ) {
        let times = Times { request: NOW, response: after(delay) };
        let age = times.response.since(age::born(&headers, times));
        prop_assert!(age >= times.response.since(times.request));
    }
}
