use super::*;

const LENGTH: u64 = 1000;
/// Sun, 06 Nov 1994 08:49:37 GMT.
const MODIFIED_SECS: i64 = 784_111_777;
const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
/// The tag of the file, as [`tag`] makes it.
const TAG: &str = "\"3e8-1\"";
const WEAK: &str = "W/\"3e8-1\"";

fn tag(weak: bool) -> EntityTag {
    EntityTag::of_stamp(&[LENGTH.into(), 1], weak)
}

fn plan_of(tag: &EntityTag, method: Method, fields: &[(&str, &str)], now_secs: i64) -> Plan {
    let file = Representation {
        length: LENGTH,
        modified_secs: MODIFIED_SECS,
        tag,
        media_type: "video/mp4",
        cache_control: Some(HeaderValue::from_static("max-age=5")),
    };
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.append(name, HeaderValue::from_str(value).unwrap());
    }
    representation(&method, &headers, &file, Timestamp::from_secs(now_secs))
}

fn plan(method: Method, fields: &[(&str, &str)]) -> Plan {
    plan_of(&tag(false), method, fields, MODIFIED_SECS + 3600)
}

fn field<'a>(plan: &'a Plan, name: &str) -> Option<&'a str> {
    plan.headers.get(name).map(|value| value.to_str().unwrap())
}

