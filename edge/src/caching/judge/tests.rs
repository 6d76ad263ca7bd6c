use proptest::prelude::*;

use http::HeaderMap;

use super::*;
use crate::caching::testing::{
    NOW, TIMES, after, any_headers, any_policy, any_status, exchange, get, headers, judged,
};

const FRESH: &str = "Cache-Control: max-age=60";

fn reason(asked: &[&str], status: u16, answer: &[&str]) -> Option<Unstorable> {
    exchange(asked, status, answer, &Policy::default()).err()
}

#[test]
fn what_is_stored() {
    use Unstorable as No;
    for (clause, asked, status, answer, expected) in [
        ("3 explicit freshness", vec![], 200, vec![FRESH], None),
        ("3 Expires", vec![], 302, vec!["Expires: Tue, 14 Nov 2023 23:13:20 GMT"], None),
        ("3 s-maxage", vec![], 302, vec!["Cache-Control: s-maxage=60"], None),
        ("3 public", vec![], 302, vec!["Cache-Control: public", "ETag: \"a\""], None),
        ("3 heuristically cacheable", vec![], 404, vec!["ETag: \"a\""], None),
        ("3 another status says nothing", vec![], 302, vec!["ETag: \"a\""], Some(No::Status)),
        ("3 no freshness, no validator", vec![], 200, vec![], Some(No::NoFreshness)),
        (
            "3 stale at once, no validator",
            vec![],
            200,
            vec!["Cache-Control: max-age=0"],
            Some(No::NoFreshness),
        ),
        ("3 stale on arrival", vec![], 200, vec![FRESH, "Age: 60"], Some(No::NoFreshness)),
        (
            "3 stale at once, with validator",
            vec![],
            200,
            vec!["Cache-Control: max-age=0", "ETag: \"a\""],
            None,
        ),
        ("3 interim", vec![], 103, vec![FRESH], Some(No::Interim)),
        ("3 not modified", vec![], 304, vec![FRESH], Some(No::NotModified)),
        ("3.3 partial", vec![], 206, vec![FRESH], Some(No::PartialContent)),
        (
            "5.2.2.5 no-store",
            vec![],
            200,
            vec!["Cache-Control: max-age=60, no-store"],
            Some(No::NoStore),
        ),
        (
            "5.2.2.5 no-store on another line",
            vec![],
            200,
            vec![FRESH, "Cache-Control: NO-STORE"],
            Some(No::NoStore),
        ),
        (
            "5.2.2.3 must-understand",
            vec![],
            200,
            vec!["Cache-Control: max-age=60, no-store, must-understand"],
            None,
        ),
        (
            "5.2.2.3 must-understand, unknown status",
            vec![],
            599,
            vec!["Cache-Control: max-age=60, must-understand"],
            Some(No::NotUnderstood),
        ),
        (
            "5.2.1.5 no-store of the request",
            vec!["Cache-Control: no-store"],
            200,
            vec![FRESH],
            Some(No::RequestNoStore),
        ),
        (
            "5.2.2.7 private",
            vec![],
            200,
            vec!["Cache-Control: private, max-age=60"],
            Some(No::Private),
        ),
        (
            "5.2.2.7 private beside public",
            vec![],
            200,
            vec!["Cache-Control: public, private, max-age=60"],
            Some(No::Private),
        ),
        (
            "5.2.2.7 private beside s-maxage",
            vec![],
            200,
            vec!["Cache-Control: s-maxage=60, private"],
            Some(No::Private),
        ),
        (
            "5.2.2.7 private fields",
            vec![],
            200,
            vec!["Cache-Control: private=\"a\", max-age=60"],
            None,
        ),
        (
            "5.2.2.4 no-cache with validator",
            vec![],
            200,
            vec!["Cache-Control: no-cache", "ETag: \"a\""],
            None,
        ),
        (
            "5.2.2.4 no-cache without",
            vec![],
            200,
            vec!["Cache-Control: no-cache, max-age=60"],
            Some(No::NoFreshness),
        ),
        ("3.5 Authorization", vec!["Authorization: a"], 200, vec![FRESH], Some(No::Authorization)),
        (
            "3.5 public",
            vec!["Authorization: a"],
            200,
            vec!["Cache-Control: public, max-age=60"],
            None,
        ),
        ("3.5 s-maxage", vec!["Authorization: a"], 200, vec!["Cache-Control: s-maxage=60"], None),
        (
            "3.5 must-revalidate",
            vec!["Authorization: a"],
            200,
            vec!["Cache-Control: must-revalidate, max-age=60"],
            None,
        ),
        (
            "3.5 proxy-revalidate isn't enough",
            vec!["Authorization: a"],
            200,
            vec!["Cache-Control: proxy-revalidate, max-age=60"],
            Some(No::Authorization),
        ),
        (
            "3.5 no-cache isn't either",
            vec!["Authorization: a"],
            200,
            vec!["Cache-Control: no-cache", "ETag: \"a\""],
            Some(No::Authorization),
        ),
        ("4.1 Vary: *", vec![], 200, vec![FRESH, "Vary: *"], Some(No::VaryStar)),
        (
            "4.1 * among others",
            vec![],
            200,
            vec![FRESH, "Vary: Foo", "Vary: Bar, *"],
            Some(No::VaryStar),
        ),
        ("4.1 not a field's name", vec![], 200, vec![FRESH, "Vary: a b"], Some(No::VaryStar)),
        ("4.1 Vary", vec![], 200, vec![FRESH, "Vary: Foo, Bar"], None),
        ("7.3 Set-Cookie", vec![], 200, vec![FRESH, "Set-Cookie: a=1"], Some(No::SetCookie)),
        (
            "7.3 Set-Cookie that isn't stored",
            vec![],
            200,
            vec!["Cache-Control: max-age=60, private=\"set-cookie\"", "Set-Cookie: a=1"],
            None,
        ),
        (
            "7.3 Set-Cookie that is validated",
            vec![],
            200,
            vec!["Cache-Control: max-age=60, no-cache=\"Set-Cookie\"", "Set-Cookie: a=1"],
            None,
        ),
        ("7.3 Cookie in the request", vec!["Cookie: a=1"], 200, vec![FRESH], None),
    ] {
        assert_eq!(reason(&asked, status, &answer), expected, "RFC 9111 section {clause}");
    }
}

