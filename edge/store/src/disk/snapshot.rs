//! The index as of a moment, in a file: so that a start needn't read every segment.
//!
//! A snapshot isn't of one instant. It begins with how far each segment was written, under the
//! index's lock; then come the records, segment by segment, each under the lock for itself.
//! Whatever happens after the beginning is in the segments beyond those marks, so a start reads
//! the snapshot, then replays what lies beyond.

use twox_hash::XxHash3_64;

use super::record::{u32_at, u64_at};
use super::segment::VERSION;
use crate::Id;
use crate::policy::log::{Entry, Place, State};

const MAGIC: &[u8; 8] = b"KCDN-SNP";
const BLOCK_MAGIC: u32 = u32::from_le_bytes(*b"KBLK");

/// Bytes of a head before its marks.
pub(crate) const HEAD_BYTES: usize = 80;
const MARK_BYTES: usize = 16;
/// Bytes of a block before its entries.
pub(crate) const BLOCK_BYTES: usize = 24;
const ENTRY_BYTES: usize = 32;

/// How far a segment was written when the snapshot began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) number: u64,
    pub(crate) written: u32,
}

/// A snapshot's beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) seed: u64,
    /// Every record with a higher sequence number lies beyond the marks.
    pub(crate) sequence: u64,
    /// No segment had this number or a higher one.
    pub(crate) next_number: u64,
    pub(crate) state: State,
    /// A mark for each segment, in the order of the blocks that follow.
    pub(crate) marks: Vec<Mark>,
}

