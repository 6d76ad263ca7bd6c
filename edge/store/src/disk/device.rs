//! The seam between the disk tier and the system: the calls that can fail, and nothing else.
//! Tests put devices under it that fail on purpose.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::num::NonZeroU64;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Advice, FallocateFlags};
use rustix::io::ReadWriteFlags;

/// Buffers that one call may take (`IOV_MAX`).
const PARTS_MAX: usize = 1024;

/// What the disk tier asks of the system. Every method may block, but `read_ready`.
pub(crate) trait Device: Send + Sync + 'static {
    /// A new file of `len` bytes, all of them allocated: what is written later can't meet a full
    /// disk.
    fn create(&self, path: &Path, len: u64) -> io::Result<File> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, len) {
            Ok(()) => Ok(file),
            Err(error) => {
                // A file of no length would be found, and wondered at, by the next start.
                let _ = fs::remove_file(path);
                Err(error.into())
            }
        }
    }

    /// An existing file.
    fn open(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).open(path)
    }

    /// Gives a part of a file back to the disk; the file stays as long as it is.
    fn release(&self, file: &File, at: u64, len: u64) -> io::Result<()> {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        Ok(rustix::fs::fallocate(file, flags, at, len)?)
    }

    /// Writes some of `parts` at `at`; how many bytes.
    fn write_at(&self, file: &File, parts: &[IoSlice<'_>], at: u64) -> io::Result<usize> {
        Ok(rustix::io::pwritev(file, &parts[..parts.len().min(PARTS_MAX)], at)?)
    }

    /// Reads into `buffer` from `at`; how many bytes.
    fn read_at(&self, file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        Ok(rustix::io::pread(file, buffer, at)?)
    }

    /// The same, but only what is in memory: `WouldBlock` where the device would have to be asked.
    fn read_ready(&self, file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let mut parts = [IoSliceMut::new(buffer)];
        Ok(rustix::io::preadv2(file, &mut parts, at, ReadWriteFlags::NOWAIT)?)
    }

    /// Everything written to `file` so far is on the device when this returns.
    fn sync(&self, file: &File) -> io::Result<()> {
        Ok(rustix::fs::fdatasync(file)?)
    }

    /// A file to be written anew, whatever it was.
    fn overwrite(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().write(true).create(true).truncate(true).open(path)
    }

    /// Gives a file another name, in the place of the one that had it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    /// Removes a file's name; who has it open keeps it.
    fn unlink(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    /// Whether this file, held open, still is what has this name. It isn't when its folder was
    /// removed or moved away, or when something else is mounted there or isn't any more.
    fn present(&self, path: &Path, held: &File) -> io::Result<bool> {
        match fs::metadata(path) {
            Ok(found) => {
                let held = held.metadata()?;
                Ok((found.dev(), found.ino()) == (held.dev(), held.ino()))
            }
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}

/// The system itself.
#[derive(Debug)]
pub(crate) struct System;

impl Device for System {}

/// Tells the system that this part of a file won't be read soon. Advice: may do nothing.
pub(crate) fn forget(file: &File, at: u64, len: u64) {
    let _ = rustix::fs::fadvise(file, at, NonZeroU64::new(len), Advice::DontNeed);
}

/// Tells the system that this part of a file will be read soon.
pub(crate) fn expect(file: &File, at: u64, len: u64) {
    let _ = rustix::fs::fadvise(file, at, NonZeroU64::new(len), Advice::WillNeed);
}

/// Tells the system that reads jump about: nothing is read ahead that nobody verified.
pub(crate) fn expect_random(file: &File) {
    let _ = rustix::fs::fadvise(file, 0, None, Advice::Random);
}

/// Writes all of `parts`, one after another, at `at`; how many bytes.
pub(crate) fn write_all(
    device: &dyn Device,
    file: &File,
    parts: &[&[u8]],
    mut at: u64,
) -> io::Result<u64> {
    let start = at;
    let mut slices: Vec<IoSlice<'_>> =
        parts.iter().filter(|part| !part.is_empty()).map(|part| IoSlice::new(part)).collect();
    let mut left = &mut slices[..];
    while !left.is_empty() {
        match device.write_at(file, left, at) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                at += written as u64;
                IoSlice::advance_slices(&mut left, written);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(at - start)
}

/// Fills `buffer` from `at`.
pub(crate) fn read_exact(
    device: &dyn Device,
    file: &File,
    mut buffer: &mut [u8],
    mut at: u64,
) -> io::Result<()> {
    while !buffer.is_empty() {
        match device.read_at(file, buffer, at) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                at += read as u64;
                buffer = &mut buffer[read..];
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
