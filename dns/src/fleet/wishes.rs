//! What the operator wants of edges at run time, kept across restarts.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tracing::warn;

/// Names that are kept at most: several times the edges of any CDN.
const KEPT: usize = 10_000;
/// Octets of a file at most.
const FILE_BYTES: u64 = 4 << 20;

/// What the operator wants of an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Wish {
    /// What checks and load say.
    #[default]
    Auto,
    /// No new clients, while others are up.
    Drain,
    /// As if its checks failed.
    Down,
}

impl Wish {
    /// By its word on the command line.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        match word {
            "auto" => Some(Self::Auto),
            "drain" => Some(Self::Drain),
            "down" => Some(Self::Down),
            _ => None,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Drain => "drain",
            Self::Down => "down",
        }
    }
}

/// Wishes by edge, those that aren't [`Wish::Auto`]. Of edges that a configuration doesn't know,
/// too: one that was taken out by mistake is as it was when it is back.
#[derive(Debug, Default)]
pub(crate) struct Wishes(Mutex<BTreeMap<String, Wish>>);

/// What the file holds.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    edges: BTreeMap<String, Wish>,
}

impl Wishes {
    /// Those of a file. What can't be read is ignored, with a word in the log.
    pub(crate) fn load(file: Option<&Path>) -> Self {
        let Some(file) = file else { return Self::default() };
        match read(file) {
            Ok(edges) => {
                for (edge, wish) in &edges {
                    warn!(edge, wish = wish.as_str(), "the operator's wish is still in force");
                }
                Self(Mutex::new(edges))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::default(),
            Err(error) => {
                warn!(file = %file.display(), %error,
                    "the operator's wishes can't be read and are ignored: every edge is at `auto`");
                Self::default()
            }
        }
    }

    /// What is wanted of an edge.
    pub(crate) fn of(&self, edge: &str) -> Wish {
        let wishes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        wishes.get(edge).copied().unwrap_or_default()
    }

    /// Takes a wish for these edges, and writes all into the file where there is one. The wish holds
    /// also where that fails.
    pub(crate) fn set(&self, edges: &[&str], wish: Wish, file: Option<&Path>) -> io::Result<()> {
        let mut wishes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for edge in edges {
            match wish {
                Wish::Auto => {
                    wishes.remove(*edge);
                }
                Wish::Drain | Wish::Down if wishes.len() < KEPT => {
                    wishes.insert((*edge).to_owned(), wish);
                }
                Wish::Drain | Wish::Down => return Err(io::Error::other("too many wishes")),
            }
        }
        // Within the lock, so that the last to write is the last that was said.
        file.map_or(Ok(()), |file| write(file, &Document { edges: wishes.clone() }))
    }
}

fn read(file: &Path) -> io::Result<BTreeMap<String, Wish>> {
    let about = fs::metadata(file)?;
    if !about.is_file() || about.len() > FILE_BYTES {
        return Err(io::Error::other("it isn't a file of ours"));
    }
    let document: Document = serde_json::from_slice(&fs::read(file)?)?;
    if document.edges.len() > KEPT {
        return Err(io::Error::other("it names too many edges"));
    }
    Ok(document.edges)
}

/// All of it or nothing: written beside it, and then put in its place.
fn write(file: &Path, document: &Document) -> io::Result<()> {
    let mut beside = file.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let mut new = File::create(&beside)?;
    new.write_all(&serde_json::to_vec_pretty(document)?)?;
    new.write_all(b"\n")?;
    new.sync_all()?;
    fs::rename(&beside, file)
}

/// Whether a name fits a pattern, in which `*` stands for any characters and `?` for one.
pub(crate) fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut at, mut in_name) = (0, 0);
    // Where to go on if what follows the last star doesn't fit here.
    let mut star: Option<(usize, usize)> = None;
    while in_name < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at + 1, in_name));
                at += 1;
            }
            Some(wanted) if *wanted == b'?' || Some(wanted) == name.get(in_name) => {
                at += 1;
                in_name += 1;
            }
            _ => match &mut star {
                Some((behind, begun)) => {
                    *begun += 1;
                    (at, in_name) = (*behind, *begun);
                }
                None => return false,
            },
        }
    }
    pattern.get(at..).is_some_and(|rest| rest.iter().all(|octet| *octet == b'*'))
}
