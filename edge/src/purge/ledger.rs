//! The order of purges, writes and fetches: whether what is held, or is on its way in, has been
//! overtaken.

use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard};

use moka::policy::EvictionPolicy;

use super::{Birth, Journal, JournalError, Mode, Purges, Scope, Tags, Verdict};
use crate::caching::stored::{Reader, Writer};
use crate::key::ObjectKey;

/// Scopes whose purges are remembered one by one: some 100 bytes each.
const SCOPES_MAX: usize = 65_536;
/// Written keys that are remembered. A fetch that is older than so many writes may bring back
/// what one of them made useless.
const WRITTEN_MAX: u64 = 65_536;

/// All purges, and the writes that went through this edge.
///
/// A write removes what is held at once, so it only has to be remembered for the fetches that are
/// under way. It has numbers of its own: a purge's are in the journal and outlive this process, a
/// write's aren't and don't.
pub(crate) struct Ledger {
    lineage: u64,
    /// The number of the last purge: all that most look-ups need.
    last: AtomicU64,
    purges: RwLock<Purges>,
    /// Also keeps those apart who purge.
    journal: Mutex<Option<Journal>>,
    writes: AtomicU64,
    /// The last write of each object.
    written: moka::sync::Cache<ObjectKey, u64>,
}

/// When a fetch began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    purges: (u64, u64),
    writes: u64,
}

/// What an object, or a fetch, is known by to purges.
#[derive(Debug)]
pub(crate) struct Standing {
    birth: Birth,
    /// The last purge that is known not to concern it.
    checked: AtomicU64,
}

impl Standing {
    /// An object with these tags, by a fetch that began at that moment.
    pub(crate) fn new(began: Moment, site: &str, target: &str, tags: &Tags) -> Self {
        Self::of(Birth::new(began.purges, site, target, tags))
    }

    fn of(birth: Birth) -> Self {
        let checked = AtomicU64::new(birth.after);
        Self { birth, checked }
    }

    /// Writes it down, for what outlives this process.
    pub(crate) fn write(&self, out: &mut Writer) {
        self.birth.write(out);
    }

    /// Reads it back.
    pub(crate) fn read(from: &mut Reader<'_>) -> Option<Self> {
        Birth::read(from).map(Self::of)
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        size_of_val(&*self.birth.scopes)
    }
}

impl Clone for Standing {
    fn clone(&self) -> Self {
        Self {
            birth: self.birth.clone(),
            checked: AtomicU64::new(self.checked.load(Ordering::Relaxed)),
        }
    }
}

impl Ledger {
    /// No purge yet, and none to outlive this process.
    pub(crate) fn in_memory() -> Self {
        Self::of(Purges::new(fresh_lineage(), SCOPES_MAX), None)
    }

    /// What the journal at `path` says, or an empty one there.
    ///
    /// # Errors
    /// The file can't be used.
    pub(crate) fn open(path: &Path) -> Result<Self, JournalError> {
        let (journal, purges) = Journal::open(path, fresh_lineage(), SCOPES_MAX)?;
        Ok(Self::of(purges, Some(journal)))
    }

    /// One whose numbers others of this kind understand.
    #[cfg(test)]
    pub(crate) fn for_tests() -> Self {
        Self::of(Purges::new(1, SCOPES_MAX), None)
    }

    fn of(purges: Purges, journal: Option<Journal>) -> Self {
        let (lineage, last) = purges.moment();
        let written = moka::sync::Cache::builder()
            .max_capacity(WRITTEN_MAX)
            .eviction_policy(EvictionPolicy::lru())
            .build();
        Self {
            lineage,
            last: AtomicU64::new(last),
            purges: RwLock::new(purges),
            journal: Mutex::new(journal),
            writes: AtomicU64::new(0),
            written,
        }
    }

    /// Now, for a fetch that begins.
    pub(crate) fn moment(&self) -> Moment {
        let purges = (self.lineage, self.last.load(Ordering::Acquire));
        Moment { purges, writes: self.writes.load(Ordering::SeqCst) }
    }

