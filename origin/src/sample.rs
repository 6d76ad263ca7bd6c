//! The site that comes with the program: netcinema's page, its player and its film.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

macro_rules! embedded {
    ($path:literal) => {
        ($path, include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/media/site/", $path)))
    };
}

/// The files by their path.
const FILES: &[(&str, &[u8])] = include!("sample/files.rs");

/// When the files were written, whenever that was: 2026-01-01T00:00:00Z. So validators stay the
/// same from run to run.
const MODIFIED: Duration = Duration::from_secs(1_767_225_600);

/// Writes the site into `folder`, which is made where it doesn't exist. Files of the same names
/// are replaced, others left alone.
///
/// # Errors
/// The first file or folder that can't be written.
pub fn write_to(folder: &Path) -> io::Result<()> {
    for (path, bytes) in FILES {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut file = File::create(path)?;
        file.write_all(bytes)?;
        file.set_modified(UNIX_EPOCH + MODIFIED)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
