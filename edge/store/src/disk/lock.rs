//! One process a folder.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;

use rustix::fs::FlockOperation;

use super::error::Reason;

/// The file's name in the folder.
pub(crate) const NAME: &str = "lock";

/// The lock on a disk's folder, held as long as this lives. The system lets go of it when the
/// process ends, however it ends; what the file says is for people.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Lock {
    pub(crate) fn take(folder: &Path) -> Result<Self, Reason> {
        let path = folder.join(NAME);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(Reason::io("open", &path))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut text = String::new();
                let pid = (&file).take(32).read_to_string(&mut text).ok();
                let pid = pid.and_then(|_| text.trim().parse().ok());
                return Err(Reason::Locked { path: folder.to_owned(), pid });
            }
            Err(error) => return Err(Reason::io("lock", &path)(error.into())),
        }
        let pid = std::process::id();
        file.set_len(0)
            .and_then(|()| writeln!(file, "{pid}"))
            .map_err(Reason::io("write", &path))?;
        Ok(Self(file))
    }

    pub(crate) fn file(&self) -> &File {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_one_is_refused_and_told_who_holds_it() {
        let folder = tempfile::tempdir().unwrap();
        let held = Lock::take(folder.path()).unwrap();
        let refused = Lock::take(folder.path()).unwrap_err();
        let me = std::process::id();
        assert!(matches!(refused, Reason::Locked { pid: Some(pid), .. } if pid == me));
        assert!(refused.to_string().contains(&format!("process {me}")), "{refused}");
        drop(held);
        Lock::take(folder.path()).unwrap();
    }

    #[test]
    fn what_the_file_says_does_not_matter() {
        let folder = tempfile::tempdir().unwrap();
        for content in [&b""[..], b"\xff\xfe", &[b'9'; 5000]] {
            std::fs::write(folder.path().join("lock"), content).unwrap();
            let _held = Lock::take(folder.path()).unwrap();
            std::fs::write(folder.path().join("lock"), content).unwrap();
            let refused = Lock::take(folder.path()).unwrap_err();
            assert!(matches!(refused, Reason::Locked { pid: None, .. }));
        }
    }
}
