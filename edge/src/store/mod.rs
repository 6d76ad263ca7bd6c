//! The store: what the edge keeps.
//!
//! Two tiers: memory, and disks where there are some. Both have two kinds of
//! entries: all variants of an object, each an immutable [`Object`] behind an
//! `Arc` with its body if that is small; and single slices of large bodies.
//! Nothing is locked while it is served, and eviction never takes bytes away
//! from somebody who reads them.
//!
//! What memory has of an object is all that counts; what a disk has of it may be
//! older terms of the same, never something else. Slices that are read from disk
//! are served from there: to have them in memory, too, costs others their place.

mod body;
mod object;
mod serial;
mod slices;
#[cfg(test)]
mod tests;
mod tiers;
mod unsaved;
mod variants;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use kingcdn_config::clock::Timestamp;
use kingcdn_config::{Disk, Eviction};
use kingcdn_store::Id;
use kingcdn_store::disk::{Beside, DiskStatus, Found, Pending};

pub(crate) use self::body::Body;
pub(crate) use self::object::Object;
pub(crate) use self::serial::fuzz::read as fuzz_record;
pub(crate) use self::slices::{ContentId, SLICE_BYTES, Sliced, assemble, slices_of, stored_bytes};
use self::tiers::{Changes, Tiers};
pub(crate) use self::variants::Lookup;
use self::variants::{VARIANTS_MAX, Variant, Variants};
use crate::budget::{Budget, Need, Reservation};
use crate::caching::{ETag, Request};
use crate::key::{Key, ObjectKey};
use crate::purge::{Ledger, Moment, Verdict};
pub(crate) use kingcdn_zero_copy::Gathering;

/// What is at most so large comes back into memory when it is read from a disk: it takes little room,
/// and is served faster from there.
const SMALL_BYTES: u64 = 16 << 10;

/// What the edge keeps.
pub(crate) struct Store {
    tiers: Tiers,
    capacity_bytes: u64,
    /// Counts what the store holds and what others hold of it.
    budget: Budget,
    /// What the disks' index and the history of requests take.
    index: Mutex<Reservation>,
    /// Says what has been purged or written since it was asked for.
    ledger: Arc<Ledger>,
}

#[derive(Clone)]
enum Entry {
    Object(Arc<Variants>),
    Slice(Bytes),
}

/// What the store has of a slice.
pub(crate) enum Slice {
    /// All of it.
    Held(Bytes),
    /// A disk is asked for it.
    Pending(Pending),
    /// Nothing.
    Missing,
}

/// What a disk has of an object.
pub(crate) struct Loaded {
    variants: Arc<Variants>,
    changes: Changes,
}

impl Store {
    /// A store for `capacity_bytes` of `budget`, objects' overhead included, and what is on these
    /// disks, in whose folders there is something `beside`.
    pub(crate) fn new(
        capacity_bytes: u64,
        eviction: Eviction,
        disks: &[Disk],
        beside: Beside,
        budget: Budget,
        ledger: Arc<Ledger>,
    ) -> Self {
        let tiers = Tiers::new(capacity_bytes, eviction, disks, beside);
        let index = Mutex::new(budget.reservation());
        Self { tiers, capacity_bytes, budget, index, ledger }
    }

    /// The largest body that is kept though it can't be fetched slice by slice. A larger one would
    /// push out a large share of all the rest.
    pub(crate) fn unsliceable_max_bytes(&self) -> u64 {
        self.capacity_bytes / 6
    }

    /// Whether all of a body of so many bytes can be kept, with room for others.
    pub(crate) fn keeps_whole(&self, bytes: u64) -> bool {
        bytes <= self.capacity_bytes / 4
    }

    /// What says what was purged.
    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// What counts the memory of what is stored.
    pub(crate) fn budget(&self) -> &Budget {
        &self.budget
    }

    // ---- slices ----

    /// Slice `number` of a content.
    pub(crate) fn slice(&self, content: ContentId, number: u64) -> Slice {
        let id = content.slice(number);
        match self.tiers.get(&id) {
            Some(Entry::Slice(bytes)) => Slice::Held(bytes),
            Some(Entry::Object(_)) => Slice::Missing,
            None => match self.tiers.disks().get(&id) {
                Found::Ready(bytes) => Slice::Held(bytes),
                Found::Cold(pending) => Slice::Pending(pending),
                Found::Absent => Slice::Missing,
            },
        }
    }

    /// Whether [`Store::slice`] would find one; isn't counted as a use of it.
    pub(crate) fn has_slice(&self, content: ContentId, number: u64) -> bool {
        self.tiers.contains(&content.slice(number))
    }

    /// Keeps a slice.
    pub(crate) fn put_slice(&self, sliced: &Sliced, number: u64, bytes: Bytes) {
        let id = sliced.content.slice(number);
        self.tiers.turn().keep_slice(id, bytes, sliced.complete_bytes);
    }

    /// All slices of a content at once, if all are at hand.
    pub(crate) fn all_slices(&self, sliced: &Sliced) -> Option<Vec<Bytes>> {
        (0..sliced.count())
            .map(|number| match self.slice(sliced.content, number) {
                Slice::Held(bytes) => Some(bytes),
                Slice::Pending(_) | Slice::Missing => None,
            })
            .collect()
    }

