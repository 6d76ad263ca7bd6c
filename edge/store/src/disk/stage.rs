//! Records on their way into one segment: gathered, then written by few calls.

use std::sync::Arc;

use bytes::Bytes;

use super::device;
use super::error::Reason;
use super::record::HEADER_BYTES;
use super::segment::Segment;
use super::volume::Volume;

/// Written at once when there is so much.
const FULL_BYTES: u32 = 4 << 20;

/// What is to be written at one place of one segment.
#[derive(Default)]
pub(crate) struct Stage {
    segment: Option<Arc<Segment>>,
    start: u32,
    end: u32,
    /// Each header with its payload's parts.
    records: Vec<([u8; HEADER_BYTES], Vec<Bytes>)>,
}

impl Stage {
    /// Adds a record for `offset` of `segment`, which takes `room` there, its unused end included.
    /// What doesn't adjoin it is written before. After unused room, flush.
    pub(crate) fn add(
        &mut self,
        volume: &Volume,
        segment: &Arc<Segment>,
        offset: u32,
        header: [u8; HEADER_BYTES],
        parts: Vec<Bytes>,
        room: u32,
    ) -> Result<(), Reason> {
        if !self.is_for(segment) || self.end != offset || self.end - self.start >= FULL_BYTES {
            self.flush(volume)?;
            self.segment = Some(Arc::clone(segment));
            (self.start, self.end) = (offset, offset);
        }
        self.end = offset + room;
        self.records.push((header, parts));
        Ok(())
    }

    /// Whether it holds records for this segment.
    pub(crate) fn is_for(&self, segment: &Segment) -> bool {
        self.segment.as_ref().is_some_and(|it| it.number == segment.number)
    }

    /// Writes what was added. Then, and only then, it can be read.
    pub(crate) fn flush(&mut self, volume: &Volume) -> Result<(), Reason> {
        let Some(segment) = self.segment.take() else { return Ok(()) };
        let mut parts: Vec<&[u8]> = Vec::with_capacity(self.records.len() * 2);
        for (header, payload) in &self.records {
            parts.push(header);
            parts.extend(payload.iter().map(|part| &part[..]));
        }
        device::write_all(&*volume.device, &segment.file, &parts, Segment::at(self.start))
            .map_err(Reason::io("write to", &segment.path))?;
        segment.commit(self.end);
        self.records.clear();
        Ok(())
    }
}
