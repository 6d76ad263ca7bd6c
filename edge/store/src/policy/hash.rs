//! One hash of an id, for every table.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::Id;

/// A map by id, for many of them.
pub type IdMap<T> = HashMap<Id, T, BuildHasherDefault<IdHasher>>;

const PRIME: u64 = 0xa076_1d64_78bd_642f;

/// 64 well-mixed bits of `id`: a folded multiplication. Ids are hashes already, but nobody has to
/// promise that.
pub(super) fn hash(id: &Id) -> u64 {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = id.0;
    let low = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
    let high = u64::from_le_bytes([i, j, k, l, m, n, o, p]);
    let once = fold(low ^ 0x9e37_79b9_7f4a_7c15, high ^ 0xd1b5_4a32_d192_ed03);
    fold(once, PRIME)
}

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    #[allow(clippy::cast_possible_truncation)] // Both halves are wanted.
    let (low, high) = (product as u64, (product >> 64) as u64);
    low ^ high
}

/// What an [`IdMap`] hashes with.
#[derive(Debug, Default, Clone, Copy)]
pub struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = match bytes.first_chunk::<16>() {
            Some(id) => hash(&Id(*id)),
            None => bytes.iter().fold(self.0, |sum, byte| fold(sum ^ u64::from(*byte), PRIME)),
        };
    }

    /// An id's length is always the same.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}
