//! What decides on the choice of edges beside where they are, as the file says.

use std::fmt;
use std::time::Duration;

use super::NetworkTarget;
use crate::DomainName;

/// `[[dns.rule]]`: where the clients of some countries or continents are sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Whose clients. A country comes before its continent, whichever rule stands first.
    pub regions: Vec<Region>,
    /// Where they are sent.
    pub target: NetworkTarget,
}

/// A part of the world, as location databases name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Region {
    /// A country by its two letters (ISO 3166-1 alpha-2), in capitals.
    Country([u8; 2]),
    /// A continent: AF, AN, AS, EU, NA, OC or SA.
    Continent([u8; 2]),
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Country(code) | Self::Continent(code)) = self;
        f.write_str(&String::from_utf8_lossy(code))
    }
}

/// `capacity` of `[[edge]]`: what it can do. What isn't said doesn't limit it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Capacity {
    /// Requests per second.
    pub requests_per_second: Option<u64>,
    /// Bits per second to clients.
    pub egress_bits_per_second: Option<u64>,
    /// Share of its machine's processors, 0 to 1.
    pub cpu_share: Option<f64>,
}

/// `[dns.shedding]`: at which shares of its capacity an edge gives up clients.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shedding {
    /// Above this it gives up some of its networks, more with more load.
    pub soft: f64,
    /// From this on it gives up all. Above `soft`.
    pub hard: f64,
}

impl Default for Shedding {
    fn default() -> Self {
        Self { soft: 0.8, hard: 1.0 }
    }
}

/// `[site.dns]`: how DNS answers for a site.
#[derive(Debug, Clone, PartialEq)]
pub struct SiteDns {
    /// Time to live of its answers; that of `[dns]` where it doesn't say.
    pub ttl: Option<Duration>,
    /// How many edges an answer names, where so many can take clients. 1 to 4.
    pub answers: usize,
    /// What is answered while no edge is up; what `[dns.health]` says where it doesn't say.
    pub all_down: Option<SiteAllDown>,
    /// Whether a client is placed by the subnet that his resolver tells (RFC 7871), and not by the
    /// resolver; what `[dns]` says where it doesn't say.
    pub client_subnet: Option<bool>,
    /// Its HTTPS record; without it there is none.
    pub https: Option<SiteHttps>,
}

/// `https` of `[site.dns]`: what the HTTPS record (RFC 9460) at the site's names says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteHttps {
    /// The protocols beside HTTP/1.1 over TLS, by their ALPN ids, each of 1 to 255 octets.
    pub alpn: Vec<String>,
    /// The port; 443 where it doesn't say.
    pub port: Option<u16>,
}

impl Default for SiteDns {
    fn default() -> Self {
        Self { ttl: None, answers: 1, all_down: None, client_subnet: None, https: None }
    }
}

/// What DNS answers for one site while every edge is down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SiteAllDown {
    /// As if every edge were up.
    Every,
    /// SERVFAIL.
    Fail,
    /// An alias to a name elsewhere.
    Alias(DomainName),
}
