//! Why a disk isn't used, and why something isn't stored.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why a disk is out.
#[derive(Debug, Error)]
pub(crate) enum Reason {
    /// It is smaller than the smallest log.
    #[error("{size_bytes} bytes are too few for a disk cache")]
    TooSmall {
        /// As configured.
        size_bytes: u64,
    },
    /// Another process has it.
    #[error("another process uses {}{}", .path.display(), holder(.pid))]
    Locked {
        /// The folder.
        path: PathBuf,
        /// Who says to hold it.
        pid: Option<u32>,
    },
    /// A call to the system failed.
    #[error("can't {action} {}: {source}", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The folder was removed or replaced.
    #[error("{} is gone", .0.display())]
    Gone(PathBuf),
    /// Nothing is mounted where the disk should be.
    #[error("nothing is mounted at {}", .0.display())]
    NotMounted(PathBuf),
    /// Too many reads failed.
    #[error("{0} reads failed")]
    ReadErrors(u64),
    /// More was removed than can be remembered or written down.
    #[error("more was removed than can be remembered; starting anew")]
    Forgotten,
    /// A thread of it couldn't be started, or died.
    #[error("a thread of this disk failed: {0}")]
    Thread(String),
}

impl Reason {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// A short name, for a metric.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::TooSmall { .. } => "too-small",
            Self::Locked { .. } => "locked",
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "full",
                io::ErrorKind::ReadOnlyFilesystem => "read-only",
                io::ErrorKind::PermissionDenied => "permission",
                io::ErrorKind::NotFound => "gone",
                _ => "io",
            },
            Self::Gone(_) => "gone",
            Self::NotMounted(_) => "not-mounted",
            Self::ReadErrors(_) => "read-errors",
            Self::Forgotten => "forgotten",
            Self::Thread(_) => "thread",
        }
    }
}

fn holder(pid: &Option<u32>) -> String {
    pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
}

/// Why a record isn't stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Shed {
    /// There is no disk.
    #[error("no disk")]
    NoDisk,
    /// The disk is out or not read yet.
    #[error("the disk is out")]
    Out,
    /// The disk doesn't keep up: its queue is full.
    #[error("the disk can't keep up")]
    Busy,
    /// Longer than a record may be.
    #[error("longer than a record may be")]
    TooLarge,
}
