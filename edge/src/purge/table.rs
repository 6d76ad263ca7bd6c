//! The purges that are remembered.

use std::collections::{HashMap, VecDeque};

use super::scope::{Birth, Id, Mode, Scope};

/// Sites whose purges are remembered one by one; the oldest of more becomes one of everything.
const SITES_MAX: usize = 4096;

/// What has become of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// No purge concerns it.
    Live,
    /// It is to be validated before it is used.
    Stale,
    /// It isn't there any more.
    Gone,
}

/// The numbers of the last purges of one scope; 0 where there was none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Epochs {
    pub(super) soft: u64,
    pub(super) hard: u64,
}

impl Epochs {
    fn latest(self) -> u64 {
        self.soft.max(self.hard)
    }

    fn raise(&mut self, other: Self) {
        self.soft = self.soft.max(other.soft);
        self.hard = self.hard.max(other.hard);
    }

    pub(super) fn of(mode: Mode, number: u64) -> Self {
        match mode {
            Mode::Soft => Self { soft: number, hard: 0 },
            Mode::Hard => Self { soft: 0, hard: number },
        }
    }

    fn verdict(self, after: u64) -> Verdict {
        if self.hard > after {
            Verdict::Gone
        } else if self.soft > after {
            Verdict::Stale
        } else {
            Verdict::Live
        }
    }
}

/// One scope in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    epochs: Epochs,
    /// What it is folded into.
    above: Id,
}

/// What one purge marks: scope, scope above, numbers. What a journal writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) scope: Id,
    pub(super) above: Id,
    pub(super) epochs: Epochs,
}

/// All purges that still matter, in bounded memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purges {
    lineage: u64,
    last: u64,
    everything: Epochs,
    sites: Level,
    others: Level,
}

/// Scopes of one rank, and the order in which they were last purged.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Level {
    max: usize,
    entries: HashMap<Id, Entry>,
    /// Oldest first. A place counts if its number is the entry's latest.
    order: VecDeque<(u64, Id)>,
}

impl Level {
    fn new(max: usize) -> Self {
        Self { max: max.max(1), entries: HashMap::new(), order: VecDeque::new() }
    }

    /// Marks a scope; returns what had to be forgotten, to be marked above.
    fn mark(&mut self, mark: Mark) -> Option<Mark> {
        let fresh = Entry { epochs: Epochs::default(), above: mark.above };
        let entry = self.entries.entry(mark.scope).or_insert(fresh);
        let before = entry.epochs.latest();
        entry.epochs.raise(mark.epochs);
        if entry.epochs.latest() > before {
            self.order.push_back((entry.epochs.latest(), mark.scope));
        }
        if self.order.len() > 2 * self.max {
            let entries = &self.entries;
            self.order.retain(|place| is_current(entries, *place));
        }
        if self.entries.len() > self.max { self.forget_oldest() } else { None }
    }

    fn forget_oldest(&mut self) -> Option<Mark> {
        while let Some((number, scope)) = self.order.pop_front() {
            if is_current(&self.entries, (number, scope)) {
                let Entry { epochs, above } = self.entries.remove(&scope)?;
                return Some(Mark { scope: above, above: Id::EVERYTHING, epochs });
            }
        }
        None
    }

    fn epochs(&self, scope: Id) -> Epochs {
        self.entries.get(&scope).map(|entry| entry.epochs).unwrap_or_default()
    }
}

fn is_current(entries: &HashMap<Id, Entry>, (number, scope): (u64, Id)) -> bool {
    entries.get(&scope).is_some_and(|entry| entry.epochs.latest() == number)
}

impl Purges {
    /// None yet. `scopes_max` are remembered one by one, at some 100 bytes each. `lineage` tells
    /// this table from all others whose objects might be met, such as those of a disk whose
    /// journal was lost: they are gone.
    pub fn new(lineage: u64, scopes_max: usize) -> Self {
        Self {
            lineage,
            last: 0,
            everything: Epochs::default(),
            sites: Level::new(SITES_MAX),
            others: Level::new(scopes_max),
        }
    }

