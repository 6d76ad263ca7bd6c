//! By what it is seen that a file is another.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// A file's size, inode and time of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    size: u64,
    inode: u64,
    changed: (i64, i64),
}

impl Stamp {
    /// A file's; none where there is no such file.
    pub(crate) fn of(file: &Path) -> Option<Self> {
        let metadata = fs::metadata(file).ok()?;
        Some(Self {
            size: metadata.size(),
            inode: metadata.ino(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}