    /// Whether the body of `object` can be served: held, or to be had slice by slice.
    pub(crate) fn has_body(&self, object: &Object) -> bool {
        match &object.body {
            Body::Whole(_) | Body::Parts(_) => true,
            Body::Sliced(sliced) => {
                object.terms.etag().is_some_and(ETag::is_strong)
                    || (0..sliced.count()).all(|number| self.has_slice(sliced.content, number))
            }
        }
    }

    // ---- objects ----

    /// What memory has for `request`.
    pub(crate) fn lookup(&self, key: &Key, request: Request<'_>) -> Lookup {
        match self.variants(&key.object) {
            Some(variants) => variants.lookup(key, request, &self.ledger),
            None => Lookup::Nothing,
        }
    }

    fn is_gone(&self, object: &Object) -> bool {
        self.ledger.verdict(&object.standing) == Verdict::Gone
    }

    fn variants(&self, key: &ObjectKey) -> Option<Arc<Variants>> {
        match self.tiers.get(&key.id())? {
            Entry::Object(variants) if variants.key == *key => Some(variants),
            Entry::Object(_) | Entry::Slice(_) => None,
        }
    }

    /// Whether there may be something on a disk that [`Store::lookup`] doesn't find.
    pub(crate) fn is_on_disk_alone(&self, key: &Key) -> bool {
        self.tiers.is_on_disk_alone(&key.object.id())
    }

    /// What a disk has of an object that isn't in memory. None where somebody changed it meanwhile.
    pub(crate) async fn load(&self, key: &Key, now: Timestamp) -> Option<Loaded> {
        let id = key.object.id();
        let changes = self.tiers.changes(&id);
        let record = match self.tiers.record(&id) {
            Found::Ready(record) => record,
            Found::Cold(pending) => pending.await?,
            Found::Absent => return None,
        };
        let record = self.budget.charge(record.len() as u64).attach(record);
        let variants = serial::decode(&record, &key.object, &self.budget, now);
        if self.tiers.changes(&id) != changes {
            return None;
        }
        let Some(variants) = variants else {
            self.tiers.turn().remove(&id);
            return None;
        };
        let loaded = Loaded { variants: Arc::new(variants), changes };
        if loaded.variants.weight_bytes() <= SMALL_BYTES {
            self.adopt(&loaded);
        }
        Some(loaded)
    }

    /// What there is for `request` in what was loaded.
    pub(crate) fn lookup_in(&self, loaded: &Loaded, key: &Key, request: Request<'_>) -> Lookup {
        loaded.variants.lookup(key, request, &self.ledger)
    }

    /// Takes what was loaded into memory, where it may change. What is small is there already.
    pub(crate) fn adopt(&self, loaded: &Loaded) {
        let id = loaded.variants.key.id();
        let mut turn = self.tiers.turn();
        if turn.peek(&id).is_none() && self.tiers.changes(&id) == loaded.changes {
            turn.bring(id, Entry::Object(Arc::clone(&loaded.variants)));
        }
    }

    /// Keeps `object`, in place of those variants that serve the request that fetched it. A part,
    /// or slices, join what is held of the same content: what is returned is kept. Nothing is kept
    /// of what was purged or written since it was asked for: it may be what was to go.
    pub(crate) fn insert(
        &self,
        key: Key,
        object: Arc<Object>,
        request: Request<'_>,
        asked: Moment,
    ) -> Arc<Object> {
        let mut kept = object;
        self.change(key, true, |variants| {
            if self.ledger.was_written(&key.object, asked) || self.is_gone(&kept) {
                return;
            }
            // What is gone doesn't come back as a part of something newer.
            variants.retain(|held| !self.is_gone(held));
            if let Some(older) = variants.iter().find(|held| held.terms.serves(request))
                && let Some(united) = kept.united_with(older)
            {
                kept = Arc::new(united);
            }
            variants.retain(|held| !held.terms.serves(request));
            variants.push(Arc::clone(&kept));
        });
        kept
    }

    /// Puts `newer` in the place of `older`, which it was made from. Where `older` is gone by
    /// now, so is `newer`: somebody invalidated it meanwhile.
    pub(crate) fn refresh(&self, key: Key, older: &Arc<Object>, newer: Arc<Object>) {
        self.change(key, false, |variants| {
            if let Some(place) = variants.iter_mut().find(|held| Arc::ptr_eq(held, older)) {
                *place = newer;
            }
        });
    }

    /// Forgets one variant.
    pub(crate) fn forget(&self, key: Key, object: &Arc<Object>) {
        self.change(key, true, |variants| variants.retain(|held| !Arc::ptr_eq(held, object)));
    }

    /// The variant whose slices are those of `content`, where it is in memory.
    pub(crate) fn of_content(&self, key: Key, content: ContentId) -> Option<Arc<Object>> {
        let variants = self.variants(&key.object)?;
        let mut ours = variants.all.iter().filter(|variant| variant.0 == key.inputs);
        ours.find(|variant| variant.1.is_of(content)).map(|variant| Arc::clone(&variant.1))
    }

