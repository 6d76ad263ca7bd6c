use std::fs::File;
use std::io::{self, IoSlice};
use std::sync::Mutex;

use rustix::io::Errno;

use super::*;

/// The system, but for what is told to fail.
#[derive(Default)]
pub(super) struct Faulty(Mutex<Vec<(Call, Errno)>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Create,
    Open,
    Write,
    Read,
    ReadReady,
    Sync,
    Unlink,
    Overwrite,
    Rename,
}

const CALLS: [Call; 9] = [
    Call::Create,
    Call::Open,
    Call::Write,
    Call::Read,
    Call::ReadReady,
    Call::Sync,
    Call::Unlink,
    Call::Overwrite,
    Call::Rename,
];

impl Faulty {
    pub(super) fn set(&self, faults: &[(Call, Errno)]) {
        *self.0.lock().unwrap() = faults.to_vec();
    }

    /// From now on nothing happens to the disk, as if the process had been killed.
    pub(super) fn kill(&self) {
        self.set(&CALLS.map(|call| (call, Errno::IO)));
    }

    fn check(&self, call: Call) -> io::Result<()> {
        let faults = self.0.lock().unwrap();
        let fault = faults.iter().find(|(failing, _)| *failing == call);
        fault.map_or(Ok(()), |(_, errno)| Err((*errno).into()))
    }
}

impl Device for Faulty {
    fn create(&self, path: &Path, len: u64) -> io::Result<File> {
        self.check(Call::Create).and_then(|()| System.create(path, len))
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        self.check(Call::Open).and_then(|()| System.open(path))
    }

    fn write_at(&self, file: &File, parts: &[IoSlice<'_>], at: u64) -> io::Result<usize> {
        self.check(Call::Write)?;
        // Short, as writes may be.
        match parts {
            [first, ..] if first.len() > 1000 => {
                System.write_at(file, &[IoSlice::new(&first[..first.len() / 2])], at)
            }
            _ => System.write_at(file, parts, at),
        }
    }

    fn read_at(&self, file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        self.check(Call::Read)?;
        let len = buffer.len().div_ceil(2).max(1000).min(buffer.len());
        System.read_at(file, &mut buffer[..len], at)
    }

    fn read_ready(&self, file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        self.check(Call::ReadReady).and_then(|()| System.read_ready(file, buffer, at))
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        // Nothing here loses power, and syncing takes its time.
        let _ = file;
        self.check(Call::Sync)
    }

    fn overwrite(&self, path: &Path) -> io::Result<File> {
        self.check(Call::Overwrite).and_then(|()| System.overwrite(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.check(Call::Rename).and_then(|()| System.rename(from, to))
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        self.check(Call::Unlink).and_then(|()| System.unlink(path))
    }
}
