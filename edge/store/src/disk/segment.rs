//! One segment: a file that is written once, front to back, and removed as a whole.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use kingcdn_zero_copy::Mapping;
use twox_hash::XxHash3_64;

use super::device::{self, Device};
use super::record::{u32_at, u64_at};

/// Bytes before the first record.
pub(crate) const SEGMENT_HEADER_BYTES: usize = 4096;

/// The version of the format, of segments and all else.
pub(crate) const VERSION: u32 = 1;

const MAGIC: &[u8; 8] = b"KCDN-SEG";

/// Records of at least so many bytes are verified once while they are in memory, and handed out as
/// views of the file's mapping. Shorter ones are copied and verified each time.
pub(crate) const LARGE_BYTES: u32 = 32 << 10;

/// What is released is whole pages.
const PAGE_BYTES: u64 = 4096;

/// What a segment's file says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// The store's seed.
    pub(crate) seed: u64,
    /// Its running number.
    pub(crate) number: u64,
    /// Bytes for records.
    pub(crate) segment_bytes: u32,
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> [u8; 64] {
        let mut bytes = [0; 64];
        bytes[0..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.segment_bytes.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.seed.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.number.to_le_bytes());
        let checksum = XxHash3_64::oneshot(&bytes[..56]);
        bytes[56..64].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; 64] = bytes.first_chunk()?;
        let right = &bytes[..8] == MAGIC
            && u32_at(bytes, 8) == VERSION
            && u64_at(bytes, 56) == XxHash3_64::oneshot(&bytes[..56]);
        right.then(|| Self {
            seed: u64_at(bytes, 16),
            number: u64_at(bytes, 24),
            segment_bytes: u32_at(bytes, 12),
        })
    }
}

/// What a segment's file turns out to be.
pub(crate) enum Opened {
    Right(Segment, SegmentHeader),
    /// Created, and then the process ended.
    Unfinished,
    Damaged,
}

/// A segment's file, open.
#[derive(Debug)]
pub(crate) struct Segment {
    /// Its running number; no other segment of this store ever has it.
    pub(crate) number: u64,
    pub(crate) path: PathBuf,
    pub(crate) file: File,
    segment_bytes: u32,
    /// Bytes of records that are complete: beyond, nothing is read.
    written: AtomicU32,
    /// Whether something was written since the last sync.
    pub(crate) dirty: AtomicBool,
    /// A bit for each [`LARGE_BYTES`] of room: the large record that begins there was verified.
    /// No two begin in the same.
    verified: Box<[AtomicU64]>,
    mapping: OnceLock<Option<Mapping>>,
    /// Bytes that the file takes on the disk.
    taken: AtomicU64,
    /// The same for all files of this store that exist or are held open.
    space: Arc<AtomicU64>,
}

/// Where a segment's file is.
pub(crate) fn path_of(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:016x}.seg"))
}

/// The number in a segment's file name.
pub(crate) fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg").filter(|digits| digits.len() == 16)?;
    u64::from_str_radix(digits, 16).ok()
}

impl Segment {
    /// A new one in `folder`, all of its room allocated.
    pub(crate) fn create(
        device: &dyn Device,
        folder: &Path,
        header: SegmentHeader,
        space: &Arc<AtomicU64>,
    ) -> io::Result<Self> {
        let path = path_of(folder, header.number);
        let len = SEGMENT_HEADER_BYTES as u64 + u64::from(header.segment_bytes);
        let file = device.create(&path, len)?;
        device::write_all(device, &file, &[&header.encode()], 0)?;
        Ok(Self::over(path, file, header, space))
    }

    /// An existing one, if it is what its name says and as long as it should be.
    pub(crate) fn open(
        device: &dyn Device,
        path: PathBuf,
        space: &Arc<AtomicU64>,
    ) -> io::Result<Opened> {
        let file = device.open(&path)?;
        if file.metadata()?.len() == 0 {
            return Ok(Opened::Unfinished);
        }
        let mut bytes = [0; 64];
        if let Err(error) = device::read_exact(device, &file, &mut bytes, 0) {
            let short = error.kind() == io::ErrorKind::UnexpectedEof;
            return if short { Ok(Opened::Damaged) } else { Err(error) };
        }
        let named = path.file_name().and_then(|name| number_of(name.to_str()?));
        let Some(header) = SegmentHeader::decode(&bytes).filter(|it| Some(it.number) == named)
        else {
            let unfinished = bytes.iter().all(|byte| *byte == 0);
            return Ok(if unfinished { Opened::Unfinished } else { Opened::Damaged });
        };
        let len = SEGMENT_HEADER_BYTES as u64 + u64::from(header.segment_bytes);
        if file.metadata()?.len() != len {
            return Ok(Opened::Damaged);
        }
        Ok(Opened::Right(Self::over(path, file, header, space), header))
    }

