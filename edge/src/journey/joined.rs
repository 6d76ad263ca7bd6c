//! A fetch that a request leads, follows or makes for itself.

use std::sync::Arc;

use kingcdn_config::clock::Timestamp;

use super::Visit;
use crate::caching;
use crate::collapse::Join;
use crate::fetch::{self, Fetch};
use crate::fill::{Fill, Outcome, Reader};
use crate::store::{Lookup, Object};

/// What a request had found before it joined a fetch.
pub(super) enum Before<'a> {
    /// This object, or none.
    Object(Option<&'a Arc<Object>>),
    /// A part that isn't the right one.
    Part,
}

impl Visit {
    /// Leads a fetch or joins one. No reader: the one to join was too far on. `own`: it is this
    /// request's fetch.
    pub(super) fn join(
        &self,
        request: caching::Request<'_>,
        fetch: Fetch,
        (alone, before): (bool, Before<'_>),
        now: Timestamp,
    ) -> (Option<Reader>, bool) {
        // What wants a part has no use for the whole, nor the other way round.
        let alone = alone || (fetch.range.is_some() && fetch.place.is_none());
        // Nor has anybody else of an answer that is kept for nobody.
        let alone = alone || caching::forbids_storing(request);
        let join = match alone {
            true => Join::Alone,
            false => {
                let wish = self.wish(&fetch.client, fetch.place, fetch.variant);
                self.node.collapse.join(wish, self.node.store.ledger(), now)
            }
        };
        match join {
            Join::Lead(lead) => {
                // Another one's fetch may have ended since this request looked.
                if let Before::Object(before) = before
                    && let Lookup::Found(object) = self.node.store.lookup(&self.key, request)
                    && !before.is_some_and(|before| Arc::ptr_eq(before, &object))
                {
                    lead.fill().announce(Outcome::Validated(object));
                    return (None, false);
                }
                let reader = lead.fill().read().ok();
                fetch::start(&self.node, lead, fetch);
                (reader, true)
            }
            Join::Follow(fill) => (fill.read().ok(), false),
            Join::Alone => {
                let fill = Arc::<Fill>::default();
                let reader = fill.read().ok();
                fetch::start_alone(&self.node, fill, fetch);
                (reader, true)
            }
        }
    }
}
