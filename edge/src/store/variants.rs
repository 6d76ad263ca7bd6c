//! The variants of an object, and the one among them that answers a request.

use std::sync::Arc;

use super::{Body, Object};
use crate::caching::{self, Held, Request};
use crate::key::{Inputs, Key, ObjectKey};
use crate::purge::{Ledger, Verdict};

/// Variants (RFC 9111 section 4.1) that one object may have, those of all inputs of its key
/// together; the oldest goes when one more comes.
pub(super) const VARIANTS_MAX: usize = 32;

/// All variants of one object, the newest last. Never empty.
#[derive(Debug, Clone)]
pub(super) struct Variants {
    /// The whole key: its entry's name is but half of it.
    pub(super) key: ObjectKey,
    pub(super) all: Vec<Variant>,
    /// Whether a disk was given just this.
    pub(super) on_disk: bool,
}

/// A variant, and the inputs of the key that it was fetched for. They are kept here rather than in
/// the key of the map, so that a write takes all of them.
#[derive(Debug, Clone)]
pub(super) struct Variant(pub(super) Inputs, pub(super) Arc<Object>);

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

impl Variants {
    pub(super) fn lookup(&self, key: &Key, request: Request<'_>, ledger: &Ledger) -> Lookup {
        let ours = self.all.iter().filter(|variant| variant.0 == key.inputs);
        let is_gone = |object: &&Arc<Object>| ledger.verdict(&object.standing) == Verdict::Gone;
        let newest_first = ours.map(|variant| &variant.1).rev().filter(|object| !is_gone(object));
        if newest_first.clone().next().is_none() {
            return Lookup::Nothing;
        }
        let selected = caching::select(newest_first.clone().map(|object| &object.terms), request)
            .and_then(|index| newest_first.clone().nth(index));
        match selected.map(|object| (object, ledger.verdict(&object.standing))) {
            Some((object, Verdict::Live)) => Lookup::Found(Arc::clone(object)),
            Some((object, Verdict::Stale)) => Lookup::Purged(Arc::clone(object)),
            // Purged in this moment.
            Some((_, Verdict::Gone)) => Lookup::Nothing,
            None => Lookup::OtherVariants(newest_first.cloned().collect()),
        }
    }

    pub(super) fn is_sliced(&self) -> bool {
        self.all.iter().any(|variant| matches!(variant.1.body, Body::Sliced(_)))
    }

    pub(super) fn weight_bytes(&self) -> u64 {
        self.all.iter().map(|variant| variant.1.weight_bytes()).sum()
    }
}
