//! The edges, as the file says.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::Capacity;
use crate::{Label, Location};

/// `[[edge]]`: one edge.
#[derive(Debug, Clone, PartialEq)]
pub struct Edge {
    /// Its name, also in `Cache-Status` and `Via`.
    pub name: Label,
    /// Where it stands.
    pub location: Location,
    /// What DNS answers for it.
    pub addresses: Vec<IpAddr>,
    /// Its share of the clients among the edges of its place, 1 to 1000.
    pub weight: u32,
    /// What it can do, so that it can give up clients before it can't.
    pub capacity: Capacity,
    /// Where it serves HTTP. An unspecified IPv6 address stands for IPv6 alone, so that
    /// `0.0.0.0` may stand beside it.
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
    /// It is used only while something is mounted here: the folder, or one above it.
    pub mount: Option<PathBuf>,
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
    /// Bytes of a request's line and header section; the line may take three quarters of them.
    pub header_bytes: usize,
    /// Header fields of a request.
    pub header_count: usize,
    /// Time for a client to send a whole header section; also how long an idle connection is kept.
    pub header_timeout: Duration,
    /// Time without progress after which a body's transfer to or from a client is ended.
    pub body_timeout: Duration,
    /// Bytes of a request's body.
    pub request_body_bytes: u64,
    /// Connections that have switched to another protocol, at once.
    pub tunnels: usize,
    /// Time without a byte in either direction after which such a connection is ended.
    pub tunnel_timeout: Duration,
    /// Time that open requests get to finish when the edge is told to stop.
    pub drain_timeout: Duration,
    /// How long before that it serves on while its health checks fail; where the file doesn't say,
    /// [`Config::lame_duck`](crate::Config::lame_duck) knows.
    pub lame_duck: Option<Duration>,
}
