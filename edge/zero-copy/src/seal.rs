//! Memory that can be sent like a file.

use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::{Errno, writev};
use rustix::process::{Resource, getrlimit};

use crate::gather::joined;
use crate::mapping::Mapping;

/// Contents below this are kept on the heap: copying them into a socket costs no more than
/// sending them by reference.
pub const SEAL_MIN_BYTES: usize = 32 * 1024;

/// The same once half of the descriptors are taken: the others are for those who gain most.
const SEAL_MIN_BYTES_WHEN_SCARCE: usize = 8 * SEAL_MIN_BYTES;

/// What a sealed content takes beside its pages: inode, open file, mapping, our own structs.
const SEALED_OVERHEAD_BYTES: usize = 2048;

const PAGE_BYTES: usize = 4096;

/// Linux's default for `vm.max_map_count`.
const MAPS_MAX: usize = 65_530;

/// Pieces that are written in one go; the system takes 1024.
const PIECES_MAX: usize = 64;

/// Joins `pieces` in one buffer of exactly their length, copying them once.
///
/// A content that is worth it goes into a sealed memory file of its own, as long as the process
/// has descriptors to spare; all others on the heap. Which it is makes no difference but in how
/// [`crate::Outgoing`] sends it. A `Bytes` that is a part of the result keeps all of it.
pub fn seal(pieces: &[Bytes]) -> Bytes {
    let total = pieces.iter().map(Bytes::len).sum();
    if let Some(place) = place(total) {
        match sealed(pieces, total, place) {
            Ok(bytes) => return bytes,
            Err(_no_room) => refuse(),
        }
    }
    joined(pieces)
}

/// Memory that a content of `len_bytes` takes once it is [`seal`]ed.
pub fn held_bytes(len_bytes: usize) -> usize {
    if len_bytes < SEAL_MIN_BYTES {
        len_bytes
    } else {
        len_bytes.next_multiple_of(PAGE_BYTES) + SEALED_OVERHEAD_BYTES
    }
}

/// What is sealed in this process now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Contents, each of which has a descriptor and a mapping.
    pub sealed: usize,
    /// How many there may be.
    pub sealed_max: usize,
    /// Their bytes.
    pub sealed_bytes: u64,
    /// Contents that had to go on the heap for want of descriptors or of memory, since the start.
    pub refused: u64,
}

/// What is sealed in this process now.
pub fn usage() -> Usage {
    Usage {
        sealed: BUDGET.taken.load(Ordering::Relaxed),
        sealed_max: BUDGET.max,
        sealed_bytes: BUDGET.bytes.load(Ordering::Relaxed),
        refused: BUDGET.refused.load(Ordering::Relaxed),
    }
}

fn sealed(pieces: &[Bytes], total: usize, place: Place) -> io::Result<Bytes> {
    let file = memory_file()?;
    write_all(&file, pieces)?;
    // A page that waits in a socket can't change any more, whoever has the descriptor. Nobody has
    // mapped it for writing, so this says as much as SealFlags::WRITE, which would wait for all
    // processors to let go of pages that they have just written.
    fcntl_add_seals(
        &file,
        SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::FUTURE_WRITE,
    )?;
    let mapping = Mapping::with_place(file, total, Some(place))?;
    mapping.bytes(0..total).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

pub(crate) fn memory_file() -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    match memfd_create("kingcdn", flags | MemfdFlags::NOEXEC_SEAL) {
        // Linux before 6.3 doesn't know the last flag.
        Err(Errno::INVAL) => Ok(memfd_create("kingcdn", flags)?),
        created => Ok(created?),
    }
}

