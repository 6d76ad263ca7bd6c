use proptest::prelude::*;

use super::*;
use crate::caching::testing::{any_value, headers};

#[test]
fn entity_tags_are_read() {
    for (line, expected) in [
        ("\"a\"", Some(true)),
        ("W/\"a\"", Some(false)),
        ("\"\"", Some(true)),
        ("\"a,b\"", Some(true)),
        (r#""a\""#, Some(true)),
        ("a", None),
        ("\"a", None),
        ("a\"", None),
        ("w/\"a\"", None),
        ("W\"a\"", None),
        ("\"a b\"", None),
        ("\"a\"b\"", None),
        ("\"a\" x", None),
        ("", None),
    ] {
        let etag = ETag::of(&headers(&[&format!("ETag: {line}")]));
        let strong = etag.map(|etag| etag.is_strong());
        assert_eq!(strong, expected, "RFC 9110 section 8.8.3: {line}");
    }
    assert_eq!(ETag::of(&headers(&["ETag: \"a\"", "ETag: \"a\""])), None, "two of them");
    let mut bytes = HeaderMap::new();
    bytes.insert(ETAG, HeaderValue::from_bytes(b"\"\xfc\"").expect("a value"));
    assert!(ETag::of(&bytes).is_some(), "obs-text");
}

#[test]
fn entity_tags_are_compared() {
    // The table of RFC 9110 section 8.8.3.2.
    for (one, other, strong, weak) in [
        ("W/\"1\"", "W/\"1\"", false, true),
        ("W/\"1\"", "W/\"2\"", false, false),
        ("W/\"1\"", "\"1\"", false, true),
        ("\"1\"", "\"1\"", true, true),
    ] {
        let tag = |text: &str| ETag::of(&headers(&[&format!("ETag: {text}")])).expect("a tag");
        for (one, other) in [(tag(one), tag(other)), (tag(other), tag(one))] {
            assert_eq!(one.strong_eq(&other), strong, "{one:?} {other:?}");
            assert_eq!(one.weak_eq(&other), weak, "{one:?} {other:?}");
        }
    }
}

#[test]
fn lists_of_entity_tags_are_read() {
    for (line, expected) in [
        ("\"a\"", vec!["\"a\""]),
        ("\"a\", W/\"b\" ,\"c\"", vec!["\"a\"", "W/\"b\"", "\"c\""]),
        (",, \"a,b\",", vec!["\"a,b\""]),
        ("a, \"b\"", vec!["\"b\""]),
        ("\"a\"x, \"b\"", vec!["\"b\""]),
        ("\"a", vec![]),
        ("", vec![]),
    ] {
        let read: Vec<_> = tags(line.as_bytes()).map(|tag| tag.0).collect();
        let expected: Vec<_> = expected.iter().map(|tag| tag.as_bytes()).collect();
        assert_eq!(read, expected, "RFC 9110 section 13.1.2: {line}");
    }
}

proptest! {
    #[test]
    fn any_list_of_tags_is_read(value in any_value()) {
        for tag in tags(value.as_bytes()) {
            prop_assert!(Tag::parse(tag.0).is_some());
        }
    }

    #[test]
    fn a_list_of_tags_is_read_back(inner in prop::collection::vec("[!#-~]{0,5}", 0..5)) {
        let written: Vec<String> = inner.iter().map(|tag| format!("\"{tag}\"")).collect();
        let line = written.join(", ");
        let read: Vec<&[u8]> = tags(line.as_bytes()).map(|tag| tag.0).collect();
        prop_assert_eq!(read, written.iter().map(String::as_bytes).collect::<Vec<_>>());
    }
}
