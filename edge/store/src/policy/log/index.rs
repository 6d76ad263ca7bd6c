//! Every record of the log, found by id. 32 bytes a record, and five to eleven for the table.

use hashbrown::HashTable;

use crate::Id;
use crate::policy::hash::hash;

/// The table grows part by part, so that no growth takes long.
const SHARDS: usize = 64;
/// Records grow by so many at once: what is allocated is never much more than what is used.
const CHUNK: usize = 1024;
/// No record, no next one.
const NONE: u32 = u32::MAX;

/// Where a record is in the index, until it is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot(pub(super) u32);

/// A record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record {
    pub(super) id: Id,
    pub(super) offset: u32,
    /// 0 in a free slot: then `offset` is the next free one.
    pub(super) len: u32,
    pub(super) value: u32,
    pub(super) segment: u16,
    pub(super) frequency: u8,
}

#[derive(Debug)]
pub(super) struct Index {
    shards: Box<[HashTable<u32>]>,
    chunks: Vec<Vec<Record>>,
    free: u32,
    len: usize,
}

impl Index {
    pub(super) fn new() -> Self {
        let shards = (0..SHARDS).map(|_| HashTable::new()).collect();
        Self { shards, chunks: Vec::new(), free: NONE, len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// So many records will come: the table needn't grow on their way.
    pub(super) fn expect(&mut self, records: usize) {
        let chunks = &self.chunks;
        for shard in &mut self.shards {
            shard.reserve(records / SHARDS, |slot| {
                record(chunks, *slot).map_or(0, |record| hash(&record.id))
            });
        }
    }

    pub(super) fn find(&self, id: &Id) -> Option<Slot> {
        let hash = hash(id);
        let found = self.shards[shard(hash)]
            .find(hash, |slot| record(&self.chunks, *slot).is_some_and(|it| it.id == *id))?;
        Some(Slot(*found))
    }

    pub(super) fn get(&self, slot: Slot) -> Option<&Record> {
        record(&self.chunks, slot.0)
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut Record> {
        record_mut(&mut self.chunks, slot.0)
    }

    /// Adds a record whose id isn't held. `None` when four billion are.
    pub(super) fn insert(&mut self, new: Record) -> Option<Slot> {
        let slot = self.take_slot(new)?;
        let hash_of = hash(&new.id);
        let chunks = &self.chunks;
        self.shards[shard(hash_of)].insert_unique(hash_of, slot, |slot| {
            record(chunks, *slot).map_or(0, |record| hash(&record.id))
        });
        self.len += 1;
        Some(Slot(slot))
    }

    pub(super) fn remove(&mut self, slot: Slot) -> Option<Record> {
        let gone = *self.get(slot)?;
        let hash = hash(&gone.id);
        let entry = self.shards[shard(hash)].find_entry(hash, |it| *it == slot.0).ok()?;
        entry.remove();
        self.len -= 1;
        let next = std::mem::replace(&mut self.free, slot.0);
        let place = self.chunks.get_mut(slot.0 as usize / CHUNK)?;
        let place = place.get_mut(slot.0 as usize % CHUNK)?;
        *place = Record { offset: next, len: 0, ..gone };
        Some(gone)
    }

    /// Memory that this takes.
    pub(super) fn bytes(&self) -> usize {
        let records: usize = self.chunks.iter().map(Vec::capacity).sum();
        let shards: usize = self.shards.iter().map(HashTable::allocation_size).sum();
        records * size_of::<Record>() + shards
    }

    fn take_slot(&mut self, new: Record) -> Option<u32> {
        if self.free != NONE {
            let slot = self.free;
            let place = self.chunks.get_mut(slot as usize / CHUNK)?;
            let place = place.get_mut(slot as usize % CHUNK)?;
            self.free = place.offset;
            *place = new;
            return Some(slot);
        }
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let before = (self.chunks.len() - 1) * CHUNK;
        let last = self.chunks.last_mut()?;
        let slot = u32::try_from(before + last.len()).ok().filter(|slot| *slot < NONE)?;
        last.push(new);
        Some(slot)
    }
}

#[allow(clippy::cast_possible_truncation)] // The highest bits, below the number of shards.
fn shard(hash: u64) -> usize {
    // hashbrown takes its bits from both ends; these are in between.
    (hash >> 40) as usize % SHARDS
}

fn record(chunks: &[Vec<Record>], slot: u32) -> Option<&Record> {
    let record = chunks.get(slot as usize / CHUNK)?.get(slot as usize % CHUNK)?;
    (record.len > 0).then_some(record)
}

fn record_mut(chunks: &mut [Vec<Record>], slot: u32) -> Option<&mut Record> {
    let record = chunks.get_mut(slot as usize / CHUNK)?.get_mut(slot as usize % CHUNK)?;
    (record.len > 0).then_some(record)
}
