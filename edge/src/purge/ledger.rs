//! The order of purges, writes and fetches: whether what is held, or is on its way in, has been
//! overtaken.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use moka::policy::EvictionPolicy;

use super::{Birth, Found, Journal, JournalError, Mode, Purges, Scope, Tags, Verdict};
use crate::caching::stored::{Reader, Writer};
use crate::key::ObjectKey;

/// Scopes whose purges are remembered one by one: some 100 bytes each.
const SCOPES_MAX: usize = 65_536;
/// The file in a disk's folder that purges are written to.
const JOURNAL: &str = "purges";
/// Written keys that are remembered. A fetch that is older than so many writes may bring back
/// what one of them made useless.
const WRITTEN_MAX: u64 = 65_536;

/// All purges, and the writes that went through this edge.
///
/// A write removes what is held at once, so it only has to be remembered for the fetches that are
/// under way. It has numbers of its own: a purge's are in the journal and outlive this process, a
/// write's aren't and don't.
pub(crate) struct Ledger {
    /// Whose numbers these are. Changes when a journal is found that has others.
    lineage: AtomicU64,
    /// The number of the last purge: all that most look-ups need.
    last: AtomicU64,
    purges: RwLock<Purges>,
    /// Also keeps those apart who purge.
    book: Mutex<Book>,
    writes: AtomicU64,
    /// The last write of each object.
    written: moka::sync::Cache<ObjectKey, u64>,
}

