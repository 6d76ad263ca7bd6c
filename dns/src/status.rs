//! `/status` of a name server.

use std::time::Duration;

use serde::Serialize;

use crate::geo::Origin;
use crate::health::Health;
use crate::record::Metrics;
use crate::world::World;

#[derive(Debug, Serialize)]
pub(crate) struct Status<'w> {
    version: &'static str,
    uptime_seconds: u64,
    zones: usize,
    map: MapStatus,
    geoip: &'w Origin,
    edges: Vec<EdgeStatus<'w>>,
}

#[derive(Debug, Serialize)]
struct MapStatus {
    ranges: usize,
    bytes: usize,
}

#[derive(Debug, Serialize)]
struct EdgeStatus<'w> {
    name: &'w str,
    /// Answers that named it, since the start.
    answers: u64,
    addresses: Vec<AddressStatus>,
}

#[derive(Debug, Serialize)]
struct AddressStatus {
    address: String,
    /// `up`, `down` or `unchecked`.
    health: &'static str,
    /// Unix time in seconds.
    since: i64,
    last_check: Option<CheckStatus>,
}

#[derive(Debug, Serialize)]
struct CheckStatus {
    /// Unix time in seconds.
    at: i64,
    ok: bool,
    /// Why it failed.
    reason: Option<String>,
}

impl<'w> Status<'w> {
    pub(crate) fn new(world: &'w World, metrics: &Metrics, uptime: Duration) -> Self {
        let machines = world.monitor.machines();
        let answers = metrics.answers_by_edge();
        let checked = || world.monitor.targets().iter().zip(&machines);
        let edges = world.edges().zip(0..).map(|(name, index)| EdgeStatus {
            name,
            answers: answers.get(name).copied().unwrap_or(0),
            addresses: checked()
                .filter(|(target, _)| target.edge == index)
                .map(|(target, machine)| AddressStatus {
                    address: target.service.to_string(),
                    health: match machine.health() {
                        Health::Up => "up",
                        Health::Down => "down",
                        Health::Unchecked => "unchecked",
                    },
                    since: machine.since().as_secs(),
                    last_check: machine.last().map(|(at, result)| CheckStatus {
                        at: at.as_secs(),
                        ok: result.is_ok(),
                        reason: result.err().map(|error| error.to_string()),
                    }),
                })
                .collect(),
        });
        Self {
            version: env!("CARGO_PKG_VERSION"),
            uptime_seconds: uptime.as_secs(),
            zones: world.zones.len(),
            map: MapStatus { ranges: world.map.ranges(), bytes: world.map.bytes() },
            geoip: &world.origin,
            edges: edges.collect(),
        }
    }
}
