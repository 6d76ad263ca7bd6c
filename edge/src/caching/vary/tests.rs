use std::collections::BTreeSet;

use http::HeaderValue;
use proptest::prelude::*;

use super::*;
use crate::caching::testing::{any_headers, any_value, headers};

#[test]
fn vary_is_read() {
    let fields = |names: &[&'static str]| {
        Vary::Fields(names.iter().map(|name| HeaderName::from_static(name)).collect())
    };
    for (lines, expected) in [
        (vec![], fields(&[])),
        (vec!["Vary:"], fields(&[])),
        (vec!["Vary: Foo, bar"], fields(&["foo", "bar"])),
        (vec!["Vary: Foo", "Vary: bar,,FOO"], fields(&["foo", "bar"])),
        (vec!["Vary: *"], Vary::Star),
        (vec!["Vary: *, *"], Vary::Star),
        (vec!["Vary: , *"], Vary::Star),
        (vec!["Vary:", "Vary: *"], Vary::Star),
        (vec!["Vary: *, Foo"], Vary::Star),
        (vec!["Vary: Foo, *"], Vary::Star),
        (vec!["Vary: Foo", "Vary: Bar, *"], Vary::Star),
        (vec!["Vary: not a name"], Vary::Star),
        (vec!["Vary: foo, X-Forwarded-For"], Vary::Star),
        (vec!["Vary: Forwarded"], Vary::Star),
    ] {
        let vary = Vary::parse(&headers(&lines));
        assert_eq!(vary, expected, "RFC 9110 section 12.5.5: {lines:?}");
    }
}

