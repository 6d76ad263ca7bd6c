//! The name servers, as the file says.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::{Rule, Shedding};
use crate::{DomainName, Label, Location, Protocol};

/// `[dns]`: the name servers.
#[derive(Debug, Clone, PartialEq)]
pub struct Dns {
    /// UDP and TCP addresses to answer on. An unspecified IPv6 address stands for IPv6 alone, so that
    /// `0.0.0.0` may stand beside it.
    pub listen: Vec<SocketAddr>,
    /// Address of `/metrics`, `/healthz` and `/status`.
    pub admin: SocketAddr,
    /// Time to live of steered answers.
    pub ttl: Duration,
    /// What it is while edges come and go. At most `ttl`.
    pub ttl_min: Duration,
    /// The longest that a site may want. At least `ttl`.
    pub ttl_max: Duration,
    /// Where the states of edges are kept that the operator sets at run time.
    pub state: Option<PathBuf>,
    /// When edges give up clients.
    pub shedding: Shedding,
    /// What says where networks are.
    pub geoip: Geoip,
    /// How edges are checked.
    pub health: HealthPolicy,
    /// Our name servers, as NS records of the CDN's zone.
    pub nameservers: Vec<NameServer>,
    /// The operator's own knowledge of networks.
    pub networks: Vec<Network>,
    /// Where clients are sent by country and continent, after networks and before distance.
    pub rules: Vec<Rule>,
    /// Static zones.
    pub zones: Vec<Zone>,
    /// Other name servers that may have them.
    pub secondaries: Vec<Secondary>,
    /// How they speak, whatever they say.
    pub protocol: Protocol,
}

/// What says where the networks are that the operator says nothing of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Geoip {
    /// The database in the program.
    Embedded,
    /// A database of the operator's: in MaxMind's format, or one of `kingcdn geo build`.
    File(PathBuf),
    /// Nothing.
    None,
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

impl HealthPolicy {
    /// The longest that it takes to notice that an edge is gone.
    pub fn notice(&self) -> Duration {
        self.interval.saturating_mul(self.down_after).saturating_add(self.timeout)
    }
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

/// `[[dns.secondary]]`: a name server that may have the static zones and is told when they change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secondary {
    /// What logs call it.
    pub name: Label,
    /// From where it asks; the ports are those at which it is told of changes.
    pub addresses: Vec<SocketAddr>,
    /// The file of the secret that it shares with us.
    pub key: PathBuf,
}
