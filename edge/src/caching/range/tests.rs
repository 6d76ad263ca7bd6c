use std::collections::BTreeSet;

use http::HeaderValue;
use proptest::prelude::*;

use super::*;
use crate::caching::testing::{HOUR_AGO, NOW_TEXT, any_headers, any_value, get, headers, stored};

fn terms() -> Terms {
    stored(&[
        "Cache-Control: max-age=9",
        "ETag: \"a\"",
        &format!("Date: {NOW_TEXT}"),
        &format!("Last-Modified: {HOUR_AGO}"),
    ])
}

fn selected(range: &str, length: u64) -> Selection {
    let asked = headers(&[&format!("Range: {range}")]);
    resolve(get(&asked), &terms(), length)
}

#[test]
fn ranges_of_a_hundred_bytes() {
    use Selection::{Part, Parts, Unsatisfiable, Whole};
    for (clause, range, expected) in [
        ("14.1.2 first and last", "bytes=0-9", Part(0..10)),
        ("14.1.2 one byte", "bytes=99-99", Part(99..100)),
        ("14.1.2 last beyond the end", "bytes=90-199", Part(90..100)),
        ("14.1.2 open", "bytes=90-", Part(90..100)),
        ("14.1.2 all", "bytes=0-", Part(0..100)),
        ("14.1.2 suffix", "bytes=-10", Part(90..100)),
        ("14.1.2 suffix longer than all", "bytes=-1000", Part(0..100)),
        ("14.1.2 suffix of nothing", "bytes=-0", Unsatisfiable),
        ("14.1.2 beyond the end", "bytes=100-", Unsatisfiable),
        ("14.1.2 beyond any end", "bytes=99999999999999999999-", Unsatisfiable),
        ("14.1.2 last beyond any end", "bytes=90-99999999999999999999", Part(90..100)),
        ("14.1.2 suffix longer than any", "bytes=-99999999999999999999", Part(0..100)),
        ("14.1.2 white space in the list", "bytes= 0-9 ,\t20-29,", Parts(vec![0..10, 20..30])),
        ("14.1 units in any case", "BYTES=0-9", Part(0..10)),
        ("14.2 another unit", "lines=0-9", Whole),
        ("14.2 no unit", "0-9", Whole),
        ("14.2 empty", "bytes=", Whole),
        ("14.2 only commas", "bytes=,,", Whole),
        ("14.2 last before first", "bytes=9-0", Whole),
        ("14.2 letters", "bytes=a-9", Whole),
        ("14.2 no dash", "bytes=9", Whole),
        ("14.2 signs", "bytes=+0-9", Whole),
        ("14.2 two dashes", "bytes=0--9", Whole),
        ("14.2 space inside", "bytes=0 -9", Whole),
        ("14.2 one bad among good", "bytes=0-9,x", Whole),
        ("14.2 several, in their order", "bytes=50-59,0-9", Parts(vec![50..60, 0..10])),
        ("14.2 those that can be satisfied", "bytes=0-9,200-", Part(0..10)),
        ("15.3.7.2 overlapping", "bytes=0-9,5-19", Part(0..20)),
        ("15.3.7.2 adjacent", "bytes=0-9,10-19", Part(0..20)),
        ("15.3.7.2 the same", "bytes=0-9,0-9,0-9", Part(0..10)),
        ("15.3.7.2 one joins others", "bytes=0-9,50-59,20-29,5-24", Parts(vec![0..30, 50..60])),
        ("15.3.7.2 all in the end", "bytes=0-49,-50", Part(0..100)),
    ] {
        assert_eq!(selected(range, 100), expected, "RFC 9110 section {clause}: {range}");
    }
}

#[test]
fn an_excess_of_ranges_is_refused() {
    let ranges = |count: usize| {
        let list: Vec<String> = (0..count).map(|at| format!("{0}-{0}", at * 4)).collect();
        format!("bytes={}", list.join(","))
    };
    let Selection::Parts(parts) = selected(&ranges(MOST_RANGES), 1000) else { panic!("parts") };
    assert_eq!(parts.len(), MOST_RANGES);
    let refused = selected(&ranges(MOST_RANGES + 1), 1000);
    assert_eq!(refused, Selection::Unsatisfiable, "RFC 9110 sections 14.2 and 15.5.17");
}

#[test]
fn an_empty_answer_has_no_parts() {
    // RFC 9110 section 14.1.2: such a suffix is satisfiable, but no Content-Range can say it.
    assert_eq!(selected("bytes=-5", 0), Selection::Whole);
    assert_eq!(selected("bytes=0-", 0), Selection::Unsatisfiable);
}

#[test]
fn range_concerns_get_only() {
    let asked = headers(&["Range: bytes=0-9"]);
    for (method, expected) in
        [(Method::GET, Selection::Part(0..10)), (Method::HEAD, Selection::Whole)]
    {
        let request = Request { method: &method, headers: &asked };
        assert_eq!(resolve(request, &terms(), 100), expected, "RFC 9110 section 14.2: {method}");
    }
    let twice = headers(&["Range: bytes=0-9", "Range: bytes=0-9"]);
    assert_eq!(resolve(get(&twice), &terms(), 100), Selection::Whole, "two lines");
}