#[test]
fn every_final_status_with_explicit_freshness_is_stored() {
    // RFC 9111 section 3; extension statuses too.
    for status in (200..=999).filter(|status| ![206, 304].contains(status)) {
        assert_eq!(reason(&[], status, &[FRESH]), None, "{status}");
    }
}

#[test]
fn only_answers_to_get_are_stored() {
    let (asked, answer) = (headers(&[]), headers(&[FRESH]));
    let response = Response { status: StatusCode::OK, headers: &answer };
    for method in ["HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "get", "FOO"] {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let request = Request { method: &method, headers: &asked };
        let refused = judge(request, response, TIMES, &Policy::default()).err();
        assert_eq!(refused, Some(Unstorable::Method), "{method}");
    }
}

#[test]
fn a_site_may_store_or_strip_cookies() {
    for (cookies, expected) in [
        (Cookies::Pass, Some(Unstorable::SetCookie)),
        (Cookies::Store, None),
        (Cookies::Strip, None),
    ] {
        let policy = Policy { cookies, ..Policy::default() };
        assert_eq!(judged(&[FRESH, "Set-Cookie: a=1"], &policy).err(), expected, "{cookies:?}");
    }
}

#[test]
fn windows_of_stale_use() {
    let site = Policy {
        stale_while_revalidate: Duration::from_secs(7),
        stale_if_error: Duration::from_secs(9),
        ..Policy::default()
    };
    let none = Policy::default();
    let until = |refresh: i64, error: i64| Reuse::Stale {
        refresh_until: after(60 + refresh),
        error_until: after(60 + error),
    };
    for (clause, directives, policy, expected) in [
        ("RFC 9111 4.2.4 nobody permits it", "", &none, until(0, 0)),
        ("RFC 5861 3", ", stale-while-revalidate=5", &none, until(5, 0)),
        ("RFC 5861 4", ", stale-if-error=5", &none, until(0, 5)),
        ("RFC 5861 3 invalid permits nothing", ", stale-while-revalidate=x", &site, until(0, 9)),
        ("the site", "", &site, until(7, 9)),
        (
            "the answer before the site",
            ", stale-while-revalidate=5, stale-if-error=0",
            &site,
            until(5, 0),
        ),
        ("RFC 9111 5.2.2.2", ", must-revalidate, stale-if-error=5", &site, Reuse::Fresh),
        ("RFC 9111 5.2.2.8", ", proxy-revalidate, stale-if-error=5", &site, Reuse::Fresh),
        ("RFC 9111 5.2.2.10", ", s-maxage=60, stale-while-revalidate=5", &site, Reuse::Fresh),
        ("RFC 9111 5.2.2.4", ", no-cache, stale-if-error=5", &site, Reuse::Validated),
        ("RFC 9111 5.2.2.4 fields", ", no-cache=\"a\"", &none, until(0, 0)),
    ] {
        let line = format!("Cache-Control: max-age=60{directives}");
        let terms = judged(&[&line, "ETag: \"a\""], policy).expect(clause);
        assert_eq!(terms.reuse, expected, "{clause}: {line}");
    }
}

#[test]
fn the_sites_windows_dont_open_what_was_never_fresh() {
    let site = Policy { stale_if_error: Duration::from_secs(9), ..Policy::default() };
    for (answer, expected) in [
        (vec!["ETag: \"a\""], NOW),
        (vec!["ETag: \"a\"", "Cache-Control: max-age=0"], NOW),
        (vec!["ETag: \"a\"", "Cache-Control: max-age=0, stale-if-error=5"], after(5)),
    ] {
        let terms = judged(&answer, &site).expect("storable");
        let Reuse::Stale { error_until, .. } = terms.reuse else { panic!("{answer:?}") };
        assert_eq!(error_until, expected, "{answer:?}");
    }
}

