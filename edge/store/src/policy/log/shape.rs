//! How many segments, and how long.

/// Number and length of a log's segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// How many there may be at once.
    pub segments: u16,
    /// Bytes of each while it is open. Closed, it takes no more than what is in it.
    pub segment_bytes: u32,
    /// Bytes of all of them together.
    pub capacity_bytes: u64,
}

/// Too few bytes for a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a disk tier of {0} bytes is too small; it takes {min} at least", min = Shape::MIN_BYTES)]
pub struct TooSmall(pub u64);

impl Shape {
    /// Segments that a log should have: with fewer of them victims have more worth keeping.
    const WANTED: u64 = 512;
    /// Segments that a log should have even if they are short.
    const WANTED_SHORT: u64 = 64;
    /// A slice of 1 MiB, with room for what its owner adds.
    const SHORTEST: u64 = (1 << 20) + (64 << 10);
    /// Shorter ones would be closed with much of them unused.
    const SHORT: u64 = 2 * Self::SHORTEST;
    const LONGEST: u64 = 256 << 20;
    const FEWEST: u64 = 8;
    /// The smallest capacity.
    pub const MIN_BYTES: u64 = Self::FEWEST * Self::SHORTEST;

    /// Whether there are enough segments to keep new records apart in several open ones.
    pub(super) fn has_many(self) -> bool {
        self.capacity_bytes / u64::from(self.segment_bytes.max(1)) >= 24
    }

    /// For a capacity: 512 segments if they can be of 2 MiB at least, down to 64 shorter ones;
    /// more where they would be longer than 256 MiB. Twice as many numbers, since many are closed
    /// before they are full.
    ///
    /// # Errors
    /// When the capacity is below [`Shape::MIN_BYTES`].
    pub fn of(capacity_bytes: u64) -> Result<Self, TooSmall> {
        if capacity_bytes < Self::MIN_BYTES {
            return Err(TooSmall(capacity_bytes));
        }
        let shorter = (capacity_bytes / Self::WANTED_SHORT).clamp(Self::SHORTEST, Self::SHORT);
        let bytes = (capacity_bytes / Self::WANTED).clamp(shorter, Self::LONGEST);
        let segments = (2 * (capacity_bytes / bytes)).min(u64::from(u16::MAX));
        #[allow(clippy::cast_possible_truncation)] // Both are bounded above.
        Ok(Self { segments: segments as u16, segment_bytes: bytes as u32, capacity_bytes })
    }
}
