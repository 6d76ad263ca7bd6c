//! Reading a segment from header to header.

use std::io;

use super::device::{self, Device};
use super::meta::Meta;
use super::record::{HEADER_BYTES, Header, Spot};
use super::segment::Segment;

/// Read at once where records are short, and where they are long.
const WINDOW_BYTES: usize = 256 << 10;
const GLANCE_BYTES: usize = 4 << 10;
/// From here on, records are long.
const LONG_BYTES: u64 = 64 << 10;

/// Visits the records from `from` on, in order, until there is none; where that is.
pub(crate) fn scan(
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
