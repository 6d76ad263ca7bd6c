//! What a store says of itself: the file `meta`.

use twox_hash::XxHash3_64;

use super::record::{u32_at, u64_at};
use super::segment::VERSION;

const MAGIC: &[u8; 8] = b"KCDN-DSK";

/// What stays the same as long as a store lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Meta {
    /// Mixed into every checksum: nobody who doesn't know it can make a record.
    pub(crate) seed: u64,
    /// Bytes for records in each segment.
    pub(crate) segment_bytes: u32,
}

/// What the file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decoded {
    Right(Meta),
    /// Written by another version of the format.
    OtherVersion(u32),
    /// Damaged.
    Bad,
}

impl Meta {
    pub(crate) fn encode(&self) -> [u8; 64] {
        let mut bytes = [0; 64];
        bytes[0..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.segment_bytes.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.seed.to_le_bytes());
        let checksum = XxHash3_64::oneshot(&bytes[..56]);
        bytes[56..64].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Every version begins with the magic number and its own, and ends its first 64 bytes with
    /// their checksum.
    pub(crate) fn decode(bytes: &[u8]) -> Decoded {
        let Some(bytes) = bytes.first_chunk::<64>() else { return Decoded::Bad };
        if &bytes[..8] != MAGIC || u64_at(bytes, 56) != XxHash3_64::oneshot(&bytes[..56]) {
            return Decoded::Bad;
        }
        match u32_at(bytes, 8) {
            VERSION => {
                Decoded::Right(Self { seed: u64_at(bytes, 16), segment_bytes: u32_at(bytes, 12) })
            }
            other => Decoded::OtherVersion(other),
        }
    }
}
