//! Files in memory, handed out as `Bytes`.

use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use bytes::Bytes;

use crate::region::Region;
use crate::registry;
use crate::seal::Place;

/// A file that is mapped read-only; closed and unmapped when the last clone and the last
/// [`Bytes`] of it are gone.
#[derive(Debug, Clone)]
pub struct Mapping(Arc<Mapped>);

/// The mapping and the descriptor, which live and end together.
#[derive(Debug)]
pub(crate) struct Mapped {
    region: Region,
    file: OwnedFd,
    /// Its place in the budget of sealed memory.
    _place: Option<Place>,
}

impl Mapping {
    /// Maps the first `len_bytes` bytes of `file`, whose space on disk is allocated: writing to a
    /// mapped hole on a full disk, and reading one, can end the process.
    ///
    /// The caller promises that the file is nobody else's, that it isn't truncated while the mapping
    /// or any [`Bytes`] of it live, and that it is never punched but where no bytes were handed out
    /// and none will be. It may be unlinked. What comes to it
    /// later is seen.
    ///
    /// # Errors
    /// An empty file, one that is shorter than `len_bytes`, too many mappings.
    pub fn new(file: OwnedFd, len_bytes: usize) -> io::Result<Self> {
        Self::with_place(file, len_bytes, None)
    }

    pub(crate) fn with_place(
        file: OwnedFd,
        len_bytes: usize,
        place: Option<Place>,
    ) -> io::Result<Self> {
        let region = Region::new(file.as_fd(), len_bytes)?;
        let mapped = Arc::new(Mapped { region, file, _place: place });
        registry::enter(&mapped);
        Ok(Self(mapped))
    }

    /// A part of the file, which stays mapped and open while this lives. None if it isn't a part.
    ///
    /// The caller promises that it is completely written and will never be overwritten. Reading
    /// the bytes, other than by sending them, ends the process (`SIGBUS`) if the device fails just
    /// then: verify what is on disk with `pread`.
    pub fn bytes(&self, part: Range<usize>) -> Option<Bytes> {
        self.0.region.get(&part)?;
        Some(Bytes::from_owner(View { mapped: Arc::clone(&self.0), part }))
    }

    /// Whether all of a part is in memory now, so that sending it won't wait for a device. No, if it
    /// isn't a part.
    pub fn is_resident(&self, part: Range<usize>) -> bool {
        self.0.region.is_resident(&part)
    }

    pub(crate) fn file(&self) -> BorrowedFd<'_> {
        self.0.file()
    }

    /// Bytes that are mapped.
    pub fn len_bytes(&self) -> usize {
        self.0.addresses().len()
    }
}

impl Mapped {
    /// Where it lies.
    pub(crate) fn addresses(&self) -> Range<usize> {
        self.region.addresses()
    }

    /// The file.
    pub(crate) fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // Fields are dropped after this: found no more, then unmapped, then closed.
        registry::remove(self.addresses().start);
    }
}

/// What a `Bytes` owns.
struct View {
    mapped: Arc<Mapped>,
    part: Range<usize>,
}

impl AsRef<[u8]> for View {
    fn as_ref(&self) -> &[u8] {
        self.mapped.region.get(&self.part).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Write as _;

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    #[test]
    fn parts_are_the_files_bytes_and_outlive_the_mapping() {
        let mapping = Mapping::new(file(b"0123456789").into(), 10).unwrap();
        assert_eq!(mapping.len_bytes(), 10);
        let (some, none) = (mapping.bytes(2..5).unwrap(), mapping.bytes(10..10).unwrap());
        for outside in [9..11, 11..11, 0..usize::MAX] {
            assert!(mapping.bytes(outside.clone()).is_none(), "{outside:?}");
        }
        drop(mapping);
        assert_eq!((&some[..], &none[..]), (&b"234"[..], &b""[..]));
    }

    #[test]
    fn what_is_in_memory_is_known() {
        let file = file(&vec![7; 100_000]);
        let mapping = Mapping::new(file.try_clone().unwrap().into(), 100_000).unwrap();
        for part in [0..100_000, 5000..5001, 4096..8192, 99_999..100_000, 10..10] {
            assert!(mapping.is_resident(part.clone()), "{part:?}");
        }
        for outside in [0..100_001, 100_001..100_001] {
            assert!(!mapping.is_resident(outside.clone()), "{outside:?}");
        }
        // Where the file is on a disk, it can be sent away.
        file.sync_all().unwrap();
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
        let on_a_disk = rustix::fs::fstatfs(&file).unwrap().f_type != 0x0102_1994;
        assert!(!(on_a_disk && mapping.is_resident(0..100_000)));
    }

    #[test]
    fn what_is_appended_later_is_seen() {
        let mut file = file(b"01234");
        file.set_len(8192).unwrap();
        let mapping = Mapping::new(file.try_clone().unwrap().into(), 8192).unwrap();
        assert_eq!(mapping.bytes(0..5).unwrap(), "01234");
        file.write_all(b"56789").unwrap();
        assert_eq!(mapping.bytes(3..10).unwrap(), "3456789");
    }

    #[test]
    fn what_the_file_does_not_have_is_not_mapped() {
        for (held, wanted) in [(0, 0), (0, 1), (10, 0), (10, 11)] {
            let file = file(&vec![0; held]);
            assert!(Mapping::new(file.into(), wanted).is_err(), "{held} {wanted}");
        }
    }

    #[test]
    fn bytes_are_found_as_long_as_they_live_and_no_others_are() {
        let mapping = Mapping::new(file(&[7; 100]).into(), 100).unwrap();
        let bytes = mapping.bytes(10..90).unwrap();
        let elsewhere = vec![7_u8; 100];
        assert!(registry::find(&elsewhere).is_none());
        drop(mapping);
        // Another test may be changing the registry just now; then it says nothing.
        let find = |bytes: &[u8]| (0..1_000_000).find_map(|_| registry::find(bytes));
        let (mapped, at) = find(&bytes[5..]).unwrap();
        assert_eq!((mapped.region.get(&(at..at + 3)).unwrap(), at), (&bytes[5..8], 15));
        let start = mapped.addresses().start;
        drop((bytes, mapped));
        let live = registry::starts();
        assert!(!live.contains(&start), "an entry outlived its mapping");
    }
}
