//! A fast hash for tables in memory.

use std::hash::{BuildHasher, Hasher, RandomState};

/// Hashes by folded multiplications that begin with a random number of the table's own: nobody who
/// doesn't know it can choose keys that meet in one place.
#[derive(Debug, Clone)]
pub(crate) struct Seeded(u64);

/// A hash on its way.
#[derive(Debug)]
pub(crate) struct Folding(u64);

impl Seeded {
    /// With a seed of its own.
    pub(crate) fn new() -> Self {
        // The keys of this state are the system's random numbers.
        Self(RandomState::new().hash_one(0_u8))
    }
}

impl BuildHasher for Seeded {
    type Hasher = Folding;

    fn build_hasher(&self) -> Folding {
        Folding(self.0)
    }
}

impl Hasher for Folding {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.write_u64(u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            self.write_u64(u64::from_le_bytes(last));
        }
    }

    fn write_u64(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word) * u128::from(0x9e37_79b9_7f4a_7c15_u64);
        #[allow(clippy::cast_possible_truncation)] // Both halves are wanted.
        let (low, high) = (product as u64, (product >> 64) as u64);
        self.0 = low ^ high;
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
