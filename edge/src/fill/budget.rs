//! The memory that fills may take, all together.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A number of bytes that many fills share.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    total_bytes: u64,
    used_bytes: Arc<AtomicU64>,
}

/// Bytes taken from a [`Budget`], given back on drop.
#[derive(Debug)]
pub(crate) struct Reservation {
    budget: Budget,
    bytes: u64,
}

impl Budget {
    /// A budget of `total_bytes`.
    pub(crate) fn new(total_bytes: u64) -> Self {
        Self { total_bytes, used_bytes: Arc::default() }
    }

    /// An empty reservation, to grow.
    pub(crate) fn reservation(&self) -> Reservation {
        Reservation { budget: self.clone(), bytes: 0 }
    }

    /// Bytes taken now.
    pub(crate) fn used_bytes(&self) -> u64 {
        self.used_bytes.load(Ordering::Relaxed)
    }
}

impl Reservation {
    /// Makes this at least `bytes` large; false, and unchanged, where the budget has no more.
    pub(crate) fn grow_to(&mut self, bytes: u64) -> bool {
        let Some(more) = bytes.checked_sub(self.bytes) else {
            return true;
        };
        let total = self.budget.total_bytes;
        let taken =
            self.budget.used_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(more).filter(|&sum| sum <= total)
            });
        if taken.is_ok() {
            self.bytes = bytes;
        }
        taken.is_ok()
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.used_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::Budget;

    #[test]
    fn never_more_than_the_total_is_taken_and_all_comes_back() {
        let budget = Budget::new(100);
        let mut first = budget.reservation();
        let mut second = budget.reservation();
        assert!(first.grow_to(60));
        assert!(!second.grow_to(41));
        assert!(second.grow_to(40));
        assert!(first.grow_to(10), "a smaller wish is met already");
        assert!(!first.grow_to(61));
        assert_eq!(budget.used_bytes(), 100);
        drop(first);
        assert!(second.grow_to(100));
        assert!(!second.grow_to(u64::MAX));
        drop(second);
        assert_eq!(budget.used_bytes(), 0);
    }
}
