//! What is held of a body: all of it in one piece, all or some of it in slices, or some small
//! parts (RFC 9111 sections 3.3 and 3.4).

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::{SLICE_BYTES, Sliced, assemble};

/// What is held of a body.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    /// All of it, at most [`SLICE_BYTES`].
    Whole(Bytes),
    /// Some of it, at most [`SLICE_BYTES`] together.
    Parts(Parts),
    /// Its slices are kept apart from it, as many of them as are held.
    Sliced(Sliced),
}

/// Parts of a body, in order, with something missing between any two.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    complete_bytes: u64,
    parts: Arc<[Part]>,
}

#[derive(Debug, Clone)]
struct Part {
    start: u64,
    bytes: Bytes,
}

impl Body {
    /// The part of a body of `complete_bytes` that begins at `start`.
    pub(crate) fn part(start: u64, bytes: Bytes, complete_bytes: u64) -> Self {
        Self::of(vec![Part { start, bytes }], complete_bytes)
    }

    fn of(parts: Vec<Part>, complete_bytes: u64) -> Self {
        match &parts[..] {
            [only] if only.range() == (0..complete_bytes) => Self::Whole(only.bytes.clone()),
            _ => Self::Parts(Parts { complete_bytes, parts: parts.into() }),
        }
    }

    /// What is held here, each piece with its place.
    pub(super) fn contents(&self) -> Vec<(u64, Bytes)> {
        match self {
            Self::Whole(bytes) => vec![(0, bytes.clone())],
            Self::Parts(parts) => {
                parts.parts.iter().map(|part| (part.start, part.bytes.clone())).collect()
            }
            Self::Sliced(_) => Vec::new(),
        }
    }

    /// The body that [`Body::contents`] are of, if they can be that.
    pub(super) fn of_contents(contents: Vec<(u64, Bytes)>, complete_bytes: u64) -> Option<Self> {
        let mut end = None;
        let mut held: u64 = 0;
        for (start, bytes) in &contents {
            let after = start.checked_add(bytes.len() as u64)?;
            if end.is_some_and(|end| *start <= end) || after > complete_bytes {
                return None;
            }
            (end, held) = (Some(after), held + bytes.len() as u64);
        }
        let parts = contents.into_iter().map(|(start, bytes)| Part { start, bytes }).collect();
        (end.is_some() && held <= SLICE_BYTES).then(|| Self::of(parts, complete_bytes))
    }

    /// How long the body is, held or not.
    pub(crate) fn complete_bytes(&self) -> u64 {
        match self {
            Self::Whole(bytes) => bytes.len() as u64,
            Self::Parts(parts) => parts.complete_bytes,
            Self::Sliced(sliced) => sliced.complete_bytes,
        }
    }

    /// How much of it is held here.
    pub(crate) fn held_bytes(&self) -> usize {
        match self {
            Self::Whole(bytes) => bytes.len(),
            Self::Parts(parts) => parts.parts.iter().map(|part| part.bytes.len()).sum(),
            Self::Sliced(_) => 0,
        }
    }

    /// These bytes of it. None where they aren't all held here.
    pub(crate) fn find(&self, range: &Range<u64>) -> Option<Bytes> {
        let within = |start: u64, bytes: &Bytes| {
            let first = usize::try_from(range.start.checked_sub(start)?).ok()?;
            let end = usize::try_from(range.end.checked_sub(start)?).ok()?;
            (first <= end && end <= bytes.len()).then(|| bytes.slice(first..end))
        };
        match self {
            Self::Whole(bytes) => within(0, bytes),
            Self::Parts(Parts { parts, .. }) => {
                parts.iter().find_map(|part| within(part.start, &part.bytes))
            }
            Self::Sliced(_) => None,
        }
    }

    /// All that is held here or in `other`, which is of the same body. Where both have a byte,
    /// they agree: whoever unites them has compared strong validators. None where nothing is won
    /// by it, or where it would be too much for one piece.
    pub(crate) fn united(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Parts(_), Self::Whole(_)) => Some(other.clone()),
            // What is in slices already is found there only by the older name.
            (Self::Sliced(_), Self::Sliced(_)) => Some(other.clone()),
            (Self::Parts(one), Self::Parts(two)) => {
                let mut parts: Vec<Part> = one.parts.iter().chain(&*two.parts).cloned().collect();
                parts.sort_by_key(|part| part.start);
                let mut united: Vec<Part> = Vec::with_capacity(parts.len());
                for part in parts {
                    match united.last_mut() {
                        Some(last) if part.start <= last.range().end => last.extend(&part),
                        _ => united.push(part),
                    }
                }
                let body = Self::of(united, one.complete_bytes);
                (body.held_bytes() as u64 <= SLICE_BYTES).then_some(body)
            }
            _ => None,
        }
    }
}

impl Part {
    fn range(&self) -> Range<u64> {
        self.start..self.start + self.bytes.len() as u64
    }

    /// Adds what `next`, which begins in this part or just behind it, has beyond its end.
    fn extend(&mut self, next: &Self) {
        let (ours, theirs) = (self.range(), next.range());
        if theirs.end <= ours.end {
            return;
        }
        let overlap = usize::try_from(ours.end - next.start).unwrap_or(next.bytes.len());
        self.bytes = assemble(&[self.bytes.clone(), next.bytes.slice(overlap..)]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LENGTH: usize = 40;

    fn byte(at: usize) -> u8 {
        (at * 7 % 251) as u8
    }

    fn part(range: Range<usize>) -> Body {
        let bytes: Vec<u8> = range.clone().map(byte).collect();
        Body::part(range.start as u64, bytes.into(), LENGTH as u64)
    }

    proptest! {
        #[test]
        fn what_was_put_in_is_found_and_nothing_else(
            asked in prop::collection::vec((0..LENGTH, 1..LENGTH), 1..8),
            wanted in (0..LENGTH, 1..LENGTH),
        ) {
            let clip = |(start, length): (usize, usize)| start..LENGTH.min(start + length);
            let ranges: Vec<_> = asked.into_iter().map(clip).collect();
            let unite = |one: Body, two: Body| one.united(&two).unwrap_or(one);
            let body = ranges.iter().cloned().map(part).reduce(unite).unwrap();
            let has = |at: usize| ranges.iter().any(|range| range.contains(&at));
            prop_assert_eq!(body.held_bytes(), (0..LENGTH).filter(|&at| has(at)).count());
            prop_assert_eq!(matches!(body, Body::Whole(_)), (0..LENGTH).all(has));
            let wanted = clip(wanted);
            let found = body.find(&(wanted.start as u64..wanted.end as u64));
            prop_assert_eq!(found.is_some(), wanted.clone().all(has));
            if let Some(found) = found {
                prop_assert_eq!(found, wanted.map(byte).collect::<Vec<_>>());
            }
        }
    }
}