#[test]
fn a_whole_file_is_described_and_sent() {
    let plan = plan(Method::GET, &[]);
    assert_eq!(plan.status, StatusCode::OK);
    assert_eq!(plan.body, [Piece::File(0..LENGTH)]);
    for (name, value) in [
        ("content-length", "1000"),
        ("content-type", "video/mp4"),
        ("etag", TAG),
        ("last-modified", MODIFIED),
        ("accept-ranges", "bytes"),
        ("cache-control", "max-age=5"),
        ("access-control-allow-origin", "*"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(field(&plan, name), Some(value), "{name}");
    }
}

#[test]
fn head_is_get_without_the_body() {
    let (get, head) = (plan(Method::GET, &[]), plan(Method::HEAD, &[]));
    assert_eq!(get.headers, head.headers);
    assert_eq!(get.status, head.status);
    assert!(head.body.is_empty());
}

#[test]
fn conditions_are_judged_in_their_order() {
    let ims = "if-modified-since";
    let ius = "if-unmodified-since";
    let inm = "if-none-match";
    let im = "if-match";
    let table: &[(&[(&str, &str)], u16)] = &[
        // If-Match: strong comparison
        (&[(im, TAG)], 200),
        (&[(im, "*")], 200),
        (&[(im, " * ")], 200),
        (&[(im, "\"x\", \"3e8-1\"")], 200),
        (&[(im, "\"x\""), (im, TAG)], 200),
        (&[(im, "\"x\"")], 412),
        (&[(im, WEAK)], 412),
        (&[(im, "")], 412),
        (&[(im, "3e8-1")], 412),
        // If-Unmodified-Since, only without If-Match
        (&[(ius, MODIFIED)], 200),
        (&[(ius, AFTER)], 200),
        (&[(ius, BEFORE)], 412),
        (&[(ius, "yesterday")], 200),
        (&[(ius, BEFORE), (ius, BEFORE)], 200),
        (&[(im, TAG), (ius, BEFORE)], 200),
        // If-None-Match: weak comparison
        (&[(inm, TAG)], 304),
        (&[(inm, WEAK)], 304),
        (&[(inm, "*")], 304),
        (&[(inm, "\"a,b\",, \"3e8-1\"")], 304),
        (&[(inm, "\"x\""), (inm, TAG)], 304),
        (&[(inm, "\"x\"")], 200),
        (&[(inm, "\"3e8-1")], 200),
        (&[(inm, "w/\"3e8-1\"")], 200),
        // If-Modified-Since, only without If-None-Match
        (&[(ims, MODIFIED)], 304),
        (&[(ims, AFTER)], 304),
        (&[(ims, BEFORE)], 200),
        (&[(ims, "Sunday, 06-Nov-94 08:49:37 GMT")], 304),
        (&[(ims, "Sun Nov  6 08:49:37 1994")], 304),
        (&[(ims, "784111777")], 200),
        (&[(ims, MODIFIED), (ims, MODIFIED)], 200),
        (&[(inm, "\"x\""), (ims, MODIFIED)], 200),
        (&[(inm, TAG), (ims, BEFORE)], 304),
        // first what must hold, then what may spare the body
        (&[(im, "\"x\""), (inm, TAG)], 412),
        (&[(im, TAG), (inm, TAG)], 304),
        (&[(ius, BEFORE), (ims, AFTER)], 412),
        (&[(ius, AFTER), (ims, AFTER)], 304),
        // and both before the range
        (&[(inm, TAG), ("range", "bytes=0-1")], 304),
        (&[(im, "\"x\""), ("range", "bytes=5000-")], 412),
    ];
    for (fields, status) in table {
        for method in [Method::GET, Method::HEAD] {
            assert_eq!(plan(method, fields).status, *status, "{fields:?}");
        }
    }
}

#[test]
fn not_modified_updates_a_cache_and_says_no_more() {
    let plan = plan(Method::GET, &[("if-none-match", TAG)]);
    assert!(plan.body.is_empty());
    assert_eq!(field(&plan, "etag"), Some(TAG));
    assert_eq!(field(&plan, "cache-control"), Some("max-age=5"));
    for absent in ["content-length", "content-type", "last-modified"] {
        assert_eq!(field(&plan, absent), None, "{absent}");
    }
}

#[test]
fn a_range_is_sent_if_it_belongs_to_the_same_bytes() {
    let table: &[(&str, u16)] = &[
        (TAG, 206),
        (MODIFIED, 206),
        (WEAK, 200),
        ("\"x\"", 200),
        ("*", 200),
        (BEFORE, 200),
        (AFTER, 200),
        ("", 200),
    ];
    for (if_range, status) in table {
        let plan = plan(Method::GET, &[("range", "bytes=0-9"), ("if-range", if_range)]);
        assert_eq!(plan.status, *status, "{if_range}");
    }
    let twice = [("range", "bytes=0-9"), ("if-range", TAG), ("if-range", TAG)];
    assert_eq!(plan(Method::GET, &twice).status, 200);
    // An unsatisfiable range of other bytes is no error.
    let other = [("range", "bytes=5000-"), ("if-range", "\"x\"")];
    assert_eq!(plan(Method::GET, &other).status, 200);
}

#[test]
fn weak_validators_join_no_ranges() {
    let ranged = |if_range| [("range", "bytes=0-9"), ("if-range", if_range)];
    let weak = plan_of(&tag(true), Method::GET, &ranged(WEAK), MODIFIED_SECS + 9);
    assert_eq!(weak.status, 200);
    // Within the second of the change there may be another change.
    let fresh = plan_of(&tag(false), Method::GET, &ranged(MODIFIED), MODIFIED_SECS);
    assert_eq!(fresh.status, 200);
}

#[test]
fn ranges_get_206_or_416() {
    let ranged = |range| plan(Method::GET, &[("range", range)]);

    let one = ranged("bytes=10-19");
    assert_eq!(one.status, 206);
    assert_eq!(field(&one, "content-range"), Some("bytes 10-19/1000"));
    assert_eq!(field(&one, "content-length"), Some("10"));
    assert_eq!(field(&one, "content-type"), Some("video/mp4"));
    assert_eq!(one.body, [Piece::File(10..20)]);

    let none = ranged("bytes=1000-");
    assert_eq!(none.status, 416);
    assert_eq!(field(&none, "content-range"), Some("bytes */1000"));
    assert_eq!(field(&none, "etag"), None);

    for range in ["bytes=9-1", "seconds=1-2", "bytes=a-b"] {
        assert_eq!(ranged(range).status, 200, "{range}");
    }
    let twice = [("range", "bytes=0-1"), ("range", "bytes=0-1")];
    assert_eq!(plan(Method::GET, &twice).status, 200);
    let head = plan(Method::HEAD, &[("range", "bytes=0-1")]);
    assert_eq!(head.status, 200);
}

#[test]
fn several_ranges_are_sent_as_parts() {
    let plan = plan(Method::GET, &[("range", "bytes=0-1,500-501,-2")]);
    assert_eq!(plan.status, 206);
    assert_eq!(field(&plan, "content-range"), None);
    let content_type = Some("multipart/byteranges; boundary=3e8-1");
    assert_eq!(field(&plan, "content-type"), content_type);

    let part = |line_end, range| {
        format!(
            "{line_end}--3e8-1\r\nContent-Type: video/mp4\r\nContent-Range: bytes {range}/1000\r\n\r\n"
        )
    };
    let bytes = |text: String| Piece::Bytes(text.into());
    let expected = [
        bytes(part("", "0-1")),
        Piece::File(0..2),
        bytes(part("\r\n", "500-501")),
        Piece::File(500..502),
        bytes(part("\r\n", "998-999")),
        Piece::File(998..1000),
        bytes("\r\n--3e8-1--\r\n".to_owned()),
    ];
    assert_eq!(plan.body, expected);
    let length: u64 = expected.iter().map(Piece::length).sum();
    assert_eq!(field(&plan, "content-length"), Some(length.to_string().as_str()));
}

#[test]
fn a_file_from_the_future_was_modified_now() {
    let plan = plan_of(&tag(false), Method::GET, &[], MODIFIED_SECS - 1);
    assert_eq!(field(&plan, "last-modified"), Some(BEFORE));
}

#[test]
fn refusals_name_themselves_and_are_kept_briefly_if_at_all() {
    let refused = refusal(&Method::GET, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(field(&refused, "allow"), Some("GET, HEAD, OPTIONS"));
    assert_eq!(field(&refused, "cache-control"), Some("no-store"));
    let text = Piece::Bytes("405 Method Not Allowed\n".into());
    assert_eq!(refused.body, [text]);
    let missing = refusal(&Method::HEAD, StatusCode::NOT_FOUND);
    assert_eq!(field(&missing, "cache-control"), Some("public, max-age=4"));
    assert_eq!(field(&missing, "content-length"), Some("14"));
    assert!(missing.body.is_empty());
}
