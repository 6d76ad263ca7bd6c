//! Ranges (RFC 9110 section 14).

mod content_range;

use std::ops::Range;

use http::header::{IF_RANGE, RANGE};
use http::{HeaderMap, Method};

pub use content_range::ContentRange;

use super::validator::Tag;
use super::{Request, Terms, date, fields};

/// A request for more ranges than this is refused, whatever they are (RFC 9110 section 17.15).
pub const MOST_RANGES: usize = 16;

/// What of an answer of known length is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// All of it: 200.
    Whole,
    /// One part: 206.
    Part(Range<u64>),
    /// Several parts, neither overlapping nor adjacent: 206 as multipart/byteranges.
    Parts(Vec<Range<u64>>),
    /// None of the ranges lies within the answer, or more than [`MOST_RANGES`] were asked for:
    /// 416.
    Unsatisfiable,
}

/// The ranges that a request asks for, before any length is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// In the order in which they were asked for; at most [`MOST_RANGES`].
    asked: Vec<Asked>,
    excessive: bool,
}

/// One range (RFC 9110 section 14.1.2). Positions too large for their type count as its largest:
/// no answer is that long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// `first-last`, both inclusive.
    Between(u64, u64),
    /// `first-`: all from there on.
    From(u64),
    /// `-length`: the end.
    Last(u64),
}

/// Which bytes of a stored answer of `length` bytes `request` gets. Evaluates If-Range.
pub fn resolve(request: Request<'_>, terms: &Terms, length: u64) -> Selection {
    // RFC 9110 section 14.2: Range means something in a GET only, and section 13.1.5: If-Range
    // nothing without it.
    let asked = *request.method == Method::GET && request.headers.contains_key(RANGE);
    if !asked || !if_range_holds(request.headers, terms) {
        return Selection::Whole;
    }
    match requested(request.headers) {
        Some(spec) => spec.select(length),
        None => Selection::Whole,
    }
}

/// The ranges that these fields ask for. `None` where there is no Range, or one that is ignored:
/// of another unit than bytes, repeated, or invalid (RFC 9110 section 14.2).
pub fn requested(headers: &HeaderMap) -> Option<Spec> {
    let mut lines = headers.get_all(RANGE).iter();
    let (Some(only), None) = (lines.next(), lines.next()) else {
        return None;
    };
    let text = only.as_bytes();
    let equals = text.iter().position(|byte| *byte == b'=')?;
    if !text[..equals].eq_ignore_ascii_case(b"bytes") {
        return None;
    }
    let mut members = text[equals + 1..]
        .split(|byte| *byte == b',')
        .map(fields::trim)
        .filter(|member| !member.is_empty());
    let asked: Vec<Asked> =
        members.by_ref().take(MOST_RANGES).map(Asked::parse).collect::<Option<_>>()?;
    let excessive = members.next().is_some();
    (!asked.is_empty()).then_some(Spec { asked, excessive })
}

impl Spec {
    /// Which bytes of an answer of `length` bytes these are.
    pub fn select(&self, length: u64) -> Selection {
        if self.excessive {
            return Selection::Unsatisfiable;
        }
        // No Content-Range can describe a part of nothing.
        if length == 0 && self.asked.iter().any(|asked| matches!(asked, Asked::Last(1..))) {
            return Selection::Whole;
        }
        let mut parts: Vec<Range<u64>> = Vec::with_capacity(self.asked.len());
        for part in self.asked.iter().filter_map(|asked| asked.within(length)) {
            coalesce(&mut parts, part);
        }
        match parts.len() {
            0 => Selection::Unsatisfiable,
            1 => Selection::Part(parts.swap_remove(0)),
            _ => Selection::Parts(parts),
        }
    }

    /// The ranges, in the order in which they were asked for; at most [`MOST_RANGES`].
    pub fn asked(&self) -> &[Asked] {
        &self.asked
    }
}

impl Asked {
    fn parse(text: &[u8]) -> Option<Self> {
        let dash = text.iter().position(|byte| *byte == b'-')?;
        match (&text[..dash], &text[dash + 1..]) {
            ([], length) => Some(Self::Last(position(length)?)),
            (first, []) => Some(Self::From(position(first)?)),
            (first, last) => {
                let (first, last) = (position(first)?, position(last)?);
                (first <= last).then_some(Self::Between(first, last))
            }
        }
    }

    /// The bytes of it that an answer of `length` bytes has; `None` where there are none.
    fn within(self, length: u64) -> Option<Range<u64>> {
        let part = match self {
            Self::Between(first, last) => first..last.saturating_add(1).min(length),
            Self::From(first) => first..length,
            Self::Last(wanted) => length.saturating_sub(wanted)..length,
        };
        (part.start < part.end).then_some(part)
    }
}

/// Digits and nothing else.
fn position(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(text.iter().fold(0_u64, |number, digit| {
        number.saturating_mul(10).saturating_add(u64::from(digit - b'0'))
    }))
}

/// Adds a part, and unites it with those that it overlaps or touches (RFC 9110 section 15.3.7.2).
/// Those already there are apart, so what was passed over can't touch the united part either.
/// They stay in the order in which they were asked for.
fn coalesce(parts: &mut Vec<Range<u64>>, mut part: Range<u64>) {
    let mut place = parts.len();
    let mut index = 0;
    while let Some(other) = parts.get(index) {
        if part.start <= other.end && other.start <= part.end {
            part = part.start.min(other.start)..part.end.max(other.end);
            place = place.min(index);
            parts.remove(index);
        } else {
            index += 1;
        }
    }
    parts.insert(place.min(parts.len()), part);
}

/// RFC 9110 section 13.1.5: whether the client's part is of this answer.
fn if_range_holds(headers: &HeaderMap, terms: &Terms) -> bool {
    let mut lines = headers.get_all(IF_RANGE).iter();
    let line = match (lines.next(), lines.next()) {
        (None, _) => return true,
        (Some(only), None) => fields::trim(only.as_bytes()),
        (Some(_), Some(_)) => return false,
    };
    if let Some(asked) = Tag::parse(line) {
        return terms.etag().is_some_and(|held| held.tag().strong_eq(asked));
    }
    // RFC 9110 section 8.8.2.2: a date is a strong validator if it had passed for a second when
    // the answer was sent.
    let Some(modified) = terms.last_modified() else {
        return false;
    };
    let strong = terms.date().as_secs().saturating_sub(modified.as_secs()) >= 1;
    strong && date::parse(line, terms.date()) == Some(modified)
}

#[cfg(test)]
mod tests;
