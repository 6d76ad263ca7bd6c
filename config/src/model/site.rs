//! The sites, as the file says.

use std::time::Duration;

use crate::{DomainName, Label, OriginUrl};

/// `[[site]]`: one site that the CDN serves.
#[derive(Debug, Clone, PartialEq)]
pub struct Site {
    /// Its name; DNS answers it at `<name>.<zone>`.
    pub name: Label,
    /// The hosts that are this site, lower case, without port. `<name>.<zone>` is one of them
    /// whether or not the file says so.
    pub hosts: Vec<DomainName>,
    /// Its origins, tried in this order. At least one.
    pub origins: Vec<OriginUrl>,
    /// What may be done with its answers.
    pub cache: SiteCache,
    /// How long its origins may take.
    pub upstream: Upstream,
}

/// `[site.cache]`: what the edge may do with a site's answers beyond or below RFC 9111.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteCache {
    /// Freshness of an answer that gives none itself.
    pub default_ttl: Duration,
    /// How long after it went stale an answer may stand in for an origin in trouble (RFC 5861
    /// section 4), where the answer doesn't say and doesn't forbid.
    pub stale_if_error: Duration,
    /// How long after it went stale an answer may be served while it is refreshed (RFC 5861
    /// section 3), where the answer doesn't say and doesn't forbid.
    pub stale_while_revalidate: Duration,
    /// Whether freshness may be guessed from Last-Modified (RFC 9111 section 4.2.2).
    pub heuristic: bool,
    /// What is done with answers that set cookies.
    pub cookies: Cookies,
}

/// What is done with answers that carry `Set-Cookie`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cookies {
    /// They are passed on and not stored.
    Pass,
    /// They are stored as RFC 9111 permits (section 7.3).
    Store,
    /// The field is removed, the answer is stored.
    Strip,
}

/// `[site.upstream]`: how an edge talks to a site's origins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Time to open a connection.
    pub connect_timeout: Duration,
    /// Time from the request sent to the answer's header section.
    pub first_byte_timeout: Duration,
    /// Time without a byte of the answer's body.
    pub idle_timeout: Duration,
    /// Connections to one origin at once.
    pub connections: usize,
    /// The `Host` that origins get, where it isn't the one that the client asked for.
    pub host: Option<DomainName>,
}
