//! Range requests: RFC 9110 section 14.

use std::ops::Range;

/// More ranges than this in one request, and the request is answered with the whole: players ask
/// for one or two, and the whole is the answer that never costs more than was asked for (RFC 9110
/// section 14.2).
const MAX_RANGES: usize = 16;

/// Ranges closer to each other than this are sent as one: the head of a part is longer than the
/// gap (RFC 9110 section 15.3.7.2).
const MAX_GAP_BYTES: u64 = 96;

/// What a `Range` field asks of a representation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The field means nothing to us and is ignored.
    Whole,
    /// Nothing that the representation has: 416.
    Unsatisfiable,
    /// These bytes: at least one range, each of at least one byte within the representation, in
    /// ascending order, apart from each other.
    Ranges(Vec<Range<u64>>),
}

/// One `range-spec` (RFC 9110 section 14.1.2).
#[derive(Debug, Clone, Copy)]
enum Spec {
    From(u64),
    Between(u64, u64),
    Suffix(u64),
}

/// Resolves the value of a `Range` field for a representation of `length` bytes.
pub(crate) fn resolve(field: &str, length: u64) -> Asked {
    let Some(specs) = parse(field) else {
        return Asked::Whole;
    };
    if specs.len() > MAX_RANGES {
        return Asked::Whole;
    }
    // The end of nothing is all of it, and no Content-Range could say so.
    if length == 0 && specs.iter().any(|spec| matches!(spec, Spec::Suffix(1..))) {
        return Asked::Whole;
    }
    let ranges = specs.iter().filter_map(|spec| spec.within(length));
    let ranges = coalesce(ranges.collect());
    if ranges.is_empty() { Asked::Unsatisfiable } else { Asked::Ranges(ranges) }
}

/// The field's ranges; none where its unit isn't bytes or its syntax isn't valid, which both mean
/// that it is ignored (RFC 9110 section 14.2). Stops soon after [`MAX_RANGES`].
fn parse(field: &str) -> Option<Vec<Spec>> {
    let (unit, set) = field.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let specs: Option<Vec<Spec>> = set
        .split(',')
        .map(|spec| spec.trim_matches([' ', '\t']))
        .filter(|spec| !spec.is_empty())
        .take(MAX_RANGES + 1)
        .map(Spec::parse)
        .collect();
    specs.filter(|specs| !specs.is_empty())
}

impl Spec {
    fn parse(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-')?;
        match (first, last) {
            ("", last) => Some(Self::Suffix(digits(last)?)),
            (first, "") => Some(Self::From(digits(first)?)),
            (first, last) => {
                let (first, last) = (digits(first)?, digits(last)?);
                (first <= last).then_some(Self::Between(first, last))
            }
        }
    }

    /// The bytes that it means, none where the representation has none of them.
    fn within(self, length: u64) -> Option<Range<u64>> {
        let range = match self {
            Self::From(first) => first..length,
            Self::Between(first, last) => first..last.saturating_add(1).min(length),
            Self::Suffix(count) => length.saturating_sub(count)..length,
        };
        (range.start < range.end).then_some(range)
    }
}

/// A number of any size: what doesn't fit lies behind every representation's end.
fn digits(text: &str) -> Option<u64> {
    let valid = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    valid.then(|| text.parse().unwrap_or(u64::MAX))
}

fn coalesce(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.sort_by_key(|range| range.start);
    let mut merged: Vec<Range<u64>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start <= last.end.saturating_add(MAX_GAP_BYTES) => {
                last.end = last.end.max(range.end);
            }
            _ => merged.push(range),
        }
    }
    merged
}

#[cfg(test)]
mod tests;
