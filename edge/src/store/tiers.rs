//! The tiers: memory, and the disks below it.
//!
//! Whoever changes something takes a turn; so a record that leaves memory for a disk can't meet
//! one that is removed from both. Whoever only looks waits for nobody.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use kingcdn_config::clock::Stopwatch;
use kingcdn_config::{Disk, Eviction};
use kingcdn_store::Id;
use kingcdn_store::disk::{Beside, DiskOptions, Disks, Found, Kind, Settings, Shed};
use kingcdn_store::policy::{self, FirstStop, Leave, Ledger, Memory, Victim};

use super::unsaved::Unsaved;
use super::{Entry, Variants, serial};
use crate::hash::Seeded;

/// A slice on disk.
const SLICE: Kind = Kind(1);
/// All variants of an object on disk.
const OBJECT: Kind = Kind(2);

/// Memory that the index of a disk takes for a record.
const INDEX_RECORD_BYTES: u64 = 45;
/// The part of the store's memory that may wait to be written.
const QUEUE_PART: u64 = 4;
/// The part of it that the indexes of all disks may take: what they don't need is for content. A
/// small object in memory keeps hundreds of others from being known on disk.
const INDEX_PART: u64 = 4;

/// What is refreshed all the time mustn't wear a disk out.
const SAVE_BYTES: u64 = 4 << 20;

/// Counts of changes are kept by a part of the id: two that share one disturb each other no more
/// than by a second look.
const CHANGES: usize = 1024;

pub(super) struct Tiers {
    memory: moka::sync::Cache<Id, Entry, Seeded>,
    policy: Memory,
    ledger: Arc<Ledger>,
    disks: Disks,
    turn: Mutex<Unsaved>,
    changes: Box<[AtomicU64]>,
    slices: AtomicU64,
    /// Bytes that may be written in a second because their terms have changed.
    save_bytes: u64,
}

/// The right to change something.
pub(super) struct Turn<'a> {
    tiers: &'a Tiers,
    unsaved: MutexGuard<'a, Unsaved>,
    /// Whether anything has left memory.
    evicted: bool,
}

/// How often an id was changed, or others with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Changes(u64);

impl Tiers {
    pub(super) fn new(
        capacity_bytes: u64,
        eviction: Eviction,
        disks: &[Disk],
        beside: Beside,
    ) -> Self {
        let eviction = match eviction {
            Eviction::Lfu => policy::Eviction::Lfu,
            Eviction::Lru => policy::Eviction::Lru,
        };
        let disk_bytes = disks.iter().map(|disk| disk.size_bytes).sum();
        let ledger = Arc::new(Ledger::new(eviction, disk_bytes));
        let threads = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let policy = Memory::new(capacity_bytes, threads, eviction, Arc::clone(&ledger));
        let mut settings = Settings::new(eviction, Arc::clone(&ledger));
        settings.beside = Some(beside);
        let bounded =
            |bytes: u64, most: usize| usize::try_from(bytes).map_or(most, |it| it.min(most));
        let queue = (capacity_bytes / QUEUE_PART).max(2 << 20);
        settings.queue_bytes = bounded(queue, settings.queue_bytes);
        let indexes = capacity_bytes / INDEX_PART / disks.len().max(1) as u64;
        let records = (indexes / INDEX_RECORD_BYTES).max(1 << 16);
        settings.records_max = bounded(records, settings.records_max);
        Self {
            // Without a bound of its own: the policy says who goes.
            memory: moka::sync::Cache::builder().build_with_hasher(Seeded::new()),
            policy,
            ledger,
            disks: Disks::open(disks.iter().map(options).collect(), &settings),
            turn: Mutex::new(Unsaved::new()),
            changes: (0..CHANGES).map(|_| AtomicU64::new(0)).collect(),
            slices: AtomicU64::new(0),
            save_bytes: SAVE_BYTES.min(settings.queue_bytes as u64 / 4),
        }
    }

    // ---- looking ----

    /// What memory has; counts as a request.
    pub(super) fn get(&self, id: &Id) -> Option<Entry> {
        let entry = self.memory.get(id)?;
        self.policy.hit(id);
        Some(entry)
    }

    /// Whether memory or a disk has it; counts as nothing.
    pub(super) fn contains(&self, id: &Id) -> bool {
        self.memory.contains_key(id) || self.disks.contains(id)
    }

