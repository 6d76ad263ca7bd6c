use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::caching::Unstorable;
use crate::caching::testing::{IN_AN_HOUR, NOW, any_value, headers, judged};

/// Seconds of freshness of an answer with this `CDN-Cache-Control` (its lines separated by `|`)
/// and these further lines.
fn ttl(targeted: &str, others: &[&str]) -> Result<i64, Unstorable> {
    let lines: Vec<String> =
        targeted.split('|').map(|line| format!("CDN-Cache-Control: {line}")).collect();
    let mut lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    lines.extend_from_slice(others);
    lines.push("ETag: \"a\"");
    judged(&lines, &Policy::default()).map(|terms| terms.ttl_secs(NOW))
}

#[test]
fn the_targeted_field_decides_alone() {
    let expires = format!("Expires: {IN_AN_HOUR}");
    for (clause, targeted, others, expected) in [
        ("2.2 alone", "max-age=60", vec![], Ok(60)),
        ("2.2 longer", "max-age=60", vec!["Cache-Control: max-age=5"], Ok(60)),
        ("2.2 shorter", "max-age=5", vec!["Cache-Control: max-age=60"], Ok(5)),
        ("2.2 over no-store", "max-age=60", vec!["Cache-Control: no-store"], Ok(60)),
        ("2.2 over private", "max-age=60", vec!["Cache-Control: private"], Ok(60)),
        ("2.2 over a longer s-maxage", "max-age=5", vec!["Cache-Control: s-maxage=60"], Ok(5)),
        ("2.2 over Expires", "max-age=5", vec![&*expires], Ok(5)),
        ("2.2 over Expires, without freshness", "public", vec![&*expires], Ok(0)),
        ("2.2 no-store", "no-store", vec!["Cache-Control: max-age=60"], Err(Unstorable::NoStore)),
        ("2.2 private", "private", vec!["Cache-Control: max-age=60"], Err(Unstorable::Private)),
        ("2.1 s-maxage", "max-age=5, s-maxage=60", vec![], Ok(60)),
        ("2.1 several lines", "foo|max-age=60", vec![], Ok(60)),
        ("2.1 unknown directives", "foo=(a b), max-age=60, bar=:YQ==:", vec![], Ok(60)),
        ("2.1 parameters are ignored", "max-age=60;foo=bar", vec![], Ok(60)),
        ("2.1 the last of a key counts", "max-age=5, max-age=60", vec![], Ok(60)),
        ("2.1 false is absent", "max-age=60, no-store=?0", vec![], Ok(60)),
        ("2.1 true", "max-age=60, no-store=?1", vec![], Err(Unstorable::NoStore)),
        ("2.1 more than 2^31", "max-age=99999999999", vec![], Ok(1 << 31)),
        ("2.1 negative is stale", "max-age=-60", vec!["Cache-Control: max-age=60"], Ok(0)),
    ] {
        assert_eq!(ttl(targeted, &others), expected, "RFC 9213 section {clause}: {targeted}");
    }
}

#[test]
fn an_invalid_targeted_field_isnt_there() {
    for (clause, targeted) in [
        ("2.1 empty", ""),
        ("2.1 white space", "  |"),
        ("2.1 not a dictionary", "max-age=60, &&&"),
        ("2.1 upper case", "Max-Age=60"),
        ("2.1 space before =", "max-age =60"),
        ("2.1 space after =", "max-age= 60"),
        ("2.1 comma at the end", "max-age=60,"),
        ("2.1 one bad line", "max-age=60|&"),
        ("2.1 more digits than an integer has", "max-age=9999999999999999"),
        ("2.1 a string for a number", "max-age=\"60\""),
        ("2.1 a decimal for a number", "max-age=60.0"),
        ("2.1 nothing for a number", "max-age"),
        ("2.1 a list for a number", "max-age=(60)"),
        ("2.1 a number for a switch", "max-age=60, no-store=1"),
        ("2.1 a token for field names", "max-age=60, private=foo"),
    ] {
        let others = ["Cache-Control: max-age=5"];
        assert_eq!(ttl(targeted, &others), Ok(5), "RFC 9213 section {clause}: {targeted}");
        let others = ["Cache-Control: no-store"];
        assert_eq!(ttl(targeted, &others), Err(Unstorable::NoStore), "{clause}: {targeted}");
    }
}

#[test]
fn a_site_can_name_further_targets() {
    let ours = HeaderName::from_static("surrogate-control");
    let policy =
        Policy { targets: vec![ours, crate::caching::CDN_CACHE_CONTROL], ..Policy::default() };
    for (clause, lines, expected) in [
        (
            "2.2 the first of the list",
            [
                "Surrogate-Control: max-age=9",
                "CDN-Cache-Control: max-age=7",
                "Cache-Control: max-age=5",
            ],
            9,
        ),
        (
            "2.2 the next where it is invalid",
            [
                "Surrogate-Control: max-age=x",
                "CDN-Cache-Control: max-age=7",
                "Cache-Control: max-age=5",
            ],
            7,
        ),
        (
            "2.2 the next where it is absent",
            ["Other: 1", "CDN-Cache-Control: max-age=7", "Cache-Control: max-age=5"],
            7,
        ),
    ] {
        let terms = judged(&lines, &policy).expect("storable");
        assert_eq!(terms.ttl_secs(NOW), expected, "RFC 9213 section {clause}");
    }
    let unlisted = Policy { targets: vec![], ..Policy::default() };
    let lines = ["CDN-Cache-Control: max-age=7", "Cache-Control: max-age=5"];
    assert_eq!(judged(&lines, &unlisted).expect("storable").ttl_secs(NOW), 5);
}

#[test]
fn fields_can_be_private_in_a_targeted_field() {
    let lines = headers(&["CDN-Cache-Control: private=\"foo\", stale-if-error=5"]);
    let control = control(&lines, &Policy::default());
    assert!(control.private.covers(&HeaderName::from_static("foo")));
    assert_eq!(control.stale_if_error, Some(Duration::from_secs(5)));
}

proptest! {
    #[test]
    fn any_targeted_field_is_read(value in any_value()) {
        let mut headers = HeaderMap::new();
        headers.insert(crate::caching::CDN_CACHE_CONTROL, value);
        control(&headers, &Policy::default());
    }
}
