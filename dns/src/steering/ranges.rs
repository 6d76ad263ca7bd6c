//! The whole address space as few ranges, each with one value.

/// An address of one family as a number.
pub(super) trait Bits: Copy + Ord {
    /// Its length.
    const LENGTH: u8;
    /// The first address.
    const ZERO: Self;
    /// The address after this one, if there is one.
    fn next(self) -> Option<Self>;
    /// The address before this one, if there is one.
    fn previous(self) -> Option<Self>;
    /// The last address of the network of this length that begins here.
    fn last_of(self, length: u8) -> Self;
    /// How many bits both begin with.
    fn common(self, other: Self) -> u8;
}

macro_rules! bits {
    ($type:ty, $length:literal) => {
        impl Bits for $type {
            const LENGTH: u8 = $length;
            const ZERO: Self = 0;

            fn next(self) -> Option<Self> {
                self.checked_add(1)
            }

            fn previous(self) -> Option<Self> {
                self.checked_sub(1)
            }

            fn last_of(self, length: u8) -> Self {
                self | Self::MAX.checked_shr(u32::from(length)).unwrap_or(0)
            }

            #[allow(clippy::cast_possible_truncation)] // At most 128.
            fn common(self, other: Self) -> u8 {
                (self ^ other).leading_zeros() as u8
            }
        }
    };
}

bits!(u32, 32);
bits!(u128, 128);

/// Every address of a family with its value, neighbours of equal value merged.
#[derive(Debug)]
pub(super) struct Ranges<K, V> {
    /// Where each range begins, ascending; the first is the first address.
    starts: Vec<K>,
    values: Vec<V>,
}

impl<K: Bits, V: Copy + PartialEq> Ranges<K, V> {
    /// One range with one value.
    pub(super) fn new(value: V) -> Self {
        Self { starts: vec![K::ZERO], values: vec![value] }
    }

    /// From `start` on the value is `value`. Starts never go back.
    pub(super) fn begin(&mut self, start: K, value: V) {
        if self.starts.last() == Some(&start) {
            // A network that begins where the one around it begins replaces it there.
            self.starts.pop();
            self.values.pop();
        }
        if self.values.last() != Some(&value) {
            self.starts.push(start);
            self.values.push(value);
        }
    }

    pub(super) fn shrink(&mut self) {
        self.starts.shrink_to_fit();
        self.values.shrink_to_fit();
    }

    pub(super) fn len(&self) -> usize {
        self.starts.len()
    }

    /// Bytes on the heap.
    pub(super) fn bytes(&self) -> usize {
        self.starts.capacity() * size_of::<K>() + self.values.capacity() * size_of::<V>()
    }

    /// The value at an address.
    pub(super) fn value(&self, address: K) -> V {
        self.values[self.index(address)]
    }

    /// The value at an address, and the length of the largest network around it that has this
    /// value everywhere: one bit more than the address has in common with the nearest addresses of
    /// another value on either side.
    pub(super) fn network(&self, address: K) -> (V, u8) {
        let index = self.index(address);
        let before = self.starts[index].previous();
        let after = self.starts.get(index + 1).copied();
        let length =
            [before, after].into_iter().flatten().map(|other| address.common(other) + 1).max();
        (self.values[index], length.unwrap_or(0))
    }

    fn index(&self, address: K) -> usize {
        // The first range begins at the first address, so at least one begins at or before this.
        self.starts.partition_point(|start| *start <= address) - 1
    }
}
