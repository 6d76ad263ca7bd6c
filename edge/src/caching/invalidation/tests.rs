use http::HeaderValue;
use proptest::prelude::*;

use super::*;
use crate::caching::testing::{any_value, headers};

#[test]
fn what_invalidates() {
    for (clause, method, status, expected) in [
        ("unsafe", "POST", 200, true),
        ("unsafe", "PUT", 204, true),
        ("unsafe", "DELETE", 200, true),
        ("unsafe", "PATCH", 200, true),
        ("unknown", "FOO", 200, true),
        ("unknown: case counts", "get", 200, true),
        ("redirection isn't an error", "POST", 303, true),
        ("error", "POST", 404, false),
        ("error", "PUT", 500, false),
        ("extension", "POST", 699, false),
        ("interim", "POST", 100, false),
        ("safe", "GET", 200, false),
        ("safe", "HEAD", 200, false),
        ("safe", "OPTIONS", 200, false),
        ("safe", "TRACE", 200, false),
        ("safe", "PROPFIND", 207, false),
    ] {
        let parsed = Method::from_bytes(method.as_bytes()).expect("a method");
        let status = StatusCode::from_u16(status).expect("a status");
        let done = invalidates(&parsed, status);
        assert_eq!(done, expected, "RFC 9111 section 4.4 {clause}: {method} {status}");
    }
}

#[test]
fn further_targets_are_of_the_same_origin() {
    let base = Uri::from_static("http://a.example/dir/page?q=1");
    for (clause, line, expected) in [
        ("RFC 9111 4.4 same origin", "http://a.example/x?y", Some("/x?y")),
        ("RFC 9111 4.4 host in any case", "HTTP://A.example/x", Some("/x")),
        ("RFC 9111 4.4 default port", "http://a.example:80/x", Some("/x")),
        ("RFC 9111 4.4 other port", "http://a.example:81/x", None),
        ("RFC 9111 4.4 other host", "http://b.example/x", None),
        ("RFC 9111 4.4 other host that begins alike", "http://a.example.org/x", None),
        ("RFC 9111 4.4 other scheme", "https://a.example/x", None),
        ("RFC 9111 4.4 no hierarchy", "mailto:a@a.example", None),
        ("RFC 9111 4.4 user information", "http://b@a.example/x", Some("/x")),
        ("RFC 9111 4.4 user information of another host", "http://a.example@b.example/x", None),
        ("RFC 3986 5.2 no path", "http://a.example", Some("/")),
        ("RFC 3986 5.2 no path but query", "http://a.example?y", Some("/?y")),
        ("RFC 3986 5.2 authority", "//a.example/x", Some("/x")),
        ("RFC 3986 5.2 other authority", "//b.example/x", None),
        ("RFC 3986 5.2 absolute path", "/x?y#z", Some("/x?y")),
        ("RFC 3986 5.2 relative path", "x", Some("/dir/x")),
        ("RFC 3986 5.2 folder above", "../x", Some("/x")),
        ("RFC 3986 5.2 above the root", "../../../x", Some("/x")),
        ("RFC 3986 5.2 this folder", "./", Some("/dir/")),
        ("RFC 3986 5.2 this folder", ".", Some("/dir/")),
        ("RFC 3986 5.2 dots in an absolute path", "/a/./b/../c", Some("/a/c")),
        ("RFC 3986 5.2 query", "?y", Some("/dir/page?y")),
        ("RFC 3986 5.2 empty", "", Some("/dir/page?q=1")),
        ("RFC 3986 5.2 fragment", "#z", Some("/dir/page?q=1")),
        ("RFC 3986 5.2 colon in a path", "x/a:b", Some("/dir/x/a:b")),
        ("RFC 3986 5.2 invalid", "/a b", None),
    ] {
        for name in ["Location", "Content-Location"] {
            let found = targets(&base, &headers(&[&format!("{name}: {line}")]));
            let found: Vec<&str> = found.iter().map(PathAndQuery::as_str).collect();
            let expected: Vec<&str> = expected.into_iter().collect();
            assert_eq!(found, expected, "{clause}: {name}: {line}");
        }
    }
    let both = headers(&["Location: /x", "Content-Location: /y"]);
    assert_eq!(targets(&base, &both).len(), 2);
}

proptest! {
    #[test]
    fn targets_never_panics(value in any_value()) {
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, value);
        for target in targets(&Uri::from_static("http://a.example/dir/page"), &headers) {
            prop_assert!(target.path().starts_with('/'));
        }
    }

    #[test]
    fn only_this_host_is_invalidated(host in "[a-z.@:]{1,12}") {
        let mut headers = HeaderMap::new();
        let text = format!("http://{host}/x");
        headers.insert(LOCATION, HeaderValue::from_str(&text).expect("a value"));
        let of_parser = text.parse::<Uri>().ok().and_then(|uri| Some(uri.host()? == "a.example"));
        let found = targets(&Uri::from_static("http://a.example/"), &headers);
        prop_assert!(found.is_empty() || of_parser == Some(true));
    }
}
