//! All that one configuration says to a query: built anew on a reload, and
//! never changed but for the health of its edges.

use std::sync::{Arc, OnceLock};

use kingcdn_config::clock::{Clock, Stopwatch};
use kingcdn_config::{AllDown, Cdn, Config, Dns, Protocol};
use prometheus::IntCounter;

use crate::chaos;
use crate::geo::Origin;
use crate::health::Monitor;
use crate::locate;
use crate::ready::Ready;
use crate::record::Metrics;
use crate::steering::{self, EdgeIndex, Map, Point};
use crate::zone::{self, SiteIndex, ZoneError, Zones};

/// What a query is answered from.
pub(crate) struct World {
    pub(crate) zones: Zones,
    /// Answers made ahead, from the zones.
    pub(crate) ready: Ready,
    pub(crate) map: Map,
    /// Whose locations are in the map.
    pub(crate) origin: Origin,
    pub(crate) monitor: Arc<Monitor>,
    /// TTL of steered answers in seconds.
    pub(crate) ttl: u32,
    pub(crate) all_down: steering::AllDown,
    pub(crate) protocol: Protocol,
    /// What we call ourselves.
    pub(crate) identity: Option<Arc<[u8]>>,
    edges: Box<[Box<str>]>,
    /// Where each edge is.
    places: Box<[Point]>,
    sites: Box<[Site]>,
}

struct Site {
    name: Box<str>,
    /// Counters of its answers by edge. Most sites of a large CDN never see most edges, so nothing
    /// is made before it is needed.
    answers: OnceLock<Box<[OnceLock<IntCounter>]>>,
}

/// The parts of a configuration that a name server needs.
#[derive(Clone, Copy)]
pub(crate) struct Parts<'c> {
    pub(crate) config: &'c Config,
    pub(crate) cdn: &'c Cdn,
    pub(crate) dns: &'c Dns,
}

impl<'c> Parts<'c> {
    /// The parts, where the configuration has them.
    pub(crate) fn of(config: &'c Config) -> Option<Self> {
        Some(Self { config, cdn: config.cdn.as_ref()?, dns: config.dns.as_ref()? })
    }

    /// Reads zones and database: all that can be wrong with them.
    pub(crate) fn read(self) -> Result<(Zones, (Map, Origin)), Vec<ZoneError>> {
        let zones = zone::load(self.config, self.cdn, self.dns);
        let map = locate::compile(self.config, self.dns);
        match (zones, map) {
            (Ok(zones), Ok(map)) => Ok((zones, map)),
            (Err(mut errors), Err(error)) => {
                errors.push(error);
                Err(errors)
            }
            (Err(errors), Ok(_)) => Err(errors),
            (Ok(_), Err(error)) => Err(vec![error]),
        }
    }
}

impl World {
    /// Builds the world of a configuration, keeping what `before` knows of the health of edges.
    pub(crate) fn build(
        parts: Parts<'_>,
        clock: Clock,
        metrics: &Arc<Metrics>,
        before: Option<&Self>,
    ) -> Result<Self, Vec<ZoneError>> {
        let started = Stopwatch::start();
        let (zones, (map, origin)) = parts.read()?;
        metrics.world(zones.len(), map.ranges(), map.bytes(), started.elapsed());
        let config = parts.config;
        let edges: Box<[Box<str>]> = config.edges.iter().map(|e| e.name.as_str().into()).collect();
        let site = |site: &kingcdn_config::Site| Site {
            name: site.name.as_str().into(),
            answers: OnceLock::new(),
        };
        let sites = config.sites.iter().map(site).collect();
        let health = &parts.dns.health;
        let before = before.map(|world| &*world.monitor);
        let monitor = Monitor::new(config, health, clock, Arc::clone(metrics), before);
        Ok(Self {
            ready: Ready::new(&zones),
            zones,
            map,
            origin,
            monitor: Arc::new(monitor),
            ttl: u32::try_from(parts.dns.ttl.as_secs()).unwrap_or(u32::MAX),
            all_down: match health.all_down {
                AllDown::Every => steering::AllDown::Every,
                AllDown::Fail => steering::AllDown::Fail,
            },
            identity: chaos::identity(parts.dns.protocol.identity.as_ref()).map(Arc::from),
            protocol: parts.dns.protocol.clone(),
            edges,
            places: config.edges.iter().map(|edge| locate::point(edge.location)).collect(),
            sites,
        })
    }

    /// An edge's name.
    pub(crate) fn edge(&self, edge: EdgeIndex) -> &str {
        self.edges.get(usize::from(edge)).map_or("", |name| name)
    }

    /// Where an edge is.
    pub(crate) fn place(&self, edge: EdgeIndex) -> Point {
        let nowhere = Point { latitude: 0.0, longitude: 0.0 };
        self.places.get(usize::from(edge)).copied().unwrap_or(nowhere)
    }

    /// Where every edge is, in the default order.
    pub(crate) fn places(&self) -> &[Point] {
        &self.places
    }

    /// Every edge's name, in the default order.
    pub(crate) fn edges(&self) -> impl Iterator<Item = &str> {
        self.edges.iter().map(|name| &**name)
    }

    /// Counts answers of a site that name an edge.
    pub(crate) fn count(&self, site: SiteIndex, edge: EdgeIndex, count: u64, metrics: &Metrics) {
        let Some(site) = self.sites.get(site) else { return };
        let none = || self.edges.iter().map(|_| OnceLock::new()).collect();
        if let Some(counter) = site.answers.get_or_init(none).get(usize::from(edge)) {
            counter.get_or_init(|| metrics.answers(&site.name, self.edge(edge))).inc_by(count);
        }
    }
}