fn write_all(file: &OwnedFd, pieces: &[Bytes]) -> io::Result<()> {
    for some in pieces.chunks(PIECES_MAX) {
        let mut slices: Vec<_> = some.iter().map(|piece| IoSlice::new(piece)).collect();
        let mut left = &mut slices[..];
        IoSlice::advance_slices(&mut left, 0); // past those that are empty
        while !left.is_empty() {
            match writev(file, left) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => IoSlice::advance_slices(&mut left, written),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

/// A place for a content of `len` bytes, where it is worth one and one is left.
pub(crate) fn place(len: usize) -> Option<Place> {
    BUDGET.place(len)
}

/// Counts a content that has to be on the heap though it had a place.
pub(crate) fn refuse() {
    BUDGET.refuse();
}

/// How many contents may be sealed: each takes a descriptor and a mapping, of both of which the
/// process has a limited number. A quarter of them is for this.
struct Budget {
    max: usize,
    taken: AtomicUsize,
    bytes: AtomicU64,
    refused: AtomicU64,
}

static BUDGET: LazyLock<Budget> = LazyLock::new(|| {
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let descriptors = usize::try_from(descriptors).unwrap_or(usize::MAX);
    let maps = std::fs::read_to_string("/proc/sys/vm/max_map_count");
    let maps = maps.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(MAPS_MAX);
    Budget::new(descriptors.min(maps) / 4)
});

impl Budget {
    const fn new(max: usize) -> Self {
        let (taken, bytes) = (AtomicUsize::new(0), AtomicU64::new(0));
        Self { max, taken, bytes, refused: AtomicU64::new(0) }
    }

    /// A place for a content of `len` bytes, where it is worth one and one is left.
    fn place(&'static self, len: usize) -> Option<Place> {
        if len < SEAL_MIN_BYTES {
            return None;
        }
        let take = |taken| (len >= least_bytes(taken, self.max)?).then_some(taken + 1);
        if self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_err() {
            self.refuse();
            return None;
        }
        self.bytes.fetch_add(len as u64, Ordering::Relaxed);
        Some(Place { budget: self, len: len as u64 })
    }

    fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }
}

/// The least content that is sealed while `taken` of `max` are. None: no more are.
fn least_bytes(taken: usize, max: usize) -> Option<usize> {
    if taken < max / 2 {
        Some(SEAL_MIN_BYTES)
    } else {
        (taken < max).then_some(SEAL_MIN_BYTES_WHEN_SCARCE)
    }
}

/// A place in the budget; given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    budget: &'static Budget,
    len: u64,
}

impl std::fmt::Debug for Budget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Budget").field("max", &self.max).finish_non_exhaustive()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.budget.taken.fetch_sub(1, Ordering::Relaxed);
        self.budget.bytes.fetch_sub(self.len, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(lens: &[usize]) -> (Vec<Bytes>, Vec<u8>) {
        let total = lens.iter().sum();
        let all: Vec<u8> = (0..total).map(|at| (at % 251) as u8).collect();
        let mut rest = Bytes::from(all.clone());
        (lens.iter().map(|&len| rest.split_to(len)).collect(), all)
    }

    #[test]
    fn pieces_are_joined_whatever_their_number_and_size() {
        let many = vec![500; 3 * PIECES_MAX + 1];
        for lens in [
            &[][..],
            &[0],
            &[1, 2, 3],
            &[SEAL_MIN_BYTES - 1],
            &[SEAL_MIN_BYTES],
            &[0, SEAL_MIN_BYTES, 0, 0, 1],
            &[1 << 20, 4095, 4097],
            &many,
        ] {
            let (pieces, all) = pieces(lens);
            assert!(seal(&pieces) == all, "{lens:?}");
        }
    }

    #[test]
    fn what_is_large_can_be_sent_like_a_file_and_nobody_can_change_it() {
        let (pieces, _) = pieces(&[SEAL_MIN_BYTES]);
        let bytes = seal(&pieces);
        let find = |bytes: &[u8]| (0..1_000_000).find_map(|_| crate::registry::find(bytes));
        let (mapped, at) = find(&bytes[100..]).expect("a sealed content");
        assert_eq!(at, 100);
        let changed = rustix::io::pwrite(mapped.file(), b"x", 0).unwrap_err();
        assert_eq!(changed, Errno::PERM);
        assert_eq!(rustix::fs::ftruncate(mapped.file(), 0).unwrap_err(), Errno::PERM);
    }

    #[test]
    fn places_are_for_the_large_when_few_are_left_and_come_back() {
        static FOUR: Budget = Budget::new(4);
        let (small, large) = (SEAL_MIN_BYTES, SEAL_MIN_BYTES_WHEN_SCARCE);
        assert!(FOUR.place(small - 1).is_none());
        let mut held = vec![FOUR.place(small).unwrap(), FOUR.place(small).unwrap()];
        assert!(FOUR.place(small).is_none());
        held.extend([FOUR.place(large).unwrap(), FOUR.place(large).unwrap()]);
        assert!(FOUR.place(large).is_none());
        assert_eq!(FOUR.bytes.load(Ordering::Relaxed), 2 * (small + large) as u64);
        assert_eq!(FOUR.refused.load(Ordering::Relaxed), 2);
        held.clear();
        assert_eq!(FOUR.taken.load(Ordering::Relaxed), 0);
        assert_eq!(FOUR.bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_is_held_counts_whole_pages() {
        for (len, held) in [(0, 0), (32_767, 32_767), (32_768, 34_816), (32_769, 38_912)] {
            assert_eq!(held_bytes(len), held);
        }
    }
}
