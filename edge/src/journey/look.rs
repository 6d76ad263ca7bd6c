//! What the store has for a request.

use kingcdn_config::clock::Timestamp;

use super::Visit;
use crate::caching::{self, ClientControl, Decision};
use crate::deliver;
use crate::store::Lookup;

/// How often what a disk has is read, where others change things meanwhile: they need not be this.
const READS_MAX: usize = 3;

/// What the store had for a request when it came.
pub(super) struct Seen {
    pub(super) now: Timestamp,
    pub(super) held: Lookup,
    /// Whether what is held of the object lacks what this request is for.
    pub(super) lacking: bool,
    /// Whether it was read from a disk just now.
    pub(super) from_disk: bool,
}

impl Visit {
    /// What memory has.
    pub(super) fn look(&self, request: caching::Request<'_>) -> Seen {
        let now = self.node.clock.now();
        self.seen(request, self.node.store.lookup(&self.key, request), now)
    }

    /// What a disk has, where memory has nothing.
    pub(super) async fn look_on_disk(&self, request: caching::Request<'_>, mut seen: Seen) -> Seen {
        let store = &self.node.store;
        let mut loaded = None;
        for _ in 0..READS_MAX {
            let has_nothing = matches!(seen.held, Lookup::Nothing) && !seen.lacking;
            if !has_nothing || !store.is_on_disk_alone(&self.key) {
                return seen;
            }
            loaded = store.load(&self.key, seen.now).await;
            if loaded.is_some() {
                break;
            }
            seen = self.look(request);
        }
        let Some(loaded) = loaded else { return seen };
        let now = self.node.clock.now();
        let seen = self.seen(request, store.lookup_in(&loaded, &self.key, request), now);
        let decision = caching::decide(request, seen.held.held(), ClientControl::Obey, now);
        if !matches!(decision, Decision::Fresh { .. }) {
            // It is about to be refreshed or replaced.
            store.adopt(&loaded);
        }
        Seen { from_disk: true, ..seen }
    }

    fn seen(&self, request: caching::Request<'_>, mut held: Lookup, now: Timestamp) -> Seen {
        let lacking = matches!(
            &held, Lookup::Found(object) | Lookup::Purged(object)
                if !(deliver::is_held(request, object, now) && self.node.store.has_body(object))
        );
        if lacking {
            held = Lookup::Nothing;
        }
        Seen { now, held, lacking, from_disk: false }
    }
}
