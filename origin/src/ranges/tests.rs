#![allow(clippy::single_range_in_vec_init)] // A list of one range is what is meant.

use proptest::prelude::*;

use super::*;

#[test]
fn a_field_asks_for_these_bytes() {
    use Asked::*;
    let ranges = |ranges: &[Range<u64>]| Ranges(ranges.to_vec());
    let table: &[(&str, u64, Asked)] = &[
        // one range
        ("bytes=0-0", 1000, ranges(&[0..1])),
        ("bytes=0-499", 1000, ranges(&[0..500])),
        ("bytes=500-", 1000, ranges(&[500..1000])),
        ("bytes=-200", 1000, ranges(&[800..1000])),
        ("bytes=-5000", 1000, ranges(&[0..1000])),
        ("bytes=999-5000", 1000, ranges(&[999..1000])),
        ("Bytes=0-0", 1000, ranges(&[0..1])),
        ("bytes=00010-0020", 1000, ranges(&[10..21])),
        ("bytes=0-99999999999999999999999", 1000, ranges(&[0..1000])),
        // several
        ("bytes=0-99,500-599", 1000, ranges(&[0..100, 500..600])),
        ("bytes=500-599 , 0-99", 1000, ranges(&[0..100, 500..600])),
        ("bytes=0-99,,\t,500-599,", 1000, ranges(&[0..100, 500..600])),
        ("bytes=0-99,2000-", 1000, ranges(&[0..100])),
        ("bytes=0-99,50-149", 1000, ranges(&[0..150])),
        ("bytes=0-99,100-149", 1000, ranges(&[0..150])),
        ("bytes=0-99,196-200", 1000, ranges(&[0..201])),
        ("bytes=0-99,197-200", 1000, ranges(&[0..100, 197..201])),
        ("bytes=0-999,0-0,-1", 1000, ranges(&[0..1000])),
        // none that there is
        ("bytes=1000-", 1000, Unsatisfiable),
        ("bytes=1000-2000", 1000, Unsatisfiable),
        ("bytes=-0", 1000, Unsatisfiable),
        ("bytes=99999999999999999999999-", 1000, Unsatisfiable),
        ("bytes=0-", 0, Unsatisfiable),
        // the end of nothing
        ("bytes=-5", 0, Whole),
        // not ours to understand
        ("items=0-5", 1000, Whole),
        ("bytes", 1000, Whole),
        ("bytes=", 1000, Whole),
        ("bytes=,", 1000, Whole),
        ("bytes=-", 1000, Whole),
        ("bytes=5-1", 1000, Whole),
        ("bytes=0-5,x", 1000, Whole),
        ("bytes=+1-5", 1000, Whole),
        ("bytes=0-5-9", 1000, Whole),
        ("bytes=0 -5", 1000, Whole),
    ];
    for (field, length, expected) in table {
        assert_eq!(&resolve(field, *length), expected, "{field} of {length}");
    }
}

#[test]
fn an_excess_of_ranges_is_answered_with_the_whole() {
    let field = |count: u64| {
        let specs: Vec<String> = (0..count).map(|index| format!("{0}-{0}", index * 200)).collect();
        format!("bytes={}", specs.join(","))
    };
    let allowed = resolve(&field(16), 10_000);
    assert!(matches!(allowed, Asked::Ranges(ranges) if ranges.len() == 16));
    assert_eq!(resolve(&field(17), 10_000), Asked::Whole);
}

proptest! {
    #[test]
    fn every_range_lies_within_and_apart(
        field in "bytes=([0-9]{0,4}-[0-9]{0,4},? ?){1,12}",
        length in 0u64..5000,
    ) {
        if let Asked::Ranges(ranges) = resolve(&field, length) {
            prop_assert!(!ranges.is_empty());
            prop_assert!(ranges.iter().all(|range| range.start < range.end && range.end <= length));
            prop_assert!(ranges.windows(2).all(|pair| pair[0].end + MAX_GAP_BYTES < pair[1].start));
        }
    }

    #[test]
    fn a_byte_that_was_asked_for_is_sent(first in 0u64..5000, count in 1u64..500, length in 1u64..5000) {
        let asked = resolve(&format!("bytes={first}-{}", first + count - 1), length);
        let expected = first..(first + count).min(length);
        if first < length {
            prop_assert_eq!(asked, Asked::Ranges(vec![expected]));
        } else {
            prop_assert_eq!(asked, Asked::Unsatisfiable);
        }
    }

    #[test]
    fn no_text_is_too_strange(field in "\\PC*", length: u64) {
        let _ = resolve(&field, length);
    }
}