    /// Whether a disk has it and memory hasn't.
    pub(super) fn is_on_disk_alone(&self, id: &Id) -> bool {
        !self.disks.is_empty() && !self.memory.contains_key(id) && self.disks.contains(id)
    }

    pub(super) fn disks(&self) -> &Disks {
        &self.disks
    }

    /// What a disk has of an object, to be read by us.
    pub(super) fn record(&self, id: &Id) -> Found {
        self.disks.get_copied(id)
    }

    pub(super) fn changes(&self, id: &Id) -> Changes {
        Changes(self.counter(id).load(Ordering::SeqCst))
    }

    fn counter(&self, id: &Id) -> &AtomicU64 {
        let number = usize::from(u16::from_le_bytes([id.0[0], id.0[1]]));
        &self.changes[number % CHANGES]
    }

    /// Bytes in memory, overhead included.
    pub(super) fn held_bytes(&self) -> u64 {
        self.policy.held_bytes()
    }

    /// Objects in memory.
    pub(super) fn objects(&self) -> u64 {
        (self.policy.len() as u64).saturating_sub(self.slices())
    }

    /// Slices in memory.
    pub(super) fn slices(&self) -> u64 {
        self.slices.load(Ordering::Relaxed)
    }

    // ---- changing ----

    pub(super) fn turn(&self) -> Turn<'_> {
        let unsaved = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        Turn { tiers: self, unsaved, evicted: false }
    }

    /// Memory that the disks' index takes, and the history of what was asked for.
    pub(super) fn index_bytes(&self) -> u64 {
        (self.disks.index_bytes() + self.ledger.bytes()) as u64
    }

    /// Counts hits, evicts what is over `capacity_bytes`, at most those that it was made for, and
    /// saves what a disk has of older terms.
    pub(super) fn maintain(&self, capacity_bytes: u64) {
        let mut victims = Vec::new();
        let mut turn = self.turn();
        self.policy.hold_at_most(capacity_bytes);
        self.policy.maintain(&mut victims);
        turn.evict(&victims);
        turn.save();
        drop(turn);
        self.memory.run_pending_tasks();
    }

    /// Writes what is in memory to the disks, for as long as there is time, and closes them. Blocks.
    pub(super) fn close(&self, limit: Duration) {
        let started = Stopwatch::start();
        if !self.disks.is_empty() {
            let mut victims = Vec::new();
            let turn = self.turn();
            self.policy.clear(&mut victims);
            for victim in &victims {
                if started.elapsed() >= limit {
                    break;
                }
                if let Some(entry) = turn.take(&victim.id)
                    && self.write(victim.id, &entry, victim.frequency) == Err(Shed::Busy)
                {
                    self.disks.flush();
                    let _ = self.write(victim.id, &entry, victim.frequency);
                }
            }
        }
        self.disks.shutdown();
    }

    /// Writes an entry to its disk, unless it is there already.
    fn write(&self, id: Id, entry: &Entry, frequency: u8) -> Result<(), Shed> {
        let (kind, parts) = match entry {
            Entry::Slice(_) if self.disks.contains(&id) => return Ok(()),
            Entry::Object(variants) if variants.on_disk && self.disks.contains(&id) => {
                return Ok(());
            }
            Entry::Slice(bytes) => (SLICE, vec![bytes.clone()]),
            Entry::Object(variants) => (OBJECT, serial::encode(variants)),
        };
        let written = self.disks.put(id, kind, frequency, parts);
        if written.is_err() {
            self.ledger.note(&id, frequency);
        }
        written
    }
}

fn options(disk: &Disk) -> DiskOptions {
    let Disk { path, size_bytes, mount } = disk.clone();
    DiskOptions { path, size_bytes, mount }
}

