//! The thread that looks after an open disk: syncs what was written, removes what was reclaimed,
//! takes snapshots, scrubs.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kingcdn_config::clock::Stopwatch;

use super::error::Reason;
use super::lock::{self, Lock};
use super::scrub::Scrub;
use super::snapshot_file;
use super::volume::Volume;

/// What was written is on the device after about this long.
const PERIOD: Duration = Duration::from_secs(1);
/// A snapshot is taken when so much of the capacity was written since the last one…
const TAIL_SHARE: u64 = 32;
/// …and so many times what it takes itself; a start reads that much.
const TAIL_TIMES: u64 = 4;
/// Without much to write, one is taken now and then, for what was asked for.
const SNAPSHOT_PERIOD: Duration = Duration::from_secs(600);
/// Bytes of a record in a snapshot.
const ENTRY_BYTES: u64 = 32;

/// Looks after a volume until it is told to stop, or the volume fails.
pub(crate) struct Caretaker {
    volume: Arc<Volume>,
    scrub: Scrub,
    /// Since the last snapshot.
    since: Stopwatch,
    /// Bytes that had been written by then. None before the first one.
    written: Option<u64>,
}

impl Caretaker {
    pub(crate) fn new(volume: Arc<Volume>, scrub_bytes_per_second: u64) -> Self {
        let scrub = Scrub::new(scrub_bytes_per_second);
        Self { volume, scrub, since: Stopwatch::start(), written: None }
    }

    /// Goes on until [`Volume::stop_caretaker`] or [`Volume::fail`].
    pub(crate) fn run(&mut self, lock: &Lock) {
        self.volume.care();
        let mut pass = Stopwatch::start();
        loop {
            if let Err(reason) = self.pass(lock, pass.elapsed()) {
                return self.volume.fail(reason);
            }
            pass = Stopwatch::start();
            if !self.volume.pause(PERIOD) {
                return;
            }
        }
    }

    fn pass(&mut self, lock: &Lock, elapsed: Duration) -> Result<(), Reason> {
        let volume = &*self.volume;
        match volume.device.present(&volume.folder.join(lock::NAME), lock.file()) {
            Ok(true) => {}
            Ok(false) => return Err(Reason::Gone(volume.folder.clone())),
            Err(error) => return Err(Reason::io("find", &volume.folder)(error)),
        }
        settle(volume)?;
        if self.snapshot_is_due() {
            self.snapshot()?;
        }
        self.scrub.go_on(&self.volume, elapsed);
        Ok(())
    }

    fn snapshot_is_due(&self) -> bool {
        let (written, takes, capacity) = {
            let index = self.volume.index();
            let stats = index.log.stats();
            let takes = index.log.len() as u64 * ENTRY_BYTES;
            let capacity = index.log.shape().capacity_bytes;
            (stats.appended_bytes + stats.reinserted_bytes, takes, capacity)
        };
        let Some(last) = self.written else { return true };
        written - last >= (capacity / TAIL_SHARE).max(takes * TAIL_TIMES)
            || self.since.elapsed() >= SNAPSHOT_PERIOD
            || self.volume.marks().are_many()
    }

    fn snapshot(&mut self) -> Result<(), Reason> {
        let stats = self.volume.index().log.stats();
        snapshot_file::write(&self.volume)?;
        self.written = Some(stats.appended_bytes + stats.reinserted_bytes);
        self.since = Stopwatch::start();
        Ok(())
    }
}

/// Brings to the device what was written, then removes what was reclaimed.
pub(crate) fn settle(volume: &Volume) -> Result<(), Reason> {
    // In this order: what survived of the doomed was written before they were doomed.
    let doomed = std::mem::take(&mut volume.index().doomed);
    let segments: Vec<_> = volume.index().segments.iter().flatten().cloned().collect();
    for segment in segments {
        if segment.dirty.swap(false, Ordering::AcqRel) {
            let synced = volume.device.sync(&segment.file);
            synced.map_err(Reason::io("sync", &segment.path))?;
        }
    }
    for segment in doomed {
        let gone = volume.device.unlink(&segment.path);
        gone.map_err(Reason::io("remove", &segment.path))?;
        volume.index().leaving -= 1;
    }
    Ok(())
}
