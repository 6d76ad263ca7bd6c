//! What a disk counts.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counts of a disk, since the process started.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: AtomicU64,)*
        }

        /// Counts of a disk, since the process started.
        #[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Counts {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Counters {
            pub(crate) fn read(&self) -> Counts {
                Counts { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counters! {
    /// Look-ups that found a record.
    hits,
    /// Look-ups that found none.
    misses,
    /// Hits that had to wait for the device.
    cold_reads,
    /// Cold hits that were answered as absent, because too many waited already.
    reads_shed,
    /// Records written for callers.
    records_written,
    /// Bytes written for callers, headers included.
    bytes_written,
    /// Bytes of records that were kept when their segment was reclaimed, and written again.
    bytes_rewritten,
    /// Bytes of snapshots, tombstones and segments' headers.
    bytes_overhead,
    /// Records not stored because the queue was full.
    shed_busy,
    /// Records not stored because the index had no room for one more.
    shed_index,
    /// Records not stored because the disk was out.
    shed_out,
    /// Records that weren't what they should be; dropped, never served.
    bad_records,
    /// Segments that a start found damaged as a whole, and removed.
    bad_segments,
    /// Reads that failed.
    read_errors,
    /// Times that the disk was taken out.
    outages,
    /// Segments reclaimed.
    segments_reclaimed,
    /// Bytes that the scrub has verified.
    bytes_scrubbed,
    /// Snapshots of the index written.
    snapshots,
    /// Snapshots that couldn't be read at a start, in whole or in part.
    bad_snapshots,
}

/// One more.
pub(crate) fn count(counter: &AtomicU64) {
    add(counter, 1);
}

/// So many more.
pub(crate) fn add(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}