    /// Purges. Who looks after this has returned doesn't find what was purged. Blocks while it is
    /// written down.
    ///
    /// # Errors
    /// It is done, but may not survive a restart.
    pub(crate) fn purge(&self, scope: Scope<'_>, mode: Mode) -> Result<(), JournalError> {
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        // Those who look go on while the file is written.
        let kept = match &mut *journal {
            Some(journal) => journal.write(&self.read(), scope, mode),
            None => Ok(()),
        };
        let mut purges = self.purges.write().unwrap_or_else(PoisonError::into_inner);
        purges.purge(scope, mode);
        let (_, last) = purges.moment();
        self.last.store(last, Ordering::Release);
        kept
    }

    /// What has become of an object, or would of what is being fetched.
    pub(crate) fn verdict(&self, standing: &Standing) -> Verdict {
        let last = self.last.load(Ordering::Acquire);
        let Standing { birth, checked } = standing;
        if checked.load(Ordering::Relaxed) >= last && birth.lineage == self.lineage {
            return Verdict::Live;
        }
        let purges = self.read();
        let verdict = purges.verdict(birth);
        if verdict == Verdict::Live {
            // None up to this one concerns it: the next look-up needn't ask again.
            checked.fetch_max(purges.moment().1, Ordering::Relaxed);
        }
        verdict
    }

    /// An object was written: what is on its way in may be what was replaced.
    pub(crate) fn write(&self, key: ObjectKey) {
        let number = self.writes.fetch_add(1, Ordering::SeqCst) + 1;
        self.written.insert(key, number);
    }

    /// Whether an object was written since that moment.
    pub(crate) fn was_written(&self, key: &ObjectKey, since: Moment) -> bool {
        self.written.get(key).is_some_and(|number| number > since.writes)
    }

    fn read(&self) -> RwLockReadGuard<'_, Purges> {
        self.purges.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A number that no other table has.
fn fresh_lineage() -> u64 {
    // The keys of this state are the system's random numbers.
    RandomState::new().hash_one(0_u8)
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::super::tags;
    use super::*;
    use crate::key::Key;

    fn standing(ledger: &Ledger, target: &str) -> Standing {
        Standing::new(ledger.moment(), "film", target, &tags(&HeaderMap::new()))
    }

    #[test]
    fn what_no_purge_concerns_is_compared_with_each_just_once() {
        let ledger = Ledger::in_memory();
        let (sea, sky) = (standing(&ledger, "/sea"), standing(&ledger, "/sky"));
        ledger.purge(Scope::Object("film", "/sea"), Mode::Hard).unwrap();
        assert_eq!((ledger.verdict(&sea), ledger.verdict(&sky)), (Verdict::Gone, Verdict::Live));
        assert_eq!(sky.checked.load(Ordering::Relaxed), 1);
        assert_eq!(sea.checked.load(Ordering::Relaxed), 0);
        ledger.purge(Scope::Object("film", "/sky"), Mode::Soft).unwrap();
        assert_eq!((ledger.verdict(&sea), ledger.verdict(&sky)), (Verdict::Gone, Verdict::Stale));
        assert_eq!(ledger.verdict(&standing(&ledger, "/sea")), Verdict::Live);
    }

    #[test]
    fn another_tables_numbers_say_nothing() {
        let (one, two) = (Ledger::in_memory(), Ledger::in_memory());
        assert_eq!(one.verdict(&standing(&two, "/")), Verdict::Gone);
    }

    #[test]
    fn unknown_tags_may_be_any() {
        let ledger = Ledger::in_memory();
        let under_way = Standing::new(ledger.moment(), "film", "/", &Tags::unknown());
        ledger.purge(Scope::Tag("shop", b"hero"), Mode::Hard).unwrap();
        assert_eq!(ledger.verdict(&under_way), Verdict::Live);
        ledger.purge(Scope::Tag("film", b"hero"), Mode::Hard).unwrap();
        assert_eq!(ledger.verdict(&under_way), Verdict::Gone);
    }

    #[test]
    fn only_fetches_from_before_a_write_are_overtaken() {
        let ledger = Ledger::in_memory();
        let (key, other) = (Key::new("film", "/").object, Key::new("film", "/other").object);
        let before = ledger.moment();
        ledger.write(key);
        assert!(ledger.was_written(&key, before));
        assert!(!ledger.was_written(&other, before));
        assert!(!ledger.was_written(&key, ledger.moment()));
    }
}
