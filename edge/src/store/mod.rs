//! The store: what the edge keeps.
//!
//! One tier so far: memory, held by moka and weighed in bytes. It has two kinds of
//! entries: all variants of an object, each an immutable [`Object`] behind an
//! `Arc` with its body if that is small; and single slices of large bodies.
//! Nothing is locked while it is served, and eviction never takes bytes away
//! from somebody who reads them.

mod body;
mod object;
mod slices;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use kingcdn_config::Eviction;
use moka::ops::compute::Op;
use moka::policy::EvictionPolicy;

pub(crate) use self::body::Body;
pub(crate) use self::object::Object;
pub(crate) use self::slices::{ContentId, SLICE_BYTES, Sliced, assemble, slices_of, stored_bytes};
use crate::budget::Budget;
use crate::caching::{self, ETag, Held, Request};
use crate::key::{Inputs, Key, ObjectKey};
use crate::purge::{Ledger, Moment, Verdict};

/// Variants (RFC 9111 section 4.1) that one object may have, those of all inputs of its key
/// together; the oldest goes when one more comes.
const VARIANTS_MAX: usize = 32;

/// What the edge keeps.
pub(crate) struct Store {
    memory: moka::sync::Cache<Id, Entry>,
    capacity_bytes: u64,
    /// Counts what the store holds and what others hold of it.
    budget: Budget,
    /// Slices in memory.
    slices: Arc<AtomicU64>,
    /// Says what has been purged or written since it was asked for.
    ledger: Ledger,
}

/// The name of an entry: the first half of an object's key, or a slice's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Id([u8; 16]);

#[derive(Clone)]
enum Entry {
    Object(Arc<Variants>),
    Slice(Bytes),
}

/// What the store has of a slice.
pub(crate) enum Slice {
    /// All of it.
    Held(Bytes),
    /// Nothing.
    Missing,
}

/// All variants of one object, the newest last. Never empty.
struct Variants {
    /// The whole key: its entry's name is but half of it.
    key: ObjectKey,
    all: Vec<Variant>,
}

/// A variant, and the inputs of the key that it was fetched for. They are kept here rather than in
/// the key of the map, so that a write takes all of them.
#[derive(Clone)]
struct Variant(Inputs, Arc<Object>);

/// What the store has for a request.
pub(crate) enum Lookup {
    /// Nothing of this key.
    Nothing,
    /// Variants of this key, none of which serves this request.
    OtherVariants(Vec<Arc<Object>>),
    /// This one.
    Found(Arc<Object>),
    /// This one, which a purge has made stale.
    Purged(Arc<Object>),
}

impl Lookup {
    /// As the caching rules see it.
    pub(crate) fn held(&self) -> Held<'_> {
        match self {
            Self::Nothing => Held::Nothing,
            Self::OtherVariants(_) => Held::OtherVariants,
            Self::Found(object) => Held::This(&object.terms),
            Self::Purged(object) => Held::Purged(&object.terms),
        }
    }

    /// The object, where one was found.
    pub(crate) fn object(self) -> Option<Arc<Object>> {
        match self {
            Self::Found(object) | Self::Purged(object) => Some(object),
            Self::Nothing | Self::OtherVariants(_) => None,
        }
    }

    /// What the origin may be asked about: is one of these what it would answer?
    pub(crate) fn candidates(&self) -> Vec<Arc<Object>> {
        match self {
            Self::Nothing => Vec::new(),
            Self::OtherVariants(others) => others.clone(),
            Self::Found(object) | Self::Purged(object) => vec![Arc::clone(object)],
        }
    }
}

impl Store {
    /// An empty store for `capacity_bytes` of `budget`, objects' overhead included.
    pub(crate) fn new(
        capacity_bytes: u64,
        eviction: Eviction,
        budget: Budget,
        ledger: Ledger,
    ) -> Self {
        let policy = match eviction {
            Eviction::Lfu => EvictionPolicy::tiny_lfu(),
            Eviction::Lru => EvictionPolicy::lru(),
        };
        let slices = Arc::<AtomicU64>::default();
        let gone = Arc::clone(&slices);
        let memory = moka::sync::Cache::builder()
            .max_capacity(capacity_bytes)
            .weigher(|_, entry: &Entry| entry.weight_bytes())
            .eviction_policy(policy)
            .eviction_listener(move |_, entry, _| {
                if let Entry::Slice(_) = entry {
                    gone.fetch_sub(1, Ordering::Relaxed);
                }
            })
            .build();
        Self { memory, capacity_bytes, budget, slices, ledger }
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
        match self.memory.get(&content.slice(number)) {
            Some(Entry::Slice(bytes)) => Slice::Held(bytes),
            Some(Entry::Object(_)) | None => Slice::Missing,
        }
    }

    /// Whether [`Store::slice`] would find one; isn't counted as a use of it.
    pub(crate) fn has_slice(&self, content: ContentId, number: u64) -> bool {
        self.memory.contains_key(&content.slice(number))
    }

    /// Keeps a slice.
    pub(crate) fn put_slice(&self, content: ContentId, number: u64, bytes: Bytes) {
        self.slices.fetch_add(1, Ordering::Relaxed);
        self.memory.insert(content.slice(number), Entry::Slice(bytes));
    }

