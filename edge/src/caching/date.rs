//! Dates in fields (RFC 9110 section 5.6.7), read as RFC 9111 section 4.2 asks of a cache.

use std::time::{Duration, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue};
use kingcdn_config::clock::Timestamp;

const MONTHS: [&[u8; 3]; 12] = [
    b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec",
];
const DAYS: [&[u8]; 7] =
    [b"monday", b"tuesday", b"wednesday", b"thursday", b"friday", b"saturday", b"sunday"];
const DAY_SECS: i64 = 24 * 60 * 60;
/// The last second that a date with four digits of year can name.
const LAST_SECS: u64 = 253_402_300_799;

/// `moment` as IMF-fixdate, for `Date` and the like. Moments before 1970 become 1970.
pub fn format(moment: Timestamp) -> HeaderValue {
    let secs = u64::try_from(moment.as_secs()).unwrap_or(0).min(LAST_SECS);
    let text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(secs));
    // Never the case: the text is ASCII. "0" is what everybody reads as a date in the past.
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("0"))
}

/// The date in a field that has just one line; `None` if it is absent, repeated or invalid.
pub fn of(headers: &HeaderMap, name: &HeaderName, now: Timestamp) -> Option<Timestamp> {
    let first = headers.get(name)?;
    match headers.get_all(name).iter().nth(1) {
        None => parse(first.as_bytes(), now),
        Some(_) => None,
    }
}

/// A date in any of the three formats, in any case. `now` gives two-digit years their century.
///
/// Any zone but GMT makes a date invalid (RFC 9111 section 4.2).
pub fn parse(text: &[u8], now: Timestamp) -> Option<Timestamp> {
    let mut reader = Reader(text);
    let day_name = reader.letters();
    let short = DAYS.iter().any(|day| day[..3].eq_ignore_ascii_case(day_name));
    let long = DAYS.iter().any(|day| day.eq_ignore_ascii_case(day_name));
    let parts = match reader.0.first()? {
        b',' if short => reader.imf_fixdate(),
        b',' if long => reader.rfc850_date(now),
        b' ' if short => reader.asctime_date(),
        _ => None,
    }?;
    if !reader.0.is_empty() {
        return None;
    }
    parts.timestamp()
}

/// What stands in a date.
struct Parts {
    year: i64,
    /// From 0.
    month: u8,
    day: u8,
    secs_of_day: i64,
}

impl Parts {
    fn timestamp(&self) -> Option<Timestamp> {
        let leap = self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0);
        let days = match self.month {
            1 if leap => 29,
            1 => 28,
            3 | 5 | 8 | 10 => 30,
            _ => 31,
        };
        if self.day == 0 || self.day > days {
            return None;
        }
        let days = days_since_epoch(self.year, self.month, self.day);
        Some(Timestamp::from_secs(days * DAY_SECS + self.secs_of_day))
    }
}

/// Days from 1970-01-01 in the Gregorian calendar, for years from 0.
fn days_since_epoch(year: i64, month: u8, day: u8) -> i64 {
    // Years begin in March here, so that the leap day is a year's last.
    let (year, month) = match i64::from(month) {
        month @ 0..=1 => (year - 1, month + 10),
        month => (year, month - 2),
    };
    let days_before_month = (153 * month + 2) / 5;
    let days_before_year =
        365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    // 719,468 days lie between 0000-03-01 and 1970-01-01.
    days_before_year + days_before_month + i64::from(day) - 1 - 719_468
}

/// What is left of the text.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    /// `, 06 Nov 1994 08:49:37 GMT` after the day's name.
    fn imf_fixdate(&mut self) -> Option<Parts> {
        self.expect(b", ")?;
        let day = self.digits::<2>()?;
        self.expect(b" ")?;
        let month = self.month()?;
        self.expect(b" ")?;
        let year = self.digits::<4>()?;
        self.expect(b" ")?;
        let secs_of_day = self.time()?;
        self.expect(b" gmt")?;
        Some(Parts { year, month, day: u8::try_from(day).ok()?, secs_of_day })
    }

    /// `, 06-Nov-94 08:49:37 GMT` after the day's name.
    fn rfc850_date(&mut self, now: Timestamp) -> Option<Parts> {
        self.expect(b", ")?;
        let day = self.digits::<2>()?;
        self.expect(b"-")?;
        let month = self.month()?;
        self.expect(b"-")?;
        let year = self.digits::<2>()?;
        self.expect(b" ")?;
        let secs_of_day = self.time()?;
        self.expect(b" gmt")?;
        let this_year = year_of(now);
        let mut parts = Parts {
            year: this_year - this_year.rem_euclid(100) + 100 + year,
            month,
            day: u8::try_from(day).ok()?,
            secs_of_day,
        };
        // RFC 9110 section 5.6.7: what appears to be more than 50 years ahead was the most recent
        // year with these digits.
        while parts.year > this_year + 50 {
            parts.year -= 100;
        }
        Some(parts)
    }

    /// ` Nov  6 08:49:37 1994` after the day's name.
    fn asctime_date(&mut self) -> Option<Parts> {
        self.expect(b" ")?;
        let month = self.month()?;
        self.expect(b" ")?;
        let day = match self.expect(b" ") {
            Some(()) => self.digits::<1>()?,
            None => self.digits::<2>()?,
        };
        self.expect(b" ")?;
        let secs_of_day = self.time()?;
        self.expect(b" ")?;
        let year = self.digits::<4>()?;
        Some(Parts { year, month, day: u8::try_from(day).ok()?, secs_of_day })
    }

    /// `08:49:37`; 60 is a leap second, and counts as the second after 59.
    fn time(&mut self) -> Option<i64> {
        let hour = self.digits::<2>()?;
        self.expect(b":")?;
        let minute = self.digits::<2>()?;
        self.expect(b":")?;
        let second = self.digits::<2>()?;
        (hour < 24 && minute < 60 && second <= 60).then_some(hour * 3600 + minute * 60 + second)
    }

    fn month(&mut self) -> Option<u8> {
        let name = self.letters();
        let month = MONTHS.iter().position(|month| month.eq_ignore_ascii_case(name))?;
        u8::try_from(month).ok()
    }

    fn letters(&mut self) -> &[u8] {
        let end = self.0.iter().position(|byte| !byte.is_ascii_alphabetic());
        let (letters, rest) = self.0.split_at(end.unwrap_or(self.0.len()));
        self.0 = rest;
        letters
    }

    fn digits<const N: usize>(&mut self) -> Option<i64> {
        let (digits, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        digits.iter().try_fold(0, |number, digit| {
            digit.is_ascii_digit().then(|| number * 10 + i64::from(digit - b'0'))
        })
    }

    /// Takes `text`, which is in lower case, from the front.
    fn expect(&mut self, text: &[u8]) -> Option<()> {
        let (front, rest) = self.0.split_at_checked(text.len())?;
        if !front.eq_ignore_ascii_case(text) {
            return None;
        }
        self.0 = rest;
        Some(())
    }
}

fn year_of(now: Timestamp) -> i64 {
    // The mean length of a Gregorian year finds the year, or one next to it.
    let days = now.as_secs().div_euclid(DAY_SECS);
    let mut year = 1970 + days * 400 / 146_097;
    while days_since_epoch(year, 0, 1) > days {
        year -= 1;
    }
    while days_since_epoch(year + 1, 0, 1) <= days {
        year += 1;
    }
    year
}

#[cfg(test)]
mod tests;