    fn over(path: PathBuf, file: File, header: SegmentHeader, space: &Arc<AtomicU64>) -> Self {
        device::expect_random(&file);
        let taken = SEGMENT_HEADER_BYTES as u64 + u64::from(header.segment_bytes);
        space.fetch_add(taken, Ordering::Relaxed);
        let words = header.segment_bytes.div_ceil(LARGE_BYTES).div_ceil(64);
        Self {
            number: header.number,
            path,
            file,
            segment_bytes: header.segment_bytes,
            written: AtomicU32::new(0),
            dirty: AtomicBool::new(false),
            verified: (0..words).map(|_| AtomicU64::new(0)).collect(),
            mapping: OnceLock::new(),
            taken: AtomicU64::new(taken),
            space: Arc::clone(space),
        }
    }

    /// Everything up to `end` is complete.
    pub(crate) fn commit(&self, end: u32) {
        self.dirty.store(true, Ordering::Release);
        self.written.fetch_max(end, Ordering::AcqRel);
    }

    /// Was found with so many bytes of records.
    pub(crate) fn restore(&self, end: u32) {
        self.written.store(end, Ordering::Release);
    }

    /// Gets no more records: the whole pages behind the last one go back to the disk. Nobody was
    /// ever handed them, and the file stays as long as it is mapped. A file system that can't do
    /// this keeps them.
    pub(crate) fn close(&self, device: &dyn Device) {
        let len = SEGMENT_HEADER_BYTES as u64 + u64::from(self.segment_bytes);
        let end = Self::at(self.written()).next_multiple_of(PAGE_BYTES);
        if end >= len {
            return;
        }
        if let Err(error) = device.release(&self.file, end, len - end) {
            tracing::debug!(segment = %self.path.display(), %error, "can't release its end");
        }
        let taken = self.taken.swap(end, Ordering::Relaxed);
        self.space.fetch_sub(taken.saturating_sub(end), Ordering::Relaxed);
    }

    /// Bytes of records that are complete.
    pub(crate) fn written(&self) -> u32 {
        self.written.load(Ordering::Acquire)
    }

    /// Where in the file a record's bytes are.
    pub(crate) fn at(offset: u32) -> u64 {
        SEGMENT_HEADER_BYTES as u64 + u64::from(offset)
    }

    fn bit(&self, offset: u32) -> Option<(&AtomicU64, u64)> {
        let bit = offset / LARGE_BYTES;
        Some((self.verified.get((bit / 64) as usize)?, 1 << (bit % 64)))
    }

    /// Whether the large record at `offset` was found to be right.
    pub(crate) fn is_verified(&self, offset: u32) -> bool {
        self.bit(offset).is_some_and(|(word, bit)| word.load(Ordering::Relaxed) & bit != 0)
    }

    /// The large record at `offset` is right.
    pub(crate) fn set_verified(&self, offset: u32) {
        if let Some((word, bit)) = self.bit(offset) {
            word.fetch_or(bit, Ordering::Relaxed);
        }
    }

    /// Whether these bytes of records are in memory.
    pub(crate) fn is_resident(&self, part: Range<u32>) -> bool {
        self.mapping().is_some_and(|mapping| mapping.is_resident(in_file(part)))
    }

    /// The file, mapped; that is done once. None if it can't be.
    fn mapping(&self) -> Option<&Mapping> {
        let map = || {
            let file = self.file.try_clone().ok()?;
            Mapping::new(file.into(), SEGMENT_HEADER_BYTES + self.segment_bytes as usize).ok()
        };
        self.mapping.get_or_init(map).as_ref()
    }

    /// These bytes of records as they lie in the file's mapping; they keep the file open. The
    /// caller has verified them. None where there is no mapping to be had.
    pub(crate) fn view(self: &Arc<Self>, part: Range<u32>) -> Option<Bytes> {
        let bytes = self.mapping()?.bytes(in_file(part))?;
        Some(Bytes::from_owner(View { bytes, _segment: Arc::clone(self) }))
    }
}

/// Where bytes of records are in the file.
fn in_file(part: Range<u32>) -> Range<usize> {
    SEGMENT_HEADER_BYTES + part.start as usize..SEGMENT_HEADER_BYTES + part.end as usize
}

impl Drop for Segment {
    fn drop(&mut self) {
        self.space.fetch_sub(self.taken.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

/// Bytes of a mapping, and the segment that counts as long as they live.
struct View {
    bytes: Bytes,
    _segment: Arc<Segment>,
}

impl AsRef<[u8]> for View {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}
