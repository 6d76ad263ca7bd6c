//! A segment on its way out: what survives is copied, little by little.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::counters::{add, count};
use super::error::Reason;
use super::record::{HEADER_BYTES, Header, What};
use super::segment::Segment;
use super::stage::Stage;
use super::volume::Volume;
use crate::Id;
use crate::policy::log::Survivor;

/// A reclaim under way.
pub(crate) struct Copying {
    victim: u16,
    segment: Arc<Segment>,
    left: VecDeque<Survivor>,
    /// Gets no more survivors once these are copied.
    closed: Option<u16>,
    stage: Stage,
    /// In the stage, not written yet.
    staged: Vec<Survivor>,
}

impl Copying {
    /// Chooses a victim. None where there is none.
    pub(crate) fn begin(volume: &Volume) -> Result<Option<Self>, Reason> {
        let mut index = volume.index();
        let Some(reclaim) = index.log.reclaim() else { return Ok(None) };
        let victim = reclaim.victim;
        let segment = index.segments.get(usize::from(victim)).cloned().flatten();
        index.leaving += usize::from(segment.is_some());
        drop(index);
        if let Some(slot) = reclaim.opened {
            volume.open_segment(slot)?;
        }
        let Some(segment) = segment else {
            // A segment that the log has and nobody wrote: nothing can be in it.
            volume.index().log.reclaimed(victim);
            return Ok(None);
        };
        let (stage, staged) = (Stage::default(), Vec::new());
        Ok(Some(Self {
            victim,
            segment,
            left: reclaim.survivors.into(),
            closed: reclaim.closed,
            stage,
            staged,
        }))
    }

    /// Copies about `bytes`. True when nothing is left.
    pub(crate) fn go_on(&mut self, volume: &Volume, bytes: u64) -> Result<bool, Reason> {
        let mut copied = 0;
        while copied < bytes
            && !volume.has_failed()
            && let Some(survivor) = self.left.pop_front()
        {
            copied += u64::from(survivor.to.len);
            self.copy(volume, survivor)?;
        }
        self.stage.flush(volume)?;
        let mut index = volume.index();
        for survivor in self.staged.drain(..) {
            index.log.moved(&survivor.id, survivor.to);
        }
        Ok(self.left.is_empty())
    }

    fn copy(&mut self, volume: &Volume, survivor: Survivor) -> Result<(), Reason> {
        let Survivor { id, from, to } = survivor;
        let target = {
            let index = volume.index();
            index.segments.get(usize::from(to.segment)).cloned().flatten()
        };
        let Some(target) = target else { return Ok(()) };
        let spot = volume.spot(&target, to.offset);
        let mut buffer = Vec::new();
        let wanted = volume.index().log.peek(&id) == Some(from);
        let good = wanted && volume.read_record(id, from, &self.segment, &mut buffer).is_some();
        let old = Header::decode(&buffer, volume.spot(&self.segment, from.offset));
        let sequence = volume.next_sequence();
        if let (true, Some(old)) = (good, old) {
            add(&volume.counters.bytes_rewritten, u64::from(to.len));
            let header = Header { sequence, ..old }.encode(spot);
            let payload = Bytes::from(buffer).slice(HEADER_BYTES..);
            self.stage.add(volume, &target, to.offset, header, vec![payload], to.len)?;
            self.staged.push(survivor);
        } else {
            // The room is taken: those that read from header to header must come across it.
            let len = to.len - HEADER_BYTES as u32;
            let what = What::Filler;
            let header = Header { what, id: Id([0; 16]), sequence, len, frequency: 0, checksum: 0 };
            self.stage.add(volume, &target, to.offset, header.encode(spot), Vec::new(), to.len)?;
            self.stage.flush(volume)?;
        }
        Ok(())
    }

    /// Frees the segment. Gives the ids of which it held the last word that a start has to know,
    /// if that word is lost with it.
    pub(crate) fn end(&self, volume: &Volume) -> Vec<Id> {
        if let Some(closed) = self.closed {
            volume.close_segment(closed);
        }
        let mut lost = Vec::new();
        let mut index = volume.index();
        let mut marks = volume.marks();
        let snapshots = marks.snapshots;
        index.log.reclaimed(self.victim);
        for (id, word) in &mut marks.words {
            if word.0 != self.segment.number {
                continue;
            }
            let place = index.log.peek(id);
            let now = place.and_then(|it| index.segments.get(usize::from(it.segment))?.as_ref());
            match now {
                Some(segment) => *word = (segment.number, snapshots),
                None => lost.push(*id),
            }
        }
        if let Some(segment) = index.segments.get_mut(usize::from(self.victim)) {
            *segment = None;
        }
        lost
    }

    /// Hands the segment's file over to be removed.
    pub(crate) fn retire(self, volume: &Volume) {
        count(&volume.counters.segments_reclaimed);
        volume.index().doomed.push(self.segment);
        volume.poke();
    }
}