impl Head {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD_BYTES + self.marks.len() * MARK_BYTES);
        let marks = u32::try_from(self.marks.len()).unwrap_or(u32::MAX);
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(marks.to_le_bytes());
        bytes.extend(self.seed.to_le_bytes());
        bytes.extend(self.sequence.to_le_bytes());
        bytes.extend(self.next_number.to_le_bytes());
        bytes.extend(self.state.threshold.to_le_bytes());
        bytes.extend(self.state.share.to_le_bytes());
        bytes.extend(self.state.clock_bytes.to_le_bytes());
        bytes.extend(self.state.mean_bytes.to_le_bytes());
        bytes.resize(HEAD_BYTES - 8, 0);
        // The checksum's place; it covers what comes after it too.
        bytes.extend([0; 8]);
        for mark in &self.marks {
            bytes.extend(mark.number.to_le_bytes());
            bytes.extend(u64::from(mark.written).to_le_bytes());
        }
        let checksum = XxHash3_64::oneshot(&bytes);
        bytes[HEAD_BYTES - 8..HEAD_BYTES].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Bytes of the whole head, which begins with these [`HEAD_BYTES`].
    pub(crate) fn len_bytes(start: &[u8]) -> Option<usize> {
        let start: &[u8; HEAD_BYTES] = start.first_chunk()?;
        let ours = &start[..8] == MAGIC && u32_at(start, 8) == VERSION;
        let marks = usize::try_from(u32_at(start, 12)).ok().filter(|it| *it <= 1 << 16)?;
        ours.then_some(HEAD_BYTES + marks * MARK_BYTES)
    }

    /// The head, if it is the whole of `bytes`.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        if Self::len_bytes(bytes)? != bytes.len() {
            return None;
        }
        let checksum = u64_at(bytes, HEAD_BYTES - 8);
        let mut covered = bytes.to_vec();
        covered[HEAD_BYTES - 8..HEAD_BYTES].fill(0);
        if XxHash3_64::oneshot(&covered) != checksum {
            return None;
        }
        let marks = bytes[HEAD_BYTES..].chunks_exact(MARK_BYTES);
        let mark = |mark: &[u8]| {
            let written = u32::try_from(u64_at(mark, 8)).ok()?;
            Some(Mark { number: u64_at(mark, 0), written })
        };
        Some(Self {
            seed: u64_at(bytes, 16),
            sequence: u64_at(bytes, 24),
            next_number: u64_at(bytes, 32),
            state: State {
                threshold: u32_at(bytes, 40),
                share: u32_at(bytes, 44),
                clock_bytes: u64_at(bytes, 48),
                mean_bytes: u32_at(bytes, 56),
            },
            marks: marks.map(mark).collect::<Option<_>>()?,
        })
    }

    /// What the checksums of this snapshot's blocks begin with: a block of another doesn't fit.
    fn block_seed(&self) -> u64 {
        self.seed ^ self.sequence.rotate_left(32)
    }

    /// The records of one segment.
    pub(crate) fn encode_block(&self, number: u64, entries: &[Entry]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(BLOCK_BYTES + entries.len() * ENTRY_BYTES);
        let count = u32::try_from(entries.len()).unwrap_or(u32::MAX);
        bytes.extend(BLOCK_MAGIC.to_le_bytes());
        bytes.extend(count.to_le_bytes());
        bytes.extend(number.to_le_bytes());
        bytes.extend([0; 8]);
        for entry in entries {
            bytes.extend(entry.id.0);
            bytes.extend(entry.place.offset.to_le_bytes());
            bytes.extend(entry.place.len.to_le_bytes());
            bytes.extend(entry.value.to_le_bytes());
            bytes.extend([entry.frequency, 0, 0, 0]);
        }
        let checksum = XxHash3_64::oneshot_with_seed(self.block_seed(), &bytes);
        bytes[BLOCK_BYTES - 8..BLOCK_BYTES].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Bytes of the block that begins with these [`BLOCK_BYTES`], that of segment `number`.
    pub(crate) fn block_len_bytes(start: &[u8], number: u64) -> Option<usize> {
        let start: &[u8; BLOCK_BYTES] = start.first_chunk()?;
        let ours = u32_at(start, 0) == BLOCK_MAGIC && u64_at(start, 8) == number;
        let entries = usize::try_from(u32_at(start, 4)).ok()?;
        ours.then_some(BLOCK_BYTES.checked_add(entries.checked_mul(ENTRY_BYTES)?)?)
    }

    /// The records of segment `number`, which will be known as `slot`, if their block is the whole
    /// of `bytes`. Clears the checksum's place in it.
    pub(crate) fn decode_block(
        &self,
        number: u64,
        slot: u16,
        bytes: &mut [u8],
    ) -> Option<Vec<Entry>> {
        if Self::block_len_bytes(bytes, number)? != bytes.len() {
            return None;
        }
        let checksum = u64_at(bytes, BLOCK_BYTES - 8);
        bytes[BLOCK_BYTES - 8..BLOCK_BYTES].fill(0);
        if XxHash3_64::oneshot_with_seed(self.block_seed(), bytes) != checksum {
            return None;
        }
        let entry = |entry: &[u8]| {
            let mut id = [0; 16];
            id.copy_from_slice(&entry[..16]);
            let (offset, len) = (u32_at(entry, 16), u32_at(entry, 20));
            Entry {
                id: Id(id),
                place: Place { segment: slot, offset, len },
                frequency: entry[28],
                value: u32_at(entry, 24),
            }
        };
        Some(bytes[BLOCK_BYTES..].chunks_exact(ENTRY_BYTES).map(entry).collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn head(marks: Vec<Mark>) -> Head {
        let state = State { threshold: 3, share: 700_000, clock_bytes: 1 << 40, mean_bytes: 1000 };
        Head { seed: 99, sequence: 12345, next_number: 9, state, marks }
    }

    fn entries(seed: u8, count: u8) -> Vec<Entry> {
        let entry = |number: u8| Entry {
            id: Id([number ^ seed; 16]),
            place: Place { segment: 7, offset: u32::from(number) * 100, len: 100 },
            frequency: number,
            value: u32::from(number) * 3,
        };
        (0..count).map(entry).collect()
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_and_nothing_else(
            marks in prop::collection::vec((any::<u64>(), any::<u32>()), 0..20),
            count in 0..60_u8,
            at in any::<prop::sample::Index>(),
            flip in 1..=255_u8,
        ) {
            let marks = marks.into_iter().map(|(number, written)| Mark { number, written });
            let head = head(marks.collect());
            let mut bytes = head.encode();
            prop_assert_eq!(Head::len_bytes(&bytes), Some(bytes.len()));
            prop_assert_eq!(Head::decode(&bytes), Some(head.clone()));
            let place = at.index(bytes.len());
            bytes[place] ^= flip;
            prop_assert_eq!(Head::decode(&bytes), None);

            let entries = entries(1, count);
            let block = head.encode_block(5, &entries);
            prop_assert_eq!(Head::block_len_bytes(&block, 5), Some(block.len()));
            prop_assert_eq!(head.decode_block(5, 7, &mut block.clone()), Some(entries));
            prop_assert_eq!(head.decode_block(6, 7, &mut block.clone()), None, "another segment's");
            let other = Head { sequence: 12346, ..head.clone() };
            prop_assert_eq!(other.decode_block(5, 7, &mut block.clone()), None, "another's");
            let mut bad = block;
            let place = at.index(bad.len());
            bad[place] ^= flip;
            prop_assert_eq!(head.decode_block(5, 7, &mut bad), None);
        }

        #[test]
        fn no_bytes_are_too_strange(mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Head::len_bytes(&bytes);
            prop_assert_eq!(Head::decode(&bytes), None);
            prop_assert_eq!(head(Vec::new()).decode_block(1, 1, &mut bytes), None);
        }
    }
}
