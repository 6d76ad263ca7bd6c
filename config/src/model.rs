//! What a configuration says, once it is known to be right.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

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
}

/// `[cdn]`: the CDN's own domain.
#[derive(Debug, Clone, PartialEq)]
pub struct Cdn {
    /// The zone that our DNS is authoritative for; a site answers at `<site>.<zone>`.
    pub zone: DomainName,
    /// Mailbox of the zone's keeper, `user@host`, for the SOA record.
    pub contact: Mailbox,
}

/// `[dns]`: the name servers.
#[derive(Debug, Clone, PartialEq)]
pub struct Dns {
    /// UDP and TCP addresses to answer on.
    pub listen: Vec<SocketAddr>,
    /// Address of `/metrics`, `/healthz` and `/status`.
    pub admin: SocketAddr,
    /// Time to live of steered answers.
    pub ttl: Duration,
    /// A city database in MaxMind's format.
    pub geoip: Option<PathBuf>,
    /// How edges are checked.
    pub health: HealthPolicy,
    /// Our name servers, as NS records of the CDN's zone.
    pub nameservers: Vec<NameServer>,
    /// The operator's own knowledge of networks.
    pub networks: Vec<Network>,
    /// Static zones.
    pub zones: Vec<Zone>,
}

/// `[dns.health]`: how a name server checks every edge.
#[derive(Debug, Clone, PartialEq)]
pub struct HealthPolicy {
    /// What a check is.
    pub check: HealthCheck,
    /// Time from the start of one check of an edge to the start of the next.
    pub interval: Duration,
    /// A check without an answer by then has failed.
    pub timeout: Duration,
    /// Failures in a row that take an edge out.
    pub down_after: u32,
    /// Successes in a row that bring an edge back.
    pub up_after: u32,
    /// What is answered while no edge is up.
    pub all_down: AllDown,
}

/// What a health check does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthCheck {
    /// `GET` of [`crate::status::HEALTH_PATH`] on the edge's service address, 200 is up.
    Http,
    /// A TCP connection to the edge's service address.
    Tcp,
    /// No check: every edge counts as up.
    None,
}

/// What DNS answers while every edge is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AllDown {
    /// As if every edge were up: a check may be wrong, no answer surely fails.
    Every,
    /// SERVFAIL, so that resolvers try another name server or use stale data.
    Fail,
}

/// `[[dns.nameserver]]`: one of our name servers.
#[derive(Debug, Clone, PartialEq)]
pub struct NameServer {
    /// First label of its name; it is called `<name>.<zone>`.
    pub name: Label,
    /// Its addresses, for A, AAAA and glue.
    pub addresses: Vec<IpAddr>,
}

/// `[[dns.network]]`: what the operator knows about the clients of a network.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// The network; the longest matching prefix wins.
    pub prefix: IpNet,
    /// Where its clients are sent.
    pub target: NetworkTarget,
}

/// Where the clients of a [`Network`] are sent.
#[derive(Debug, Clone, PartialEq)]
pub enum NetworkTarget {
    /// To the edges nearest to this place.
    Location(Location),
    /// To these edges, in this order; then to the rest in the default order.
    Edges(Vec<Label>),
}

/// `[[dns.zone]]`: a zone served as its master file says.
#[derive(Debug, Clone, PartialEq)]
pub struct Zone {
    /// The zone's apex.
    pub name: DomainName,
    /// Its master file (RFC 1035 section 5); exists and is readable.
    pub file: PathBuf,
}

/// `[[edge]]`: one edge.
#[derive(Debug, Clone, PartialEq)]
pub struct Edge {
    /// Its name, also in `Cache-Status` and `Via`.
    pub name: Label,
    /// Where it stands.
    pub location: Location,
    /// What DNS answers for it.
    pub addresses: Vec<IpAddr>,
    /// Where it serves HTTP.
    pub listen: Vec<SocketAddr>,
    /// Address of `/metrics`, `/healthz` and `/status`.
    pub admin: SocketAddr,
    /// What it may keep.
    pub cache: CachePolicy,
    /// What it accepts.
    pub limits: Limits,
}

/// `[edge.cache]`, or `[cache]` for every edge: what an edge may keep.
#[derive(Debug, Clone, PartialEq)]
pub struct CachePolicy {
    /// Bytes of memory for cached objects and what is on its way into the cache.
    pub memory_bytes: u64,
    /// The disk tier.
    pub disk: Option<Disk>,
    /// What makes room for what.
    pub eviction: Eviction,
}

/// The disk tier of an edge.
#[derive(Debug, Clone, PartialEq)]
pub struct Disk {
    /// A folder for this edge alone.
    pub path: PathBuf,
    /// Bytes that it may hold.
    pub size_bytes: u64,
}

/// What is evicted when the cache is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Eviction {
    /// The least frequently used.
    Lfu,
    /// The least recently used.
    Lru,
}

/// `[edge.limits]`, or `[limits]` for every edge: past these the edge refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Client connections open at once.
    pub connections: usize,
    /// Bytes of a request's line and header section.
    pub header_bytes: usize,
    /// Header fields of a request.
    pub header_count: usize,
    /// Time for a client to send a whole header section; also how long an idle connection is kept.
    pub header_timeout: Duration,
    /// Time without progress after which a body's transfer to or from a client is ended.
    pub body_timeout: Duration,
    /// Bytes of a request's body.
    pub request_body_bytes: u64,
    /// Time that open requests get to finish when the edge is told to stop.
    pub drain_timeout: Duration,
}

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

/// An origin: `http://host[:port]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OriginUrl {
    /// A name or an address.
    pub host: OriginHost,
    /// Its port, 80 where the URL says none.
    pub port: u16,
}

/// The host of an [`OriginUrl`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum OriginHost {
    /// A name, looked up when a connection is opened.
    Name(DomainName),
    /// An address.
    Address(IpAddr),
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

/// One DNS label in lower case: letters, digits and inner hyphens, at most 63 (RFC 1123
/// section 2.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Label(pub(crate) Arc<str>);

/// A host or zone name in lower case without the final dot: labels of letters, digits, hyphens and
/// underscores, at most 253 characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DomainName(pub(crate) Arc<str>);

/// A mailbox, `user@host`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// What stands before the `@`.
    pub user: String,
    /// What stands after it.
    pub host: DomainName,
}

/// A place on Earth, in degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Location {
    /// −90 (south) to 90 (north).
    pub latitude: f64,
    /// −180 (west) to 180 (east).
    pub longitude: f64,
}

impl Label {
    /// The label's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl DomainName {
    /// The name's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for OriginUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            OriginHost::Name(name) => write!(f, "http://{name}:{}", self.port),
            OriginHost::Address(IpAddr::V6(address)) => {
                write!(f, "http://[{address}]:{}", self.port)
            }
            OriginHost::Address(address) => write!(f, "http://{address}:{}", self.port),
        }
    }
}

impl Config {
    /// The edge of this name.
    pub fn edge(&self, name: &str) -> Option<&Edge> {
        self.edges.iter().find(|edge| edge.name.as_str() == name)
    }

    /// `<site>.<zone>`: where DNS answers a site, in a file that has a zone.
    pub fn site_name(&self, site: &Site) -> Option<String> {
        self.cdn
            .as_ref()
            .map(|cdn| format!("{}.{}", site.name, cdn.zone))
    }
}