#[test]
fn if_range_keeps_parts_of_other_answers_apart() {
    let now = format!("Date: {NOW_TEXT}");
    let tag = stored(&["Cache-Control: max-age=9", "ETag: \"a\""]);
    let weak = stored(&["Cache-Control: max-age=9", "ETag: W/\"a\""]);
    let dated = stored(&["Cache-Control: max-age=9", &now, &format!("Last-Modified: {HOUR_AGO}")]);
    let just = stored(&["Cache-Control: max-age=9", &now, &format!("Last-Modified: {NOW_TEXT}")]);
    for (clause, terms, line, part) in [
        ("13.1.5 same tag", &tag, "\"a\"", true),
        ("13.1.5 other tag", &tag, "\"b\"", false),
        ("13.1.5 weak tags never", &weak, "W/\"a\"", false),
        ("13.1.5 weak tags never", &weak, "\"a\"", false),
        ("13.1.5 no tag held", &dated, "\"a\"", false),
        ("13.1.5 same date", &dated, HOUR_AGO, true),
        ("13.1.5 later date", &dated, NOW_TEXT, false),
        ("8.8.2.2 a date that isn't strong", &just, NOW_TEXT, false),
        ("13.1.5 no date held", &tag, HOUR_AGO, false),
        ("13.1.5 neither", &tag, "a", false),
    ] {
        let asked = headers(&["Range: bytes=0-9", &format!("If-Range: {line}")]);
        let expected = if part { Selection::Part(0..10) } else { Selection::Whole };
        assert_eq!(resolve(get(&asked), terms, 100), expected, "RFC 9110 section {clause}");
    }
    let twice = headers(&["Range: bytes=0-9", "If-Range: \"a\"", "If-Range: \"a\""]);
    assert_eq!(resolve(get(&twice), &tag, 100), Selection::Whole, "two lines");
}

#[test]
fn content_range_is_read() {
    for (clause, line, expected) in [
        ("part", "bytes 0-9/100", Some(ContentRange::Part(0..10, Some(100)))),
        ("part of unknown", "bytes 0-9/*", Some(ContentRange::Part(0..10, None))),
        ("unsatisfied", "bytes */100", Some(ContentRange::Unsatisfied(100))),
        ("units in any case", "Bytes 0-9/100", Some(ContentRange::Part(0..10, Some(100)))),
        ("to the end", "bytes 90-99/100", Some(ContentRange::Part(90..100, Some(100)))),
        ("beyond the end", "bytes 90-100/100", None),
        ("last before first", "bytes 9-0/100", None),
        ("both unknown", "bytes */*", None),
        ("another unit", "lines 0-9/100", None),
        ("no length", "bytes 0-9", None),
        ("no range", "bytes /100", None),
        ("signs", "bytes +0-9/100", None),
        ("beyond any end", "bytes 0-99999999999999999999/*", None),
        ("empty", "", None),
    ] {
        let read = ContentRange::of(&headers(&[&format!("Content-Range: {line}")]));
        assert_eq!(read, expected, "RFC 9110 section 14.4 {clause}: {line}");
    }
}

fn bytes(parts: &[Range<u64>]) -> BTreeSet<u64> {
    parts.iter().cloned().flatten().collect()
}

proptest! {
    #[test]
    fn coalesced_ranges_cover_exactly_the_union(
        asked in prop::collection::vec((0..60_u64, 0..20_u64), 1..MOST_RANGES),
        length in 1..70_u64,
    ) {
        let list: Vec<String> =
            asked.iter().map(|(first, more)| format!("{first}-{}", first + more)).collect();
        let union: BTreeSet<u64> = asked
            .iter()
            .flat_map(|(first, more)| *first..=first + more)
            .filter(|byte| *byte < length)
            .collect();
        let parts = match selected(&format!("bytes={}", list.join(",")), length) {
            Selection::Part(part) => vec![part],
            Selection::Parts(parts) => parts,
            Selection::Unsatisfiable => vec![],
            Selection::Whole => panic!("valid ranges aren't ignored"),
        };
        prop_assert_eq!(bytes(&parts), union);
        let total: u64 = parts.iter().map(|part| part.end - part.start).sum();
        prop_assert_eq!(total, bytes(&parts).len() as u64, "no byte twice");
        for (index, part) in parts.iter().enumerate() {
            for other in &parts[index + 1..] {
                prop_assert!(part.end < other.start || other.end < part.start, "apart");
            }
        }
    }

    #[test]
    fn parts_lie_within_the_answer(asked in any_headers(), value in any_value(), length: u64) {
        let mut asked = asked;
        asked.insert(RANGE, HeaderValue::from_bytes(&[b"bytes=", value.as_bytes()].concat()).expect("a value"));
        let parts = match resolve(get(&asked), &terms(), length) {
            Selection::Part(part) => vec![part],
            Selection::Parts(parts) => parts,
            Selection::Whole | Selection::Unsatisfiable => vec![],
        };
        for part in parts {
            prop_assert!(part.start < part.end && part.end <= length);
        }
    }

    #[test]
    fn any_content_range_is_read(value in any_value()) {
        let mut headers = HeaderMap::new();
        headers.insert(http::header::CONTENT_RANGE, value);
        ContentRange::of(&headers);
    }
}
