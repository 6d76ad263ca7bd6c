//! A disk's folder, open: its index, its segments, and what they share.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use super::counters::{Counters, add, count};
use super::device::{self, Device};
use super::error::Reason;
use super::queue::Queue;
use super::record::{self, Spot};
use super::segment::{SEGMENT_HEADER_BYTES, Segment, SegmentHeader};
use super::snapshot::{Head, Mark};
use crate::Id;
use crate::policy::log::Place;
use crate::policy::{Ledger, Log};

/// Failed reads after which a disk is out; each thousand good ones make up for one.
const READ_ERRORS_MAX: u64 = 16;
const READS_PER_ERROR: u64 = 1000;

/// Ids whose older records a start might believe; with more, a snapshot is due.
const MARKS_MAX: usize = 1 << 17;

/// An open folder.
pub(crate) struct Volume {
    pub(crate) folder: PathBuf,
    pub(crate) device: Arc<dyn Device>,
    pub(crate) seed: u64,
    pub(crate) segment_bytes: u32,
    index: Mutex<Index>,
    pub(crate) marks: Mutex<Marks>,
    pub(crate) ledger: Arc<Ledger>,
    /// Ids whose last word is in a segment that is doomed from the start.
    pub(crate) lost: Vec<Id>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) queue: Arc<Queue>,
    /// The next record's.
    sequence: AtomicU64,
    /// The next segment's.
    number: AtomicU64,
    /// Bytes of segments' files that exist or are held open.
    pub(crate) space: Arc<AtomicU64>,
    /// Bytes they may take: more than the log's, for those that somebody still reads.
    space_max: u64,
    /// Why it can't go on.
    failure: OnceLock<Arc<Reason>>,
    good_reads: AtomicU64,
    failed_reads: AtomicU64,
    /// Bytes of the last snapshot.
    pub(crate) snapshot_bytes: AtomicU64,
    /// Wakes the caretaker.
    poke: (Mutex<Poke>, Condvar),
}

#[derive(Debug, Default)]
struct Poke {
    poked: bool,
    stopped: bool,
    /// There is a caretaker.
    served: bool,
}

/// Where the records are.
pub(crate) struct Index {
    pub(crate) log: Log,
    /// By the log's numbers.
    pub(crate) segments: Vec<Option<Arc<Segment>>>,
    /// Segments that are reclaimed and whose files are still there. A start may believe records of
    /// them that aren't found any more.
    pub(crate) leaving: usize,
    /// Reclaimed, to be removed once what survived of them is on the device, the oldest first.
    pub(crate) doomed: Vec<Arc<Segment>>,
}

impl Index {
    /// Whether there is a record of `id`, or one may be found by a start.
    pub(crate) fn may_come_back(&self, id: &Id) -> bool {
        self.leaving > 0 || self.log.peek(id).is_some()
    }
}

/// Ids of which an older record may lie in a segment that a start would believe: those replaced or
/// removed since the last snapshot but one. The segment that holds the newer word may not be
/// reclaimed without that word being written again.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    /// Where the newer word is, and how many snapshots there were when it was spoken.
    pub(crate) words: HashMap<Id, (u64, u64)>,
    /// Snapshots completed.
    pub(crate) snapshots: u64,
}

impl Marks {
    /// The newer word of `id` is in segment `number`.
    pub(crate) fn set(&mut self, id: Id, number: u64) {
        self.words.insert(id, (number, self.snapshots));
    }

    /// Whether a snapshot should be taken, to forget some.
    pub(crate) fn are_many(&self) -> bool {
        self.words.len() > MARKS_MAX
    }

    /// One more snapshot is complete. What was said before the one before it began is known to
    /// both that a start may read; that was before the second but last was complete.
    pub(crate) fn completed(&mut self) {
        self.words.retain(|_, (_, when)| *when + 1 >= self.snapshots);
        self.snapshots += 1;
    }
}

