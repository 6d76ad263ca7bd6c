//! Which mapping do these bytes lie in?
//!
//! A stale answer is impossible: a mapping is entered after it is mapped and removed before it is
//! unmapped, so an entry's addresses are that mapping's and nothing else's. Who asks holds the
//! bytes, and thereby whatever they lie in.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, Weak};

use crate::mapping::Mapped;

/// Live mappings by their first address.
static LIVE: RwLock<BTreeMap<usize, Entry>> = RwLock::new(BTreeMap::new());

struct Entry {
    end: usize,
    mapped: Weak<Mapped>,
}

/// From now on bytes in `mapped` are found.
pub(crate) fn enter(mapped: &Arc<Mapped>) {
    let addresses = mapped.addresses();
    let entry = Entry { end: addresses.end, mapped: Arc::downgrade(mapped) };
    LIVE.write().unwrap_or_else(PoisonError::into_inner).insert(addresses.start, entry);
}

/// Must come before the memory is unmapped.
pub(crate) fn remove(start: usize) {
    LIVE.write().unwrap_or_else(PoisonError::into_inner).remove(&start);
}

/// The mapping that all of `bytes` lie in, and where in it. None if there is none, or if the
/// registry is being changed just now: nobody waits on a client's way for what only saves a copy.
pub(crate) fn find(bytes: &[u8]) -> Option<(Arc<Mapped>, usize)> {
    let start = bytes.as_ptr().addr();
    let live = LIVE.try_read().ok()?;
    let (&first, entry) = live.range(..=start).next_back()?;
    if start + bytes.len() > entry.end {
        return None;
    }
    Some((entry.mapped.upgrade()?, start - first))
}

/// The first addresses of all live mappings whose owners are alive.
#[cfg(test)]
pub(crate) fn starts() -> Vec<usize> {
    LIVE.read().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
}
