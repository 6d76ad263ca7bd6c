//! The folder that is served, and the only way to a file: beneath it.

use std::fs::{File, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;

use crate::path::SitePath;

/// The kernel gives up on a look-up that races with a rename; so often is it asked again.
const MAX_RACES: usize = 8;

/// The root folder, held open: it stays the same folder whatever becomes of its name.
#[derive(Debug)]
pub(crate) struct Root(OwnedFd);

/// What stands at a path.
#[derive(Debug)]
pub(crate) enum Found {
    /// A regular file, open for reading.
    File(File, Metadata),
    Folder,
}

/// Why nothing that could be served stands at a path.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Missing {
    #[error("no such file")]
    Absent,
    #[error("a symbolic link that leads out of the root")]
    Outside,
    #[error("neither a regular file nor a folder")]
    Special,
    #[error("permission denied")]
    Forbidden,
    #[error("can't open: {0}")]
    Trouble(#[source] io::Error),
}

impl Root {
    /// Opens the folder and makes sure that the kernel keeps look-ups beneath it.
    ///
    /// # Errors
    /// What opening the folder, or looking up a file beneath it, came to. [`io::ErrorKind::Unsupported`]
    /// where the kernel (before 5.6) or a sandbox has no openat2.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = Self(openat(CWD, folder, flags, Mode::empty())?);
        match root.look_up(Path::new("."), OFlags::DIRECTORY) {
            Ok(_) => Ok(root),
            // Sandboxes that don't know the call answer EPERM.
            Err(Errno::NOSYS | Errno::PERM) => Err(io::ErrorKind::Unsupported.into()),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens what stands at `path`. Blocks on the file system.
    ///
    /// # Errors
    /// Why there is nothing to serve.
    pub(crate) fn find(&self, path: &SitePath) -> Result<Found, Missing> {
        // NONBLOCK: a pipe without a writer would keep us waiting.
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = File::from(self.look_up(path.as_path(), flags)?);
        let metadata = file.metadata().map_err(Missing::Trouble)?;
        if metadata.is_dir() {
            Ok(Found::Folder)
        } else if metadata.is_file() {
            Ok(Found::File(file, metadata))
        } else {
            Err(Missing::Special)
        }
    }

    /// Check and open are one call: nothing can be swapped in between. Links are followed as long
    /// as each step stays beneath the root; absolute ones don't.
    fn look_up(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::RDONLY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let mut races = 0;
        loop {
            match openat2(&self.0, path, flags, Mode::empty(), resolve) {
                Err(Errno::AGAIN) if races < MAX_RACES => races += 1,
                result => return result,
            }
        }
    }
}

impl From<Errno> for Missing {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG | Errno::LOOP => Self::Absent,
            Errno::XDEV => Self::Outside,
            Errno::NXIO | Errno::NODEV => Self::Special,
            Errno::ACCESS | Errno::PERM => Self::Forbidden,
            errno => Self::Trouble(errno.into()),
        }
    }
}