/// What [`Volume::new`] is made from.
pub(crate) struct Parts {
    pub(crate) folder: PathBuf,
    pub(crate) device: Arc<dyn Device>,
    pub(crate) seed: u64,
    pub(crate) index: Index,
    pub(crate) marks: Marks,
    pub(crate) counters: Arc<Counters>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) lost: Vec<Id>,
    pub(crate) sequence: u64,
    pub(crate) number: u64,
    pub(crate) space: Arc<AtomicU64>,
    pub(crate) space_max: u64,
}

impl Volume {
    pub(crate) fn new(parts: Parts) -> Self {
        let shape = parts.index.log.shape();
        Self {
            folder: parts.folder,
            device: parts.device,
            seed: parts.seed,
            segment_bytes: shape.segment_bytes,
            space_max: parts.space_max,
            index: Mutex::new(parts.index),
            marks: Mutex::new(parts.marks),
            ledger: parts.ledger,
            lost: parts.lost,
            counters: parts.counters,
            queue: parts.queue,
            sequence: AtomicU64::new(parts.sequence),
            number: AtomicU64::new(parts.number),
            space: parts.space,
            failure: OnceLock::new(),
            good_reads: AtomicU64::new(0),
            failed_reads: AtomicU64::new(0),
            snapshot_bytes: AtomicU64::new(0),
            poke: (Mutex::default(), Condvar::new()),
        }
    }

