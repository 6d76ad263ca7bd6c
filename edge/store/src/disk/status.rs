//! What a disk says of itself.

use std::path::PathBuf;

use super::counters::Counts;

/// Whether a disk is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is being read for the first time.
    Starting,
    /// It is used.
    Ready,
    /// It isn't used, and tried again now and then.
    Out,
    /// It was closed.
    Closed,
}

impl State {
    /// Its name, for a metric.
    pub fn label(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Out => "out",
            Self::Closed => "closed",
        }
    }
}

/// A disk as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DiskStatus {
    /// Its folder.
    pub path: PathBuf,
    /// Whether it is used.
    pub state: State,
    /// Why it is out: a label and a sentence.
    pub reason: Option<(&'static str, String)>,
    /// Bytes it may take.
    pub size_bytes: u64,
    /// Bytes it takes: segments as they are allocated, those that somebody still reads, snapshots.
    pub used_bytes: u64,
    /// Bytes of records that can be found.
    pub live_bytes: u64,
    /// Records that can be found.
    pub records: u64,
    /// Bytes that wait to be written.
    pub queued_bytes: u64,
    /// What it counted.
    pub counts: Counts,
}

impl DiskStatus {
    /// Bytes written for each byte of new records; 1 before any.
    pub fn write_amplification(&self) -> f64 {
        let counts = &self.counts;
        let all = counts.bytes_written + counts.bytes_rewritten + counts.bytes_overhead;
        if counts.bytes_written == 0 { 1.0 } else { all as f64 / counts.bytes_written as f64 }
    }
}
