use proptest::prelude::*;

use super::Outcome::{NotModified, PreconditionFailed, Proceed};
use super::*;
use crate::caching::testing::{
    HOUR_AGO, IN_AN_HOUR, NOW, NOW_TEXT, any_headers, get, headers, stored,
};

#[test]
fn preconditions_are_evaluated_in_their_order() {
    let both =
        stored(&["Cache-Control: max-age=9", "ETag: \"a\"", &format!("Last-Modified: {HOUR_AGO}")]);
    let weak = stored(&["Cache-Control: max-age=9", "ETag: W/\"a\""]);
    let none = stored(&["Cache-Control: max-age=9", &format!("Date: {NOW_TEXT}")]);
    let date = |name: &str, date: &str| format!("{name}: {date}");
    let early = "Sun, 06 Nov 1994 08:49:37 GMT";
    let (ims, ius) = ("If-Modified-Since", "If-Unmodified-Since");
    for (clause, terms, lines, expected) in [
        ("13.1.2 same", &both, vec!["If-None-Match: \"a\"".to_owned()], NotModified),
        ("13.1.2 in a list", &both, vec!["If-None-Match: \"b\", \"a\"".into()], NotModified),
        (
            "13.1.2 on a second line",
            &both,
            vec!["If-None-Match: \"b\"".into(), "If-None-Match: \"a\"".into()],
            NotModified,
        ),
        ("13.1.2 other", &both, vec!["If-None-Match: \"b\"".into()], Proceed),
        ("13.1.2 weak comparison", &both, vec!["If-None-Match: W/\"a\"".into()], NotModified),
        ("13.1.2 weak comparison", &weak, vec!["If-None-Match: \"a\"".into()], NotModified),
        ("13.1.2 *", &none, vec!["If-None-Match: *".into()], NotModified),
        ("13.1.2 no tag held", &none, vec!["If-None-Match: \"a\"".into()], Proceed),
        ("13.1.2 not a tag", &both, vec!["If-None-Match: a".into()], Proceed),
        ("13.1.3 same", &both, vec![date(ims, HOUR_AGO)], NotModified),
        ("13.1.3 later", &both, vec![date(ims, NOW_TEXT)], NotModified),
        ("13.1.3 ahead", &both, vec![date(ims, IN_AN_HOUR)], NotModified),
        ("13.1.3 earlier", &both, vec![date(ims, early)], Proceed),
        ("13.1.3 invalid", &both, vec![date(ims, "today")], Proceed),
        ("13.1.3 two of them", &both, vec![date(ims, NOW_TEXT), date(ims, NOW_TEXT)], Proceed),
        (
            "13.1.3 rfc850-date",
            &both,
            vec![date(ims, "Tuesday, 14-Nov-23 22:13:20 GMT")],
            NotModified,
        ),
        (
            "13.2.2 If-None-Match is enough",
            &both,
            vec!["If-None-Match: \"b\"".into(), date(ims, NOW_TEXT)],
            Proceed,
        ),
        (
            "13.2.2 If-None-Match is enough",
            &both,
            vec!["If-None-Match: \"a\"".into(), date(ims, early)],
            NotModified,
        ),
        ("RFC 9111 4.3.2 Date for Last-Modified", &none, vec![date(ims, NOW_TEXT)], NotModified),
        ("RFC 9111 4.3.2 Date for Last-Modified", &none, vec![date(ims, HOUR_AGO)], Proceed),
        ("13.1.1 same", &both, vec!["If-Match: \"a\"".into()], Proceed),
        ("13.1.1 in a list", &both, vec!["If-Match: \"b\", \"a\"".into()], Proceed),
        ("13.1.1 other", &both, vec!["If-Match: \"b\"".into()], PreconditionFailed),
        ("13.1.1 strong comparison", &weak, vec!["If-Match: W/\"a\"".into()], PreconditionFailed),
        ("13.1.1 *", &none, vec!["If-Match: *".into()], Proceed),
        ("13.1.4 same", &both, vec![date(ius, HOUR_AGO)], Proceed),
        ("13.1.4 later", &both, vec![date(ius, NOW_TEXT)], Proceed),
        ("13.1.4 earlier", &both, vec![date(ius, early)], PreconditionFailed),
        ("13.1.4 invalid", &both, vec![date(ius, "today")], Proceed),
        ("13.1.4 nothing to compare with", &none, vec![date(ius, early)], Proceed),
        (
            "13.2.2 If-Match is enough",
            &both,
            vec!["If-Match: \"a\"".into(), date(ius, early)],
            Proceed,
        ),
        (
            "13.2.2 If-Match first",
            &both,
            vec!["If-Match: \"b\"".into(), "If-None-Match: \"a\"".into()],
            PreconditionFailed,
        ),
        (
            "13.2.2 then If-None-Match",
            &both,
            vec!["If-Match: \"a\"".into(), "If-None-Match: \"a\"".into()],
            NotModified,
        ),
        ("none", &both, vec![], Proceed),
    ] {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let asked = headers(&lines);
        let outcome = evaluate_stored(get(&asked), terms, NOW);
        assert_eq!(outcome, expected, "RFC 9110 section {clause}: {lines:?}");
    }
}

