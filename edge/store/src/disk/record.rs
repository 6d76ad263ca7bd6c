//! A record as it lies in a segment: a header of 64 bytes, then the payload. `FORMAT.md` draws it.
//!
//! The header's checksum covers the place that it was written to and the store's own seed, so that
//! a header that lies elsewhere, or that somebody put into a payload, isn't one.

use twox_hash::XxHash3_64;

use super::Kind;
use crate::Id;

/// Bytes of a header.
pub(crate) const HEADER_BYTES: usize = 64;

const MAGIC: u32 = u32::from_le_bytes(*b"KREC");

/// Where a record lies, in a way that no other record ever does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spot {
    /// The store's seed.
    pub(crate) seed: u64,
    /// The segment's running number.
    pub(crate) segment: u64,
    /// Bytes from the start of the segment's data.
    pub(crate) offset: u32,
}

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// Bytes of a caller.
    Data(Kind),
    /// From here on, its id has no record.
    Tombstone,
    /// Room that wasn't used.
    Filler,
}

/// A record's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) what: What,
    pub(crate) id: Id,
    /// The order in which the store's records were written.
    pub(crate) sequence: u64,
    /// Bytes of payload.
    pub(crate) len: u32,
    /// Requests counted when it was first written, for a start that finds no newer word.
    pub(crate) frequency: u8,
    /// Of the payload.
    pub(crate) checksum: u64,
}

/// Checksum of a payload, over parts as over the whole.
pub(crate) struct Checksum(XxHash3_64);

impl Checksum {
    pub(crate) fn new() -> Self {
        Self(XxHash3_64::new())
    }

    pub(crate) fn add(&mut self, part: &[u8]) {
        std::hash::Hasher::write(&mut self.0, part);
    }

    pub(crate) fn finish(&self) -> u64 {
        std::hash::Hasher::finish(&self.0)
    }

    /// Of bytes that lie together.
    pub(crate) fn of(bytes: &[u8]) -> u64 {
        XxHash3_64::oneshot(bytes)
    }
}

impl Header {
    /// Bytes on the disk, header included.
    pub(crate) fn stored_bytes(&self) -> u64 {
        HEADER_BYTES as u64 + u64::from(self.len)
    }

    pub(crate) fn encode(&self, spot: Spot) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let (what, kind) = match self.what {
            What::Data(kind) => (1, kind.0),
            What::Tombstone => (2, 0),
            What::Filler => (3, 0),
        };
        bytes[0..4].copy_from_slice(&MAGIC.to_le_bytes());
        bytes[4..8].copy_from_slice(&[what, kind, self.frequency, 0]);
        bytes[8..16].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.id.0);
        bytes[32..36].copy_from_slice(&self.len.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.checksum.to_le_bytes());
        let checksum = own_checksum(&bytes, spot);
        bytes[56..64].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// The header at `spot`, if these bytes begin with one that was written there.
    pub(crate) fn decode(bytes: &[u8], spot: Spot) -> Option<Self> {
        let bytes: &[u8; HEADER_BYTES] = bytes.first_chunk()?;
        if u32_at(bytes, 0) != MAGIC || u64_at(bytes, 56) != own_checksum(bytes, spot) {
            return None;
        }
        let what = match bytes[4] {
            1 => What::Data(Kind(bytes[5])),
            2 => What::Tombstone,
            3 => What::Filler,
            _ => return None,
        };
        let mut id = [0; 16];
        id.copy_from_slice(&bytes[16..32]);
        Some(Self {
            what,
            id: Id(id),
            sequence: u64_at(bytes, 8),
            len: u32_at(bytes, 32),
            frequency: bytes[6],
            checksum: u64_at(bytes, 40),
        })
    }

    /// Whether this is the header of `id`'s record of `stored` bytes.
    pub(crate) fn is_of(&self, id: Id, stored: u32) -> bool {
        matches!(self.what, What::Data(_))
            && self.id == id
            && self.stored_bytes() == u64::from(stored)
    }
}

/// The payload of `id` in `record`, the bytes at `spot`: where all of it is as it was written.
pub(crate) fn verified(record: &[u8], spot: Spot, id: Id) -> Option<&[u8]> {
    let header = Header::decode(record, spot)?;
    let payload = &record[HEADER_BYTES..];
    let right = header.is_of(id, u32::try_from(record.len()).ok()?)
        && Checksum::of(payload) == header.checksum;
    right.then_some(payload)
}

pub(super) fn own_checksum(bytes: &[u8; HEADER_BYTES], spot: Spot) -> u64 {
    let mut input = [0; 56 + 12];
    input[..56].copy_from_slice(&bytes[..56]);
    input[56..64].copy_from_slice(&spot.segment.to_le_bytes());
    input[64..].copy_from_slice(&spot.offset.to_le_bytes());
    XxHash3_64::oneshot_with_seed(spot.seed, &input)
}

/// The number in the eight bytes from `at`; the caller knows that they are there.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..].first_chunk().copied().map(u64::from_le_bytes).unwrap_or_default()
}

/// The number in the four bytes from `at`; the caller knows that they are there.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..].first_chunk().copied().map(u32::from_le_bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SPOT: Spot = Spot { seed: 7, segment: 3, offset: 4096 };

    fn record(id: Id, payload: &[u8]) -> Vec<u8> {
        let header = Header {
            what: What::Data(Kind(5)),
            id,
            sequence: 42,
            len: payload.len() as u32,
            frequency: 9,
            checksum: Checksum::of(payload),
        };
        let mut bytes = header.encode(SPOT).to_vec();
        assert_eq!(Header::decode(&bytes, SPOT), Some(header));
        bytes.extend(payload);
        bytes
    }

    #[test]
    fn a_record_is_one_only_where_it_was_written() {
        let id = Id([1; 16]);
        let bytes = record(id, b"payload");
        assert_eq!(verified(&bytes, SPOT, id), Some(&b"payload"[..]));
        assert_eq!(verified(&bytes, SPOT, Id([2; 16])), None, "another's");
        for elsewhere in
            [Spot { seed: 8, ..SPOT }, Spot { segment: 4, ..SPOT }, Spot { offset: 4097, ..SPOT }]
        {
            assert_eq!(verified(&bytes, elsewhere, id), None);
        }
        assert_eq!(verified(&bytes[..bytes.len() - 1], SPOT, id), None, "cut short");
        assert_eq!(verified(b"", SPOT, id), None);
    }

    proptest! {
        #[test]
        fn no_changed_byte_goes_unseen(
            payload in prop::collection::vec(any::<u8>(), 0..300),
            at in any::<prop::sample::Index>(),
            flip in 1..=255_u8,
        ) {
            let mut bytes = record(Id([1; 16]), &payload);
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            // Some bytes are spare, and covered all the same.
            prop_assert_eq!(verified(&bytes, SPOT, Id([1; 16])), None);
        }

        #[test]
        fn checksums_of_parts_and_whole_agree(
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..400), 0..6),
        ) {
            let mut checksum = Checksum::new();
            parts.iter().for_each(|part| checksum.add(part));
            prop_assert_eq!(checksum.finish(), Checksum::of(&parts.concat()));
        }
    }
}
