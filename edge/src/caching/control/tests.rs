use proptest::prelude::*;

use super::*;
use crate::caching::testing::{any_value, headers};

fn response(line: &str) -> ResponseControl {
    ResponseControl::parse(&headers(&[&format!("Cache-Control: {line}")]))
}

fn request(lines: &[&str]) -> RequestControl {
    RequestControl::parse(&headers(lines))
}

fn secs(secs: u64) -> Option<Duration> {
    Some(Duration::from_secs(secs))
}

#[test]
fn max_age_is_read_in_every_form() {
    for (clause, line, expected) in [
        ("5.2 token", "max-age=60", secs(60)),
        ("5.2 quoted-string", "max-age=\"60\"", secs(60)),
        ("5.2 any case", "MaX-aGe=60", secs(60)),
        ("5.2 after an unknown directive", "foo=\"bar, max-age=1\", max-age=60", secs(60)),
        ("5.2 inside another's argument", "foo=\"max-age=60\"", None),
        ("5.2 empty members", ", ,max-age=60,,", secs(60)),
        ("5.2 escaped quote in an argument", r#"foo="a\", max-age=1", max-age=60"#, secs(60)),
        ("5.2 a quote that never closes hides nothing", "foo=\"bar, max-age=60", secs(60)),
        ("1.2.2 leading zeros", "max-age=0060", secs(60)),
        ("1.2.2 2^31 - 1", "max-age=2147483647", secs(2_147_483_647)),
        ("1.2.2 2^31", "max-age=2147483648", secs(2_147_483_648)),
        ("1.2.2 more than 2^31", "max-age=2147483649", secs(2_147_483_648)),
        ("1.2.2 more than any integer", "max-age=99999999999999999999999", secs(2_147_483_648)),
        ("4.2.1 no argument is stale", "max-age", secs(0)),
        ("4.2.1 empty argument is stale", "max-age=", secs(0)),
        ("4.2.1 letters are stale", "max-age=60a", secs(0)),
        ("4.2.1 negative is stale", "max-age=-60", secs(0)),
        ("4.2.1 fraction is stale", "max-age=60.5", secs(0)),
        ("4.2.1 single quotes are stale", "max-age='60'", secs(0)),
        ("4.2.1 space before = is stale", "max-age =60", secs(0)),
        ("4.2.1 space after = is stale", "max-age= 60", secs(0)),
        ("4.2.1 of two the shorter", "max-age=60, max-age=5", secs(5)),
        ("4.2.1 of two the shorter, other order", "max-age=5, max-age=60", secs(5)),
        ("4.2.1 one of two invalid is stale", "max-age=60, max-age=x", secs(0)),
    ] {
        assert_eq!(response(line).max_age, expected, "RFC 9111 section {clause}: {line}");
    }
}

#[test]
fn directives_of_an_answer_are_known() {
    let lines = [
        "Cache-Control: NO-STORE, public, must-revalidate=1, proxy-revalidate",
        "Cache-Control: must-understand, immutable, s-maxage=1, stale-while-revalidate=2",
        "Cache-Control: stale-if-error=\"3\", unknown",
    ];
    let expected = ResponseControl {
        no_store: true,
        no_cache: Qualified::Absent,
        private: Qualified::Absent,
        public: true,
        must_revalidate: true,
        proxy_revalidate: true,
        must_understand: true,
        immutable: true,
        max_age: None,
        s_maxage: secs(1),
        stale_while_revalidate: secs(2),
        stale_if_error: secs(3),
    };
    assert_eq!(ResponseControl::parse(&headers(&lines)), expected);
}

#[test]
fn private_and_no_cache_can_be_narrowed_to_fields() {
    let fields = |names: &[&'static str]| {
        Qualified::Fields(names.iter().map(|name| HeaderName::from_static(name)).collect())
    };
    for (clause, argument, expected) in [
        ("5.2.2.4 unqualified", "", Qualified::Whole),
        ("5.2.2.4 one field", "=\"Foo\"", fields(&["foo"])),
        ("5.2.2.4 several fields", "=\"foo, Bar ,\"", fields(&["foo", "bar"])),
        ("5.2.2.4 token form", "=foo", fields(&["foo"])),
        ("5.2.2.4 no field named", "=\"\"", Qualified::Whole),
        ("5.2.2.4 empty", "=", Qualified::Whole),
        ("5.2.2.4 not a field's name", "=\"a b\"", Qualified::Whole),
        ("5.2.2.4 space before =", " =\"foo\"", Qualified::Whole),
        ("5.2.2.4 quote that never closes", "=\"foo", Qualified::Whole),
    ] {
        assert_eq!(response(&format!("private{argument}")).private, expected, "{clause}");
        assert_eq!(response(&format!("No-Cache{argument}")).no_cache, expected, "{clause}");
    }
    // RFC 9111 section 4.2.1: the strictest wins.
    assert_eq!(response("private=\"a\", private").private, Qualified::Whole);
    assert_eq!(response("private, private=\"a\"").private, Qualified::Whole);
    assert_eq!(response("private=\"a\", private=\"b\"").private, fields(&["a", "b"]));
}

#[test]
fn directives_of_a_request_are_known() {
    let none = RequestControl::default();
    for (clause, lines, expected) in [
        ("5.2.1.1", vec!["Cache-Control: max-age=5"], RequestControl { max_age: secs(5), ..none }),
        (
            "5.2.1.2 limit",
            vec!["Cache-Control: max-stale=5"],
            RequestControl { max_stale: secs(5), ..none },
        ),
        (
            "5.2.1.2 any",
            vec!["Cache-Control: max-stale"],
            RequestControl { max_stale: Some(Duration::MAX), ..none },
        ),
        (
            "5.2.1.2 invalid permits nothing",
            vec!["Cache-Control: max-stale=x"],
            RequestControl { max_stale: secs(0), ..none },
        ),
        (
            "5.2.1.2 of two the stricter",
            vec!["Cache-Control: max-stale, max-stale=5"],
            RequestControl { max_stale: secs(5), ..none },
        ),
        (
            "5.2.1.3",
            vec!["Cache-Control: min-fresh=5, min-fresh=7, min-fresh=x"],
            RequestControl { min_fresh: secs(7), ..none },
        ),
        ("5.2.1.4", vec!["Cache-Control: No-Cache"], RequestControl { no_cache: true, ..none }),
        ("5.2.1.5", vec!["Cache-Control: no-store"], RequestControl { no_store: true, ..none }),
        (
            "5.2.1.7",
            vec!["Cache-Control: only-if-cached"],
            RequestControl { only_if_cached: true, ..none },
        ),
        (
            "5.4 Pragma alone",
            vec!["Pragma: foo, No-Cache"],
            RequestControl { no_cache: true, ..none },
        ),
        ("5.4 Pragma says something else", vec!["Pragma: foo"], none),
        ("5.4 Pragma beside Cache-Control", vec!["Pragma: no-cache", "Cache-Control: foo"], none),
    ] {
        assert_eq!(request(&lines), expected, "RFC 9111 section {clause}");
    }
}

proptest! {
    #[test]
    fn any_line_is_read(value in any_value()) {
        let mut headers = HeaderMap::new();
        headers.insert(CACHE_CONTROL, value);
        ResponseControl::parse(&headers);
        RequestControl::parse(&headers);
    }

    #[test]
    fn no_further_line_weakens_what_is_said(first in any_value(), second in any_value()) {
        let mut headers = HeaderMap::new();
        headers.append(CACHE_CONTROL, first);
        let before = ResponseControl::parse(&headers);
        headers.append(CACHE_CONTROL, second);
        let both = ResponseControl::parse(&headers);
        prop_assert!(both.no_store >= before.no_store);
        prop_assert!(both.must_revalidate >= before.must_revalidate);
        if let Some(max_age) = before.max_age {
            prop_assert!(both.max_age.is_some_and(|both| both <= max_age));
        }
        if before.private == Qualified::Whole {
            prop_assert_eq!(both.private, Qualified::Whole);
        }
    }

    #[test]
    fn a_number_of_seconds_is_read_back(secs in 0..=LONGEST_SECS) {
        prop_assert_eq!(delta_seconds(secs.to_string().as_bytes()), Some(Duration::from_secs(secs)));
    }
}
