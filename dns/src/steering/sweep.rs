//! From the operator's networks, which lie inside each other, and the
//! database's ranges, which don't, to ranges with one list each: one pass over
//! the address space, in order.

use super::Source;
use super::ranges::{Bits, Builder, Ranges};

/// A network of the operator's, with the number of its list. In order, one comes before those
/// inside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry<K> {
    pub(super) start: K,
    pub(super) length: u8,
    pub(super) list: u32,
}

impl<K: Bits> Entry<K> {
    /// The first address after it, if there is one.
    fn end(&self) -> Option<K> {
        self.start.last_of(self.length).next()
    }
}

/// The database's ranges must arrive by address, and not meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OutOfOrder;

/// The pass over one family.
#[derive(Debug)]
pub(super) struct Sweep<K> {
    /// The operator's networks that are still to come, the next one last.
    operator: Vec<Entry<K>>,
    /// Those around the place where the pass stands, the innermost last.
    open: Vec<Entry<K>>,
    /// The list of the database's range around that place, and what it is owed to.
    database: Option<(u32, Source)>,
    /// The first address after that range; none if there is no such address.
    next: Option<K>,
    default_list: u32,
    lists: Placed<K>,
    sources: Builder<K>,
}

/// Ranges of equal lists, each with what placed all of it, where that is one.
#[derive(Debug)]
struct Placed<K> {
    /// The one before the last, which may be the last again.
    before: Option<(K, Place)>,
    last: (K, Place),
    ranges: Builder<K>,
}

/// A range's list, and what placed it: in one number, since a query wants both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) list: u32,
    /// None where it isn't the same everywhere, and where nothing placed it.
    pub(super) source: Option<Source>,
}

impl Place {
    fn new(list: u32, source: Source) -> Self {
        Self { list, source: Some(source).filter(|source| *source != Source::Default) }
    }

    fn number(self) -> u32 {
        // There are fewer lists than networks, and of these no map has 2^30.
        self.list << 2 | self.source.map_or(0, Source::number)
    }

    pub(super) fn numbered(number: u32) -> Self {
        Self::new(number >> 2, Source::numbered(number & 3))
    }
}

impl<K: Bits> Placed<K> {
    fn new(place: Place) -> Self {
        let number = place.number();
        Self { before: None, last: (K::ZERO, place), ranges: Builder::new(number) }
    }

    /// From `start` on it is this one. Starts never go back.
    fn begin(&mut self, start: K, place: Place) {
        if self.last.0 == start {
            // A network that begins where the one around it begins replaces it there.
            match self.before.take() {
                Some(before) => self.last = before,
                None => {
                    self.last = (start, place);
                    return;
                }
            }
        }
        let last = &mut self.last.1;
        if last.list == place.list {
            last.source = last.source.filter(|source| place.source == Some(*source));
            return;
        }
        if let Some((start, before)) = self.before.replace(self.last) {
            self.ranges.begin(start, before.number());
        }
        self.last = (start, place);
    }

    fn finish(mut self) -> Ranges<K> {
        for (start, place) in self.before.into_iter().chain([self.last]) {
            self.ranges.begin(start, place.number());
        }
        self.ranges.finish()
    }
}

impl<K: Bits> Sweep<K> {
    pub(super) fn new(default_list: u32, mut operator: Vec<Entry<K>>) -> Self {
        operator.sort_unstable();
        operator.reverse();
        Self {
            operator,
            open: Vec::new(),
            database: None,
            next: Some(K::ZERO),
            default_list,
            lists: Placed::new(Place::new(default_list, Source::Default)),
            sources: Builder::new(Source::Default.number()),
        }
    }

    /// Takes the database's next range, the last address included.
    pub(super) fn push(
        &mut self,
        first: K,
        last: K,
        list: u32,
        source: Source,
    ) -> Result<(), OutOfOrder> {
        if last < first || self.next.is_none_or(|next| first < next) {
            return Err(OutOfOrder);
        }
        if self.next != Some(first) {
            self.end_range();
        }
        self.advance(first);
        self.database = Some((list, source));
        self.begin(first);
        self.next = last.next();
        Ok(())
    }

    /// Ends the pass: the lists, numbered as [`Place`]s, and what placed them.
    pub(super) fn finish(mut self) -> (Ranges<K>, Ranges<K>) {
        self.end_range();
        self.advance(K::MAX);
        (self.lists.finish(), self.sources.finish())
    }

    /// Leaves the database's range.
    fn end_range(&mut self) {
        if let Some(next) = self.next {
            self.advance(next);
            self.database = None;
            self.begin(next);
        }
    }

    /// Enters and leaves the operator's networks up to an address.
    fn advance(&mut self, to: K) {
        loop {
            let end = self.open.last().and_then(Entry::end).filter(|end| *end <= to);
            let entered = match end {
                Some(end) => self.operator.pop_if(|next| next.start < end),
                None => self.operator.pop_if(|next| next.start <= to),
            };
            match (entered, end) {
                (Some(entered), _) => {
                    self.open.push(entered);
                    self.begin(entered.start);
                }
                (None, Some(end)) => {
                    // Networks around it that end where it ends go with it.
                    while self.open.pop_if(|inner| inner.end() == Some(end)).is_some() {}
                    self.begin(end);
                }
                (None, None) => return,
            }
        }
    }

    /// From `start` on holds what is around it.
    fn begin(&mut self, start: K) {
        let (list, source) = match (self.open.last(), self.database) {
            (Some(inner), _) => (inner.list, Source::Operator),
            (None, Some(database)) => database,
            (None, None) => (self.default_list, Source::Default),
        };
        self.lists.begin(start, Place::new(list, source));
        self.sources.begin(start, source.number());
    }
}
