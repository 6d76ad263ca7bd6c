//! What came of a replay.

/// Where an answer came from, the fastest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// From memory.
    Memory,
    /// From disk.
    Disk,
    /// From the origin: a miss.
    Origin,
}

/// What came of a replay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests by the slowest [`Tier`] that a slice of them came from.
    pub requests: [u64; 3],
    /// Bytes by [`Tier`].
    pub bytes: [u64; 3],
    /// Bytes written to disk for the first time.
    pub written_bytes: u64,
    /// Bytes that reclaims wrote again.
    pub rewritten_bytes: u64,
    /// Records that left memory.
    pub memory_evictions: u64,
    /// Records that left the disk.
    pub disk_evictions: u64,
    /// The most bytes that both tiers took, dead ones on disk included.
    pub peak_bytes: u64,
}

impl Counts {
    /// All requests.
    #[must_use]
    pub fn requested(&self) -> u64 {
        self.requests.iter().sum()
    }

    /// All bytes asked for.
    #[must_use]
    pub fn requested_bytes(&self) -> u64 {
        self.bytes.iter().sum()
    }

    /// Share of the requests that a tier answered.
    #[must_use]
    pub fn object_share(&self, tier: Tier) -> f64 {
        share(self.requests[tier as usize], self.requested())
    }

    /// Share of the bytes that came from a tier.
    #[must_use]
    pub fn byte_share(&self, tier: Tier) -> f64 {
        share(self.bytes[tier as usize], self.requested_bytes())
    }

    /// Bytes written to disk for each byte that was new to it. 1 without a disk.
    #[must_use]
    pub fn write_amplification(&self) -> f64 {
        1.0 + share(self.rewritten_bytes, self.written_bytes)
    }
}

#[allow(clippy::cast_precision_loss)]
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
