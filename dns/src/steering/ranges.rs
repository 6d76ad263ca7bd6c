//! The whole address space as few ranges, each with one number.
//!
//! There are millions of them, so they are kept small: a block is a run of
//! ranges that begin at multiples of one step from its own begin, and less
//! than 2^16 steps away. A range takes two octets for its begin, and two for
//! its number as long as none is larger.

#[cfg(test)]
mod tests;

/// An address of one family as a number.
pub(super) trait Bits: Copy + Ord {
    /// Its length.
    const LENGTH: u8;
    /// The first address.
    const ZERO: Self;
    /// The last address.
    const MAX: Self;
    /// The address after this one, if there is one.
    fn next(self) -> Option<Self>;
    /// The address before this one, if there is one.
    fn previous(self) -> Option<Self>;
    /// The last address of the network of this length that begins here.
    fn last_of(self, length: u8) -> Self;
    /// How many bits both begin with.
    fn common(self, other: Self) -> u8;
    /// How many of its lowest bits, but never all, are 0 from `begin`, which isn't above it.
    fn alignment(self, begin: Self) -> u8;
    /// How many steps of `2^step` it is from `begin`, which isn't above it; none if it is 2^16 or
    /// more.
    fn steps(self, begin: Self, step: u8) -> Option<u16>;
    /// The address so many steps from here.
    fn after(self, steps: u16, step: u8) -> Self;
}

macro_rules! bits {
    ($type:ty, $length:literal) => {
        impl Bits for $type {
            const LENGTH: u8 = $length;
            const ZERO: Self = 0;
            const MAX: Self = <$type>::MAX;

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

            #[allow(clippy::cast_possible_truncation)] // At most 127.
            fn alignment(self, begin: Self) -> u8 {
                (self - begin).trailing_zeros().min($length - 1) as u8
            }

            fn steps(self, begin: Self, step: u8) -> Option<u16> {
                u16::try_from((self - begin) >> step).ok()
            }

            fn after(self, steps: u16, step: u8) -> Self {
                self + (Self::from(steps) << step)
            }
        }
    };
}

bits!(u32, 32);
bits!(u128, 128);

/// Every address of a family with its number, neighbours of equal number merged.
#[derive(Debug)]
pub(super) struct Ranges<K> {
    /// Ascending; the first begins at the first address.
    blocks: Vec<Block<K>>,
    /// Where each range begins, in steps from its block's begin.
    steps: Vec<u16>,
    numbers: Numbers,
}

#[derive(Debug, Clone, Copy)]
struct Block<K> {
    begin: K,
    /// The index of its first range.
    first: u32,
    /// The power of two that is a step.
    step: u8,
}

impl<K: Bits> Ranges<K> {
    pub(super) fn len(&self) -> usize {
        self.steps.len()
    }

    /// Bytes on the heap.
    pub(super) fn bytes(&self) -> usize {
        self.blocks.capacity() * size_of::<Block<K>>()
            + self.steps.capacity() * size_of::<u16>()
            + self.numbers.bytes()
    }

    /// The number at an address.
    pub(super) fn number(&self, address: K) -> u32 {
        self.numbers.get(self.find(address).1)
    }

    /// The number at an address, and the length of the largest network around it that has this
    /// number everywhere: one bit more than the address has in common with the nearest addresses of
    /// another number on either side.
    pub(super) fn network(&self, address: K) -> (u32, u8) {
        let (block, index) = self.find(address);
        let before = self.begin(block, index).previous();
        let after = match self.blocks.get(block + 1) {
            Some(next) if next.first as usize == index + 1 => Some(next.begin),
            _ if index + 1 < self.steps.len() => Some(self.begin(block, index + 1)),
            _ => None,
        };
        let length =
            [before, after].into_iter().flatten().map(|other| address.common(other) + 1).max();
        (self.numbers.get(index), length.unwrap_or(0))
    }

    /// Where a range of a block begins.
    fn begin(&self, block: usize, index: usize) -> K {
        let Block { begin, step, .. } = self.blocks[block];
        begin.after(self.steps[index], step)
    }