#[test]
fn a_site_may_keep_errors_that_say_nothing() {
    use Unstorable as No;
    let secs = Duration::from_secs;
    let negative_ttl = vec![
        (404..=404, secs(10)),
        (501..=501, secs(0)),
        (400..=499, secs(5)),
        (500..=599, secs(1)),
    ];
    let policy = Policy {
        negative_ttl,
        heuristic: true,
        default_ttl: secs(99),
        stale_if_error: secs(99),
        ..Policy::default()
    };
    let modified = "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT";
    for (what, status, answer, expected) in [
        ("one status", 404, vec![], Ok(10)),
        ("its class", 403, vec![], Ok(5)),
        ("a status that RFC 9111 wouldn't store", 503, vec![], Ok(1)),
        ("an unknown status of the class", 599, vec![], Ok(1)),
        ("before a guess", 404, vec![modified], Ok(10)),
        ("none of the site's", 200, vec!["ETag: \"a\""], Ok(99)),
        ("zero is none: the RFC alone", 501, vec![], Err(No::NoFreshness)),
        ("explicit freshness wins", 404, vec!["Cache-Control: max-age=60"], Ok(60)),
        ("stale at once wins", 404, vec!["Cache-Control: max-age=0"], Err(No::NoFreshness)),
        ("Expires wins", 503, vec!["Expires: 0"], Err(No::NoFreshness)),
        ("no-store wins", 404, vec!["Cache-Control: no-store"], Err(No::NoStore)),
        ("private wins", 404, vec!["Cache-Control: private"], Err(No::Private)),
        ("no-cache wins", 404, vec!["Cache-Control: no-cache"], Err(No::NoFreshness)),
        ("a cookie wins", 404, vec!["Set-Cookie: a=1"], Err(No::SetCookie)),
        ("Vary: * wins", 404, vec!["Vary: *"], Err(No::VaryStar)),
        ("Pragma: no-cache wins", 503, vec!["Pragma: no-cache"], Err(No::Status)),
    ] {
        let terms = exchange(&[], status, &answer, &policy);
        assert_eq!(terms.map(|terms| terms.ttl_secs(NOW)), expected, "{what}");
    }
    let asked = exchange(&["Authorization: a"], 404, &[], &policy);
    assert_eq!(asked.err(), Some(No::Authorization));
}

#[test]
fn an_error_kept_by_the_site_stands_in_for_nothing() {
    let window = Duration::from_secs(99);
    let policy = Policy {
        negative_ttl: vec![(404..=404, Duration::from_secs(10))],
        stale_if_error: window,
        stale_while_revalidate: window,
        ..Policy::default()
    };
    for (answer, expected) in [
        (vec![], after(10)),
        (vec!["Cache-Control: stale-if-error=5"], after(15)),
        (vec!["Cache-Control: max-age=10"], after(109)),
    ] {
        let terms = exchange(&[], 404, &answer, &policy).expect("storable");
        let Reuse::Stale { error_until, .. } = terms.reuse else { panic!("{answer:?}") };
        assert_eq!(error_until, expected, "{answer:?}");
    }
}

proptest! {
    #[test]
    fn no_store_and_private_always_refuse(
        headers in any_headers(),
        status in any_status(),
        policy in any_policy(),
        directive in prop::sample::select(vec!["no-store", "private"]),
    ) {
        let mut headers = headers;
        // They would turn no-store off, or replace Cache-Control.
        prop_assume!(!ResponseControl::parse(&headers).must_understand);
        headers.remove("cdn-cache-control");
        headers.append("cache-control", directive.parse().expect("a value"));
        let asked = HeaderMap::new();
        let response = Response { status, headers: &headers };
        prop_assert!(judge(get(&asked), response, TIMES, &policy).is_err());
    }

    #[test]
    fn what_is_stored_under_authorization_is_for_others(
        headers in any_headers(),
        status in any_status(),
        policy in any_policy(),
    ) {
        let asked = crate::caching::testing::headers(&["Authorization: a"]);
        let response = Response { status, headers: &headers };
        if judge(get(&asked), response, TIMES, &policy).is_ok() {
            let control = targeted::control(&headers, &policy);
            prop_assert!(
                control.public || control.must_revalidate || control.s_maxage.is_some()
            );
        }
    }

    #[test]
    fn what_is_stored_is_of_use(
        asked in any_headers(),
        headers in any_headers(),
        status in any_status(),
        policy in any_policy(),
    ) {
        let response = Response { status, headers: &headers };
        if let Ok(terms) = judge(get(&asked), response, TIMES, &policy) {
            prop_assert!(terms.serves(get(&asked)));
            prop_assert!(terms.useless_from().is_none_or(|useless| NOW < useless));
        }
    }
}
