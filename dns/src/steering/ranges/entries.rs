//! Where ranges begin, each beside its number: whoever finds one has the other.

use std::ops::Range;

/// A chunk's ranges: where each begins, in steps from its block's begin, and its number. Each takes
/// four octets while no number of the chunk needs more than two.
#[derive(Debug)]
pub(super) enum Entries {
    /// The begin in the upper half, the number in the lower one.
    Small(Box<[u32]>),
    Large(Box<[u64]>),
}

impl Entries {
    pub(super) fn new(entries: &[(u16, u32)]) -> Self {
        let small = |(begin, number): &(u16, u32)| {
            Some(u32::from(*begin) << 16 | u32::from(u16::try_from(*number).ok()?))
        };
        let large = |(begin, number): &(u16, u32)| u64::from(*begin) << 32 | u64::from(*number);
        match entries.iter().map(small).collect() {
            Some(entries) => Self::Small(entries),
            None => Self::Large(entries.iter().map(large).collect()),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Small(entries) => entries.len(),
            Self::Large(entries) => entries.len(),
        }
    }

    /// Bytes on the heap.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Small(entries) => size_of_val(&**entries),
            Self::Large(entries) => size_of_val(&**entries),
        }
    }

    /// Where a range begins.
    #[allow(clippy::cast_possible_truncation)] // All there is.
    pub(super) fn begin(&self, index: usize) -> u16 {
        match self {
            Self::Small(entries) => (entries[index] >> 16) as u16,
            Self::Large(entries) => (entries[index] >> 32) as u16,
        }
    }

    #[allow(clippy::cast_possible_truncation)] // The lower half.
    pub(super) fn number(&self, index: usize) -> u32 {
        match self {
            Self::Small(entries) => entries[index] & u32::from(u16::MAX),
            Self::Large(entries) => entries[index] as u32,
        }
    }

    /// How many of a block's ranges begin within so many steps. They ascend: all are looked at, many
    /// at a time, since a search by halves would wait for memory at each.
    pub(super) fn within(&self, block: Range<usize>, steps: u16) -> usize {
        match self {
            Self::Small(entries) => {
                let last = u32::from(steps) << 16 | u32::from(u16::MAX);
                entries[block].iter().filter(|entry| **entry <= last).count()
            }
            Self::Large(entries) => {
                let last = u64::from(steps) << 32 | u64::from(u32::MAX);
                entries[block].iter().filter(|entry| **entry <= last).count()
            }
        }
    }
}
