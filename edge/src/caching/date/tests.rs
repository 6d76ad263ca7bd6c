use proptest::prelude::*;

use super::*;
use crate::caching::testing::{NOW, NOW_TEXT, any_value, headers};

const EXAMPLE: Option<Timestamp> = Some(Timestamp::from_secs(784_111_777));

#[test]
fn dates_are_read_as_a_cache_should() {
    for (clause, text, expected) in [
        ("RFC 9110 5.6.7 IMF-fixdate", "Sun, 06 Nov 1994 08:49:37 GMT", EXAMPLE),
        ("RFC 9110 5.6.7 rfc850-date", "Sunday, 06-Nov-94 08:49:37 GMT", EXAMPLE),
        ("RFC 9110 5.6.7 asctime-date", "Sun Nov  6 08:49:37 1994", EXAMPLE),
        ("RFC 9111 4.2 any case", "sun, 06 nOV 1994 08:49:37 gmt", EXAMPLE),
        ("RFC 9111 4.2 any case", "SUNDAY, 06-NOV-94 08:49:37 GMT", EXAMPLE),
        ("RFC 9111 4.2 only GMT", "Sun, 06 Nov 1994 08:49:37 UTC", None),
        ("RFC 9111 4.2 only GMT", "Sun, 06 Nov 1994 08:49:37 +0000", None),
        ("RFC 9111 4.2 only GMT", "Sun, 06 Nov 1994 08:49:37 AEST", None),
        ("RFC 9111 4.2 only GMT", "Sun, 06 Nov 1994 08:49:37", None),
        ("RFC 9111 5.3 zero", "0", None),
        ("RFC 9110 5.6.7 empty", "", None),
        ("RFC 9110 5.6.7 no comma", "Sun 06 Nov 1994 08:49:37 GMT", None),
        ("RFC 9110 5.6.7 two spaces", "Sun, 06  Nov 1994 08:49:37 GMT", None),
        ("RFC 9110 5.6.7 one digit of hour", "Sun, 06 Nov 1994 8:49:37 GMT", None),
        ("RFC 9110 5.6.7 dots in time", "Sun, 06 Nov 1994 08.49.37 GMT", None),
        ("RFC 9110 5.6.7 two digits of year", "Sun, 06 Nov 94 08:49:37 GMT", None),
        ("RFC 9110 5.6.7 dashes", "Sun, 06-Nov-1994 08:49:37 GMT", None),
        ("RFC 9110 5.6.7 something after it", "Sun, 06 Nov 1994 08:49:37 GMTX", None),
        ("RFC 9110 5.6.7 no such day", "Sun, 31 Nov 1994 08:49:37 GMT", None),
        ("RFC 9110 5.6.7 no such day", "Sun, 00 Nov 1994 08:49:37 GMT", None),
        ("RFC 9110 5.6.7 no leap year", "Wed, 29 Feb 2023 00:00:00 GMT", None),
        ("RFC 9110 5.6.7 no such hour", "Sun, 06 Nov 1994 24:00:00 GMT", None),
        (
            "RFC 9110 5.6.7 the epoch",
            "Thu, 01 Jan 1970 00:00:00 GMT",
            Some(Timestamp::from_secs(0)),
        ),
        (
            "RFC 9110 5.6.7 before the epoch",
            "Wed, 31 Dec 1969 23:59:59 GMT",
            Some(Timestamp::from_secs(-1)),
        ),
        (
            "RFC 9110 5.6.7 a leap day",
            "Thu, 29 Feb 2024 00:00:00 GMT",
            Some(Timestamp::from_secs(1_709_164_800)),
        ),
        (
            "RFC 9110 5.6.7 a leap second",
            "Sat, 31 Dec 2016 23:59:60 GMT",
            Some(Timestamp::from_secs(1_483_228_800)),
        ),
        (
            "RFC 9110 5.6.7 the last year",
            "Fri, 31 Dec 9999 23:59:59 GMT",
            Some(Timestamp::from_secs(253_402_300_799)),
        ),
        (
            "RFC 9110 5.6.7 the first year",
            "Sat, 01 Jan 0000 00:00:00 GMT",
            Some(Timestamp::from_secs(-62_167_219_200)),
        ),
    ] {
        assert_eq!(parse(text.as_bytes(), NOW), expected, "{clause}: {text}");
    }
}

#[test]
fn two_digits_of_year_are_at_most_fifty_years_ahead() {
    // RFC 9110 section 5.6.7; NOW is in 2023.
    for (text, full) in [
        ("Thursday, 01-Jan-23 00:00:00 GMT", "Sun, 01 Jan 2023 00:00:00 GMT"),
        ("Thursday, 01-Jan-73 00:00:00 GMT", "Sun, 01 Jan 2073 00:00:00 GMT"),
        ("Thursday, 01-Jan-74 00:00:00 GMT", "Tue, 01 Jan 1974 00:00:00 GMT"),
        ("Thursday, 01-Jan-99 00:00:00 GMT", "Fri, 01 Jan 1999 00:00:00 GMT"),
        ("Thursday, 01-Jan-00 00:00:00 GMT", "Sat, 01 Jan 2000 00:00:00 GMT"),
    ] {
        let year = parse(text.as_bytes(), NOW);
        assert!(year.is_some(), "{text}");
        assert_eq!(year, parse(full.as_bytes(), NOW), "{text}");
    }
}

#[test]
fn a_field_with_two_dates_has_none() {
    let date = format!("Date: {NOW_TEXT}");
    assert_eq!(of(&headers(&[&date]), &http::header::DATE, NOW), Some(NOW));
    assert_eq!(of(&headers(&[&date, &date]), &http::header::DATE, NOW), None);
    assert_eq!(of(&headers(&[]), &http::header::DATE, NOW), None);
}

proptest! {
    #[test]
    fn a_date_is_read_back(secs in 0..253_402_300_799_i64) {
        let moment = Timestamp::from_secs(secs);
        prop_assert_eq!(parse(format(moment).as_bytes(), NOW), Some(moment));
    }

    #[test]
    fn parse_never_panics(value in any_value(), now in any::<i32>()) {
        parse(value.as_bytes(), Timestamp::from_secs(i64::from(now)));
    }
}
