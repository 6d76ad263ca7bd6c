//! The thread that writes to a disk, the only one that does: new records as they come, and those
//! that survive of reclaimed segments beside them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::Kind;
use super::counters::{add, count};
use super::error::Reason;
use super::queue::{Op, OpKind};
use super::reclaim::Copying;
use super::record::{Checksum, HEADER_BYTES, Header, What};
use super::segment::Segment;
use super::stage::Stage;
use super::volume::{Index, Volume};
use crate::Id;
use crate::policy::log::{NoRoom, Placement};

/// Bytes that are taken from the queue at once.
const BATCH_BYTES: usize = 4 << 20;
/// Bytes of survivors that are copied for each byte of new records: a reclaim keeps at most 0.6 of
/// a segment, so it ends well before the next is due.
const COPY_RATE: u64 = 2;
/// Survivors are copied at least so much at a time.
const COPY_LEAST_BYTES: u64 = 1 << 20;
/// The writer looks around this often.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long readers of removed segments are waited for before looking again.
const READERS_PAUSE: Duration = Duration::from_millis(20);

/// Writes what a queue holds to a volume.
pub(crate) struct Writer {
    volume: Arc<Volume>,
    records_max: usize,
    /// One for each segment that new records go to.
    stages: Vec<Stage>,
    copying: Option<Copying>,
}

/// What is written for an id.
enum Word {
    Data { kind: Kind, frequency: u8, parts: Vec<Bytes>, len: u32 },
    Tombstone,
}

impl Writer {
    pub(crate) fn new(volume: Arc<Volume>, records_max: usize) -> Self {
        Self { volume, records_max, stages: Vec::new(), copying: None }
    }

    /// Goes on until the queue is closed and empty, or the volume fails.
    pub(crate) fn run(&mut self) -> Result<(), Reason> {
        let queue = Arc::clone(&self.volume.queue);
        loop {
            let patience = if self.copying.is_some() { Duration::ZERO } else { PATIENCE };
            let Some(ops) = queue.take(BATCH_BYTES, patience) else { return Ok(()) };
            let written = self.apply(ops)?;
            if self.volume.has_failed() {
                return Ok(());
            }
            if self.copying.is_none() && self.volume.index().log.wants_reclaim() {
                self.copying = Copying::begin(&self.volume)?;
            }
            self.copy((written * COPY_RATE).max(COPY_LEAST_BYTES))?;
        }
    }

    /// Writes these; how many bytes that took. When the disk fails they wait again.
    pub(crate) fn apply(&mut self, ops: Vec<Op>) -> Result<u64, Reason> {
        let mut written = 0;
        let mut done = Ok(());
        for op in &ops {
            done = self.apply_one(op).map(|bytes| written += bytes);
            if done.is_err() {
                break;
            }
        }
        match done.and_then(|()| self.flush()) {
            Ok(()) => {
                self.volume.queue.done(&ops);
                Ok(written)
            }
            Err(reason) => {
                self.volume.queue.put_back(ops);
                Err(reason)
            }
        }
    }

    fn apply_one(&mut self, op: &Op) -> Result<u64, Reason> {
        let word = match &op.what {
            OpKind::Put { kind, frequency, parts, len } => {
                let (kind, frequency, len) = (*kind, *frequency, *len);
                Word::Data { kind, frequency, parts: parts.clone(), len }
            }
            OpKind::Remove => Word::Tombstone,
        };
        let queue = Arc::clone(&self.volume.queue);
        // A removal is written whatever comes after it: the index has forgotten already that there
        // was something to remove.
        let is_removal = matches!(word, Word::Tombstone);
        self.write(op.id, word, &|_| is_removal || queue.is_latest(op))
    }

    /// Appends a word on `id`, unless it isn't wanted any more.
    fn write(
        &mut self,
        id: Id,
        word: Word,
        still_wanted: &dyn Fn(&Index) -> bool,
    ) -> Result<u64, Reason> {
        let (len, frequency) = match &word {
            Word::Data { len, frequency, .. } => (HEADER_BYTES as u32 + len, *frequency),
            Word::Tombstone => (HEADER_BYTES as u32, 0),
        };
        let is_data = matches!(word, Word::Data { .. });
        // Each reclaim frees a segment and takes at most one for what survives, 0.6 of it.
        let attempts = 8 + self.volume.index().log.shape().segments;
        for _ in 0..attempts {
            let mut index = self.volume.index();
            if !still_wanted(&index) {
                return Ok(0);
            }
            if is_data && index.log.len() >= self.records_max {
                drop(index);
                self.make_room()?;
                if self.volume.index().log.len() < self.records_max {
                    continue;
                }
                // All is in segments that are being written: nothing can go yet.
                count(&self.volume.counters.shed_index);
                return self.write(id, Word::Tombstone, &|index| index.may_come_back(&id));
            }
            let older = index.log.peek(&id).is_some();
            let placed = index.log.append(&id, len, frequency);
            match placed {
                Ok(placement) => {
                    if !is_data {
                        index.log.remove(&id);
                    }
                    let segment = segment_of(&index, placement);
                    drop(index);
                    self.place(id, word, placement, segment, older)?;
                    return Ok(u64::from(len));
                }
                Err(NoRoom::Length(_)) => return Ok(0),
                Err(NoRoom::Reclaim) => {
                    drop(index);
                    self.make_room()?;
                }
            }
        }
        // It can't be stored, nor can it be said that it isn't.
        Err(Reason::Forgotten)
    }

