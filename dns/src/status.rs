//! `/status` of a name server.

mod edges;
mod regions;

use std::time::Duration;

use serde::Serialize;

use crate::fleet::Change;
use crate::geo::Origin;
use crate::record::Metrics;
use crate::world::World;
use edges::EdgeState;
use regions::Region;
pub(crate) use regions::word;

#[derive(Debug, Serialize)]
pub(crate) struct Status<'w> {
    version: &'static str,
    uptime_seconds: u64,
    zones: usize,
    map: MapStatus,
    geoip: Origin,
    /// Whether answers are short-lived, because edges come and go.
    degraded: bool,
    edges: Vec<EdgeState<'w>>,
    /// The latest first.
    changes: Vec<ChangeStatus>,
    regions: Vec<Region<'w>>,
}

#[derive(Debug, Serialize)]
struct MapStatus {
    ranges: usize,
    bytes: usize,
}

/// Something that happened to an edge.
#[derive(Debug, Serialize)]
struct ChangeStatus {
    /// Unix time in seconds.
    at: i64,
    edge: String,
    address: Option<String>,
    what: &'static str,
    reason: Option<String>,
}

impl<'w> Status<'w> {
    pub(crate) fn new(world: &'w World, metrics: &Metrics, uptime: Duration) -> Self {
        let geography = world.geography();
        Self {
            version: env!("CARGO_PKG_VERSION"),
            uptime_seconds: uptime.as_secs(),
            zones: world.zones.len(),
            map: MapStatus { ranges: geography.map.ranges(), bytes: geography.map.bytes() },
            geoip: geography.origin.clone(),
            degraded: world.monitor.fleet().degraded,
            edges: edges::states(world, metrics),
            changes: world.monitor.history().changes().into_iter().map(Into::into).collect(),
            regions: regions::regions(world),
        }
    }
}

impl From<Change> for ChangeStatus {
    fn from(change: Change) -> Self {
        Self {
            at: change.at.as_secs(),
            edge: change.edge,
            address: change.address,
            what: change.what.as_str(),
            reason: change.reason,
        }
    }
}
