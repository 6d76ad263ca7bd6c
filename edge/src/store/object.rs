//! A stored response.

use http::{HeaderMap, StatusCode};

use super::{Body, ContentId};
use crate::budget::{Budget, Reservation};
use crate::caching::Terms;
use crate::purge::Standing;

/// What every hit adds: Age, Cache-Status, Via.
const ADDED_FIELDS: usize = 3;

/// A response as the store keeps it. Never changed: a 304 makes a new one that shares the body.
#[derive(Debug)]
pub(crate) struct Object {
    /// Its status.
    pub(crate) status: StatusCode,
    /// Its fields, ready to send: nothing hop-by-hop, `Content-Length` right.
    pub(crate) headers: HeaderMap,
    /// What it may be used for.
    pub(crate) terms: Terms,
    /// Its content, or what is held of it.
    pub(crate) body: Body,
    /// What purges know it by.
    pub(crate) standing: Standing,
    /// What all but the body takes; the body counts its own.
    memory: Reservation,
}

impl Object {
    /// An object whose memory `budget` counts.
    pub(crate) fn new(
        budget: &Budget,
        status: StatusCode,
        mut headers: HeaderMap,
        terms: Terms,
        body: Body,
        standing: Standing,
    ) -> Self {
        // A clone has as much room in its index, and isn't built anew when the fields of a hit come.
        headers.reserve(ADDED_FIELDS);
        let parts_bytes = match &body {
            Body::Parts(_) => body.held_bytes() as u64,
            // They count themselves.
            Body::Whole(_) | Body::Sliced(_) => 0,
        };
        let memory = budget.charge(head_bytes(&headers, &standing) + parts_bytes);
        Self { status, headers, terms, body, standing, memory }
    }

    /// This object, with what `older` has of its content and it has not, if both are known to be
    /// of the same content (RFC 9111 section 3.4).
    pub(crate) fn united_with(&self, older: &Self) -> Option<Self> {
        let (ours, theirs) = (self.terms.etag()?, older.terms.etag()?);
        let same = ours.strong_eq(theirs)
            && self.body.complete_bytes() == older.body.complete_bytes()
            && self.status == older.status;
        let body = if same { self.body.united(&older.body) } else { None }?;
        let budget = self.memory.budget();
        let (headers, terms) = (self.headers.clone(), self.terms.clone());
        Some(Self::new(budget, self.status, headers, terms, body, self.standing.clone()))
    }

    /// Whether its slices are those of `content`.
    pub(crate) fn is_of(&self, content: ContentId) -> bool {
        matches!(&self.body, Body::Sliced(sliced) if sliced.content == content)
    }

    /// Bytes of memory that its entry in the store takes.
    pub(crate) fn weight_bytes(&self) -> u64 {
        head_bytes(&self.headers, &self.standing) + self.body.held_bytes() as u64
    }
}

fn head_bytes(headers: &HeaderMap, standing: &Standing) -> u64 {
    /// The struct itself, its allocations' overhead and its share of moka's index: 200,000
    /// objects of 100 bytes and eight fields took 2.7 KB of resident memory each.
    const OVERHEAD_BYTES: usize = 1400;
    /// Beside its text a field costs an entry of the map and two shared buffers' heads.
    const FIELD_BYTES: usize = 128;
    let fields: usize =
        headers.iter().map(|(name, value)| name.as_str().len() + value.len() + FIELD_BYTES).sum();
    (OVERHEAD_BYTES + fields + standing.heap_bytes()) as u64
}
