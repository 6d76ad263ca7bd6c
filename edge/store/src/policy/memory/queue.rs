//! Records in the order in which they go.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use hashbrown::HashTable;

use super::Order;
use crate::Id;

/// What a request is worth for a record of mean size. The rest of a value's bits are its fraction.
const ONE: f64 = 16_777_216.0;

#[derive(Debug)]
pub(super) struct Queue {
    order: Order,
    /// By hash.
    entries: HashTable<Entry>,
    /// Least value first. A hit raises an entry's value but leaves it here where it is: it is put
    /// in its right place when it comes up. So each hit costs at most one step later.
    heap: BinaryHeap<Reverse<(u64, u64)>>,
    held_bytes: u64,
    /// `L`, or how many requests there were.
    now: u64,
    /// Of all that was ever stored, with the older counting less.
    mean_bytes: f64,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) id: Id,
    hash: u64,
    value: u64,
    pub(super) weight_bytes: u64,
    pub(super) frequency: u8,
}

impl Queue {
    pub(super) fn new(order: Order) -> Self {
        Self {
            order,
            entries: HashTable::new(),
            heap: BinaryHeap::new(),
            held_bytes: 0,
            now: 0,
            mean_bytes: 0.0,
        }
    }

    pub(super) fn get(&self, hash: u64) -> Option<Id> {
        self.find(hash).map(|entry| entry.id)
    }

    pub(super) fn frequency(&self, hash: u64) -> Option<u8> {
        self.find(hash).map(|entry| entry.frequency)
    }

    /// Counts a hit; gives the record's weight, 0 when it isn't held any more.
    pub(super) fn hit(&mut self, hash: u64) -> u64 {
        let Some(&entry) = self.find(hash) else { return 0 };
        let frequency = entry.frequency.saturating_add(1);
        let value = self.value(entry.weight_bytes, frequency);
        if let Some(entry) = self.find_mut(hash) {
            entry.frequency = frequency;
            entry.value = entry.value.max(value);
        }
        entry.weight_bytes
    }

    /// Stores a record that isn't held.
    pub(super) fn insert(&mut self, hash: u64, id: Id, weight_bytes: u64, frequency: u8) {
        #[allow(clippy::cast_precision_loss)]
        let weight = weight_bytes as f64;
        let share = if self.mean_bytes > 0.0 { 1.0 / 4096.0 } else { 1.0 };
        self.mean_bytes += (weight - self.mean_bytes) * share;
        let value = self.value(weight_bytes, frequency);
        let entry = Entry { id, hash, value, weight_bytes, frequency };
        self.entries.insert_unique(hash, entry, |entry| entry.hash);
        self.heap.push(Reverse((value, hash)));
        self.held_bytes += weight_bytes;
    }

    pub(super) fn reweigh(&mut self, hash: u64, weight_bytes: u64) {
        let Some(entry) = self.find_mut(hash) else { return };
        let before = std::mem::replace(&mut entry.weight_bytes, weight_bytes);
        self.held_bytes = self.held_bytes - before + weight_bytes;
    }

    /// Takes the record that is worth least, to make room for one that was asked for `frequency`
    /// times. Raises `L`, unless that was but once: else a scan of such would make everything old,
    /// however often it is asked for.
    pub(super) fn pop(&mut self, frequency: u8) -> Option<Entry> {
        loop {
            let Reverse((value, hash)) = self.heap.pop()?;
            match self.find(hash).map(|entry| entry.value) {
                Some(now) if now == value => {
                    if matches!(self.order, Order::Value { .. }) && frequency > 1 {
                        self.now = self.now.max(value);
                    }
                    return self.remove(hash);
                }
                // It was asked for meanwhile.
                Some(now) if now > value => self.heap.push(Reverse((now, hash))),
                // Left over from one that was removed.
                Some(_) | None => {}
            }
        }
    }

    pub(super) fn remove(&mut self, hash: u64) -> Option<Entry> {
        let found = self.entries.find_entry(hash, |entry| entry.hash == hash).ok()?;
        let (entry, _) = found.remove();
        self.held_bytes -= entry.weight_bytes;
        if self.heap.len() > 64 + 2 * self.entries.len() {
            let entries = self.entries.iter().map(|entry| Reverse((entry.value, entry.hash)));
            self.heap = entries.collect();
        }
        Some(entry)
    }

    pub(super) fn held_bytes(&self) -> u64 {
        self.held_bytes
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// What a record is worth that was asked for now.
    fn value(&mut self, weight_bytes: u64, frequency: u8) -> u64 {
        match self.order {
            Order::Recency => {
                self.now += 1;
                self.now
            }
            Order::Value { exponent } => {
                #[allow(clippy::cast_precision_loss)]
                let size = (weight_bytes.max(1) as f64) / self.mean_bytes.max(1.0);
                let worth = f64::from(frequency) * size.powf(-exponent) * ONE;
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                let worth = worth as u64;
                // Of two that are worth the same the older one goes.
                self.now += 1;
                self.now.saturating_add(worth.max(1))
            }
        }
    }

    fn find(&self, hash: u64) -> Option<&Entry> {
        self.entries.find(hash, |entry| entry.hash == hash)
    }

    fn find_mut(&mut self, hash: u64) -> Option<&mut Entry> {
        self.entries.find_mut(hash, |entry| entry.hash == hash)
    }
}