#[test]
fn without_stored_terms_date_stands_for_nothing() {
    let asked = headers(&[&format!("If-Modified-Since: {NOW_TEXT}")]);
    assert_eq!(evaluate(get(&asked), None, None, NOW), Proceed);
    assert_eq!(evaluate(get(&asked), None, Some(NOW), NOW), NotModified);
}

#[test]
fn the_origin_is_asked_with_what_it_sent() {
    let odd = "Last-Modified: Sunday, 06-Nov-94 08:49:37 GMT";
    for (clause, lines, expected) in [
        (
            "both",
            vec!["ETag: W/\"a\"", odd],
            vec!["If-None-Match: W/\"a\"", "If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT"],
        ),
        ("tag", vec!["ETag: \"a\""], vec!["If-None-Match: \"a\""]),
        ("date", vec![odd], vec!["If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT"]),
        ("invalid ones aren't sent", vec!["ETag: a", "Last-Modified: b"], vec![]),
    ] {
        let mut lines = lines;
        lines.push("Cache-Control: max-age=9");
        let fields: HeaderMap = validation_fields(&stored(&lines)).collect();
        assert_eq!(fields, headers(&expected), "RFC 9111 section 4.3.1: {clause}");
    }
}

#[test]
fn several_variants_are_asked_about_at_once() {
    let variant = |etag: &str| stored(&["Cache-Control: max-age=9", etag]);
    let variants = [
        variant("ETag: \"a\""),
        variant("Other: 1"),
        variant("ETag: W/\"b\""),
        variant("ETag: \"a\""),
    ];
    let list = validation_of_variants(variants.iter());
    assert_eq!(list, Some(HeaderValue::from_static("\"a\", W/\"b\"")), "RFC 9111 section 4.3.1");
    assert_eq!(validation_of_variants([variant("Other: 1")].iter()), None);
}

proptest! {
    #[test]
    fn a_validator_that_was_sent_is_confirmed(lines in any_headers()) {
        use crate::caching::{Policy, Response, judge, testing::TIMES};
        let response = Response { status: http::StatusCode::OK, headers: &lines };
        let empty = HeaderMap::new();
        if let Ok(terms) = judge(get(&empty), response, TIMES, &Policy::default()) {
            let asked: HeaderMap = validation_fields(&terms).collect();
            let expected = if terms.has_validator() { NotModified } else { Proceed };
            prop_assert_eq!(evaluate_stored(get(&asked), &terms, NOW), expected);
        }
    }

    #[test]
    fn evaluate_never_panics(asked in any_headers(), lines in any_headers()) {
        evaluate(get(&asked), ETag::of(&lines).as_ref(), None, NOW);
    }
}
