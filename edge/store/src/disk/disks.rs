//! All disks of an edge.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use twox_hash::XxHash3_64;

use super::Kind;
use super::device::{Device, System};
use super::disk::Disk;
use super::error::Shed;
use super::reader::{Found, Wanted};
use super::status::DiskStatus;
use crate::Id;
use crate::policy::{Eviction, Ledger};

/// A start waits for its disks at most this long; who is later joins in later.
const START_PATIENCE: Duration = Duration::from_secs(2);

/// A folder, and how much may be in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskOptions {
    /// The folder. It is created if the one above it exists. No other process may use it.
    pub path: PathBuf,
    /// Bytes that it may take.
    pub size_bytes: u64,
    /// Used only while something is mounted here.
    pub mount: Option<PathBuf>,
}

/// Called by a disk's own thread each time its folder was locked, before anything in it is read,
/// with true; and before it is unlocked, with false: for what else its owner keeps in there.
#[derive(Clone)]
pub struct Beside(pub Arc<Tell>);

type Tell = dyn Fn(&Path, bool) + Send + Sync;

impl fmt::Debug for Beside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Beside")
    }
}

/// What all disks have in common.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What goes when a disk is full.
    pub eviction: Eviction,
    /// What the tiers know together.
    pub ledger: Arc<Ledger>,
    /// Bytes that may wait to be written, for each disk.
    pub queue_bytes: usize,
    /// Threads that read, for each disk.
    pub readers: usize,
    /// Records that a disk may hold; each takes about 45 bytes of memory.
    pub records_max: usize,
    /// What the scrub reads of each disk.
    pub scrub_bytes_per_second: u64,
    /// How long after a failure a disk is tried again at first.
    pub retry_first: Duration,
    /// How long it takes in the end.
    pub retry_most: Duration,
    /// Who else has something in the disks' folders.
    pub beside: Option<Beside>,
}

impl Settings {
    /// The usual ones.
    pub fn new(eviction: Eviction, ledger: Arc<Ledger>) -> Self {
        Self {
            eviction,
            ledger,
            queue_bytes: 32 << 20,
            readers: 8,
            records_max: 16 << 20,
            scrub_bytes_per_second: 8 << 20,
            retry_first: Duration::from_secs(1),
            retry_most: Duration::from_secs(60),
            beside: None,
        }
    }
}

/// All disks of an edge. Each id belongs to one of them; when that one is out, its records are
/// absent, and all else goes on.
pub struct Disks {
    disks: Vec<Seat>,
    keepers: Mutex<Vec<JoinHandle<()>>>,
}

/// A disk, and what decides which ids are its own.
struct Seat {
    disk: Arc<Disk>,
    key: u64,
    weight: f64,
}

impl Disks {
    /// Opens the disks. One that can't be used is out, with a reason, and tried again; that is no
    /// error. Waits up to two seconds for them to be read.
    pub fn open(options: Vec<DiskOptions>, settings: &Settings) -> Self {
        Self::open_on(options, settings, Arc::new(System))
    }

    pub(crate) fn open_on(
        options: Vec<DiskOptions>,
        settings: &Settings,
        device: Arc<dyn Device>,
    ) -> Self {
        let mut disks = Vec::new();
        let mut keepers = Vec::new();
        for options in options {
            let key = XxHash3_64::oneshot(options.path.as_os_str().as_encoded_bytes());
            let weight = options.size_bytes as f64;
            let (disk, keeper) = Disk::start(options, settings.clone(), Arc::clone(&device));
            disks.push(Seat { disk, key, weight });
            keepers.extend(keeper);
        }
        for seat in &disks {
            seat.disk.wait_started(START_PATIENCE / u32::try_from(disks.len()).unwrap_or(1));
        }
        Self { disks, keepers: Mutex::new(keepers) }
    }

    /// The disk that this id belongs to: by weighted rendezvous, so that another disk more or less
    /// moves only its own share.
    fn disk(&self, id: &Id) -> Option<&Disk> {
        let score = |seat: &Seat| {
            let hash = XxHash3_64::oneshot_with_seed(seat.key, &id.0);
            // Evenly in (0, 1), by 52 bits.
            let even = ((hash >> 12) as f64 + 0.5) / (1_u64 << 52) as f64;
            seat.weight / -even.ln()
        };
        if let [only] = &self.disks[..] {
            return Some(&only.disk);
        }
        let best = self.disks.iter().max_by(|one, two| score(one).total_cmp(&score(two)));
        best.map(|seat| &*seat.disk)
    }

    /// The record of `id`; counts as a request for it. Doesn't wait for a device. A large record's
    /// bytes may be a view of a file: send them, don't read them, since a device that fails then
    /// ends the process.
    pub fn get(&self, id: &Id) -> Found {
        self.disk(id).map_or(Found::Absent, |disk| disk.get(id, Wanted::View))
    }

    /// The same, with the bytes copied into memory, to be read by us.
    pub fn get_copied(&self, id: &Id) -> Found {
        self.disk(id).map_or(Found::Absent, |disk| disk.get(id, Wanted::Copy))
    }

    /// Whether there is a record of `id`, or one waits to be written. Counts as nothing.
    pub fn contains(&self, id: &Id) -> bool {
        self.disk(id).is_some_and(|disk| disk.contains(id))
    }

    /// Stores a record, soon; then it is found, in place of an older one of the same id. It was
    /// asked for `frequency` times so far. `parts` are its bytes, one after another.
    ///
    /// # Errors
    /// Why it isn't stored. Then an older one of the same id isn't found any more either.
    pub fn put(&self, id: Id, kind: Kind, frequency: u8, parts: Vec<Bytes>) -> Result<(), Shed> {
        let disk = self.disk(&id).ok_or(Shed::NoDisk)?;
        disk.put(id, kind, frequency, parts)
    }

    /// Forgets the record of `id`: at once, and beyond a restart.
    pub fn remove(&self, id: &Id) {
        if let Some(disk) = self.disk(id) {
            disk.remove(id);
        }
    }

    /// How the disks are.
    pub fn status(&self) -> Vec<DiskStatus> {
        self.disks.iter().map(|seat| seat.disk.status()).collect()
    }

    /// Memory that the disks' indexes take.
    pub fn index_bytes(&self) -> usize {
        self.disks.iter().map(|seat| seat.disk.index_bytes()).sum()
    }

    /// Tries disks that are out again now: somebody did something about them.
    pub fn retry(&self) {
        self.disks.iter().for_each(|seat| seat.disk.retry());
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.disks.is_empty()
    }

    /// Waits until what was put before is written. Blocks.
    pub fn flush(&self) {
        self.disks.iter().for_each(|seat| seat.disk.flush());
    }

    /// Writes what waits, takes snapshots, closes the disks. Blocks. From then on nothing is found
    /// and nothing is stored.
    pub fn shutdown(&self) {
        self.disks.iter().for_each(|seat| seat.disk.close());
        let keepers = {
            let mut keepers = self.keepers.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *keepers)
        };
        for keeper in keepers {
            let _ = keeper.join();
        }
    }
}

impl Drop for Disks {
    fn drop(&mut self) {
        self.shutdown();
    }
}
