//! What a site permits beyond, or forbids below, the RFCs.

use std::time::Duration;

use http::HeaderName;

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
            cookies: Cookies::Pass,
            targets: vec![CDN_CACHE_CONTROL],
        }
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
