//! Answers with their signatures, kept from the first time that somebody asked for them.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::body::{Body, SEALED_LIMIT};
use crate::answer::Answer;
use crate::decode::Query;
use crate::dnssec::serial_before;
use crate::name::Key;

/// A place for one.
#[derive(Default)]
pub(super) struct Sealed(ArcSwapOption<Held>);

struct Held {
    body: Body,
    /// The second at which it is time for other signatures, in serial arithmetic.
    until: u32,
}

impl Sealed {
    /// Keeps an answer for this name, unless it is too long.
    pub(super) fn keep(&self, key: &Key, answer: &Answer, until: u32) {
        let body = Body::within(key, answer, SEALED_LIMIT);
        self.0.store(body.map(|body| Arc::new(Held { body, until })));
    }

    /// Writes what is kept, if it is good at this second and fits; whether it did.
    pub(super) fn write(
        &self,
        query: &Query<'_>,
        (now, limit): (u32, usize),
        out: &mut Vec<u8>,
    ) -> bool {
        let held = self.0.load();
        let held = held.as_ref().filter(|held| serial_before(now, held.until));
        // What has signatures depends on nobody's place.
        held.is_some_and(|held| {
            held.body.write(query, (held.body.code(), 0), None, (0, limit), out)
        })
    }
}