    /// Writes a word to its place, in time.
    fn place(
        &mut self,
        id: Id,
        word: Word,
        placement: Placement,
        segment: Option<Arc<Segment>>,
        older: bool,
    ) -> Result<(), Reason> {
        if let Some(closed) = placement.closed {
            self.flush()?;
            self.volume.close_segment(closed);
        }
        let segment = match (placement.opened, segment) {
            (None, Some(segment)) => segment,
            (None, None) => return Ok(()),
            (Some(slot), _) => {
                self.flush()?;
                self.wait_for_readers();
                self.volume.open_segment(slot)?
            }
        };
        let offset = placement.place.offset;
        let counters = &self.volume.counters;
        let (what, frequency, parts, len) = match word {
            Word::Data { kind, frequency, parts, len } => {
                count(&counters.records_written);
                add(&counters.bytes_written, u64::from(placement.place.len));
                (What::Data(kind), frequency, parts, len)
            }
            Word::Tombstone => {
                add(&counters.bytes_overhead, HEADER_BYTES as u64);
                (What::Tombstone, 0, Vec::new(), 0)
            }
        };
        let mut checksum = Checksum::new();
        parts.iter().for_each(|part| checksum.add(part));
        let sequence = self.volume.next_sequence();
        let checksum = checksum.finish();
        let header = Header { what, id, sequence, len, frequency, checksum };
        let header = header.encode(self.volume.spot(&segment, offset));
        if older || what == What::Tombstone {
            let mut marks = self.volume.marks();
            marks.set(id, segment.number);
            if marks.are_many() {
                self.volume.poke();
            }
        }
        let at = self.stages.iter().position(|stage| stage.is_for(&segment));
        let at = at.unwrap_or_else(|| {
            self.stages.push(Stage::default());
            self.stages.len() - 1
        });
        self.stages[at].add(&self.volume, &segment, offset, header, parts, placement.place.len)
    }

    /// Writes what is staged.
    fn flush(&mut self) -> Result<(), Reason> {
        for mut stage in self.stages.drain(..) {
            stage.flush(&self.volume)?;
        }
        Ok(())
    }

    /// Ends a reclaim, the one under way or a new one.
    fn make_room(&mut self) -> Result<(), Reason> {
        self.flush()?;
        if self.copying.is_none() {
            self.copying = Copying::begin(&self.volume)?;
        }
        self.copy(u64::MAX)
    }

    /// Copies some more survivors; when none is left, removes their former segment.
    fn copy(&mut self, bytes: u64) -> Result<(), Reason> {
        let Some(copying) = &mut self.copying else { return Ok(()) };
        if !copying.go_on(&self.volume, bytes)? {
            return Ok(());
        }
        let Some(copying) = self.copying.take() else { return Ok(()) };
        self.replace_lost(&copying.end(&self.volume))?;
        copying.retire(&self.volume);
        Ok(())
    }

    /// The last words on these ids go with their segments: without them older ones might be
    /// believed.
    pub(crate) fn replace_lost(&mut self, lost: &[Id]) -> Result<(), Reason> {
        for id in lost {
            self.write(*id, Word::Tombstone, &|index| index.log.peek(id).is_none())?;
        }
        self.flush()
    }

    /// A removed segment takes room until nobody reads it any more: no new one before.
    fn wait_for_readers(&self) {
        let volume = &self.volume;
        while volume.is_cared_for()
            && !volume.has_space()
            && !volume.has_failed()
            && !volume.queue.is_closed()
        {
            volume.poke();
            std::thread::sleep(READERS_PAUSE);
        }
    }
}

fn segment_of(index: &Index, placement: Placement) -> Option<Arc<Segment>> {
    index.segments.get(usize::from(placement.place.segment))?.clone()
}