fn same(name: &str, one: &[&str], other: &[&str]) -> bool {
    let request = |values: &[&str]| {
        let lines: Vec<_> = values.iter().map(|value| format!("{name}: {value}")).collect();
        headers(&lines.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let names = vec![HeaderName::from_bytes(name.as_bytes()).expect("a name")];
    let forth = Selecting::of(names.clone(), &request(one)).matches(&request(other));
    let back = Selecting::of(names, &request(other)).matches(&request(one));
    assert_eq!(forth, back, "{name}: {one:?} {other:?}");
    forth
}

#[test]
fn which_requests_match() {
    for (clause, name, one, other, expected) in [
        ("equal", "Foo", vec!["1"], vec!["1"], true),
        ("different", "Foo", vec!["1"], vec!["2"], false),
        ("absent in both", "Foo", vec![], vec![], true),
        ("absent in one", "Foo", vec!["1"], vec![], false),
        ("empty isn't absent", "Foo", vec![""], vec![], false),
        ("empty in both", "Foo", vec![""], vec![""], true),
        ("white space around", "Foo", vec!["1"], vec!["  1\t"], true),
        ("white space in a list", "Foo", vec!["1,2"], vec!["1, 2"], true),
        ("lines combined", "Foo", vec!["1, 2"], vec!["1", "2"], true),
        ("white space in a quoted string", "Foo", vec!["\"1,2\""], vec!["\"1, 2\""], false),
        ("order may mean something", "Foo", vec!["1, 2"], vec!["2, 1"], false),
        ("case may mean something", "Foo", vec!["a"], vec!["A"], false),
        ("not a list", "Cookie", vec!["a=1,2"], vec!["a=1, 2"], false),
        ("not a list", "User-Agent", vec!["(a, b)"], vec!["(a,b)"], false),
        ("not a list, lines", "Cookie", vec!["a=1", "b=2"], vec!["a=1, b=2"], true),
        ("codings: order", "Accept-Encoding", vec!["br, gzip"], vec!["gzip, br"], true),
        ("codings: case", "Accept-Encoding", vec!["GZip"], vec!["gzip"], true),
        ("codings: space", "Accept-Encoding", vec!["gzip ; q=1,br"], vec!["gzip, br"], true),
        ("codings: second name", "Accept-Encoding", vec!["x-gzip"], vec!["gzip"], true),
        ("codings: lines", "Accept-Encoding", vec!["gzip", "br"], vec!["gzip, br"], true),
        ("codings: weight of 1", "Accept-Encoding", vec!["gzip;q=1.000"], vec!["gzip"], true),
        ("codings: same weight", "Accept-Encoding", vec!["gzip;Q=0.5"], vec!["gzip;q=0.50"], true),
        ("codings: other weight", "Accept-Encoding", vec!["gzip;q=0.5"], vec!["gzip"], false),
        ("codings: none", "Accept-Encoding", vec!["gzip;q=0"], vec!["gzip"], false),
        ("codings: repeated", "Accept-Encoding", vec!["gzip, gzip"], vec!["gzip"], true),
        ("codings: repeated, but", "Accept-Encoding", vec!["gzip, gzip;q=0"], vec!["gzip"], false),
        ("codings: * isn't all", "Accept-Encoding", vec!["*"], vec!["gzip"], false),
        ("codings: empty isn't absent", "Accept-Encoding", vec![""], vec![], false),
        ("codings: malformed", "Accept-Encoding", vec!["gzip;500"], vec!["gzip;q=0.5"], false),
        ("codings: malformed", "Accept-Encoding", vec!["gzip;q=2"], vec!["gzip"], false),
        ("codings: malformed", "Accept-Encoding", vec!["b;x, a"], vec!["a, b;x"], false),
        ("languages: order", "Accept-Language", vec!["en, de"], vec!["de, en"], true),
        ("languages: case", "Accept-Language", vec!["en-GB"], vec!["EN-gb"], true),
        ("languages: weight", "Accept-Language", vec!["en, de;q=0.8"], vec!["de;q=0.8,en"], true),
        ("languages: other", "Accept-Language", vec!["en, de;q=0.8"], vec!["de, en;q=0.8"], false),
        ("languages: no second names", "Accept-Language", vec!["x-gzip"], vec!["gzip"], false),
    ] {
        let matches = same(name, &one, &other);
        assert_eq!(matches, expected, "RFC 9111 section 4.1 {clause}: {one:?} {other:?}");
    }
}

#[test]
fn every_named_field_must_match() {
    let names = || vec![HeaderName::from_static("foo"), HeaderName::from_static("bar")];
    let one = Selecting::of(names(), &headers(&["Foo: 1", "Bar: 2", "Other: 3"]));
    assert!(one.matches(&headers(&["Bar: 2", "Foo: 1", "Other: 4"])));
    assert!(!one.matches(&headers(&["Foo: 1", "Bar: 3"])));
    assert!(!one.matches(&headers(&["Foo: 1"])));
}

/// What a request for codings means, read another way: names with weights in thousandths.
fn meaning(values: &[String]) -> BTreeSet<(String, u32)> {
    let weight = |text: &str| (text.parse::<f64>().expect("a weight") * 1000.0).round() as u32;
    values
        .iter()
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|member| !member.is_empty())
        .map(|member| {
            let (name, parameter) = member.split_once(';').unwrap_or((member, "q=1"));
            let (_, q) = parameter.split_once('=').expect("a weight");
            let name = name.trim().to_lowercase();
            let name = if name == "x-gzip" { "gzip".to_owned() } else { name };
            (name, weight(q.trim()))
        })
        .collect()
}

fn coding_lines() -> impl Strategy<Value = Vec<String>> {
    let name = prop::sample::select(vec!["gzip", "GZIP", "x-gzip", "br", "Br", "identity", "*"]);
    let weight =
        prop::sample::select(vec!["", ";q=1", "; q=0.5", " ;Q=0.500", ";q=0", ";q=0.001", ";q=1."]);
    let member = (name, weight).prop_map(|(name, weight)| format!("{name}{weight}"));
    let line = prop::collection::vec(member, 0..3).prop_map(|members| members.join(" , "));
    prop::collection::vec(line, 1..3)
}

proptest! {
    #[test]
    fn requests_match_exactly_when_they_mean_the_same(
        one in coding_lines(),
        other in coding_lines(),
    ) {
        let (one_lines, other_lines): (Vec<&str>, Vec<&str>) =
            (one.iter().map(String::as_str).collect(), other.iter().map(String::as_str).collect());
        let matches = same("Accept-Encoding", &one_lines, &other_lines);
        prop_assert_eq!(matches, meaning(&one) == meaning(&other));
    }

    #[test]
    fn every_request_matches_itself(headers in any_headers(), vary in any_value()) {
        let mut answer = http::HeaderMap::new();
        answer.insert(VARY, vary);
        if let Vary::Fields(mut names) = Vary::parse(&answer) {
            names.extend(headers.keys().cloned());
            prop_assert!(Selecting::of(names, &headers).matches(&headers));
        }
    }

    #[test]
    fn other_fields_match_only_up_to_white_space(one in any_value(), other in any_value()) {
        let request = |value: &HeaderValue| {
            let mut headers = http::HeaderMap::new();
            headers.insert("x-foo", value.clone());
            headers
        };
        let names = vec![HeaderName::from_static("x-foo")];
        if Selecting::of(names, &request(&one)).matches(&request(&other)) {
            let bare = |value: &HeaderValue| -> Vec<u8> {
                value.as_bytes().iter().copied().filter(|b| !b" \t,".contains(b)).collect()
            };
            prop_assert_eq!(bare(&one), bare(&other));
        }
    }
}
