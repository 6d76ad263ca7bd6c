//! A file's bytes in our address space. The only `unsafe` code.

#![allow(unsafe_code)]

use std::io;
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::ptr::{self, NonNull};
use std::slice;

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// A read-only mapping of a file's first bytes; unmapped when dropped.
#[derive(Debug)]
pub(crate) struct Region {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the region is memory of the process, not of a thread; it is only ever read, and unmapped
// by its one owner.
unsafe impl Send for Region {}
// SAFETY: as above; through a shared reference it is only read.
unsafe impl Sync for Region {}

impl Region {
    /// Maps the first `len` bytes of `file`.
    ///
    /// # Errors
    /// No bytes, fewer than `len` in the file (touching what lies behind its end would end the
    /// process), or the system has no room for one more mapping.
    pub(crate) fn new(file: BorrowedFd<'_>, len: usize) -> io::Result<Self> {
        let size = rustix::fs::fstat(file)?.st_size;
        if len == 0 || usize::try_from(size).is_ok_and(|size| size < len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // Private, because a sealed file may not be mapped shared by Linux before 6.7. Pages that
        // are never written to are the file's own all the same.
        // SAFETY: the address is the system's choice, so that nothing that is mapped is replaced.
        let start =
            unsafe { mmap(ptr::null_mut(), len, ProtFlags::READ, MapFlags::PRIVATE, file, 0) }?;
        match NonNull::new(start.cast()) {
            Some(start) => Ok(Self { start, len }),
            None => Err(io::ErrorKind::AddrNotAvailable.into()),
        }
    }

    /// Where it lies.
    pub(crate) fn addresses(&self) -> Range<usize> {
        let start = self.start.as_ptr().addr();
        start..start + self.len
    }

    /// A part of it. None if it isn't one.
    ///
    /// The caller has seen to it that this part of the file is written and changes no more: see
    /// [`crate::Mapping::bytes`].
    pub(crate) fn get(&self, part: &Range<usize>) -> Option<&[u8]> {
        if part.start > part.end || part.end > self.len {
            return None;
        }
        // SAFETY: the part lies within the region, which is mapped as long as `self` lives, is
        // backed by the file as of `new` (files aren't truncated while they are mapped), is
        // readable, and doesn't change (what is handed out was written before, once).
        Some(unsafe { slice::from_raw_parts(self.start.as_ptr().add(part.start), part.len()) })
    }

    /// Whether all of this part is in memory now. Doesn't wait for a device. No, if it isn't a part
    /// or the system won't say.
    pub(crate) fn is_resident(&self, part: &Range<usize>) -> bool {
        if part.start > part.end || part.end > self.len {
            return false;
        }
        let page = rustix::param::page_size();
        let first = part.start - part.start % page;
        let len = part.end - first;
        let mut pages = vec![0_u8; len.div_ceil(page)];
        // SAFETY: `first` is a multiple of the page's size within the region, which begins at such a
        // multiple; `len` bytes from there are mapped, and `pages` has a byte for each page of them.
        // The call writes to `pages` alone, and reads nothing of the region.
        let asked = unsafe {
            libc::mincore(self.start.as_ptr().add(first).cast(), len, pages.as_mut_ptr())
        };
        asked == 0 && pages.iter().all(|page| page & 1 == 1)
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this length, and no slice of it outlives `self`.
        let unmapped = unsafe { munmap(self.start.as_ptr().cast(), self.len) };
        debug_assert!(unmapped.is_ok(), "{unmapped:?}");
    }
}