    /// Forgets the variant whose slices are those of `content`: the origin has others by now.
    pub(crate) fn forget_content(&self, key: Key, content: ContentId) {
        self.change(key, true, |variants| variants.retain(|held| !held.is_of(content)));
    }

    /// Forgets every variant of `key`'s object, whatever its inputs, those that are on their way in now included.
    pub(crate) fn invalidate(&self, key: &Key) {
        let mut turn = self.tiers.turn();
        self.ledger.write(key.object);
        turn.remove(&key.object.id());
    }

    /// Changes the variants of a key, as one step for everybody who looks. What a disk has may stay
    /// as an older version of them, unless that `replaces` some: then it is forgotten.
    fn change(&self, key: Key, replaces: bool, change: impl FnOnce(&mut Vec<Arc<Object>>)) {
        let id = key.object.id();
        let mut turn = self.tiers.turn();
        let held = match turn.peek(&id) {
            Some(Entry::Object(held)) if held.key == key.object => held.all.clone(),
            Some(_) | None => Vec::new(),
        };
        let is_held = !held.is_empty();
        let (ours, mut all): (Vec<_>, Vec<_>) =
            held.into_iter().partition(|variant| variant.0 == key.inputs);
        let before: Vec<_> = ours.into_iter().map(|variant| variant.1).collect();
        let mut after = before.clone();
        change(&mut after);
        let same = after.len() == before.len()
            && after.iter().zip(&before).all(|(one, two)| Arc::ptr_eq(one, two));
        if same && is_held {
            return;
        }
        all.extend(after.into_iter().map(|object| Variant(key.inputs, object)));
        if all.len() > VARIANTS_MAX {
            all.remove(0);
        }
        if all.is_empty() {
            if replaces {
                turn.remove(&id);
            }
            return;
        }
        if replaces {
            turn.forget_on_disk(&id);
        }
        let mut variants = Variants { key: key.object, all, on_disk: false };
        if variants.is_sliced() && replaces {
            // Its slices come to the disk before it does, and are lost without it.
            let entry = Entry::Object(Arc::new(variants.clone()));
            variants.on_disk = turn.write_through(id, &entry);
        }
        turn.keep(id, Entry::Object(Arc::new(variants)));
        if !replaces {
            turn.save_soon(&id);
        }
    }

    /// Memory for what the store doesn't have yet. Where there is none, the store gives some up.
    pub(crate) fn room(&self, bytes: u64, need: Need) -> Option<Reservation> {
        self.budget.reserve(bytes, need).or_else(|| {
            self.leave_room(bytes, need);
            self.budget.reserve(bytes, need)
        })
    }

    /// Counts hits, evicts what there is no memory for, and brings to the disks what was refreshed:
    /// call this regularly, off the request's path.
    pub(crate) fn maintain(&self) {
        let index = self.tiers.index_bytes();
        let mut counted = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        if counted.bytes() != index {
            *counted = self.budget.charge(index);
        }
        drop(counted);
        self.leave_room(0, Need::Slice);
    }

    /// What others take of the memory the store gives up, but for a third.
    fn leave_room(&self, bytes: u64, need: Need) {
        let others = self.budget.used_bytes().saturating_sub(self.tiers.held_bytes());
        let left = self.budget.limit(need).saturating_sub(others + bytes);
        let capacity = left.clamp(self.capacity_bytes / 3, self.capacity_bytes);
        self.tiers.maintain(capacity);
    }

    /// Writes what is in memory to the disks, for at most about `limit`, and closes them. Blocks.
    /// Nothing may be served after it.
    pub(crate) fn close(&self, limit: Duration) {
        self.tiers.close(limit);
    }

    /// How the disks are.
    pub(crate) fn disks(&self) -> Vec<DiskStatus> {
        self.tiers.disks().status()
    }

    /// Bytes held in memory, overhead included.
    pub(crate) fn held_bytes(&self) -> u64 {
        self.tiers.held_bytes()
    }

    /// Bytes that may be held.
    pub(crate) fn capacity_bytes(&self) -> u64 {
        self.capacity_bytes
    }

    /// Keys held in memory.
    pub(crate) fn keys(&self) -> u64 {
        self.tiers.objects()
    }

    /// Slices held in memory.
    pub(crate) fn slices(&self) -> u64 {
        self.tiers.slices()
    }
}

impl Entry {
    /// Bytes that it takes, its share of moka's index included.
    fn weight_bytes(&self) -> u32 {
        /// Beside its bytes a slice costs its entry and the count of its memory.
        const SLICE_OVERHEAD_BYTES: u64 = 400;
        let bytes = match self {
            Self::Object(variants) => variants.weight_bytes(),
            Self::Slice(bytes) => stored_bytes(bytes.len() as u64) + SLICE_OVERHEAD_BYTES,
        };
        u32::try_from(bytes).unwrap_or(u32::MAX)
    }
}

impl ObjectKey {
    fn id(&self) -> Id {
        let mut id = [0; 16];
        id.copy_from_slice(&self.digest()[..16]);
        Id(id)
    }
}
