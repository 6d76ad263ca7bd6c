//! What a configuration says, once it is known to be right.

mod dns;
mod edge;
mod health;
mod key;
mod protocol;
mod site;
mod steering;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use crate::location::Location;
pub use crate::names::{DomainName, Label, Mailbox};
pub use crate::tokens::{CookieName, FieldName, ParameterPattern, UpgradeProtocol};
pub use crate::url::{OriginHost, OriginUrl};
pub use dns::*;
pub use edge::*;
pub use health::*;
pub use key::*;
pub use protocol::*;
pub use site::*;
pub use steering::*;

/// The whole CDN as one file says it. Every node holds the same copy.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// What the name servers are authoritative for. Absent in a file for edges only.
    pub cdn: Option<Cdn>,
    /// The name servers. Absent in a file for edges only.
    pub dns: Option<Dns>,
    /// Every edge of the CDN, in the file's order, which is also the default order of steering.
    pub edges: Vec<Edge>,
    /// Every site that the CDN serves.
    pub sites: Vec<Site>,
    /// The reference origin, where this file runs one.
    pub origin: Option<Origin>,
    /// Where edges send traces, if anywhere.
    pub telemetry: Option<Telemetry>,
}

/// `[cdn]`: the CDN's own domain.
#[derive(Debug, Clone, PartialEq)]
pub struct Cdn {
    /// The zone that our DNS is authoritative for; a site answers at `<site>.<zone>`.
    pub zone: DomainName,
    /// Mailbox of the zone's keeper, `user@host`, for the SOA record.
    pub contact: Mailbox,
}

/// `[origin]`: the reference origin (netcinema).
#[derive(Debug, Clone, PartialEq)]
pub struct Origin {
    /// Where it serves HTTP.
    pub listen: Vec<SocketAddr>,
    /// Address of `/metrics`, `/healthz` and `/status`.
    pub admin: SocketAddr,
    /// The folder that it serves.
    pub root: PathBuf,
    /// `Cache-Control` by file name ending, with the dot: `".m4s" = "max-age=31536000, immutable"`.
    /// Entries add to and replace the built-in rules.
    pub cache_control: BTreeMap<String, String>,
}

/// `[telemetry]`: traces of requests.
#[derive(Debug, Clone, PartialEq)]
pub struct Telemetry {
    /// A collector that takes OTLP over HTTP.
    pub otlp: OriginUrl,
    /// The share of requests that are traced, 0 to 1.
    pub sampling: f64,
}

impl Config {
    /// The edge of this name.
    pub fn edge(&self, name: &str) -> Option<&Edge> {
        self.edges.iter().find(|edge| edge.name.as_str() == name)
    }

    /// How long an edge that is told to stop serves on, for those who were sent to it: until name
    /// servers have noticed and their answers have expired. Nobody notices where it isn't asked for
    /// its health.
    pub fn lame_duck(&self, edge: &Edge) -> Duration {
        let noticed = self.dns.as_ref().filter(|dns| dns.health.asks());
        edge.limits.lame_duck.unwrap_or_else(|| {
            noticed.map_or(Duration::ZERO, |dns| dns.health.notice().saturating_add(dns.ttl))
        })
    }

    /// `<site>.<zone>`: where DNS answers a site, in a file that has a zone.
    pub fn site_name(&self, site: &Site) -> Option<String> {
        self.cdn.as_ref().map(|cdn| format!("{}.{}", site.name, cdn.zone))
    }
}
