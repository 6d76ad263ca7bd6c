//! The store: what the edge keeps.
//!
//! One tier so far: memory, held by moka and weighed in bytes. Everything that
//! the store hands out is an immutable [`Object`] behind an `Arc`; nothing of
//! it is locked while it is served, and eviction never takes bytes away from
//! somebody who reads them.

mod object;
mod parts;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kingcdn_config::Eviction;
use moka::ops::compute::Op;
use moka::policy::EvictionPolicy;

pub(crate) use self::object::{Object, Slices};
pub(crate) use self::parts::Body;
use crate::caching::{self, Held, Request};
use crate::key::{Inputs, Key, ObjectKey};

/// Variants (RFC 9111 section 4.1) that one object may have, those of all inputs of its key
/// together; the oldest goes when one more comes.
const VARIANTS_MAX: usize = 32;

/// What the edge keeps.
pub(crate) struct Store {
    memory: moka::sync::Cache<ObjectKey, Arc<Variants>>,
    capacity_bytes: u64,
    /// Counts invalidations.
    invalidations: AtomicU64,
    /// Which of them was the last of an object, for fetches that were under way then.
    invalidated: moka::sync::Cache<ObjectKey, Moment>,
}

/// Invalidated keys that are remembered. A fetch that is older than so many invalidations may
/// bring back what one of them removed.
const INVALIDATED_MAX: u64 = 65_536;

/// All variants of one object, the newest last. Never empty.
struct Variants(Vec<Variant>);

/// A variant, and the inputs of the key that it was fetched for. They are kept here rather than in
/// the key of the map, so that a write takes all of them.
#[derive(Clone)]
struct Variant(Inputs, Arc<Object>);

/// A place in the order of invalidations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

/// What the store has for a request.
pub(crate) enum Lookup {
    /// Nothing of this key.
    Nothing,
    /// Variants of this key, none of which serves this request.
    OtherVariants(Vec<Arc<Object>>),
    /// This one.
    Found(Arc<Object>),
}

impl Lookup {
    /// As the caching rules see it.
    pub(crate) fn held(&self) -> Held<'_> {
        match self {
            Self::Nothing => Held::Nothing,
            Self::OtherVariants(_) => Held::OtherVariants,
            Self::Found(object) => Held::This(&object.terms),
        }
    }

    /// The object, where one was found.
    pub(crate) fn object(self) -> Option<Arc<Object>> {
        match self {
            Self::Found(object) => Some(object),
            Self::Nothing | Self::OtherVariants(_) => None,
        }
    }

    /// What the origin may be asked about: is one of these what it would answer?
    pub(crate) fn candidates(&self) -> Vec<Arc<Object>> {
        match self {
            Self::Nothing => Vec::new(),
            Self::OtherVariants(others) => others.clone(),
            Self::Found(object) => vec![Arc::clone(object)],
        }
    }
}

impl Store {
    /// An empty store for `capacity_bytes`, objects' overhead included.
    pub(crate) fn new(capacity_bytes: u64, eviction: Eviction) -> Self {
        let policy = match eviction {
            Eviction::Lfu => EvictionPolicy::tiny_lfu(),
            Eviction::Lru => EvictionPolicy::lru(),
        };
        let memory = moka::sync::Cache::builder()
            .max_capacity(capacity_bytes)
            .weigher(|_, variants: &Arc<Variants>| variants.weight_bytes())
            .eviction_policy(policy)
            .build();
        let invalidated = moka::sync::Cache::builder()
            .max_capacity(INVALIDATED_MAX)
            .eviction_policy(EvictionPolicy::lru())
            .build();
        Self { memory, capacity_bytes, invalidations: AtomicU64::new(0), invalidated }
    }

    /// The largest body that is kept. A larger one would push out a large share of all the rest.
    pub(crate) fn object_max_bytes(&self) -> u64 {
        (self.capacity_bytes / 8).min(u64::from(u32::MAX) / VARIANTS_MAX as u64)
    }

    /// What there is for `request`.
    pub(crate) fn lookup(&self, key: &Key, request: Request<'_>) -> Lookup {
        let Some(variants) = self.memory.get(&key.object) else {
            return Lookup::Nothing;
        };
        let ours = variants.0.iter().filter(|variant| variant.0 == key.inputs);
        let newest_first = ours.map(|variant| &variant.1).rev();
        if newest_first.clone().next().is_none() {
            return Lookup::Nothing;
        }
        let selected = caching::select(newest_first.clone().map(|object| &object.terms), request)
            .and_then(|index| newest_first.clone().nth(index));
        match selected {
            Some(object) => Lookup::Found(Arc::clone(object)),
            None => Lookup::OtherVariants(newest_first.cloned().collect()),
        }
    }

    /// Keeps `object`, in place of those variants that serve the request that fetched it. A part joins the
    /// other parts of the same content. Not kept if the key was invalidated since it was asked for: then it may be what a write replaced.
    pub(crate) fn insert(
        &self,
        key: Key,
        object: Arc<Object>,
        request: Request<'_>,
        asked: Moment,
    ) {
        if self.invalidated.get(&key.object).is_some_and(|when| when > asked) {
            return;
        }
        let max = usize::try_from(self.object_max_bytes()).unwrap_or(usize::MAX);
        self.change(key, |variants| {
            let mut object = object;
            if let Body::Parts(_) = object.body
                && let Some(older) = variants.iter().find(|held| held.terms.serves(request))
                && let Some(united) = object.united_with(older)
                && united.body.held_bytes() <= max
            {
                object = Arc::new(united);
            }
            variants.retain(|held| !held.terms.serves(request));
            variants.push(object);
        });
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

    /// Now, for a fetch that begins.
    pub(crate) fn moment(&self) -> Moment {
        Moment(self.invalidations.load(Ordering::SeqCst))
    }

    /// Forgets every variant of `key`'s object, whatever its inputs, those that are on their way in now included.
    pub(crate) fn invalidate(&self, key: &Key) {
        let moment = Moment(self.invalidations.fetch_add(1, Ordering::SeqCst) + 1);
        self.invalidated.insert(key.object, moment);
        self.memory.invalidate(&key.object);
    }

    /// Changes the variants of a key, as one step for everybody who looks.
    fn change(&self, key: Key, change: impl FnOnce(&mut Vec<Arc<Object>>)) {
        self.memory.entry(key.object).and_compute_with(|entry| {
            let held = entry.map(|held| held.into_value().0.clone()).unwrap_or_default();
            let (ours, mut variants): (Vec<_>, Vec<_>) =
                held.into_iter().partition(|variant| variant.0 == key.inputs);
            let before: Vec<_> = ours.into_iter().map(|variant| variant.1).collect();
            let mut after = before.clone();
            change(&mut after);
            let same = after.len() == before.len()
                && after.iter().zip(&before).all(|(one, two)| Arc::ptr_eq(one, two));
            variants.extend(after.into_iter().map(|object| Variant(key.inputs, object)));
            if variants.len() > VARIANTS_MAX {
                variants.remove(0);
            }
            match variants.is_empty() {
                _ if same => Op::Nop,
                true => Op::Remove,
                false => Op::Put(Arc::new(Variants(variants))),
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
        self.memory.entry_count()
    }
}

impl Variants {
    fn weight_bytes(&self) -> u32 {
        let bytes: usize = self.0.iter().map(|variant| variant.1.weight_bytes()).sum();
        u32::try_from(bytes).unwrap_or(u32::MAX)
    }
}