impl Turn<'_> {
    /// What memory has; counts as nothing.
    pub(super) fn peek(&self, id: &Id) -> Option<Entry> {
        self.tiers.memory.get(id)
    }

    /// Keeps an entry in memory, in place of what is there under its id.
    pub(super) fn keep(&mut self, id: Id, entry: Entry) {
        self.bring(id, entry);
        self.changed(&id);
    }

    /// Brings into memory what a disk has, or nobody else: it changes nothing for those who read
    /// what a disk has.
    pub(super) fn bring(&mut self, id: Id, entry: Entry) {
        let tiers = self.tiers;
        let mut victims = Vec::new();
        tiers.policy.insert(&id, u64::from(entry.weight_bytes()), &mut victims);
        if matches!(entry, Entry::Slice(_)) && !tiers.memory.contains_key(&id) {
            tiers.slices.fetch_add(1, Ordering::Relaxed);
        }
        tiers.memory.insert(id, entry);
        self.evict(&victims);
    }

    /// Keeps a slice of a response of `response_bytes`, in the tier that is for it.
    pub(super) fn keep_slice(&mut self, id: Id, bytes: Bytes, response_bytes: u64) {
        let tiers = self.tiers;
        let entry = Entry::Slice(bytes);
        let weight_bytes = u64::from(entry.weight_bytes());
        match tiers.policy.first_stop(weight_bytes, response_bytes) {
            FirstStop::Memory => self.bring(id, entry),
            FirstStop::Disk => {
                if let Leave::Write { frequency } = tiers.ledger.direct(&id, weight_bytes) {
                    let _ = tiers.write(id, &entry, frequency);
                }
            }
            FirstStop::Nowhere => {}
        }
    }

    /// Writes an object to its disk now, as it may be needed there before it leaves memory.
    /// Whether it is there.
    pub(super) fn write_through(&self, id: Id, entry: &Entry) -> bool {
        let tiers = self.tiers;
        let frequency = tiers.ledger.frequency(&id).saturating_add(1);
        !tiers.disks.is_empty() && tiers.write(id, entry, frequency).is_ok()
    }

    /// Has an object written to its disk soon, where that has an older version of it.
    pub(super) fn save_soon(&mut self, id: &Id) {
        if self.tiers.disks.contains(id) && !self.unsaved.add(*id) {
            // Rather nothing than older terms, should this process be killed.
            self.forget_on_disk(id);
        }
    }

    fn save(&mut self) {
        if !self.unsaved.are_due() {
            return;
        }
        let mut left_bytes = self.tiers.save_bytes;
        while left_bytes > 0
            && let Some(id) = self.unsaved.pop()
        {
            let Some(Entry::Object(variants)) = self.peek(&id) else { continue };
            if variants.on_disk || !self.tiers.disks.contains(&id) {
                continue;
            }
            let entry = Entry::Object(variants);
            left_bytes = left_bytes.saturating_sub(u64::from(entry.weight_bytes()));
            let frequency = self.tiers.policy.frequency(&id).unwrap_or(1);
            let on_disk = self.tiers.write(id, &entry, frequency).is_ok();
            if let Entry::Object(variants) = entry {
                let variants = Variants { on_disk, ..Variants::clone(&variants) };
                self.tiers.memory.insert(id, Entry::Object(Arc::new(variants)));
            }
        }
    }

    /// Forgets an entry, in memory and on disk.
    pub(super) fn remove(&mut self, id: &Id) {
        if self.take(id).is_some() {
            self.tiers.policy.removed(id);
        }
        self.forget_on_disk(id);
    }

    /// Forgets what a disk has.
    pub(super) fn forget_on_disk(&mut self, id: &Id) {
        self.changed(id);
        if !self.tiers.disks.is_empty() {
            self.tiers.disks.remove(id);
        }
    }

    /// Whoever reads what a disk has of this id learns that it isn't so any more.
    fn changed(&self, id: &Id) {
        self.tiers.counter(id).fetch_add(1, Ordering::SeqCst);
    }

    fn evict(&mut self, victims: &[Victim]) {
        let tiers = self.tiers;
        for victim in victims {
            self.evicted = true;
            let Some(entry) = self.take(&victim.id) else { continue };
            if tiers.disks.is_empty() {
                let _nowhere_to_go = tiers.policy.leave(victim);
                continue;
            }
            let keeps = match &entry {
                Entry::Slice(_) => false,
                // A small head, without which its slices are of no use; or one that a disk has an
                // older version of.
                Entry::Object(variants) => variants.is_sliced() || tiers.disks.contains(&victim.id),
            };
            if keeps {
                let _ = tiers.write(victim.id, &entry, victim.frequency);
            } else if let Leave::Write { frequency } = tiers.policy.leave(victim) {
                let _ = tiers.write(victim.id, &entry, frequency);
            }
        }
    }

    fn take(&self, id: &Id) -> Option<Entry> {
        let entry = self.tiers.memory.remove(id);
        if let Some(Entry::Slice(_)) = entry {
            self.tiers.slices.fetch_sub(1, Ordering::Relaxed);
        }
        entry
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if self.evicted {
            // moka lets go of what was removed only when it gets to it.
            self.tiers.memory.run_pending_tasks();
        }
    }
}
