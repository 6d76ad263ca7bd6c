//! From networks that lie inside each other to ranges that don't: one pass
//! over the address space, in order.

use super::Source;
use super::ranges::{Bits, Ranges};

/// A network with the number of its list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry<K> {
    pub(super) start: K,
    pub(super) length: u8,
    pub(super) source: Source,
    pub(super) list: u32,
}

/// Networks must arrive by address, the larger first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OutOfOrder;

/// The pass over one family.
#[derive(Debug)]
pub(super) struct Sweep<K> {
    /// The operator's networks that are still to come, the next one last.
    operator: Vec<Entry<K>>,
    /// The networks around the place where the pass stands, the innermost last. An inner one is
    /// never of a lower source than one around it.
    open: Vec<Entry<K>>,
    latest: Option<(K, u8)>,
    default_list: u32,
    lists: Ranges<K, u32>,
    sources: Ranges<K, Source>,
}

impl<K: Bits> Sweep<K> {
    pub(super) fn new(default_list: u32, mut operator: Vec<Entry<K>>) -> Self {
        operator.sort_unstable();
        operator.reverse();
        Self {
            operator,
            open: Vec::new(),
            latest: None,
            default_list,
            lists: Ranges::new(default_list),
            sources: Ranges::new(Source::Default),
        }
    }

    /// Takes the database's next network.
    pub(super) fn push(&mut self, entry: Entry<K>) -> Result<(), OutOfOrder> {
        let place = (entry.start, entry.length);
        if self.latest.is_some_and(|latest| latest > place) {
            return Err(OutOfOrder);
        }
        self.latest = Some(place);
        while let Some(operator) = self.operator.pop_if(|next| *next < entry) {
            self.enter(operator);
        }
        self.enter(entry);
        Ok(())
    }

    /// Ends the pass.
    pub(super) fn finish(mut self) -> (Ranges<K, u32>, Ranges<K, Source>) {
        while let Some(operator) = self.operator.pop() {
            self.enter(operator);
        }
        while self.open.last().is_some() {
            self.leave();
        }
        self.lists.shrink();
        self.sources.shrink();
        (self.lists, self.sources)
    }

    fn enter(&mut self, entry: Entry<K>) {
        while let Some(inner) = self.open.last()
            && inner.start.last_of(inner.length) < entry.start
        {
            self.leave();
        }
        // The operator's word hides the database's inside it, however exact that is.
        if let Some(inner) = self.open.last()
            && inner.source > entry.source
        {
            return;
        }
        self.open.push(entry);
        self.begin(entry.start);
    }

    /// Leaves the innermost network: after its end, what is around it holds again.
    fn leave(&mut self) {
        let Some(left) = self.open.pop() else { return };
        // Networks around it that end where it ends go with it.
        while let Some(outer) = self.open.last()
            && outer.start.last_of(outer.length) == left.start.last_of(left.length)
        {
            self.open.pop();
        }
        if let Some(next) = left.start.last_of(left.length).next() {
            self.begin(next);
        }
    }

    fn begin(&mut self, start: K) {
        let (list, source) = match self.open.last() {
            Some(inner) => (inner.list, inner.source),
            None => (self.default_list, Source::Default),
        };
        self.lists.begin(start, list);
        self.sources.begin(start, source);
    }
}
