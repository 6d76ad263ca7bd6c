//! Objects whose record on disk has older terms than memory: to be written again soon, in case the
//! process doesn't come to its end in peace.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use kingcdn_config::clock::Stopwatch;
use kingcdn_store::Id;

/// They are written this often.
const PERIOD: Duration = Duration::from_secs(1);
/// So many may wait.
const MAX: usize = 1 << 16;

/// Bounded, in the order in which they came.
#[derive(Debug)]
pub(super) struct Unsaved {
    order: VecDeque<Id>,
    waiting: HashSet<Id>,
    since: Stopwatch,
}

impl Unsaved {
    pub(super) fn new() -> Self {
        Self { order: VecDeque::new(), waiting: HashSet::new(), since: Stopwatch::start() }
    }

    /// One more, unless it waits already. False where there is no room for it.
    pub(super) fn add(&mut self, id: Id) -> bool {
        if self.waiting.contains(&id) {
            return true;
        }
        if self.waiting.len() >= MAX {
            return false;
        }
        self.waiting.insert(id);
        self.order.push_back(id);
        true
    }

    /// Whether some are to be written now.
    pub(super) fn are_due(&mut self) -> bool {
        let due = !self.order.is_empty() && self.since.elapsed() >= PERIOD;
        if due {
            self.since = Stopwatch::start();
        }
        due
    }

    /// The one that waits longest; it doesn't any more.
    pub(super) fn pop(&mut self) -> Option<Id> {
        let id = self.order.pop_front()?;
        self.waiting.remove(&id);
        Some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_waits_once_and_there_is_an_end_to_them() {
        let mut unsaved = Unsaved::new();
        let id = |number: usize| Id((number as u128).to_le_bytes());
        for number in 0..MAX {
            assert!(unsaved.add(id(number)) && unsaved.add(id(number)));
        }
        assert!(!unsaved.add(id(MAX)));
        assert_eq!(unsaved.pop(), Some(id(0)));
        assert!(unsaved.add(id(MAX)));
        assert_eq!(std::iter::from_fn(|| unsaved.pop()).count(), MAX);
    }
}
