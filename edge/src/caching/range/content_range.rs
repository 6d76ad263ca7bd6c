//! Content-Range (RFC 9110 section 14.4).

use std::ops::Range;

use http::HeaderMap;
use http::header::CONTENT_RANGE;

use super::{fields, position};

/// A valid Content-Range, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContentRange {
    /// Of a 206: which part, and of how many bytes if the origin knows.
    Part(Range<u64>, Option<u64>),
    /// Of a 416: how many bytes there are.
    Unsatisfied(u64),
}

impl ContentRange {
    /// The answer's Content-Range; `None` if it is absent, repeated, invalid or of another unit.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut lines = headers.get_all(CONTENT_RANGE).iter();
        match (lines.next(), lines.next()) {
            (Some(only), None) => Self::parse(fields::trim(only.as_bytes())),
            _ => None,
        }
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let (unit, rest) = text.split_at_checked(b"bytes ".len())?;
        if !unit.eq_ignore_ascii_case(b"bytes ") {
            return None;
        }
        let slash = rest.iter().position(|byte| *byte == b'/')?;
        let (range, length) = (&rest[..slash], &rest[slash + 1..]);
        if range == b"*" {
            return Some(Self::Unsatisfied(position(length)?));
        }
        let dash = range.iter().position(|byte| *byte == b'-')?;
        let (first, last) = (position(&range[..dash])?, position(&range[dash + 1..])?);
        let length = match length {
            b"*" => None,
            digits => Some(position(digits)?),
        };
        // RFC 9110 section 14.4: a last byte before the first, or beyond the end, is invalid.
        if first > last || last == u64::MAX || length.is_some_and(|length| length <= last) {
            return None;
        }
        Some(Self::Part(first..last + 1, length))
    }
}
