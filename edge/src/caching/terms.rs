//! What a stored answer may be used for.

use std::cmp::Reverse;
use std::time::Duration;

use http::header::LAST_MODIFIED;
use http::{HeaderMap, HeaderValue};
use kingcdn_config::clock::Timestamp;

use super::vary::Selecting;
use super::{ETag, Request, date, fields};

/// What a stored answer may be used for: computed once, when it is stored or refreshed, so that
/// the decision for a fresh hit is a few comparisons.
#[derive(Debug, Clone)]
pub struct Terms {
    /// When its age was zero.
    pub(super) born: Timestamp,
    /// From then on it is stale.
    pub(super) fresh_until: Timestamp,
    pub(super) reuse: Reuse,
    /// A client's reload is answered without asking the origin while it is fresh (RFC 8246).
    pub(super) immutable: bool,
    /// Its Date, or the moment of its arrival.
    pub(super) date: Timestamp,
    pub(super) etag: Option<ETag>,
    pub(super) last_modified: Option<LastModified>,
    /// The request's fields that decided; `None` where none did.
    pub(super) selecting: Option<Box<Selecting>>,
}

/// How far a stored answer may be used without asking the origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reuse {
    /// Not at all (`no-cache`).
    Validated,
    /// While it is fresh (`must-revalidate`, `proxy-revalidate`, `s-maxage`).
    Fresh,
    /// Also stale, where its client permits that, and otherwise until these moments.
    Stale {
        /// While it is refreshed (RFC 5861 section 3).
        refresh_until: Timestamp,
        /// While the origin is in trouble (RFC 5861 section 4).
        error_until: Timestamp,
    },
}

/// A valid Last-Modified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LastModified {
    pub(super) at: Timestamp,
    pub(super) text: HeaderValue,
}

impl LastModified {
    pub(super) fn of(headers: &HeaderMap, now: Timestamp) -> Option<Self> {
        let at = date::of(headers, &LAST_MODIFIED, now)?;
        let text = fields::detached(headers.get(LAST_MODIFIED)?);
        Some(Self { at, text })
    }
}

impl Terms {
    /// How old the answer is (RFC 9111 section 4.2.3); `Age` is this in whole seconds.
    pub fn age(&self, now: Timestamp) -> Duration {
        now.since(self.born)
    }

    /// Whole seconds of freshness left, negative when stale (RFC 9211 section 2.4).
    pub fn ttl_secs(&self, now: Timestamp) -> i64 {
        self.fresh_until.as_millis().saturating_sub(now.as_millis()).div_euclid(1000)
    }

    /// RFC 9111 section 4.2: fresh while its age is below its lifetime.
    pub(super) fn is_fresh(&self, now: Timestamp) -> bool {
        now < self.fresh_until
    }

    /// Whether a second request, which wishes nothing special, could be answered with it right
    /// now.
    pub fn reusable_without_validation(&self, now: Timestamp) -> bool {
        match self.reuse {
            Reuse::Validated => false,
            Reuse::Fresh => self.is_fresh(now),
            Reuse::Stale { refresh_until, .. } => now < refresh_until,
        }
    }

    /// Whether the origin can be asked if it is still good.
    pub fn has_validator(&self) -> bool {
        self.etag.is_some() || self.last_modified.is_some()
    }

    /// Whether Vary lets it answer `request` (RFC 9111 section 4.1).
    pub fn serves(&self, request: Request<'_>) -> bool {
        match &self.selecting {
            None => true,
            Some(selecting) => selecting.matches(request.headers),
        }
    }

    /// What decides in `request` which variant it gets, as a number: another number, another
    /// variant. `None` where nothing does.
    pub fn variant_of(&self, request: Request<'_>) -> Option<u64> {
        self.selecting.as_ref().map(|selecting| selecting.digest(request.headers))
    }

    /// Its entity tag, if it has a valid one.
    pub fn etag(&self) -> Option<&ETag> {
        self.etag.as_ref()
    }

    /// Its Last-Modified, if it has a valid one.
    pub fn last_modified(&self) -> Option<Timestamp> {
        self.last_modified.as_ref().map(|modified| modified.at)
    }

    /// Its Last-Modified as the origin wrote it.
    pub(super) fn last_modified_text(&self) -> Option<&HeaderValue> {
        self.last_modified.as_ref().map(|modified| &modified.text)
    }

    /// Its Date, or the moment of its arrival.
    pub fn date(&self) -> Timestamp {
        self.date
    }

    /// From this moment on it is of no use to anybody: stale beyond every window. `None` where a
    /// validator keeps it useful.
    pub fn useless_from(&self) -> Option<Timestamp> {
        if self.has_validator() {
            return None;
        }
        Some(match self.reuse {
            Reuse::Validated => self.born,
            Reuse::Fresh => self.fresh_until,
            Reuse::Stale { refresh_until, error_until } => refresh_until.max(error_until),
        })
    }
}

/// The index of the stored answer to use for `request` (RFC 9111 section 4.1).
///
/// Of those that Vary lets answer it, the most recent. An answer without Vary steps back behind
/// those with: where some answers vary, one that doesn't say so has likely forgotten to. Of equally
/// recent ones the first is chosen.
pub fn select<'t>(
    variants: impl Iterator<Item = &'t Terms>,
    request: Request<'_>,
) -> Option<usize> {
    variants
        .enumerate()
        .filter(|(_, terms)| terms.serves(request))
        .min_by_key(|(_, terms)| Reverse((terms.selecting.is_some(), terms.date)))
        .map(|(index, _)| index)
}

#[cfg(test)]
mod tests;