    /// The range that holds an address, and its block.
    fn find(&self, address: K) -> (usize, usize) {
        // The first begins at the first address, so at least one begins at or before this; and a
        // block's first range begins with it.
        let block = self.blocks.partition_point(|block| block.begin <= address) - 1;
        let Block { begin, first, step } = self.blocks[block];
        let first = first as usize;
        let end = self.blocks.get(block + 1).map_or(self.steps.len(), |next| next.first as usize);
        let steps = address.steps(begin, step).unwrap_or(u16::MAX);
        let begun = self.steps[first..end].partition_point(|begin| *begin <= steps);
        (block, first + begun - 1)
    }
}

/// Makes [`Ranges`].
#[derive(Debug)]
pub(super) struct Builder<K> {
    blocks: Vec<Block<K>>,
    steps: Vec<u16>,
    numbers: Numbers,
    /// Where those ranges begin that are in no block yet.
    open: Vec<K>,
    /// The step that they have in common.
    step: u8,
}

/// How many ranges wait for a block at most, so that they take little.
const OPEN: usize = 1 << 12;

impl<K: Bits> Builder<K> {
    /// One range with one number.
    pub(super) fn new(number: u32) -> Self {
        let mut builder = Self {
            blocks: Vec::new(),
            steps: Vec::new(),
            numbers: Numbers::Small(Vec::new()),
            open: Vec::new(),
            step: 0,
        };
        builder.begin(K::ZERO, number);
        builder
    }

    /// From `start` on the number is `number`. Starts never go back.
    pub(super) fn begin(&mut self, start: K, number: u32) {
        if self.open.last() == Some(&start) {
            // A network that begins where the one around it begins replaces it there.
            self.open.pop();
            self.numbers.pop();
        }
        if self.numbers.last() != Some(number) {
            self.numbers.push(number);
            self.open(start);
        }
    }

    pub(super) fn finish(mut self) -> Ranges<K> {
        self.close();
        self.blocks.shrink_to_fit();
        self.steps.shrink_to_fit();
        self.numbers.shrink();
        Ranges { blocks: self.blocks, steps: self.steps, numbers: self.numbers }
    }

    fn open(&mut self, start: K) {
        if let Some(begin) = self.open.first() {
            let step = self.step.min(start.alignment(*begin));
            // Those before it are nearer, so they fit where it fits.
            if self.open.len() < OPEN && start.steps(*begin, step).is_some() {
                self.step = step;
            } else {
                self.close();
            }
        }
        if self.open.is_empty() {
            self.step = K::LENGTH - 1;
        }
        self.open.push(start);
    }

    /// Makes a block of the open ranges.
    #[allow(clippy::cast_possible_truncation)] // Fewer ranges than 2^32.
    fn close(&mut self) {
        if let Some(begin) = self.open.first().copied() {
            let step = self.step;
            self.blocks.push(Block { begin, first: self.steps.len() as u32, step });
            let steps = self.open.drain(..).filter_map(|start| start.steps(begin, step));
            self.steps.extend(steps);
        }
    }
}

/// Numbers, each in two octets while none needs more.
#[derive(Debug)]
enum Numbers {
    Small(Vec<u16>),
    Large(Vec<u32>),
}

impl Numbers {
    fn push(&mut self, number: u32) {
        match (&mut *self, u16::try_from(number)) {
            (Self::Small(numbers), Ok(number)) => numbers.push(number),
            (Self::Small(numbers), Err(_)) => {
                let before = numbers.iter().copied().map(u32::from);
                *self = Self::Large(before.chain([number]).collect());
            }
            (Self::Large(numbers), _) => numbers.push(number),
        }
    }

    fn pop(&mut self) {
        match self {
            Self::Small(numbers) => drop(numbers.pop()),
            Self::Large(numbers) => drop(numbers.pop()),
        }
    }

    fn last(&self) -> Option<u32> {
        match self {
            Self::Small(numbers) => numbers.last().copied().map(u32::from),
            Self::Large(numbers) => numbers.last().copied(),
        }
    }

    fn get(&self, index: usize) -> u32 {
        match self {
            Self::Small(numbers) => numbers[index].into(),
            Self::Large(numbers) => numbers[index],
        }
    }

    fn shrink(&mut self) {
        match self {
            Self::Small(numbers) => numbers.shrink_to_fit(),
            Self::Large(numbers) => numbers.shrink_to_fit(),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Small(numbers) => numbers.capacity() * size_of::<u16>(),
            Self::Large(numbers) => numbers.capacity() * size_of::<u32>(),
        }
    }
}
