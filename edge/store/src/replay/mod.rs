//! A store without bytes: requests are replayed through the policy that an edge runs.
//!
//! What is simulated is only where bytes would be. Who stays, what is written, which segment is
//! reclaimed: all of that is [`crate::policy`] itself, driven as the edge drives it.

mod counts;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::Arc;

pub use self::counts::{Counts, Tier};
use crate::Id;
use crate::policy::log::{NoRoom, TooSmall};
use crate::policy::{Eviction, FirstStop, Leave, Ledger, Log, Memory, Shape, Victim};

/// Larger objects are kept in pieces of this length.
pub const SLICE_BYTES: u64 = 256 << 10;
/// Requests between two times that memory counts its hits.
const MAINTAINED_EVERY: u64 = 1024;

/// How large the tiers are, and what they evict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Bytes of disk; 0 without.
    pub disk_bytes: u64,
}

/// One request of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// Which object: a hash of its name.
    pub object: u64,
    /// Its bytes.
    pub bytes: u64,
}

/// A store while a trace runs through it.
#[derive(Debug)]
pub struct Replay {
    ledger: Arc<Ledger>,
    memory: Memory,
    /// What the edge's map in memory would hold.
    map: HashSet<Id>,
    log: Option<Log>,
    victims: Vec<Victim>,
    counts: Counts,
}

impl Replay {
    /// An empty store.
    ///
    /// # Errors
    /// When the disk tier is too small to be one.
    pub fn new(sizes: Sizes, eviction: Eviction) -> Result<Self, TooSmall> {
        let shape = match sizes.disk_bytes {
            0 => None,
            bytes => Some(Shape::of(bytes)?),
        };
        let disk_bytes = shape.map_or(0, |shape| shape.capacity_bytes);
        let ledger = Arc::new(Ledger::new(eviction, disk_bytes));
        Ok(Self {
            memory: Memory::new(sizes.memory_bytes, 1, eviction, Arc::clone(&ledger)),
            map: HashSet::new(),
            log: shape.map(|shape| Log::new(shape, eviction, Arc::clone(&ledger))),
            ledger,
            victims: Vec::new(),
            counts: Counts::default(),
        })
    }

    /// One request: looked up, and on a miss fetched and stored.
    pub fn request(&mut self, request: Request) {
        let slices = request.bytes.div_ceil(SLICE_BYTES).max(1);
        let mut slowest = Tier::Memory;
        for slice in 0..slices {
            let bytes = (request.bytes - slice * SLICE_BYTES).min(SLICE_BYTES);
            let tier = self.slice(&id(request.object, slice), bytes, request.bytes);
            self.counts.bytes[tier as usize] += bytes;
            slowest = slowest.max(tier);
        }
        self.counts.requests[slowest as usize] += 1;
        if self.counts.requested().is_multiple_of(MAINTAINED_EVERY) {
            let mut victims = std::mem::take(&mut self.victims);
            self.memory.maintain(&mut victims);
            self.victims = victims;
            self.let_go();
        }
    }

    /// What has happened so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = self.counts;
        if let Some(log) = &self.log {
            let stats = log.stats();
            counts.written_bytes = stats.appended_bytes;
            counts.rewritten_bytes = stats.reinserted_bytes;
            counts.disk_evictions = stats.evicted;
        }
        counts
    }

    fn slice(&mut self, id: &Id, bytes: u64, asked: u64) -> Tier {
        if self.map.contains(id) {
            self.memory.hit(id);
            return Tier::Memory;
        }
        if self.log.as_mut().and_then(|log| log.get(id)).is_some() {
            return Tier::Disk;
        }
        // An empty body has a head: nothing weighs nothing.
        let weight = bytes.max(1);
        match self.memory.first_stop(weight, asked) {
            FirstStop::Memory => {
                let mut victims = std::mem::take(&mut self.victims);
                self.memory.insert(id, weight, &mut victims);
                self.victims = victims;
                self.let_go();
                self.map.insert(*id);
            }
            FirstStop::Disk => {
                let leave = self.ledger.direct(id, weight);
                self.write(id, weight, leave);
            }
            FirstStop::Nowhere => {}
        }
        let disk = self.log.as_ref().map_or(0, Log::occupied_bytes);
        let resident = self.memory.held_bytes() + disk;
        self.counts.peak_bytes = self.counts.peak_bytes.max(resident);
        Tier::Origin
    }

    /// The victims leave memory, some of them for disk.
    fn let_go(&mut self) {
        let mut victims = std::mem::take(&mut self.victims);
        for victim in victims.drain(..) {
            self.map.remove(&victim.id);
            self.counts.memory_evictions += 1;
            let leave = self.memory.leave(&victim);
            self.write(&victim.id, victim.weight_bytes, leave);
        }
        self.victims = victims;
    }

    fn write(&mut self, id: &Id, bytes: u64, leave: Leave) {
        let (Some(log), Leave::Write { frequency }) = (&mut self.log, leave) else { return };
        let Ok(len) = u32::try_from(bytes) else { return };
        while log.append(id, len, frequency) == Err(NoRoom::Reclaim) {
            if !reclaim(log) {
                return;
            }
        }
        while log.wants_reclaim() && reclaim(log) {}
    }
}

/// Reclaims one segment, at once. False when there is none.
fn reclaim(log: &mut Log) -> bool {
    let Some(reclaim) = log.reclaim() else { return false };
    for survivor in reclaim.survivors {
        log.moved(&survivor.id, survivor.to);
    }
    log.reclaimed(reclaim.victim);
    true
}

fn id(object: u64, slice: u64) -> Id {
    Id((u128::from(object) << 64 | u128::from(slice)).to_le_bytes())
}
