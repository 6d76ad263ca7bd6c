//! Entropy coding: each symbol costs what it surprises.
//!
//! Range asymmetric numeral systems (J. Duda, arXiv:1311.2540) with chances
//! that are learnt on the way. All of the code so far is one number; a symbol
//! whose share is `size` of `TOTAL` makes it `TOTAL / size` times larger. A
//! decoder takes the symbols off in the order in which they were told; so the
//! encoder writes down which part of `TOTAL` each has, and codes them from the
//! last to the first.

/// Shares are given in this power of two.
const TOTAL_BITS: u32 = 15;
/// Between symbols the number lies in `LEAST..LEAST << 32`.
const LEAST: u64 = 1 << 31;
/// How fast shares are learnt: by this power of two of what they were wrong.
const RATE: u32 = 5;

/// How likely each of `N` symbols is: where its part of the total begins. No part is ever empty.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shares<const N: usize>([i16; N]);

/// A part of the total.
#[derive(Debug, Clone, Copy)]
struct Part {
    start: u16,
    size: u16,
}

impl<const N: usize> Shares<N> {
    /// Equal shares: nothing is known yet.
    #[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap)] // N is 32 at most.
    pub(super) const EVEN: Self = {
        let mut starts = [0; N];
        let mut symbol = 1;
        while symbol < N {
            starts[symbol] = ((symbol << TOTAL_BITS) / N) as i16;
            symbol += 1;
        }
        Self(starts)
    };

    fn part(&self, symbol: usize) -> Part {
        let start = self.0[symbol].cast_unsigned();
        let end = self.0.get(symbol + 1).map_or(1 << TOTAL_BITS, |start| start.cast_unsigned());
        Part { start, size: end - start }
    }

    /// The symbol whose part holds `point`.
    #[allow(clippy::cast_sign_loss)] // The first part begins at 0, so one at least counts.
    fn at(&self, point: i16) -> usize {
        // A count of all, without a branch, is faster than a search of so few.
        let begun: i16 = self.0.iter().map(|start| i16::from(*start <= point)).sum();
        begun as usize - 1
    }

    /// Where the parts would begin if each symbol were the only one to be expected, with the least
    /// share for each other.
    #[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap)] // N is 32 at most.
    const GOALS: [[i16; N]; N] = {
        let mut goals = [[0; N]; N];
        let mut symbol = 0;
        while symbol < N {
            let mut index = 0;
            while index < N {
                let above = if index > symbol { i16::MAX - (N - 1) as i16 } else { 0 };
                goals[symbol][index] = above + index as i16;
                index += 1;
            }
            symbol += 1;
        }
        goals
    };

    /// Moves the parts towards a symbol's goal. Starts that were apart stay apart, since their
    /// goals are.
    fn learn(&mut self, symbol: usize) {
        for (start, goal) in self.0.iter_mut().zip(&Self::GOALS[symbol]) {
            *start += (goal - *start) >> RATE;
        }
    }
}

/// Either direction. What is coded is described once, for both: an encoder takes the symbols that
/// it is given, a decoder ignores them, and both return what stands in the code.
pub(super) trait Coder {
    /// One of `N` symbols.
    fn symbol<const N: usize>(&mut self, shares: &mut Shares<N>, symbol: u32) -> u32;

    /// `count` bits, at most 15, of which nothing is known.
    fn bits(&mut self, count: u32, bits: u32) -> u32;
}

/// Writes a code.
#[derive(Debug, Default)]
pub(super) struct Encoder(Vec<(Part, u32)>);

impl Encoder {
    /// The whole code.
    pub(super) fn finish(self) -> Vec<u8> {
        let mut number = LEAST;
        let mut words = Vec::new();
        for (Part { start, size }, bits) in self.0.into_iter().rev() {
            let (start, size) = (u64::from(start), u64::from(size));
            if number >= size << (63 - bits) {
                #[allow(clippy::cast_possible_truncation)] // The lower half, on purpose.
                words.push(number as u32);
                number >>= 32;
            }
            number = ((number / size) << bits) + number % size + start;
        }
        let words = words.into_iter().rev().flat_map(u32::to_le_bytes);
        number.to_le_bytes().into_iter().chain(words).collect()
    }
}

impl Coder for Encoder {
    fn symbol<const N: usize>(&mut self, shares: &mut Shares<N>, symbol: u32) -> u32 {
        self.0.push((shares.part(symbol as usize), TOTAL_BITS));
        shares.learn(symbol as usize);
        symbol
    }

    fn bits(&mut self, count: u32, bits: u32) -> u32 {
        #[allow(clippy::cast_possible_truncation)] // At most 15 bits.
        self.0.push((Part { start: bits as u16, size: 1 }, count));
        bits
    }
}

/// Reads a code, or whatever it is given: that it was one shows at the end.
#[derive(Debug)]
pub(super) struct Decoder<'c> {
    number: u64,
    words: std::slice::Iter<'c, [u8; 4]>,
    /// Whether it read beyond the end.
    beyond: bool,
}

impl<'c> Decoder<'c> {
    /// None if it can't be a code.
    pub(super) fn new(code: &'c [u8]) -> Option<Self> {
        let (number, words) = code.split_first_chunk()?;
        let (words, []) = words.as_chunks() else { return None };
        let number = u64::from_le_bytes(*number);
        let right = (LEAST..LEAST << 32).contains(&number);
        right.then(|| Self { number, words: words.iter(), beyond: false })
    }

    /// Whether this is the end of the code: where the encoder began.
    pub(super) fn at_end(&self) -> bool {
        self.number == LEAST && self.words.len() == 0 && !self.beyond
    }

    fn take(&mut self, part: Part, point: u64, bits: u32) {
        // At most 2^15 × (2^48 − 1) + 2^15 − 1.
        self.number = u64::from(part.size) * (self.number >> bits) + point - u64::from(part.start);
        if self.number < LEAST {
            let word = self.words.next();
            self.beyond |= word.is_none();
            self.number =
                self.number << 32 | word.map_or(0, |word| u32::from_le_bytes(*word).into());
        }
    }
}

impl Coder for Decoder<'_> {
    #[inline]
    #[allow(clippy::cast_possible_truncation)] // Points are below 2^15, symbols below N.
    fn symbol<const N: usize>(&mut self, shares: &mut Shares<N>, _: u32) -> u32 {
        let point = self.number & ((1 << TOTAL_BITS) - 1);
        let symbol = shares.at(point as i16);
        self.take(shares.part(symbol), point, TOTAL_BITS);
        shares.learn(symbol);
        symbol as u32
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation)] // At most 15 bits.
    fn bits(&mut self, count: u32, _: u32) -> u32 {
        let point = self.number & ((1 << count) - 1);
        self.take(Part { start: point as u16, size: 1 }, point, count);
        point as u32
    }
}