    /// All slices of a content at once, if all are held.
    pub(crate) fn all_slices(&self, sliced: &Sliced) -> Option<Vec<Bytes>> {
        (0..sliced.count())
            .map(|number| match self.slice(sliced.content, number) {
                Slice::Held(bytes) => Some(bytes),
                Slice::Missing => None,
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

    /// What there is for `request`.
    pub(crate) fn lookup(&self, key: &Key, request: Request<'_>) -> Lookup {
        let Some(variants) = self.variants(&key.object) else {
            return Lookup::Nothing;
        };
        let ours = variants.all.iter().filter(|variant| variant.0 == key.inputs);
        let newest_first =
            ours.map(|variant| &variant.1).rev().filter(|object| !self.is_gone(object));
        if newest_first.clone().next().is_none() {
            return Lookup::Nothing;
        }
        let selected = caching::select(newest_first.clone().map(|object| &object.terms), request)
            .and_then(|index| newest_first.clone().nth(index));
        match selected.map(|object| (object, self.ledger.verdict(&object.standing))) {
            Some((object, Verdict::Live)) => Lookup::Found(Arc::clone(object)),
            Some((object, Verdict::Stale)) => Lookup::Purged(Arc::clone(object)),
            // Purged in this moment.
            Some((_, Verdict::Gone)) => Lookup::Nothing,
            None => Lookup::OtherVariants(newest_first.cloned().collect()),
        }
    }

    fn is_gone(&self, object: &Object) -> bool {
        self.ledger.verdict(&object.standing) == Verdict::Gone
    }

    fn variants(&self, key: &ObjectKey) -> Option<Arc<Variants>> {
        match self.memory.get(&key.id())? {
            Entry::Object(variants) if variants.key == *key => Some(variants),
            Entry::Object(_) | Entry::Slice(_) => None,
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
        if self.ledger.was_written(&key.object, asked) || self.is_gone(&object) {
            return object;
        }
        let mut kept = object;
        self.change(key, |variants| {
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
        self.change(key, |variants| {
            if let Some(place) = variants.iter_mut().find(|held| Arc::ptr_eq(held, older)) {
                *place = newer;
            }
        });
    }

    /// Forgets one variant.
    pub(crate) fn forget(&self, key: Key, object: &Arc<Object>) {
        self.change(key, |variants| variants.retain(|held| !Arc::ptr_eq(held, object)));
    }

    /// Forgets the variant whose slices are those of `content`: the origin has others by now.
    pub(crate) fn forget_content(&self, key: Key, content: ContentId) {
        let is_it = |held: &Arc<Object>| matches!(&held.body, Body::Sliced(sliced) if sliced.content == content);
        self.change(key, |variants| variants.retain(|held| !is_it(held)));
    }

    /// Forgets every variant of `key`'s object, whatever its inputs, those that are on their way in now included.
    pub(crate) fn invalidate(&self, key: &Key) {
        self.ledger.write(key.object);
        self.memory.invalidate(&key.object.id());
    }

    /// Changes the variants of a key, as one step for everybody who looks.
    fn change(&self, key: Key, change: impl FnOnce(&mut Vec<Arc<Object>>)) {
        let mut change = Some(change);
        self.memory.entry(key.object.id()).and_compute_with(|entry| {
            let held = match entry.map(moka::Entry::into_value) {
                Some(Entry::Object(held)) if held.key == key.object => held.all.clone(),
                Some(_) | None => Vec::new(),
            };
            let (ours, mut all): (Vec<_>, Vec<_>) =
                held.into_iter().partition(|variant| variant.0 == key.inputs);
            let before: Vec<_> = ours.into_iter().map(|variant| variant.1).collect();
            let mut after = before.clone();
            if let Some(change) = change.take() {
                change(&mut after);
            }
            let same = after.len() == before.len()
                && after.iter().zip(&before).all(|(one, two)| Arc::ptr_eq(one, two));
            all.extend(after.into_iter().map(|object| Variant(key.inputs, object)));
            if all.len() > VARIANTS_MAX {
                all.remove(0);
            }
            match all.is_empty() {
                _ if same => Op::Nop,
                true => Op::Remove,
                false => Op::Put(Entry::Object(Arc::new(Variants { key: key.object, all }))),
            }
        });
    }

    /// Evicts what is over the capacity. moka has no thread of its own: call this regularly, off
    /// the request's path.
    pub(crate) fn maintain(&self) {
        self.memory.run_pending_tasks();
    }

    /// Bytes held, overhead included, as of the last [`Store::maintain`].
    pub(crate) fn held_bytes(&self) -> u64 {
        self.memory.weighted_size()
    }

    /// Bytes that may be held.
    pub(crate) fn capacity_bytes(&self) -> u64 {
        self.capacity_bytes
    }

    /// Keys held, as of the last [`Store::maintain`].
    pub(crate) fn keys(&self) -> u64 {
        self.memory.entry_count().saturating_sub(self.slices())
    }

    /// Slices held.
    pub(crate) fn slices(&self) -> u64 {
        self.slices.load(Ordering::Relaxed)
    }
}

impl Entry {
    /// Bytes that it takes, its share of moka's index included.
    fn weight_bytes(&self) -> u32 {
        /// Beside its bytes a slice costs its entry and the count of its memory.
        const SLICE_OVERHEAD_BYTES: u64 = 400;
        let bytes = match self {
            Self::Object(variants) => {
                variants.all.iter().map(|variant| variant.1.weight_bytes()).sum()
            }
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