    /// When a fetch begins: for the [`Birth`] of what it brings.
    pub fn moment(&self) -> (u64, u64) {
        (self.lineage, self.last)
    }

    /// Purges what is stored of `scope`, and what is being fetched of it. The cost doesn't depend
    /// on how much that is.
    pub fn purge(&mut self, scope: Scope<'_>, mode: Mode) {
        for mark in self.marks(scope, mode) {
            self.apply(mark);
        }
    }

    /// What the next purge marks.
    pub(super) fn marks(&self, scope: Scope<'_>, mode: Mode) -> impl Iterator<Item = Mark> + use<> {
        let epochs = Epochs::of(mode, self.last + 1);
        let (id, site) = scope.id();
        let above = match site {
            Some(site) if site != id => site,
            Some(_) | None => Id::EVERYTHING,
        };
        let shadow = scope.shadow().map(|scope| Mark { scope, above, epochs });
        shadow.into_iter().chain([Mark { scope: id, above, epochs }])
    }

    /// Takes over one mark, of a purge or out of a journal.
    pub(super) fn apply(&mut self, mark: Mark) {
        self.last = self.last.max(mark.epochs.latest());
        if mark.scope == Id::EVERYTHING {
            self.everything.raise(mark.epochs);
            return;
        }
        // A site's own scope has everything above it.
        let level = if mark.above == Id::EVERYTHING { &mut self.sites } else { &mut self.others };
        if let Some(folded) = level.mark(mark) {
            self.apply(folded);
        }
    }

    /// What has become of an object.
    pub fn verdict(&self, birth: &Birth) -> Verdict {
        if birth.lineage != self.lineage {
            return Verdict::Gone;
        }
        // Nothing was purged since: what nearly every look-up meets.
        if birth.after >= self.last {
            return Verdict::Live;
        }
        let scopes = birth.scopes.iter().map(|scope| {
            self.others
                .epochs(*scope)
                .verdict(birth.after)
                .max(self.sites.epochs(*scope).verdict(birth.after))
        });
        scopes.fold(self.everything.verdict(birth.after), Verdict::max)
    }

    /// Takes over the purges of another table that come after its number `known`. This one's
    /// objects were compared with none of them, so they count as new.
    pub(super) fn absorb(&mut self, other: &Self, known: u64) {
        let number = self.last.max(other.last) + 1;
        let renumbered = |epoch: u64| if epoch > known { number } else { 0 };
        for mark in other.snapshot() {
            let Epochs { soft, hard } = mark.epochs;
            let epochs = Epochs { soft: renumbered(soft), hard: renumbered(hard) };
            if epochs.latest() > 0 {
                self.apply(Mark { epochs, ..mark });
            }
        }
    }

    /// Scopes that are remembered one by one.
    pub fn len(&self) -> usize {
        self.sites.entries.len() + self.others.entries.len()
    }

    /// Whether nothing was ever purged.
    pub fn is_empty(&self) -> bool {
        self.last == 0
    }

    /// Marks that make up all of it, the oldest first: what a snapshot writes.
    pub(super) fn snapshot(&self) -> Vec<Mark> {
        let everything =
            Mark { scope: Id::EVERYTHING, above: Id::EVERYTHING, epochs: self.everything };
        let of = |level: &Level| -> Vec<Mark> {
            let marks = level.entries.iter().map(|(scope, entry)| Mark {
                scope: *scope,
                above: entry.above,
                epochs: entry.epochs,
            });
            marks.collect()
        };
        let mut marks = of(&self.sites);
        marks.extend(of(&self.others));
        if everything.epochs.latest() > 0 {
            marks.push(everything);
        }
        marks.sort_by_key(|mark| (mark.epochs.latest(), mark.scope));
        marks
    }
}
