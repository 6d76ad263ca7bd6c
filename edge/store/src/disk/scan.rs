//! Reading a segment from header to header.

use std::io;

use super::device::{self, Device};
use super::meta::Meta;
use super::record::{Checksum, HEADER_BYTES, Header, Spot, What};
use super::segment::Segment;

/// Read at once where records are short, and where they are long.
const WINDOW_BYTES: usize = 256 << 10;
const GLANCE_BYTES: usize = 4 << 10;
/// Asked for ahead where records are short.
const AHEAD_BYTES: usize = 1 << 20;
/// From here on, records are long.
const LONG_BYTES: u64 = 64 << 10;

/// Visits the records from `from` on, in order, until there is none; where that is. The last one
/// may have been cut short by the end of the process, so that one is read in full; if it isn't
/// right, it isn't one.
pub(crate) fn scan(
    device: &dyn Device,
    segment: &Segment,
    meta: Meta,
    from: u32,
    mut visit: impl FnMut(u32, &Header),
) -> io::Result<u32> {
    let mut last = None;
    let end = headers(device, segment, meta, from, |offset, header| {
        if let Some((offset, header)) = last.replace((offset, *header)) {
            visit(offset, &header);
        }
    })?;
    let Some((offset, header)) = last else { return Ok(end) };
    if !is_whole(device, segment, offset, &header)? {
        return Ok(offset);
    }
    visit(offset, &header);
    Ok(end)
}

fn is_whole(
    device: &dyn Device,
    segment: &Segment,
    offset: u32,
    header: &Header,
) -> io::Result<bool> {
    if header.what == What::Filler {
        return Ok(true);
    }
    let mut payload = vec![0; header.len as usize];
    let at = Segment::at(offset) + HEADER_BYTES as u64;
    device::read_exact(device, &segment.file, &mut payload, at)?;
    Ok(Checksum::of(&payload) == header.checksum)
}

fn headers(
    device: &dyn Device,
    segment: &Segment,
    meta: Meta,
    from: u32,
    mut visit: impl FnMut(u32, &Header),
) -> io::Result<u32> {
    let mut offset = from;
    // What of the file is in the window.
    let mut window = vec![0; WINDOW_BYTES];
    let (mut start, mut len) = (0_u32, 0_usize);
    let mut last = 0;
    loop {
        let left = meta.segment_bytes.saturating_sub(offset) as usize;
        if left < HEADER_BYTES {
            return Ok(offset);
        }
        let mut at = (offset - start) as usize;
        if at + HEADER_BYTES > len {
            len = left.min(if last < LONG_BYTES { WINDOW_BYTES } else { GLANCE_BYTES });
            device::read_exact(device, &segment.file, &mut window[..len], Segment::at(offset))?;
            (start, at) = (offset, 0);
            if last > 0 && last < LONG_BYTES && left > len {
                // Segments are read at random otherwise, so nothing does this for us.
                let ahead = (left - len).min(AHEAD_BYTES);
                device::expect(&segment.file, Segment::at(offset) + len as u64, ahead as u64);
            }
        }
        let spot = Spot { seed: meta.seed, segment: segment.number, offset };
        let Some(header) = Header::decode(&window[at..at + HEADER_BYTES], spot) else {
            return Ok(offset);
        };
        last = header.stored_bytes();
        if last > left as u64 {
            return Ok(offset);
        }
        visit(offset, &header);
        offset += u32::try_from(last).unwrap_or(u32::MAX);
    }
}
