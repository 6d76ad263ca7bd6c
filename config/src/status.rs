//! What nodes tell each other and their operator: the `/status` document and
//! the path of the health check.

use serde::{Deserialize, Serialize};

/// Where an edge answers health checks, on its service address, whatever the `Host`: 200 while it
/// takes requests, 503 while it drains.
pub const HEALTH_PATH: &str = "/.well-known/kingcdn/health";

/// `/status` of an edge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EdgeStatus {
    /// The edge's name.
    pub node: String,
    /// The program's version.
    pub version: String,
    /// Seconds since the process started.
    pub uptime_seconds: u64,
    /// Whether it is finishing its open requests and wants no new ones.
    pub draining: bool,
    /// How busy it is.
    pub load: Load,
    /// What it keeps.
    pub cache: CacheStatus,
    /// By site.
    pub sites: Vec<SiteStatus>,
}

/// How busy an edge is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// Client connections open now.
    pub connections: u64,
    /// Requests answered per second, over the last ten seconds.
    pub requests_per_second: f64,
    /// Body bytes sent per second, over the last ten seconds.
    pub bytes_per_second: f64,
    /// Fetches from origins under way.
    pub fills: u64,
    /// Share of the machine's processors that the process used, 0 to 1, over the last ten seconds;
    /// none where the system doesn't say.
    #[serde(default)]
    pub cpu_share: Option<f64>,
}

/// What an edge keeps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CacheStatus {
    /// Bytes in the memory tier, overhead included.
    pub memory_bytes: u64,
    /// Bytes that the memory tier may hold.
    pub memory_capacity_bytes: u64,
    /// Objects in the memory tier.
    pub objects: u64,
    /// The disk tier.
    #[serde(default)]
    pub disks: Vec<DiskStatus>,
}

/// A disk of an edge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DiskStatus {
    /// Its folder.
    pub path: String,
    /// `starting`, `ready`, `out` (and tried again now and then) or `closed`.
    pub state: String,
    /// Why it is out.
    pub reason: Option<String>,
    /// Bytes that it may take.
    pub capacity_bytes: u64,
    /// Bytes that it takes.
    pub used_bytes: u64,
    /// Objects and slices of objects on it.
    pub records: u64,
    /// Bytes written for each byte of new records, since the process started.
    pub write_amplification: f64,
}

/// What an edge did for one site since it started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SiteStatus {
    /// The site's name.
    pub site: String,
    /// Requests answered.
    pub requests: u64,
    /// Share of requests answered from the cache, 0 to 1; none without requests.
    pub hit_ratio: Option<f64>,
    /// Share of body bytes that came from the cache, 0 to 1; none without bytes.
    pub byte_hit_ratio: Option<f64>,
    /// Requests sent to its origins.
    pub origin_requests: u64,
}
