//! How many segments, and how long.

/// Number and length of a log's segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// How many there are.
    pub segments: u16,
    /// Bytes of each.
    pub segment_bytes: u32,
}

/// Too few bytes for a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a disk tier of {0} bytes is too small; it takes {min} at least", min = Shape::MIN_BYTES)]
pub struct TooSmall(pub u64);

impl Shape {
    /// Segments that a log should have: with fewer of them victims have more worth keeping.
    const WANTED: u64 = 256;
    /// A slice of 1 MiB, with room for what its owner adds.
    const SHORTEST: u64 = (1 << 20) + (64 << 10);
    /// Below this, slices of 1 MiB would leave much of each segment's end unused.
    const SHORT: u64 = 4 << 20;
    const LONGEST: u64 = 256 << 20;
    const FEWEST: u64 = 8;
    /// The smallest capacity.
    pub const MIN_BYTES: u64 = Self::FEWEST * Self::SHORTEST;

    /// For a capacity: 256 segments if they can be of 4 MiB at least, down to 64 shorter ones;
    /// more where they would be longer than 256 MiB.
    ///
    /// # Errors
    /// When the capacity is below [`Shape::MIN_BYTES`].
    pub fn of(capacity_bytes: u64) -> Result<Self, TooSmall> {
        if capacity_bytes < Self::MIN_BYTES {
            return Err(TooSmall(capacity_bytes));
        }
        let shorter = (capacity_bytes / 64).clamp(Self::SHORTEST, Self::SHORT);
        let bytes = (capacity_bytes / Self::WANTED).clamp(shorter, Self::LONGEST);
        let segments = (capacity_bytes / bytes).min(u64::from(u16::MAX));
        #[allow(clippy::cast_possible_truncation)] // Both are bounded above.
        Ok(Self { segments: segments as u16, segment_bytes: bytes as u32 })
    }

    /// Bytes of all segments.
    #[must_use]
    pub fn capacity_bytes(self) -> u64 {
        u64::from(self.segments) * u64::from(self.segment_bytes)
    }
}
