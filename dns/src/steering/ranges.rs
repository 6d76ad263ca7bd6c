//! The whole address space as few ranges, each with one number.
//!
//! There are millions of them, so they are kept small: a block is a run of
//! ranges that begin at multiples of one step from its own begin, and less
//! than 2^16 steps away. A range takes two octets for its begin, and two for
//! its number as long as none is larger. A chunk is as many blocks as fit:
//! memory is taken in pieces of one size and never let go, since vectors that
//! grow to megabytes would leave as much again behind.

mod entries;

#[cfg(test)]
mod tests;

use entries::Entries;

/// An address of one family as a number.
pub(super) trait Bits: Copy + Ord {
    /// Its length.
    const LENGTH: u8;
    /// The first address.
    const ZERO: Self;
    /// The last address.
    const MAX: Self;
    /// Of an address the first bits by which an index of many ranges goes. None where most of the
    /// addresses in use begin alike.
    const INDEX_BITS: u8;
    /// Ranges of a block at most.
    const BLOCK: usize;
    /// The first so many bits, as a number.
    fn first_bits(self, bits: u8) -> usize;
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
    ($type:ty, $length:literal, $index:literal, $block:literal) => {
        impl Bits for $type {
            const LENGTH: u8 = $length;
            const ZERO: Self = 0;
            const MAX: Self = <$type>::MAX;
            const INDEX_BITS: u8 = $index;
            const BLOCK: usize = $block;

            #[allow(clippy::cast_possible_truncation)] // At most 16 bits.
            fn first_bits(self, bits: u8) -> usize {
                self.checked_shr(u32::from($length - bits)).unwrap_or(0) as usize
            }

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

// A block of IPv4's is four cache lines.
bits!(u32, 32, 16, 64);
bits!(u128, 128, 0, 256);

/// Every address of a family with its number, neighbours of equal number merged.
#[derive(Debug)]
pub(super) struct Ranges<K> {
    /// Ascending; the first begins at the first address.
    chunks: Vec<Chunk<K>>,
    /// The block of the first address of every network of [`Bits::INDEX_BITS`] bits, where there are
    /// many blocks: a search looks between two of them.
    index: Box<[Corner]>,
}

/// A block: its chunk, and its number there.
#[derive(Debug, Clone, Copy)]
struct Corner {
    chunk: u16,
    block: u16,
}

#[derive(Debug)]
struct Chunk<K> {
    begin: K,
    /// Ascending; the first begins where the chunk begins.
    blocks: Box<[Block<K>]>,
    /// Of all blocks; each begins where its first range begins.
    entries: Entries,
}

#[derive(Debug, Clone, Copy)]
struct Block<K> {
    begin: K,
    /// The index of its first range.
    first: u16,
    /// The power of two that is a step.
    step: u8,
}

/// A range's place: its chunk, its block there, its index in the chunk.
#[derive(Debug, Clone, Copy)]
struct Place {
    chunk: usize,
    block: usize,
    index: usize,
}

impl<K: Bits> Ranges<K> {
    pub(super) fn len(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.entries.len()).sum()
    }

    /// Bytes on the heap.
    pub(super) fn bytes(&self) -> usize {
        let chunks = self.chunks.iter().map(Chunk::bytes);
        self.chunks.capacity() * size_of::<Chunk<K>>()
            + size_of_val(&*self.index)
            + chunks.sum::<usize>()
    }

    /// The number at an address.
    pub(super) fn number(&self, address: K) -> u32 {
        let Place { chunk, index, .. } = self.find(address);
        self.chunks[chunk].entries.number(index)
    }

    /// The number at an address, and the length of the largest network around it that has this
    /// number everywhere: one bit more than the address has in common with the nearest addresses of
    /// another number on either side.
    pub(super) fn network(&self, address: K) -> (u32, u8) {
        let place = self.find(address);
        let chunk = &self.chunks[place.chunk];
        let before = chunk.begin_of(place.block, place.index).previous();
        let after = chunk.end_of(place.block, place.index);
        let after = after.or_else(|| self.chunks.get(place.chunk + 1).map(|next| next.begin));
        let length =
            [before, after].into_iter().flatten().map(|other| address.common(other) + 1).max();
        (chunk.entries.number(place.index), length.unwrap_or(0))
    }

    /// The range that holds an address.
    fn find(&self, address: K) -> Place {
        let (chunk, block) = self.block(address);
        let Chunk { blocks, entries, .. } = &self.chunks[chunk];
        let Block { begin, first, step } = blocks[block];
        let first = usize::from(first);
        let end = blocks.get(block + 1).map_or(entries.len(), |next| next.first.into());
        let steps = address.steps(begin, step).unwrap_or(u16::MAX);
        Place { chunk, block, index: first + entries.within(first..end, steps) - 1 }
    }

    /// The block that holds an address: its chunk, and its number there.
    ///
    /// The first begins at the first address, so at least one begins at or before this.
    fn block(&self, address: K) -> (usize, usize) {
        let bits = address.first_bits(K::INDEX_BITS);
        let from = self.index.get(bits).copied().unwrap_or(Corner { chunk: 0, block: 0 });
        let to = self.index.get(bits + 1).copied();
        let first = usize::from(from.chunk);
        let last = to.map_or(self.chunks.len() - 1, |to| to.chunk.into());
        let chunk = match last - first {
            0 => first,
            _ => {
                let chunks = &self.chunks[first..=last];
                first + chunks.partition_point(|chunk| chunk.begin <= address) - 1
            }
        };
        let blocks = &self.chunks[chunk].blocks;
        let first = if chunk == first { from.block.into() } else { 0 };
        let end = match to {
            Some(to) if usize::from(to.chunk) == chunk => usize::from(to.block) + 1,
            _ => blocks.len(),
        };
        let block = blocks[first..end].partition_point(|block| block.begin <= address);
        (chunk, first + block - 1)
    }

    /// Makes the index, where it shortens searches and fits.
    fn indexed(mut self) -> Self {
        if K::INDEX_BITS == 0 || self.len() < INDEXED || self.chunks.len() > usize::from(u16::MAX) {
            return self;
        }
        let mut index = Vec::with_capacity(1 << K::INDEX_BITS);
        let mut at = Corner { chunk: 0, block: 0 };
        for (chunk, number) in self.chunks.iter().zip(0..) {
            for (block, place) in chunk.blocks.iter().zip(0..) {
                // Those that begin before this block, and not before one that is known already.
                let before = block.begin.previous().map(|last| last.first_bits(K::INDEX_BITS));
                let missing = before.map_or(0, |last| (last + 1).saturating_sub(index.len()));
                index.extend(std::iter::repeat_n(at, missing));
                at = Corner { chunk: number, block: place };
            }
        }
        index.resize(1 << K::INDEX_BITS, at);
        self.index = index.into();
        self
    }
}

impl<K: Bits> Chunk<K> {
    /// Where a range of a block begins.
    fn begin_of(&self, block: usize, index: usize) -> K {
        let Block { begin, step, .. } = self.blocks[block];
        begin.after(self.entries.begin(index), step)
    }

    /// Where the range after one of a block begins, if it is in the chunk.
    fn end_of(&self, block: usize, index: usize) -> Option<K> {
        match self.blocks.get(block + 1) {
            Some(next) if usize::from(next.first) == index + 1 => Some(next.begin),
            _ => (index + 1 < self.entries.len()).then(|| self.begin_of(block, index + 1)),
        }
    }

    fn bytes(&self) -> usize {
        size_of_val(&*self.blocks) + self.entries.bytes()
    }
}

/// Ranges of a chunk at most.
const CHUNK: usize = 1 << 14;
/// Ranges from which on an index is worth its memory.
const INDEXED: usize = 1 << 14;

/// Makes [`Ranges`].
#[derive(Debug)]
pub(super) struct Builder<K> {
    chunks: Vec<Chunk<K>>,
    /// The next chunk's.
    blocks: Vec<Block<K>>,
    entries: Vec<(u16, u32)>,
    /// The ranges that are in no block yet: where they begin, and their numbers.
    open: Vec<(K, u32)>,
    /// The step that they have in common.
    step: u8,
    /// The number of the range before them.
    before: Option<u32>,
}

impl<K: Bits> Builder<K> {
    /// One range with one number.
    pub(super) fn new(number: u32) -> Self {
        Self {
            chunks: Vec::new(),
            blocks: Vec::new(),
            entries: Vec::new(),
            open: vec![(K::ZERO, number)],
            step: K::LENGTH - 1,
            before: None,
        }
    }

    /// From `start` on the number is `number`. Starts never go back.
    pub(super) fn begin(&mut self, start: K, number: u32) {
        if self.open.last().is_some_and(|(last, _)| *last == start) {
            // A network that begins where the one around it begins replaces it there.
            self.open.pop();
        }
        let last = self.open.last().map(|(_, number)| *number).or(self.before);
        if last != Some(number) {
            self.open(start, number);
        }
    }

    pub(super) fn finish(mut self) -> Ranges<K> {
        self.close_block();
        self.close_chunk();
        self.chunks.shrink_to_fit();
        Ranges { chunks: self.chunks, index: Box::default() }.indexed()
    }

    fn open(&mut self, start: K, number: u32) {
        if let Some((begin, _)) = self.open.first() {
            let step = self.step.min(start.alignment(*begin));
            // Those before it are nearer, so they fit where it fits.
            if self.open.len() < K::BLOCK && start.steps(*begin, step).is_some() {
                self.step = step;
            } else {
                self.close_block();
            }
        }
        if self.open.is_empty() {
            self.step = K::LENGTH - 1;
        }
        self.open.push((start, number));
    }

    /// Makes a block of the open ranges.
    fn close_block(&mut self) {
        if self.entries.len() + self.open.len() > CHUNK {
            self.close_chunk();
        }
        let Some((begin, _)) = self.open.first().copied() else { return };
        #[allow(clippy::cast_possible_truncation)] // At most CHUNK.
        self.blocks.push(Block { begin, first: self.entries.len() as u16, step: self.step });
        for (start, number) in self.open.drain(..) {
            // Each of them fits.
            self.entries.push((start.steps(begin, self.step).unwrap_or_default(), number));
        }
        self.before = self.entries.last().map(|(_, number)| *number);
    }

    /// Makes a chunk of the blocks.
    fn close_chunk(&mut self) {
        let Some(first) = self.blocks.first() else { return };
        self.chunks.push(Chunk {
            begin: first.begin,
            blocks: self.blocks.as_slice().into(),
            entries: Entries::new(&self.entries),
        });
        self.blocks.clear();
        self.entries.clear();
    }
}