    pub(crate) fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn marks(&self) -> MutexGuard<'_, Marks> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number that no record had.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.sequence.fetch_add(1, Ordering::Relaxed)
    }

    /// What a snapshot that begins now starts with.
    pub(crate) fn head(&self) -> (Head, Vec<(u16, Arc<Segment>)>) {
        let index = self.index();
        let segments: Vec<_> = (0u16..)
            .zip(&index.segments)
            .filter_map(|(slot, segment)| Some((slot, Arc::clone(segment.as_ref()?))))
            .collect();
        let mark = |(_, segment): &(u16, Arc<Segment>)| Mark {
            number: segment.number,
            written: segment.written(),
        };
        let head = Head {
            seed: self.seed,
            sequence: self.sequence.load(Ordering::Relaxed),
            next_number: self.number.load(Ordering::Relaxed),
            state: index.log.state(),
            marks: segments.iter().map(mark).collect(),
        };
        (head, segments)
    }

    /// Creates the file of the log's segment `slot`. For the writer alone.
    pub(crate) fn open_segment(&self, slot: u16) -> Result<Arc<Segment>, Reason> {
        let folder = self.folder.join("segments");
        let number = self.number.load(Ordering::Relaxed);
        let header = SegmentHeader { seed: self.seed, number, segment_bytes: self.segment_bytes };
        let segment = Segment::create(&*self.device, &folder, header, &self.space)
            .map_err(Reason::io("create a segment in", &folder))?;
        add(&self.counters.bytes_overhead, SEGMENT_HEADER_BYTES as u64);
        let segment = Arc::new(segment);
        let mut index = self.index();
        // In one step: to a snapshot, a lower number that has no segment is one that is gone.
        self.number.store(number + 1, Ordering::Relaxed);
        if let Some(place) = index.segments.get_mut(usize::from(slot)) {
            *place = Some(Arc::clone(&segment));
        }
        drop(index);
        Ok(segment)
    }

    /// The log's segment `slot` gets no more records; all of its own are written.
    pub(crate) fn close_segment(&self, slot: u16) {
        let segment = self.index().segments.get(usize::from(slot)).cloned().flatten();
        if let Some(segment) = segment {
            segment.close(&*self.device);
        }
    }

    /// Whether there is room on the disk for one more segment.
    pub(crate) fn has_space(&self) -> bool {
        let each = SEGMENT_HEADER_BYTES as u64 + u64::from(self.segment_bytes);
        self.space.load(Ordering::Relaxed) + each <= self.space_max
    }

    /// Where the record at `offset` of `segment` belongs.
    pub(crate) fn spot(&self, segment: &Segment, offset: u32) -> Spot {
        Spot { seed: self.seed, segment: segment.number, offset }
    }

    /// Reads a whole record into `buffer` and verifies it. None: it is dropped, and counted.
    pub(crate) fn read_record<'a>(
        &self,
        id: Id,
        place: Place,
        segment: &Segment,
        buffer: &'a mut Vec<u8>,
    ) -> Option<&'a [u8]> {
        buffer.resize(place.len as usize, 0);
        let at = Segment::at(place.offset);
        match device::read_exact(&*self.device, &segment.file, buffer, at) {
            Ok(()) => self.read_succeeded(),
            Err(error) => {
                self.read_failed(&error, segment);
                self.drop_record(id, place);
                return None;
            }
        }
        let payload = record::verified(buffer, self.spot(segment, place.offset), id);
        if payload.is_none() {
            self.drop_bad(id, place, segment);
        }
        payload
    }

    /// A record isn't what it should be: nobody will find it again.
    pub(crate) fn drop_bad(&self, id: Id, place: Place, segment: &Segment) {
        if self.drop_record(id, place) {
            count(&self.counters.bad_records);
            let path = segment.path.display();
            tracing::warn!(segment = %path, offset = place.offset, "dropped a damaged record");
        }
    }

    fn drop_record(&self, id: Id, place: Place) -> bool {
        let mut index = self.index();
        let is_it = index.log.peek(&id) == Some(place);
        if is_it {
            index.log.remove(&id);
        }
        is_it
    }

    /// Counts a read that failed; the disk is out when there are too many.
    pub(crate) fn read_failed(&self, error: &io::Error, segment: &Segment) {
        count(&self.counters.read_errors);
        let path = segment.path.display();
        tracing::warn!(segment = %path, %error, "can't read a record");
        let failed = self.failed_reads.fetch_add(1, Ordering::Relaxed) + 1;
        let forgiven = self.good_reads.load(Ordering::Relaxed) / READS_PER_ERROR;
        if failed > READ_ERRORS_MAX + forgiven {
            self.fail(Reason::ReadErrors(failed));
        }
    }

    fn read_succeeded(&self) {
        self.good_reads.fetch_add(1, Ordering::Relaxed);
    }

    /// It can't go on. The first reason counts.
    pub(crate) fn fail(&self, reason: Reason) {
        let _ = self.failure.set(Arc::new(reason));
        self.queue.wake();
        self.poke();
    }

    /// Whether it can't go on.
    pub(crate) fn has_failed(&self) -> bool {
        self.failure.get().is_some()
    }

    /// Why it couldn't go on.
    pub(crate) fn failure(&self) -> Option<Arc<Reason>> {
        self.failure.get().cloned()
    }

    /// The caretaker has something to do at once.
    pub(crate) fn poke(&self) {
        self.poke.0.lock().unwrap_or_else(PoisonError::into_inner).poked = true;
        self.poke.1.notify_all();
    }

    /// Whether somebody removes what is reclaimed.
    pub(crate) fn is_cared_for(&self) -> bool {
        self.poke.0.lock().unwrap_or_else(PoisonError::into_inner).served
    }

    /// From now on somebody does.
    pub(crate) fn care(&self) {
        self.poke.0.lock().unwrap_or_else(PoisonError::into_inner).served = true;
    }

    /// Ends the caretaker.
    pub(crate) fn stop_caretaker(&self) {
        self.poke.0.lock().unwrap_or_else(PoisonError::into_inner).stopped = true;
        self.poke.1.notify_all();
    }

    /// The caretaker's pause. False when it is to end.
    pub(crate) fn pause(&self, patience: Duration) -> bool {
        let mut poke = self.poke.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !poke.poked && !poke.stopped {
            let waited = self.poke.1.wait_timeout(poke, patience);
            poke = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        poke.poked = false;
        !poke.stopped && !self.has_failed()
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // The ledger counts records of all disks together.
        let index = self.index.get_mut().unwrap_or_else(PoisonError::into_inner);
        for slot in 0..index.log.shape().segments {
            index.log.fail(slot);
        }
    }
}