/// Where purges are written down.
struct Book {
    /// The file; none where nothing outlives this process.
    path: Option<PathBuf>,
    /// While its folder is ours.
    journal: Option<Journal>,
    /// The last purge that the file is known to have.
    written: u64,
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
        Self::of(nothing_known(), None)
    }

    /// What the journal in `folder` says, if there is one. It isn't written before that is locked,
    /// since it may be another process's now.
    pub(crate) fn in_folder(folder: &Path) -> Self {
        let path = &folder.join(JOURNAL);
        let purges = match Journal::read(path, SCOPES_MAX) {
            Ok(Found::Purges(purges)) => *purges,
            // If there is more to be said of it, it is when the journal is taken.
            Ok(Found::Nothing | Found::Damaged) | Err(_) => nothing_known(),
        };
        Self::of(purges, Some(path.to_owned()))
    }

    /// One whose numbers others of this kind understand.
    #[cfg(test)]
    pub(crate) fn for_tests() -> Self {
        Self::of(Purges::new(1, SCOPES_MAX), None)
    }

    fn of(purges: Purges, path: Option<PathBuf>) -> Self {
        let (lineage, last) = purges.moment();
        let written = moka::sync::Cache::builder()
            .max_capacity(WRITTEN_MAX)
            .eviction_policy(EvictionPolicy::lru())
            .build();
        Self {
            lineage: AtomicU64::new(lineage),
            last: AtomicU64::new(last),
            purges: RwLock::new(purges),
            book: Mutex::new(Book { path, journal: None, written: last }),
            writes: AtomicU64::new(0),
            written,
        }
    }

    /// `folder` has been locked for us, or is about to be unlocked. If it is the journal's, what
    /// that says counts from now on, and it is written; or purges are only remembered. Call this
    /// before anything that is stored beside it is looked at. Blocks.
    ///
    /// # Errors
    /// It can't be used: purges won't survive a restart.
    pub(crate) fn folder(&self, folder: &Path, is_ours: bool) -> Result<(), JournalError> {
        let mut book = self.book();
        let Some(path) = book.path.clone().filter(|it| it.parent() == Some(folder)) else {
            return Ok(());
        };
        book.journal = None;
        if is_ours { self.take_journal(&mut book, &path) } else { Ok(()) }
    }

    fn take_journal(&self, book: &mut Book, path: &Path) -> Result<(), JournalError> {
        let ours = self.read().clone();
        let found = Journal::read(path, SCOPES_MAX);
        let is_damaged = matches!(found, Ok(Found::Damaged));
        let purges = match &found {
            Ok(Found::Nothing) => ours,
            // Somebody else may have written it since it was read.
            Ok(Found::Purges(theirs)) => united(ours, theirs, book.written),
            // Of what lies beside it, nobody knows what was purged.
            Ok(Found::Damaged) | Err(_) => nothing_known(),
        };
        let begun = found.and_then(|_| Journal::begin(path, &purges));
        let (lineage, last) = purges.moment();
        book.written = last;
        *self.purges.write().unwrap_or_else(PoisonError::into_inner) = purges;
        self.last.store(last, Ordering::Release);
        self.lineage.store(lineage, Ordering::Release);
        if is_damaged {
            tracing::error!(journal = %path.display(), "damaged: all that is stored counts as purged");
        }
        book.journal = Some(begun?);
        Ok(())
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lineage(&self) -> u64 {
        self.lineage.load(Ordering::Acquire)
    }

    /// Now, for a fetch that begins.
    pub(crate) fn moment(&self) -> Moment {
        // In this order, so that a new lineage never comes with an old number. Under an old one all
        // is gone.
        let lineage = self.lineage();
        let purges = (lineage, self.last.load(Ordering::Acquire));
        Moment { purges, writes: self.writes.load(Ordering::SeqCst) }
    }

    /// Purges. Who looks after this has returned doesn't find what was purged. Blocks while it is
    /// written down.
    ///
    /// # Errors
    /// It is done, but may not survive a restart.
    pub(crate) fn purge(&self, scope: Scope<'_>, mode: Mode) -> Result<(), JournalError> {
        let mut book = self.book();
        // Those who look go on while the file is written.
        let kept = book.write(&self.read(), scope, mode);
        let mut purges = self.purges.write().unwrap_or_else(PoisonError::into_inner);
        purges.purge(scope, mode);
        let (_, last) = purges.moment();
        self.last.store(last, Ordering::Release);
        if kept.is_ok() {
            book.written = last;
        }
        kept
    }

    /// What has become of an object, or would of what is being fetched.
    pub(crate) fn verdict(&self, standing: &Standing) -> Verdict {
        let last = self.last.load(Ordering::Acquire);
        let Standing { birth, checked } = standing;
        if checked.load(Ordering::Relaxed) >= last && birth.lineage == self.lineage() {
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

impl Book {
    fn write(&mut self, purges: &Purges, scope: Scope<'_>, mode: Mode) -> Result<(), JournalError> {
        match (&mut self.journal, &self.path) {
            (Some(journal), _) => journal.write(purges, scope, mode),
            (None, Some(path)) => {
                let source = io::Error::other("its disk isn't in use");
                Err(JournalError { path: path.clone(), source })
            }
            (None, None) => Ok(()),
        }
    }
}

/// A table to which all that was stored before is gone.
fn nothing_known() -> Purges {
    Purges::new(fresh_lineage(), SCOPES_MAX)
}

/// What we know and what a journal says that we had written up to purge `written`.
fn united(mut ours: Purges, theirs: &Purges, written: u64) -> Purges {
    if theirs.moment().0 == ours.moment().0 {
        ours.absorb(theirs, written);
        return ours;
    }
    // What lies beside it has its numbers, and is more than what is in memory.
    let mut united = theirs.clone();
    united.absorb(&ours, 0);
    united
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
    fn a_journal_is_written_by_one_and_taken_over_with_all_it_says() {
        let folder = tempfile::tempdir().unwrap();
        let (folder, path) = (folder.path(), folder.path().join(JOURNAL));
        let predecessor = Ledger::in_folder(folder);
        predecessor.folder(folder, true).unwrap();
        let old = ["/a", "/b", "/c", "/d"].map(|target| standing(&predecessor, target));
        let purge =
            |ledger: &Ledger, target| ledger.purge(Scope::Object("film", target), Mode::Hard);
        purge(&predecessor, "/a").unwrap();
        let before = std::fs::read(&path).unwrap();
        // It starts while the other one still runs: knows what was purged, and writes nothing.
        let successor = Ledger::in_folder(folder);
        let fresh = ["/b", "/c", "/d"].map(|target| standing(&successor, target));
        assert!(purge(&successor, "/c").is_err(), "not written down yet");
        assert_eq!(std::fs::read(&path).unwrap(), before);
        purge(&predecessor, "/b").unwrap();
        assert_eq!(
            old.each_ref().map(|it| successor.verdict(it) == Verdict::Live),
            [false, true, false, true]
        );
        predecessor.folder(folder, false).unwrap();
        assert!(purge(&predecessor, "/late").is_err());
        successor.folder(folder, true).unwrap();
        let live = |ledger: &Ledger, of: &[Standing]| -> Vec<bool> {
            of.iter().map(|it| ledger.verdict(it) == Verdict::Live).collect()
        };
        assert_eq!(live(&successor, &old), [false, false, false, true]);
        assert_eq!(live(&successor, &fresh), [false, false, true], "the other's purge, too");
        let third = Ledger::in_folder(folder);
        assert_eq!(live(&third, &old), [false, false, false, true], "both are in the file");
    }

    #[test]
    fn a_journal_that_comes_late_brings_its_numbers_and_keeps_ours() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let (path, elsewhere) = (folder.join(JOURNAL), folder.join("elsewhere"));
        let earlier = Ledger::in_folder(folder);
        earlier.folder(folder, true).unwrap();
        let stored = ["/a", "/b", "/c"].map(|target| standing(&earlier, target));
        earlier.purge(Scope::Object("film", "/a"), Mode::Hard).unwrap();
        std::fs::rename(&path, &elsewhere).unwrap();
        let late = Ledger::in_folder(folder);
        late.purge(Scope::Object("film", "/b"), Mode::Soft).unwrap_err();
        std::fs::rename(&elsewhere, &path).unwrap();
        late.folder(folder, true).unwrap();
        let verdicts = stored.each_ref().map(|it| late.verdict(it));
        assert_eq!(verdicts, [Verdict::Gone, Verdict::Stale, Verdict::Live]);
        // A damaged one says nothing: all is gone.
        std::fs::write(&path, "nonsense").unwrap();
        late.folder(folder, true).unwrap();
        assert!(stored.iter().all(|it| late.verdict(it) == Verdict::Gone));
        let new = standing(&late, "/c");
        assert_eq!(late.verdict(&new), Verdict::Live);
        // One that was removed with its folder is begun anew with what is known.
        std::fs::remove_file(&path).unwrap();
        late.folder(folder, true).unwrap();
        assert_eq!(late.verdict(&new), Verdict::Live);
        assert_eq!(Ledger::in_folder(folder).verdict(&new), Verdict::Live);
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
