//! How a name server speaks: what it tells of itself, and what it takes from whom.

use std::path::PathBuf;
use std::time::Duration;

/// What a name server says and bears, whatever its zones are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Protocol {
    /// What it calls itself to those who ask: NSID (RFC 5001), `id.server` and `hostname.bind`
    /// (RFC 4892). Without it, it says nothing.
    pub identity: Option<Identity>,
    /// Whether it tells its version to those who ask (`version.bind`, `version.server`).
    pub version: bool,
    /// `[dns.dnssec] keys`: the folder of the zones' keys. A zone that has one there is signed.
    pub dnssec_keys: Option<PathBuf>,
    /// `[dns.limits]`.
    pub limits: DnsLimits,
    /// `[dns.log]`: one of so many queries is logged; 0 is none.
    pub log_one_in: u32,
}

/// What a name server calls itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// The host's name.
    Hostname,
    /// This text, of 1 to [`IDENTITY_MAX`] octets.
    Text(String),
}

/// The longest identity in octets, so that it never crowds out an answer.
pub const IDENTITY_MAX: usize = 63;

/// `[dns.limits]`: what a name server bears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsLimits {
    /// Answers over UDP to one network (a /24, a /56) in a second; 0 is no limit. TCP, and clients
    /// that prove their address with a cookie, aren't limited.
    pub rate: u32,
    /// Past the rate, every so manieth query without a cookie is told to come over TCP; the others
    /// get no answer. 0 is none.
    pub slip: u32,
    /// TCP connections at once.
    pub tcp_connections: usize,
    /// Those of one client.
    pub tcp_per_client: usize,
    /// A connection without a whole query for so long is closed.
    pub tcp_idle: Duration,
}

impl Default for DnsLimits {
    fn default() -> Self {
        Self {
            rate: 1000,
            slip: 2,
            tcp_connections: 1024,
            tcp_per_client: 64,
            tcp_idle: Duration::from_secs(10),
        }
    }
}
