//! What a purge concerns, and what an object belongs to.

use super::tags::Tags;
use crate::caching::stored::{Reader, Writer};

/// Folders of a path that an object is known by. A prefix of more is purged as its ancestor of
/// this depth.
const FOLDERS_MAX: usize = 16;

/// What is done with what is purged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// It becomes stale: it is validated before its next use, and may stand in for an origin in
    /// trouble.
    Soft,
    /// It is as if it had never been stored.
    Hard,
}

impl Mode {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Soft, Self::Hard];

    /// A label for a metric.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Soft => "soft",
            Self::Hard => "hard",
        }
    }
}

/// What a purge concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope<'a> {
    /// All that is stored.
    Everything,
    /// All of a site.
    Site(&'a str),
    /// All of a site whose path begins with these folders. What follows the last `/` doesn't
    /// count: `/film/sea` concerns all of `/film/`.
    Prefix(&'a str, &'a str),
    /// All of a site that has this tag.
    Tag(&'a str, &'a [u8]),
    /// One object of a site with all its variants, by the path and query that its key has.
    Object(&'a str, &'a str),
}

/// A scope's name in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Id(pub(super) u64);

impl Id {
    /// The scope above all others.
    pub(super) const EVERYTHING: Self = Self(0);

    fn of(kind: u8, site: &str, name: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new();
        // Lengths keep "ab" + "c" and "a" + "bc" apart.
        hasher.update(&[kind]).update(&(site.len() as u64).to_le_bytes());
        hasher.update(site.as_bytes()).update(name);
        let mut first = [0; 8];
        hasher.finalize_xof().fill(&mut first);
        // Everything's own is nobody else's.
        Self(u64::from_le_bytes(first).max(1))
    }

    pub(super) fn site(site: &str) -> Self {
        Self::of(1, site, b"")
    }

    fn folder(site: &str, folder: &str) -> Self {
        Self::of(2, site, folder.as_bytes())
    }

    fn tag(site: &str, tag: &[u8]) -> Self {
        Self::of(3, site, tag)
    }

    /// Whatever tag: for objects that have more than are kept.
    fn any_tag(site: &str) -> Self {
        Self::of(4, site, b"")
    }

    fn object(site: &str, target: &str) -> Self {
        Self::of(5, site, target.as_bytes())
    }
}

impl Scope<'_> {
    /// Every [`Scope::label`].
    pub const LABELS: [&'static str; 5] = ["everything", "site", "prefix", "tag", "object"];

    /// Its kind, as a label for a metric.
    pub fn label(&self) -> &'static str {
        let kind = match self {
            Self::Everything => 0,
            Self::Site(_) => 1,
            Self::Prefix(..) => 2,
            Self::Tag(..) => 3,
            Self::Object(..) => 4,
        };
        Self::LABELS[kind]
    }

    /// Its name, and that of its site, where it has one.
    pub(super) fn id(&self) -> (Id, Option<Id>) {
        match *self {
            Self::Everything => (Id::EVERYTHING, None),
            Self::Site(site) => (Id::site(site), Some(Id::site(site))),
            Self::Prefix(site, path) => {
                let folder = folders(path).last().unwrap_or("/");
                (Id::folder(site, folder), Some(Id::site(site)))
            }
            Self::Tag(site, tag) => (Id::tag(site, tag), Some(Id::site(site))),
            Self::Object(site, target) => (Id::object(site, target), Some(Id::site(site))),
        }
    }

    /// What else has to be marked: objects with more tags than are kept belong to any.
    pub(super) fn shadow(&self) -> Option<Id> {
        match *self {
            Self::Tag(site, _) => Some(Id::any_tag(site)),
            _ => None,
        }
    }
}

/// What an object was when its fetch began: kept with it, and compared at each look-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Birth {
    /// Whose numbers these are: another table's say nothing.
    pub(super) lineage: u64,
    /// The last purge when the fetch began.
    pub(super) after: u64,
    /// All that it belongs to.
    pub(super) scopes: Box<[Id]>,
}

impl Birth {
    /// An object of `site` whose key has this path and query. `after` is what
    /// [`Purges::moment`](super::Purges::moment) said when the fetch began.
    pub fn new((lineage, after): (u64, u64), site: &str, target: &str, tags: &Tags) -> Self {
        let path = target.split('?').next().unwrap_or_default();
        let mut scopes = vec![Id::site(site), Id::object(site, target)];
        scopes.extend(folders(path).map(|folder| Id::folder(site, folder)));
        scopes.extend(tags.kept().map(|tag| Id::tag(site, tag)));
        if tags.are_cut() {
            scopes.push(Id::any_tag(site));
        }
        Self { lineage, after, scopes: scopes.into() }
    }

    pub(super) fn write(&self, out: &mut Writer) {
        out.number(self.lineage);
        out.number(self.after);
        out.number(self.scopes.len() as u64);
        self.scopes.iter().for_each(|scope| out.number(scope.0));
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Option<Self> {
        let (lineage, after) = (from.number()?, from.number()?);
        let scopes = from.several(|from| from.number().map(Id))?.into();
        Some(Self { lineage, after, scopes })
    }

    /// The same object, confirmed or fetched anew by a fetch that began at this moment.
    pub fn renewed(&self, (lineage, after): (u64, u64)) -> Self {
        Self { lineage, after, scopes: self.scopes.clone() }
    }
}

/// `/`, `/a/`, `/a/b/` of `/a/b/c`; at most [`FOLDERS_MAX`].
fn folders(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').take(FOLDERS_MAX).map(|(at, _)| &path[..=at])
}
