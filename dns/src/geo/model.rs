//! What ranges look like, so that few bits tell them.
//!
//! A family is cut into ranges from its first address to its last. Of each the
//! code says where it is, as the rank among the places named most recently,
//! and how long it is. Both are guessed from the ranges before: clients of
//! neighbouring networks are in few places, and networks begin and end at
//! round addresses.

use super::coder::{Coder, Shares};

/// Ranks are below this, so that the class of `rank + 1` is below 16.
pub(super) const RANKS: usize = (1 << 16) - 1;

/// A number's class is the position of its highest bit. All from this one on are one symbol, and
/// told apart by another.
const RARE: u32 = 31;
const CLASSES: usize = 32;
const RANK_CLASSES: usize = 16;
/// The older of two ranks is told apart up to this class, the younger one for lengths too.
const FAR_RANK: usize = 3;
/// How many bits below the highest are guessed, as one symbol. Those below them are as they are.
const GUESSED: u32 = 4;
/// The most bits that a coder takes as they are.
const PLAIN: u32 = 15;

/// What has been learnt of a family's ranges.
#[derive(Debug)]
pub(super) struct Model {
    /// Classes of `rank + 1`, by the two before and by the length before.
    rank_classes: Vec<Shares<RANK_CLASSES>>,
    /// The bits below the highest, by class.
    ranks: Vec<Shares<16>>,
    /// Classes of lengths, by the start's alignment, the length before and the rank.
    length_classes: Vec<Shares<CLASSES>>,
    /// How many bits of a length there are from its highest to its lowest, by class and alignment.
    spans: Vec<Shares<CLASSES>>,
    /// The bits between these two, by class and span.
    lengths: Vec<Shares<16>>,
    rare_lengths: Shares<CLASSES>,
    rare_spans: Shares<CLASSES>,
    last: Last,
}

/// Classes of the last two ranks and of the last length.
#[derive(Debug, Clone, Copy, Default)]
struct Last {
    rank: usize,
    older_rank: usize,
    length: usize,
}

impl Model {
    pub(super) fn new() -> Self {
        Self {
            rank_classes: vec![Shares::EVEN; RANK_CLASSES * (FAR_RANK + 1) * CLASSES],
            ranks: vec![Shares::EVEN; RANK_CLASSES],
            length_classes: vec![Shares::EVEN; CLASSES * CLASSES * FAR_RANK],
            spans: vec![Shares::EVEN; CLASSES * CLASSES],
            lengths: vec![Shares::EVEN; CLASSES * CLASSES],
            rare_lengths: Shares::EVEN,
            rare_spans: Shares::EVEN,
            last: Last::default(),
        }
    }

    /// The rank of a range's place, below [`RANKS`]: 0 for the place named last.
    #[allow(clippy::cast_possible_truncation)] // Below 2^16, as its class is below 16.
    pub(super) fn rank(&mut self, coder: &mut impl Coder, rank: u32) -> u32 {
        let Last { rank: younger, older_rank: older, length } = self.last;
        let number = rank + 1;
        let context = (younger * (FAR_RANK + 1) + older.min(FAR_RANK)) * CLASSES + length;
        let class = coder.symbol(&mut self.rank_classes[context], number.ilog2());
        self.last = Last { rank: class as usize, older_rank: younger, length };
        let below = below(coder, &mut self.ranks[class as usize], class, number.into());
        (1 << class | below as u32) - 1
    }

    /// The length of the range that begins at `start`, not 0 and below 2^63.
    pub(super) fn length(&mut self, coder: &mut impl Coder, start: u64, length: u64) -> u64 {
        let aligned = start.trailing_zeros().min(RARE) as usize;
        let near = self.last.rank.min(FAR_RANK - 1);
        let context = (aligned * CLASSES + self.last.length) * FAR_RANK + near;
        let shares = &mut self.length_classes[context];
        let class = class(coder, shares, &mut self.rare_lengths, length.ilog2());
        self.last.length = class.min(RARE) as usize;

        let shares = &mut self.spans[self.last.length * CLASSES + aligned];
        let span = class_difference(length);
        let span = self::class(coder, shares, &mut self.rare_spans, span).min(class);
        let Some(between) = span.checked_sub(1) else { return 1 << class };
        let shares = &mut self.lengths[self.last.length * CLASSES + span.min(RARE) as usize];
        let bits = below(coder, shares, between, length >> (class - between));
        (1 << between | bits) << (class - between) | 1 << (class - span)
    }
}

/// How far a number's highest bit is from its lowest.
fn class_difference(number: u64) -> u32 {
    number.ilog2() - number.trailing_zeros()
}

/// A number below 63.
fn class(
    coder: &mut impl Coder,
    shares: &mut Shares<CLASSES>,
    rare: &mut Shares<CLASSES>,
    class: u32,
) -> u32 {
    match coder.symbol(shares, class.min(RARE)) {
        RARE => RARE + coder.symbol(rare, class.saturating_sub(RARE)),
        class => class,
    }
}

/// The lowest `count` bits of a number.
fn below(coder: &mut impl Coder, shares: &mut Shares<16>, count: u32, number: u64) -> u64 {
    #[allow(clippy::cast_possible_truncation)] // At most 15 bits.
    let part = |bits: u32, rest: u32| (number >> rest) as u32 & ((1 << bits) - 1);
    if count == 0 {
        return 0;
    }
    let guessed = count.min(GUESSED);
    let mut rest = count - guessed;
    let symbol = coder.symbol(shares, part(guessed, rest));
    let mut read = u64::from(symbol & ((1 << guessed) - 1));
    while rest > 0 {
        let bits = rest.min(PLAIN);
        rest -= bits;
        read = read << bits | u64::from(coder.bits(bits, part(bits, rest)));
    }
    read
}
