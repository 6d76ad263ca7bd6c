//! What a site permits beyond, or forbids below, the RFCs.

use std::ops::RangeInclusive;
use std::time::Duration;

use http::{HeaderName, StatusCode};

/// The field that RFC 9213 section 3.1 defines for CDNs.
pub const CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");

/// A site's say about its answers. The default adds nothing to RFC 9111.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Freshness of an answer that gives none itself.
    pub default_ttl: Duration,
    /// How long after it went stale an answer may stand in for an origin in trouble, where the
    /// answer doesn't say and doesn't forbid (RFC 5861 section 4).
    pub stale_if_error: Duration,
    /// How long after it went stale an answer may be served while it is refreshed, where the
    /// answer doesn't say and doesn't forbid (RFC 5861 section 3).
    pub stale_while_revalidate: Duration,
    /// Whether freshness may be guessed from Last-Modified (RFC 9111 section 4.2.2).
    pub heuristic: bool,
    /// The longest freshness so guessed.
    pub heuristic_max: Duration,
    /// Freshness of answers with these statuses that give none themselves. The first range that has
    /// the status counts; zero is as if it weren't there.
    pub negative_ttl: Vec<(RangeInclusive<u16>, Duration)>,
    /// What is done with answers that set cookies.
    pub cookies: Cookies,
    /// The target list of RFC 9213 section 2.2: of these fields the first that is present and
    /// valid replaces Cache-Control and Expires.
    pub targets: Vec<HeaderName>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            default_ttl: Duration::ZERO,
            stale_if_error: Duration::ZERO,
            stale_while_revalidate: Duration::ZERO,
            heuristic: false,
            heuristic_max: Duration::from_secs(24 * 60 * 60),
            negative_ttl: Vec::new(),
            cookies: Cookies::Pass,
            targets: vec![CDN_CACHE_CONTROL],
        }
    }
}

impl Policy {
    /// How long an answer with this status that says nothing of it is fresh, if the site says.
    pub(super) fn negative(&self, status: StatusCode) -> Option<Duration> {
        let (_, ttl) = self.negative_ttl.iter().find(|(of, _)| of.contains(&status.as_u16()))?;
        (!ttl.is_zero()).then_some(*ttl)
    }
}

/// What is done with answers that carry `Set-Cookie`.
///
/// RFC 9111 section 7.3 lets a shared cache store them and hand one user's cookie to everybody.
/// The default is therefore [`Cookies::Pass`]: an origin that forgot to say `private` leaks
/// nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cookies {
    /// They are passed on and not stored.
    Pass,
    /// They are stored as RFC 9111 permits.
    Store,
    /// The field isn't stored, the answer without it is.
    Strip,
}
