//! The segments of a log: which are free, open, closed, and what is worth keeping in each.

use super::index::Slot;
use super::worth::{Histogram, ONE, Threshold};
use super::{Place, Placement, Shape};

/// What a segment is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Nothing: it may be opened.
    Free,
    /// Records are appended to it.
    Open,
    /// It gets no more records.
    Closed,
    /// Its survivors are on their way out.
    Reclaimed,
}

/// How long records of an open segment are expected to stay. What goes at the same time leaves
/// little behind to be written again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stay {
    /// New, asked for about once.
    Short,
    /// New, asked for a few times.
    Longer,
    /// New, asked for often.
    Long,
    /// Survivors of reclaims. Apart from what is new: mixed with it, they would be written again
    /// and again.
    Survivor,
}

impl Stay {
    const ALL: usize = 4;

    /// Of a new record that is worth so much more than the threshold.
    pub(super) fn of_new(units: u32) -> Self {
        match units {
            _ if units <= ONE => Self::Short,
            _ if units <= ONE * 5 / 2 => Self::Longer,
            _ => Self::Long,
        }
    }
}

#[derive(Debug)]
pub(super) struct Segments {
    shape: Shape,
    segments: Vec<Segment>,
    /// The next one last.
    free: Vec<u16>,
    open: [Option<u16>; Stay::ALL],
    /// Bytes on disk: closed segments up to their end, open ones as a whole.
    occupied_bytes: u64,
    /// How many were closed so far.
    closings: u64,
}

#[derive(Debug)]
pub(super) struct Segment {
    pub(super) used: Use,
    /// Bytes appended.
    pub(super) end: u32,
    /// When it was closed: the oldest first.
    pub(super) closed: u64,
    /// What was appended, in order; some are dead by now, their slots perhaps another record's.
    pub(super) slots: Vec<u32>,
    /// Bytes of live records.
    pub(super) live: u64,
    pub(super) worth: Histogram<u32>,
}

impl Segments {
    pub(super) fn new(shape: Shape) -> Self {
        Self {
            shape,
            segments: (0..shape.segments).map(|_| Segment::new()).collect(),
            free: (0..shape.segments).rev().collect(),
            open: [None; Stay::ALL],
            occupied_bytes: 0,
            closings: 0,
        }
    }

    pub(super) fn shape(&self) -> Shape {
        self.shape
    }

    pub(super) fn occupied_bytes(&self) -> u64 {
        self.occupied_bytes
    }

    pub(super) fn get(&self, segment: u16) -> Option<&Segment> {
        self.segments.get(usize::from(segment))
    }

    pub(super) fn get_mut(&mut self, segment: u16) -> Option<&mut Segment> {
        self.segments.get_mut(usize::from(segment))
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (u16, &Segment)> {
        (0u16..).zip(&self.segments)
    }

    /// Segments that may be opened before the capacity is reached.
    pub(super) fn free_count(&self) -> usize {
        let left = self.shape.capacity_bytes.saturating_sub(self.occupied_bytes);
        let fit = left / u64::from(self.shape.segment_bytes);
        usize::try_from(fit).unwrap_or(usize::MAX).min(self.free.len())
    }

    /// The threshold has risen to `bin`.
    pub(super) fn risen(&mut self, bin: u32) {
        for segment in &mut self.segments {
            segment.worth.risen(bin);
        }
    }

    /// The closed segment with the least worth keeping, the oldest of several.
    pub(super) fn least(&self) -> Option<u16> {
        let closed = self.all().filter(|(_, it)| it.used == Use::Closed);
        closed.min_by_key(|(_, it)| (it.worth.kept(), it.closed)).map(|(number, _)| number)
    }

    /// Makes room for `len` bytes in an open segment, where one has it or may be opened.
    pub(super) fn room(&mut self, stay: Stay, len: u32) -> Option<Placement> {
        let open = self.open[stay as usize];
        if let Some(segment) = open.filter(|open| self.fits(*open, len)) {
            return self.place(segment, len, None, None);
        }
        // The last free one is for survivors: without it nothing could be reclaimed.
        if self.free_count() <= usize::from(stay != Stay::Survivor) {
            return None;
        }
        let opened = self.free.pop()?;
        if let Some(closed) = open {
            self.close(closed);
        }
        let segment = self.get_mut(opened)?;
        segment.used = Use::Open;
        segment.worth.allocate();
        self.occupied_bytes += u64::from(self.shape.segment_bytes);
        self.open[stay as usize] = Some(opened);
        self.place(opened, len, Some(opened), open)
    }

    fn fits(&self, segment: u16, len: u32) -> bool {
        self.get(segment).is_some_and(|it| self.shape.segment_bytes - it.end >= len)
    }

    fn place(
        &mut self,
        segment: u16,
        len: u32,
        opened: Option<u16>,
        closed: Option<u16>,
    ) -> Option<Placement> {
        let of = self.get_mut(segment)?;
        let place = Place { segment, offset: of.end, len };
        of.end += len;
        Some(Placement { place, opened, closed })
    }

    fn close(&mut self, segment: u16) {
        self.closings += 1;
        let (closings, whole) = (self.closings, self.shape.segment_bytes);
        let Some(of) = self.segments.get_mut(usize::from(segment)) else { return };
        of.used = Use::Closed;
        of.closed = closings;
        of.slots.shrink_to_fit();
        self.occupied_bytes -= u64::from(whole - of.end);
    }

    /// Takes a free segment that was found on disk, `end` bytes long, as a closed one.
    pub(super) fn found(&mut self, segment: u16, end: u32) -> Option<()> {
        let at = self.free.iter().position(|free| *free == segment)?;
        self.free.remove(at);
        self.occupied_bytes += u64::from(self.shape.segment_bytes);
        let of = self.get_mut(segment)?;
        of.end = end;
        of.worth.allocate();
        self.close(segment);
        Some(())
    }

    pub(super) fn set_free(&mut self, segment: u16) {
        let Some(of) = self.segments.get_mut(usize::from(segment)) else { return };
        self.occupied_bytes -= u64::from(of.end);
        *of = Segment::new();
        self.free.insert(0, segment);
    }

    /// Memory that this takes.
    pub(super) fn bytes(&self) -> usize {
        let of = |it: &Segment| it.slots.capacity() * size_of::<u32>() + it.worth.bytes();
        let each: usize = self.segments.iter().map(of).sum();
        each + self.segments.capacity() * size_of::<Segment>()
    }
}

impl Segment {
    fn new() -> Self {
        let worth = Histogram::unallocated();
        Self { used: Use::Free, end: 0, closed: 0, slots: Vec::new(), live: 0, worth }
    }

    pub(super) fn add(&mut self, threshold: Threshold, slot: Slot, value: u32, len: u32) {
        self.slots.push(slot.0);
        self.live += u64::from(len);
        self.worth.add(threshold, value, len);
    }

    pub(super) fn take(&mut self, threshold: Threshold, value: u32, len: u32) {
        self.live -= u64::from(len);
        self.worth.take(threshold, value, len);
    }
}
