//! Slices: the pieces of fixed size in which large bodies are fetched, kept, evicted and served.

use std::hash::{BuildHasher, RandomState};
use std::ops::Range;

use bytes::Bytes;

use kingcdn_store::Id;

/// Bytes of one slice. A body of at most this length is kept in one piece beside its head.
/// The same as what `kingcdn simulate cache` replays with.
pub(crate) const SLICE_BYTES: u64 = kingcdn_store::replay::SLICE_BYTES;

/// One content: the bytes of one version of one object. A changed validator means another content,
/// so slices of two versions can't meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ContentId(pub(super) u128);

/// A large body: which content, and how long it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sliced {
    pub(crate) content: ContentId,
    pub(crate) complete_bytes: u64,
}

impl ContentId {
    /// One that was never there before: 128 random bits.
    pub(crate) fn fresh() -> Self {
        // The keys of these states are the system's random numbers.
        let half = || u128::from(RandomState::new().hash_one(0_u8));
        Self(half() << 64 | half())
    }

    /// The name of slice `number` in the store. Contents are apart by random numbers, so slices
    /// that are counted up from them are, too.
    pub(super) fn slice(self, number: u64) -> Id {
        Id(self.0.wrapping_add(u128::from(number)).to_le_bytes())
    }
}

impl Sliced {
    /// A content of its own, of `complete_bytes`.
    pub(crate) fn fresh(complete_bytes: u64) -> Self {
        Self { content: ContentId::fresh(), complete_bytes }
    }

    /// How many slices it has.
    pub(crate) fn count(&self) -> u64 {
        self.complete_bytes.div_ceil(SLICE_BYTES)
    }

    /// Which bytes of it slice `number` is.
    pub(crate) fn bytes_of(&self, number: u64) -> Range<u64> {
        let start = number.saturating_mul(SLICE_BYTES).min(self.complete_bytes);
        start..start.saturating_add(SLICE_BYTES).min(self.complete_bytes)
    }

    /// How long slice `number` is.
    pub(crate) fn len_of(&self, number: u64) -> u64 {
        let bytes = self.bytes_of(number);
        bytes.end - bytes.start
    }
}

/// The slices in which these bytes lie.
pub(crate) fn slices_of(bytes: &Range<u64>) -> Range<u64> {
    if bytes.is_empty() {
        return 0..0;
    }
    bytes.start / SLICE_BYTES..bytes.end.div_ceil(SLICE_BYTES)
}

/// Makes the buffer in which a body stays, out of the frames in which it came. The
/// frames' own buffers may be far larger than what is in them.
pub(crate) fn assemble(frames: &[Bytes]) -> Bytes {
    kingcdn_zero_copy::seal(frames)
}

/// What `bytes` of content take once [`assemble`] has put them together.
pub(crate) fn stored_bytes(bytes: u64) -> u64 {
    usize::try_from(bytes).map_or(bytes, |bytes| kingcdn_zero_copy::held_bytes(bytes) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_cover_a_body_once() {
        for complete_bytes in [1, SLICE_BYTES - 1, SLICE_BYTES, SLICE_BYTES + 1, 5 * SLICE_BYTES] {
            let sliced = Sliced::fresh(complete_bytes);
            let mut at = 0;
            for number in 0..sliced.count() {
                let bytes = sliced.bytes_of(number);
                assert_eq!(bytes.start, at);
                assert_eq!(sliced.len_of(number), bytes.end - bytes.start);
                assert_eq!(slices_of(&bytes), number..number + 1);
                at = bytes.end;
            }
            assert_eq!(at, complete_bytes);
            assert_eq!(sliced.len_of(sliced.count()), 0, "nothing behind the end");
        }
        assert!(slices_of(&(7..7)).is_empty());
        assert_eq!(slices_of(&(SLICE_BYTES - 1..SLICE_BYTES + 1)), 0..2);
    }

    #[test]
    fn contents_are_apart() {
        let (one, two) = (ContentId::fresh(), ContentId::fresh());
        assert_ne!(one, two);
        assert_ne!(one.slice(0), one.slice(1));
        assert_ne!(one.slice(0), two.slice(0));
    }
}
