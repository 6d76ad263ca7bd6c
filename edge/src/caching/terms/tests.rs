use super::*;
use crate::caching::Policy;
use crate::caching::testing::{HOUR_AGO, NOW, NOW_TEXT, after, exchange, get, headers, stored};

const FRESH: &str = "Cache-Control: max-age=60";

#[test]
fn ttl_is_negative_when_stale() {
    let terms = stored(&[FRESH]);
    for (elapsed_millis, ttl) in [(0, 60), (1, 59), (59_999, 0), (60_001, -1), (70_000, -10)] {
        let now = Timestamp::from_millis(NOW.as_millis() + elapsed_millis);
        assert_eq!(terms.ttl_secs(now), ttl, "RFC 9211 section 2.4 after {elapsed_millis} ms");
    }
}

#[test]
fn when_an_answer_is_of_no_more_use() {
    for (lines, expected) in [
        (vec![FRESH], Some(after(60))),
        (vec!["Cache-Control: s-maxage=60, stale-if-error=5"], Some(after(60))),
        (vec!["Cache-Control: max-age=60, stale-if-error=5"], Some(after(65))),
        (
            vec!["Cache-Control: max-age=60, stale-if-error=5, stale-while-revalidate=7"],
            Some(after(67)),
        ),
        (vec![FRESH, "ETag: \"a\""], None),
        (vec![FRESH, "ETag: a"], Some(after(60))),
        (vec![FRESH, "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT"], None),
        (vec![FRESH, "Last-Modified: long ago"], Some(after(60))),
    ] {
        let terms = stored(&lines);
        assert_eq!(terms.useless_from(), expected, "{lines:?}");
        assert_eq!(terms.has_validator(), expected.is_none(), "{lines:?}");
    }
}

#[test]
fn the_most_recent_matching_answer_is_selected() {
    let policy = Policy::default();
    let variant = |asked: &[&str], vary: &str, date: &str| {
        let (vary, date) = (format!("Vary: {vary}"), format!("Date: {date}"));
        exchange(asked, 200, &["Cache-Control: max-age=9999", &vary, &date], &policy)
            .expect("storable")
    };
    let old_a = variant(&["Foo: a"], "foo", HOUR_AGO);
    let new_a = variant(&["Foo: a"], "foo", NOW_TEXT);
    let new_b = variant(&["Foo: b"], "foo", NOW_TEXT);
    let plain = variant(&[], "", NOW_TEXT);
    for (clause, variants, expected) in [
        ("4 most recent", vec![&old_a, &new_a], Some(1)),
        ("4 most recent, other order", vec![&new_a, &old_a], Some(0)),
        ("4.1 only what matches", vec![&old_a, &new_b], Some(0)),
        ("4.1 none matches", vec![&new_b], None),
        ("4.1 without Vary", vec![&new_b, &plain], Some(1)),
        ("4.1 one without Vary steps back", vec![&old_a, &plain], Some(0)),
        ("4 equally recent: the first", vec![&new_a, &new_a], Some(0)),
        ("4 nothing", vec![], None),
    ] {
        let asked = headers(&["Foo: a"]);
        let selected = select(variants.into_iter(), get(&asked));
        assert_eq!(selected, expected, "RFC 9111 section {clause}");
    }
}

#[test]
fn terms_are_compact() {
    assert!(size_of::<Terms>() <= 192, "{}", size_of::<Terms>());
}
