//! The file that lets purges survive: what a snapshot has, and then one record a mark.
//!
//! What can't be read makes a new lineage, under which everything stored before is gone: better
//! all than one object that was to go. A record that ends in the middle was never acknowledged.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::scope::{Id, Mode, Scope};
use super::table::{Epochs, Mark, Purges};

const MAGIC: u64 = u64::from_le_bytes(*b"kcpurge1");
/// Four numbers and their check.
const RECORD_BYTES: usize = 40;
/// A journal with so many records beyond what a snapshot would have is written anew.
const SLACK_RECORDS: usize = 1024;

/// Why a purge isn't known to survive.
#[derive(Debug, thiserror::Error)]
#[error("the journal of purges {path}: {source}")]
pub struct JournalError {
    /// The file.
    pub path: PathBuf,
    /// What happened.
    pub source: io::Error,
}

/// What there is in the place of a journal.
#[derive(Debug)]
pub enum Found {
    /// No file.
    Nothing,
    /// Something that doesn't say all that it said.
    Damaged,
    /// All purges of one lineage.
    Purges(Box<Purges>),
}

/// The open file. Its calls block.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    records: usize,
}

impl Journal {
    /// What there is at `path`, where another process may be writing.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn read(path: &Path, scopes_max: usize) -> Result<Found, JournalError> {
        match fs::read(path) {
            Ok(bytes) => {
                Ok(decode(&bytes, scopes_max).map_or(Found::Damaged, |it| Found::Purges(it.into())))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Nothing),
            Err(source) => Err(JournalError { path: path.to_owned(), source }),
        }
    }

    /// Begins the journal at `path` anew, so that it says what `purges` knows: whatever was torn
    /// or folded is gone from the file. Nobody else may be writing it.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn begin(path: &Path, purges: &Purges) -> Result<Self, JournalError> {
        let failed = |source| JournalError { path: path.to_owned(), source };
        Self::rewrite(path, purges).map_err(failed)
    }

    /// Writes down a purge that is to follow.
    ///
    /// # Errors
    /// It may not survive a restart.
    pub fn write(
        &mut self,
        purges: &Purges,
        scope: Scope<'_>,
        mode: Mode,
    ) -> Result<(), JournalError> {
        let records: Vec<u8> = purges.marks(scope, mode).flat_map(record).collect();
        self.tidy(purges)
            .and_then(|()| self.append(&records))
            .map_err(|source| JournalError { path: self.path.clone(), source })
    }

    /// Begins the file anew where it is much longer than what it says.
    fn tidy(&mut self, purges: &Purges) -> io::Result<()> {
        if self.records > 2 * purges.len() + SLACK_RECORDS {
            *self = Self::rewrite(&self.path, purges)?;
        }
        Ok(())
    }

    fn append(&mut self, records: &[u8]) -> io::Result<()> {
        self.file.write_all(records)?;
        self.records += records.len() / RECORD_BYTES;
        self.file.sync_data()
    }

    fn rewrite(path: &Path, purges: &Purges) -> io::Result<Self> {
        let new = path.with_extension("new");
        let bytes = encode(purges);
        let mut file = File::create(&new)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            File::open(folder)?.sync_all()?;
        }
        let file = OpenOptions::new().append(true).open(path)?;
        Ok(Self { path: path.to_owned(), file, records: bytes.len() / RECORD_BYTES })
    }
}

/// A journal that says what `purges` knows.
pub(super) fn encode(purges: &Purges) -> Vec<u8> {
    let (lineage, _) = purges.moment();
    let header = numbers([MAGIC, lineage, 0, 0]);
    header.into_iter().chain(purges.snapshot().into_iter().flat_map(record)).collect()
}

/// What a journal says; nothing where it can't be read or doesn't say all that it said.
pub(super) fn decode(bytes: &[u8], scopes_max: usize) -> Option<Purges> {
    let (records, _torn) = bytes.as_chunks::<RECORD_BYTES>();
    let (header, records) = records.split_first()?;
    let [MAGIC, lineage, 0, 0] = read(header)? else { return None };
    let mut purges = Purges::new(lineage, scopes_max);
    for record in records {
        let [scope, above, soft, hard] = read(record)?;
        purges.apply(Mark { scope: Id(scope), above: Id(above), epochs: Epochs { soft, hard } });
    }
    Some(purges)
}

/// One mark, as the file has it.
pub(super) fn record(mark: Mark) -> [u8; RECORD_BYTES] {
    numbers([mark.scope.0, mark.above.0, mark.epochs.soft, mark.epochs.hard])
}

fn numbers(numbers: [u64; 4]) -> [u8; RECORD_BYTES] {
    let mut record = [0; RECORD_BYTES];
    let (fields, check) = record.split_at_mut(RECORD_BYTES - 8);
    for (field, number) in fields.chunks_exact_mut(8).zip(numbers) {
        field.copy_from_slice(&number.to_le_bytes());
    }
    check.copy_from_slice(&check_of(fields));
    record
}

fn read(record: &[u8; RECORD_BYTES]) -> Option<[u64; 4]> {
    let (fields, check) = record.split_at(RECORD_BYTES - 8);
    if check != check_of(fields) {
        return None;
    }
    let (fields, _) = fields.as_chunks::<8>();
    <[[u8; 8]; 4]>::try_from(fields).ok().map(|fields| fields.map(u64::from_le_bytes))
}

fn check_of(fields: &[u8]) -> [u8; 8] {
    let mut check = [0; 8];
    blake3::Hasher::new().update(fields).finalize_xof().fill(&mut check);
    check
}
