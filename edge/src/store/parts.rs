//! What is held of a body: all of it, or some parts (RFC 9111 sections 3.3 and 3.4).

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::Slices;

/// What is held of a body.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    /// All of it.
    Whole(Slices),
    /// Some of it.
    Parts(Parts),
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
    slices: Slices,
}

impl Body {
    /// The part of a body of `complete_bytes` that begins at `start`.
    pub(crate) fn part(start: u64, slices: Slices, complete_bytes: u64) -> Self {
        Self::of(vec![Part { start, slices }], complete_bytes)
    }

    fn of(parts: Vec<Part>, complete_bytes: u64) -> Self {
        match &parts[..] {
            [only] if only.range() == (0..complete_bytes) => Self::Whole(only.slices.clone()),
            _ => Self::Parts(Parts { complete_bytes, parts: parts.into() }),
        }
    }

    /// How long the body is, held or not.
    pub(crate) fn complete_bytes(&self) -> u64 {
        match self {
            Self::Whole(slices) => slices.len_bytes() as u64,
            Self::Parts(parts) => parts.complete_bytes,
        }
    }

    /// How much of it is held.
    pub(crate) fn held_bytes(&self) -> usize {
        match self {
            Self::Whole(slices) => slices.len_bytes(),
            Self::Parts(parts) => parts.parts.iter().map(|part| part.slices.len_bytes()).sum(),
        }
    }

    /// The slices that hold all of `range`, and where in them it lies. None where some is missing.
    pub(crate) fn find(&self, range: &Range<u64>) -> Option<(Slices, Range<u64>)> {
        match self {
            Self::Whole(slices) => {
                (range.end <= self.complete_bytes()).then(|| (slices.clone(), range.clone()))
            }
            Self::Parts(Parts { parts, .. }) => {
                let holds =
                    |part: &&Part| part.start <= range.start && range.end <= part.range().end;
                let part = parts.iter().find(holds)?;
                Some((part.slices.clone(), range.start - part.start..range.end - part.start))
            }
        }
    }

    /// All that is held here or in `other`, which is of the same body. Where both have a byte,
    /// they agree: whoever unites them has compared strong validators.
    pub(crate) fn united(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Whole(_), _) => self.clone(),
            (_, Self::Whole(_)) => other.clone(),
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
                Self::of(united, one.complete_bytes)
            }
        }
    }
}

impl Part {
    fn range(&self) -> Range<u64> {
        self.start..self.start + self.slices.len_bytes() as u64
    }

    /// Adds what `next`, which begins in this part or just behind it, has beyond its end.
    fn extend(&mut self, next: &Self) {
        let (ours, theirs) = (self.range(), next.range());
        if theirs.end <= ours.end {
            return;
        }
        let overlap = ours.end - next.start;
        let pieces = pieces(&self.slices, 0..ours.end - ours.start)
            .chain(pieces(&next.slices, overlap..theirs.end - theirs.start));
        let total = usize::try_from(theirs.end - ours.start).unwrap_or(usize::MAX);
        self.slices = Slices::gather(pieces, total);
    }
}

fn pieces(slices: &Slices, mut range: Range<u64>) -> impl Iterator<Item = Bytes> {
    std::iter::from_fn(move || {
        let piece = slices.piece(&range);
        range.start += piece.len() as u64;
        (!piece.is_empty()).then_some(piece)
    })
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
        let slices = Slices::gather([Bytes::from(bytes)], range.len());
        Body::part(range.start as u64, slices, LENGTH as u64)
    }

    proptest! {
        #[test]
        fn what_was_put_in_is_found_and_nothing_else(
            asked in prop::collection::vec((0..LENGTH, 1..LENGTH), 1..8),
            wanted in (0..LENGTH, 1..LENGTH),
        ) {
            let clip = |(start, length): (usize, usize)| start..LENGTH.min(start + length);
            let ranges: Vec<_> = asked.into_iter().map(clip).collect();
            let body = ranges.iter().cloned().map(part).reduce(|one, two| one.united(&two)).unwrap();
            let has = |at: usize| ranges.iter().any(|range| range.contains(&at));
            prop_assert_eq!(body.held_bytes(), (0..LENGTH).filter(|&at| has(at)).count());
            prop_assert_eq!(matches!(body, Body::Whole(_)), (0..LENGTH).all(has));
            let wanted = clip(wanted);
            let found = body.find(&(wanted.start as u64..wanted.end as u64));
            prop_assert_eq!(found.is_some(), wanted.clone().all(has));
            if let Some((slices, range)) = found {
                let bytes: Vec<u8> = pieces(&slices, range).flatten().collect();
                prop_assert_eq!(bytes, wanted.map(byte).collect::<Vec<_>>());
            }
        }
    }
}
