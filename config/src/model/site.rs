//! The sites, as the file says.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::{SiteDns, SiteKey};
use crate::{DomainName, FieldName, Label, OriginUrl, UpgradeProtocol};

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
    /// Protocols to which its clients may switch (RFC 9110 section 7.8). None: `Upgrade` goes no
    /// further than the edge.
    pub upgrade: Vec<UpgradeProtocol>,
    /// How DNS answers for it.
    pub dns: SiteDns,
    /// Which of its requests mean the same object.
    pub key: SiteKey,
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
    /// The longest freshness so guessed.
    pub heuristic_max: Duration,
    /// Freshness of errors that give none themselves. The first that has the status counts: single
    /// statuses stand before classes.
    pub negative_ttl: Vec<NegativeTtl>,
    /// What is done with answers that set cookies.
    pub cookies: Cookies,
    /// Further fields that speak to this cache alone, before `CDN-Cache-Control` (RFC 9213
    /// section 2.2).
    pub targets: Vec<FieldName>,
    /// Whether clients may send the edge to the origin.
    pub client_refresh: ClientRefresh,
    /// Whether answers say under which key they are stored (RFC 9211 section 2.7).
    pub show_key: bool,
}

/// What RFC 9111 says, and nothing beyond but stale answers while an origin fails.
impl Default for SiteCache {
    fn default() -> Self {
        Self {
            default_ttl: Duration::ZERO,
            stale_if_error: Duration::from_secs(3600),
            stale_while_revalidate: Duration::ZERO,
            heuristic: false,
            heuristic_max: Duration::from_secs(86_400),
            negative_ttl: Vec::new(),
            cookies: Cookies::Pass,
            targets: Vec::new(),
            client_refresh: ClientRefresh::Limited,
            show_key: false,
        }
    }
}

/// Freshness of errors with certain statuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NegativeTtl {
    /// One status, or a class of them, within 400 to 599.
    pub statuses: RangeInclusive<u16>,
    /// How long such an answer is fresh.
    pub ttl: Duration,
}

/// Whether a client that asks for a fresh copy (`Cache-Control: no-cache`, `max-age=0` and the like)
/// gets one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientRefresh {
    /// Ten at once and one a second, of the whole site.
    Limited,
    /// Always, as RFC 9111 section 5.2.1 has it.
    Obey,
    /// Never: it gets what is fresh by the origin's word.
    Ignore,
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
    /// The `Host` that origins get. Without it a fetch asks for the site's first host, whichever the
    /// client named (the host isn't part of the key), and what passes uncached for the client's.
    pub host: Option<DomainName>,
}
