//! The name servers, as the file says.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::{HealthPolicy, Rule, Shedding};
use crate::{DomainName, Label, Location, Protocol};

/// `[dns]`: the name servers.
#[derive(Debug, Clone, PartialEq)]
pub struct Dns {
    /// UDP and TCP addresses to answer on. An unspecified IPv6 address stands for IPv6 alone, so that
    /// `0.0.0.0` may stand beside it.
    pub listen: Vec<SocketAddr>,
    /// What is answered on encrypted, where there is a certificate.
    pub tls: Option<DnsTls>,
    /// Address of `/metrics`, `/healthz` and `/status`.
    pub admin: SocketAddr,
    /// Time to live of steered answers.
    pub ttl: Duration,
    /// What it is while edges come and go. At most `ttl`.
    pub ttl_min: Duration,
    /// The longest that a site may want. At least `ttl`.
    pub ttl_max: Duration,
    /// Whether clients are placed by the subnets that their resolvers tell (RFC 7871).
    pub client_subnet: bool,
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

impl Dns {
    /// Every name server that can be told apart, with the address at which it is asked: its own
    /// `admin`, or that of `[dns]`, which is each one's first address where it is all of them. Those
    /// that share that of `[dns]` are `dns`: one of them answers.
    pub fn admins(&self) -> Vec<(&str, SocketAddr)> {
        let shared = self.admin;
        let own = |server: &NameServer| match (server.admin, server.addresses.first()) {
            (None, Some(first)) if shared.ip().is_unspecified() => {
                Some(SocketAddr::new(*first, shared.port()))
            }
            (admin, _) => admin,
        };
        let (known, others): (Vec<_>, Vec<_>) =
            self.nameservers.iter().partition(|server| own(server).is_some());
        let known = known.into_iter().filter_map(|it| Some((it.name.as_str(), own(it)?)));
        let others = match others.as_slice() {
            [] if !self.nameservers.is_empty() => None,
            [one] => Some((one.name.as_str(), shared)),
            _ => Some(("dns", shared)),
        };
        known.chain(others).collect()
    }
}

/// `[dns.tls]`: DNS over TLS (RFC 7858) and over HTTPS (RFC 8484).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsTls {
    /// TCP addresses to answer on over TLS. With `https` there is at least one.
    pub listen: Vec<SocketAddr>,
    /// TCP addresses to answer on over HTTPS.
    pub https: Vec<SocketAddr>,
    /// The certificate and those that lead to its root, in PEM; the first is ours.
    pub certificate: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
    /// Connections at once, on all these addresses.
    pub connections: usize,
    /// Those of one client.
    pub per_client: usize,
    /// A connection without a whole query for so long is closed.
    pub idle: Duration,
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

/// `[[dns.nameserver]]`: one of our name servers.
#[derive(Debug, Clone, PartialEq)]
pub struct NameServer {
    /// First label of its name; it is called `<name>.<zone>`.
    pub name: Label,
    /// Its addresses, for A, AAAA and glue.
    pub addresses: Vec<IpAddr>,
    /// Where operators and Prometheus reach its `admin` address, if that isn't the one of `[dns]`.
    pub admin: Option<SocketAddr>,
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
