//! Which entity tag goes with which state of a file.
//!
//! A strong tag must change whenever the bytes do (RFC 9110 section 8.8.1), so it is their hash.
//! Hashes are kept by the file's stamp. The change time is part of the stamp because nobody can
//! set it back, as `cp -p` sets back the modification time. But it ticks in milliseconds: a file
//! that changed just now may change again under the same stamp. So nothing is remembered of a file
//! until its last change lies [`SETTLED`] back.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kingcdn_config::clock::Timestamp;
use tokio::sync::Semaphore;

use crate::tag::EntityTag;

/// From then on a change would show in the stamp.
const SETTLED: Duration = Duration::from_secs(2);

/// Longer files are tagged by their stamp: reading them whole would keep the first client waiting.
const MAX_HASHED_BYTES: u64 = 64 << 20;

/// Hashes that are remembered, some 150 bytes each.
const MAX_REMEMBERED: usize = 1 << 16;

/// Files that are hashed at once.
const MAX_HASHING: usize = 2;

/// So often is a file read again that changes while it is hashed.
const MAX_READS: usize = 3;

const READ_BYTES: usize = 128 << 10;

/// The state of a file as the file system tells it: other bytes, another stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    pub(crate) length: u64,
    pub(crate) modified_secs: i64,
    modified_nanos: i64,
    changed_secs: i64,
    changed_nanos: i64,
}

/// The tags of files that were asked for.
#[derive(Debug)]
pub(crate) struct Tags {
    remembered: Mutex<HashMap<Stamp, EntityTag>>,
    hashing: Arc<Semaphore>,
}

impl Stamp {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified_secs: metadata.mtime(),
            modified_nanos: metadata.mtime_nsec(),
            changed_secs: metadata.ctime(),
            changed_nanos: metadata.ctime_nsec(),
        }
    }

    /// Whether an open file still holds the bytes that it held then. The change time may differ:
    /// it also changes when the file gets another name, or none.
    pub(crate) fn same_content(&self, later: &Self) -> bool {
        (self.length, self.modified_secs, self.modified_nanos)
            == (later.length, later.modified_secs, later.modified_nanos)
    }

    fn is_settled(&self, now: Timestamp) -> bool {
        Timestamp::from_secs(self.changed_secs.saturating_add(1)).plus(SETTLED) <= now
    }

    fn tag(&self, now: Timestamp) -> EntityTag {
        let bits = |number: i64| u128::from(number.cast_unsigned());
        let parts = [
            u128::from(self.device),
            u128::from(self.inode),
            u128::from(self.length),
            bits(self.changed_secs),
            bits(self.changed_nanos),
        ];
        EntityTag::of_stamp(&parts, !self.is_settled(now))
    }
}

impl Tags {
    pub(crate) fn new() -> Self {
        Self {
            remembered: Mutex::new(HashMap::new()),
            hashing: Arc::new(Semaphore::new(MAX_HASHING)),
        }
    }

    /// The tag of an open file, and the stamp under which it has these bytes.
    ///
    /// # Errors
    /// The file can't be read, or doesn't stop changing.
    pub(crate) async fn tag(
        &self,
        file: &Arc<File>,
        stamp: Stamp,
        now: Timestamp,
    ) -> io::Result<(EntityTag, Stamp)> {
        if stamp.length > MAX_HASHED_BYTES {
            return Ok((stamp.tag(now), stamp));
        }
        if let Some(tag) = self.recall(&stamp) {
            return Ok((tag, stamp));
        }
        let hashing = Arc::clone(&self.hashing);
        let permit = hashing.acquire_owned().await.map_err(io::Error::other)?;
        // Whoever held the permit may have hashed this very file.
        if let Some(tag) = self.recall(&stamp) {
            return Ok((tag, stamp));
        }
        let file = Arc::clone(file);
        // The permit goes along: the work doesn't end when the client leaves.
        let work = move || {
            let _permit = permit;
            hash(&file, stamp)
        };
        let (hash, stamp) = tokio::task::spawn_blocking(work).await??;
        let tag = EntityTag::of_content(&hash);
        if stamp.is_settled(now) {
            self.remember(stamp, tag.clone());
        }
        Ok((tag, stamp))
    }

    fn recall(&self, stamp: &Stamp) -> Option<EntityTag> {
        let remembered = self.remembered.lock();
        let remembered = remembered.unwrap_or_else(PoisonError::into_inner);
        remembered.get(stamp).cloned()
    }

    fn remember(&self, stamp: Stamp, tag: EntityTag) {
        let remembered = self.remembered.lock();
        let mut remembered = remembered.unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= MAX_REMEMBERED {
            // Stamps of files that are gone are never asked for again: start anew.
            remembered.clear();
        }
        remembered.insert(stamp, tag);
    }
}

/// Hashes a file until it holds still from the first byte to the last.
fn hash(file: &File, mut stamp: Stamp) -> io::Result<(blake3::Hash, Stamp)> {
    for _ in 0..MAX_READS {
        let (hash, length) = hash_once(file)?;
        let after = Stamp::of(&file.metadata()?);
        if after.same_content(&stamp) && length == after.length {
            return Ok((hash, after));
        }
        stamp = after;
    }
    Err(io::Error::other("the file doesn't stop changing"))
}

fn hash_once(file: &File) -> io::Result<(blake3::Hash, u64)> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; READ_BYTES];
    let mut offset = 0;
    loop {
        let count = file.read_at(&mut buffer, offset)?;
        let Some(read @ [_, ..]) = buffer.get(..count) else {
            return Ok((hasher.finalize(), offset));
        };
        hasher.update(read);
        offset += u64::try_from(count).map_err(io::Error::other)?;
        if offset > MAX_HASHED_BYTES {
            return Err(io::Error::other("the file grows while it is read"));
        }
    }
}

#[cfg(test)]
mod tests;
