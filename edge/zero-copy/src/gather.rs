//! A content that is put together as it comes.

use std::io;
use std::os::fd::BorrowedFd;

use bytes::{Bytes, BytesMut};
use rustix::fs::{SealFlags, fcntl_add_seals, ftruncate};
use rustix::io::{Errno, pwrite};

use crate::mapping::Mapping;
use crate::seal::{self, Place};

/// A content on its way in. Each piece is at its final place as soon as it is here, and can be sent
/// from there; the buffer that it came in is free again.
#[derive(Debug)]
pub struct Gathering {
    len: usize,
    /// What has come to the file.
    written: usize,
    file: Option<Mapping>,
    /// What has come where there is no file.
    pieces: Vec<Bytes>,
}

impl Gathering {
    /// For a content of `len` bytes, all of whose memory is taken as it comes. As with
    /// [`crate::seal`], it depends on its length and on what is left of the process's descriptors
    /// whether it is a file.
    pub fn new(len: usize) -> Self {
        let file = seal::place(len).and_then(|place| {
            let file = file(len, place);
            if file.is_err() {
                seal::refuse();
            }
            file.ok()
        });
        Self { len, written: 0, file, pieces: Vec::new() }
    }

    /// Adds what comes next. What is returned are the same bytes where they stay, or `piece` itself
    /// where all of them are joined at the end.
    pub fn push(&mut self, piece: Bytes) -> Bytes {
        if let Some(file) = &self.file {
            let end = self.written + piece.len();
            let written = write_all_at(file.file(), &piece, self.written);
            if let (Ok(()), Some(view)) = (written, file.bytes(self.written..end)) {
                self.written = end;
                return view;
            }
            // Longer than was said, or no memory: what is here stays where it is.
            seal::refuse();
            self.pieces.extend(file.bytes(0..self.written));
            self.file = None;
        }
        self.pieces.push(piece.clone());
        piece
    }

    /// All of it in one piece.
    pub fn finish(self) -> Bytes {
        let Some(file) = self.file else { return joined(&self.pieces) };
        if self.written < self.len {
            return joined(&file.bytes(0..self.written).into_iter().collect::<Vec<_>>());
        }
        // No more than a precaution: what was written isn't written again.
        let _sealed = fcntl_add_seals(file.file(), SealFlags::SEAL | SealFlags::FUTURE_WRITE);
        file.bytes(0..self.len).unwrap_or_default()
    }
}

fn file(len: usize, place: Place) -> io::Result<Mapping> {
    let file = seal::memory_file()?;
    ftruncate(&file, len as u64)?;
    fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW)?;
    Mapping::with_place(file, len, Some(place))
}

fn write_all_at(file: BorrowedFd<'_>, mut piece: &[u8], at: usize) -> io::Result<()> {
    let mut at = at as u64;
    while !piece.is_empty() {
        match pwrite(file, piece, at) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                piece = &piece[written..];
                at += written as u64;
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// In a buffer of exactly their length.
pub(crate) fn joined(pieces: &[Bytes]) -> Bytes {
    let mut joined = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
    pieces.iter().for_each(|piece| joined.extend_from_slice(piece));
    joined.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SEAL_MIN_BYTES;

    fn content(len: usize) -> Bytes {
        (0..len).map(|at| (at * 7 % 251) as u8).collect()
    }

    #[test]
    fn whatever_comes_is_there_at_once_and_at_the_end() {
        for len in [0, 1, SEAL_MIN_BYTES - 1, SEAL_MIN_BYTES, 3 * SEAL_MIN_BYTES + 5] {
            for step in [1000, 4096, 60_000, 1 << 20] {
                let all = content(len);
                let mut gathering = Gathering::new(len);
                let pieces: Vec<_> =
                    all.chunks(step).map(|it| gathering.push(Bytes::copy_from_slice(it))).collect();
                assert_eq!(pieces.concat(), all, "{len} by {step}");
                assert_eq!(gathering.finish(), all, "{len} by {step}");
                assert_eq!(pieces.concat(), all, "what was handed out stays");
            }
        }
    }

    #[test]
    fn what_is_shorter_or_longer_than_was_said_is_still_all_of_it() {
        for (said, comes) in [(3 * SEAL_MIN_BYTES, 50_000), (SEAL_MIN_BYTES, 100_000)] {
            let all = content(comes);
            let mut gathering = Gathering::new(said);
            let pieces: Vec<_> =
                all.chunks(10_000).map(|it| gathering.push(Bytes::copy_from_slice(it))).collect();
            assert_eq!(pieces.concat(), all);
            assert_eq!(gathering.finish(), all);
        }
    }

    #[test]
    fn pieces_can_be_sent_like_files_before_the_whole_is_there() {
        let mut gathering = Gathering::new(2 * SEAL_MIN_BYTES);
        let first = gathering.push(content(SEAL_MIN_BYTES));
        let find = |bytes: &[u8]| (0..1_000_000).find_map(|_| crate::registry::find(bytes));
        let (mapped, at) = find(&first).expect("in a file");
        assert_eq!(at, 0);
        gathering.push(content(SEAL_MIN_BYTES));
        let all = gathering.finish();
        assert_eq!(find(&all[SEAL_MIN_BYTES..]).unwrap().1, SEAL_MIN_BYTES);
        assert_eq!(pwrite(mapped.file(), b"x", 0).unwrap_err(), Errno::PERM);
        assert_eq!(ftruncate(mapped.file(), 0).unwrap_err(), Errno::PERM);
    }
}
