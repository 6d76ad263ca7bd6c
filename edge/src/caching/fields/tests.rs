use http::StatusCode;
use proptest::prelude::*;

use super::*;
use crate::caching::testing::{NOW, NOW_TEXT, any_headers, any_policy, any_value, headers};

fn stored(lines: &[&str], policy: &Policy) -> HeaderMap {
    let headers = headers(lines);
    storable(Response { status: StatusCode::OK, headers: &headers }, policy)
}

#[test]
fn connection_fields_are_removed() {
    for (clause, line) in [
        ("RFC 9110 section 7.6.1 Connection itself", "Connection: close"),
        ("RFC 9110 section 7.6.1 Proxy-Connection", "Proxy-Connection: close"),
        ("RFC 9110 section 7.6.1 Keep-Alive", "Keep-Alive: timeout=5"),
        ("RFC 9110 section 7.6.1 TE", "TE: trailers"),
        ("RFC 9110 section 7.6.1 Transfer-Encoding", "Transfer-Encoding: chunked"),
        ("RFC 9110 section 7.6.1 Upgrade", "Upgrade: websocket"),
        ("RFC 9110 section 7.6.1 nominated", "X-Hop: 1"),
        ("RFC 9110 section 7.6.1 nominated on a second line", "X-Other-Hop: 1"),
    ] {
        let lines = ["Connection: close, x-hop, in valid", "Connection: X-OTHER-HOP", "X-End: 1"];
        let mut fields = headers(&lines);
        fields.extend(headers(&[line]));
        strip_hop_by_hop(&mut fields);
        assert_eq!(fields, headers(&["X-End: 1"]), "{clause}");
    }
}

#[test]
fn what_a_request_says_of_its_connection_is_gone_before_anything_is_decided() {
    let lines =
        ["Connection: close, X-Hop, cookie, host, te", "Host: a", "X-Hop: 1", "Cookie: a=b"];
    let mut fields = headers(&lines);
    fields.extend(headers(&["X-End: 1"]));
    strip_nominated(&mut fields);
    assert_eq!(fields, headers(&[lines[0], "Host: a", "X-End: 1"]));
    let kept =
        ["Connection: keep-alive, Upgrade, Content-Length", "Upgrade: h", "Content-Length: 1"];
    let mut fields = headers(&kept);
    strip_nominated(&mut fields);
    assert_eq!(fields, headers(&kept));
}

#[test]
fn what_may_not_be_stored_is_not() {
    for (clause, lines, gone) in [
        ("RFC 9111 section 3.1 nominated", vec!["Connection: foo", "Foo: 1"], vec!["foo"]),
        (
            "RFC 9111 section 3.1 proxies",
            vec![
                "Proxy-Authenticate: Basic",
                "Proxy-Authentication-Info: a",
                "Proxy-Authorization: b",
            ],
            vec!["proxy-authenticate", "proxy-authentication-info", "proxy-authorization"],
        ),
        ("RFC 9111 section 5.1 Age is made anew", vec!["Age: 5"], vec!["age"]),
        ("RFC 9111 section 5.2.2.7", vec!["Cache-Control: private=\"foo\"", "Foo: 1"], vec!["foo"]),
        (
            "RFC 9111 section 5.2.2.4",
            vec!["Cache-Control: no-cache=\"foo, bar\"", "Foo: 1", "Bar: 2"],
            vec!["foo", "bar"],
        ),
        ("RFC 9110 section 6.6.2 trailers aren't stored", vec!["Trailer: foo"], vec!["trailer"]),
        (
            "RFC 9213 section 2.2 the targeted field says what is private",
            vec!["CDN-Cache-Control: private=\"foo\"", "Foo: 1"],
            vec!["foo"],
        ),
        (
            "RFC 9111 section 5.2.2.7 although Connection hides it",
            vec!["Connection: cache-control", "Cache-Control: private=\"foo\"", "Foo: 1"],
            vec!["foo"],
        ),
    ] {
        let mut lines = lines;
        lines.push("X-Kept: 1");
        let stored = stored(&lines, &Policy::default());
        assert!(stored.contains_key("x-kept"), "{clause}");
        for name in gone {
            assert!(!stored.contains_key(name), "{clause}: {name}");
        }
    }
}

#[test]
fn cookies_are_stored_only_where_the_site_says_so() {
    for (cookies, kept) in [(Cookies::Pass, 0), (Cookies::Strip, 0), (Cookies::Store, 2)] {
        let policy = Policy { cookies, ..Policy::default() };
        let stored = stored(&["Set-Cookie: a=1", "Set-Cookie: b=2"], &policy);
        assert_eq!(stored.get_all(SET_COOKIE).iter().count(), kept, "{cookies:?}");
    }
}

#[test]
fn an_answer_without_a_valid_date_gets_one() {
    for (clause, lines, expected) in [
        ("RFC 9110 section 6.6.1 missing", vec![], NOW_TEXT),
        ("RFC 9110 section 6.6.1 invalid", vec!["Date: yesterday"], NOW_TEXT),
        (
            "RFC 9110 section 6.6.1 valid",
            vec!["Date: Sun, 06 Nov 1994 08:49:37 GMT"],
            "Sun, 06 Nov 1994 08:49:37 GMT",
        ),
    ] {
        let mut fields = headers(&lines);
        complete_date(&mut fields, NOW);
        assert_eq!(fields, headers(&[&format!("Date: {expected}")]), "{clause}");
    }
}

#[test]
fn a_list_is_split_at_its_commas() {
    for (line, expected) in [
        ("a, b ,\tc", vec!["a", "b", "c"]),
        (",,a,,", vec!["a"]),
        ("a=\"b, c\", d", vec!["a=\"b, c\"", "d"]),
        (r#"a="\",", b"#, vec![r#"a="\",""#, "b"]),
        ("a=\"b, c", vec!["a=\"b", "c"]),
        ("", vec![]),
    ] {
        let split: Vec<_> = members(line.as_bytes()).collect();
        let expected: Vec<_> = expected.iter().map(|member| member.as_bytes()).collect();
        assert_eq!(split, expected, "{line}");
    }
}

proptest! {
    #[test]
    fn a_list_of_plain_members_is_read_back(
        names in prop::collection::vec("[a-z0-9=-]{1,8}", 0..6),
    ) {
        let line = names.join(" , ");
        let split: Vec<&[u8]> = members(line.as_bytes()).collect();
        prop_assert_eq!(split, names.iter().map(String::as_bytes).collect::<Vec<_>>());
    }

    #[test]
    fn members_never_panics(value in any_value()) {
        for member in members(value.as_bytes()) {
            prop_assert!(!member.is_empty());
        }
    }

    #[test]
    fn what_is_stored_is_storable_again(headers in any_headers(), policy in any_policy()) {
        let once = storable(Response { status: StatusCode::OK, headers: &headers }, &policy);
        let twice = storable(Response { status: StatusCode::OK, headers: &once }, &policy);
        prop_assert_eq!(once, twice);
    }
}
