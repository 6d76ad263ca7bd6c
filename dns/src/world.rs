//! All that one configuration says to a query: built anew on a reload, and
//! never changed but for the health of its edges.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use hickory_proto::rr::Name;
use kingcdn_config::clock::{Clock, Stopwatch};
use kingcdn_config::{AllDown, Cdn, Config, Dns, Protocol, SiteAllDown};
use prometheus::IntCounter;

use crate::chaos;
use crate::health::{self, Monitor, Prober};
use crate::locate::{self, Geography};
use crate::ready::Ready;
use crate::record::Metrics;
use crate::steering::{self, EdgeIndex, Groups, Point, seed};
use crate::transfer::Secondaries;
use crate::zone::{self, SiteIndex, ZoneError, Zones};

/// What a query is answered from.
pub(crate) struct World {
    pub(crate) zones: Zones,
    /// Answers made ahead, from the zones.
    pub(crate) ready: Ready,
    /// Another once its database is another.
    geography: ArcSwap<Geography>,
    pub(crate) monitor: Arc<Monitor>,
    /// Who may have the static zones.
    pub(crate) secondaries: Secondaries,
    /// What of the configuration chooses edges.
    pub(crate) dns: Dns,
    /// TTL of steered answers in seconds while edges come and go.
    pub(crate) ttl_min: u32,
    pub(crate) protocol: Protocol,
    /// What we call ourselves.
    pub(crate) identity: Option<Arc<[u8]>>,
    edges: Box<[Box<str>]>,
    /// Where each edge is.
    places: Box<[Point]>,
    sites: Box<[Box<str>]>,
    /// By site. Apart from all else of sites, so that those of many stay in the processor's caches.
    policies: Box<[Policy]>,
    /// Counters of answers by site and edge. Most sites of a large CDN never see most edges, so
    /// nothing is made before it is needed.
    answers: Box<[OnceLock<Counters>]>,
}

/// By edge.
type Counters = Box<[OnceLock<IntCounter>]>;

/// How DNS answers for a site.
#[derive(Debug)]
pub(crate) struct Policy {
    /// The site's number in choices.
    pub(crate) seed: u64,
    /// TTL of its answers in seconds.
    pub(crate) ttl: u32,
    /// How many edges an answer names.
    pub(crate) answers: usize,
    pub(crate) all_down: steering::AllDown,
    /// Where clients are led while every edge is down, instead of failing.
    pub(crate) fallback: Option<Box<Name>>,
    /// Whether a client's subnet places him, where his resolver tells it, and not the resolver.
    pub(crate) client_subnet: bool,
}

/// The parts of a configuration that a name server needs.
#[derive(Clone, Copy)]
pub(crate) struct Parts<'c> {
    pub(crate) config: &'c Config,
    pub(crate) cdn: &'c Cdn,
    pub(crate) dns: &'c Dns,
}

/// What files say: zones and who may have them, and where networks are.
type Read = ((Zones, Secondaries), Geography);

impl<'c> Parts<'c> {
    /// The parts, where the configuration has them.
    pub(crate) fn of(config: &'c Config) -> Option<Self> {
        Some(Self { config, cdn: config.cdn.as_ref()?, dns: config.dns.as_ref()? })
    }

    /// The edges' names.
    fn edges(self) -> Box<[Box<str>]> {
        self.config.edges.iter().map(|edge| edge.name.as_str().into()).collect()
    }

    /// Reads zones and database: all that can be wrong with them.
    pub(crate) fn read(self, groups: &Groups) -> Result<Read, Vec<ZoneError>> {
        let zones = zone::load(self.config, self.cdn, self.dns).and_then(|zones| {
            let secondaries = Secondaries::load(self.config, self.dns, &zones)?;
            Ok((zones, secondaries))
        });
        let geography = locate::compile(&self.edges(), self.dns, groups);
        match (zones, geography) {
            (Ok(zones), Ok(geography)) => Ok((zones, geography)),
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
        let groups = Arc::new(health::groups(parts.config));
        let ((zones, secondaries), geography) = parts.read(&groups)?;
        let prober = Prober::new(parts.config, parts.dns).map_err(|error| vec![error])?;
        metrics.zones(zones.len());
        metrics.geography(&geography, started.elapsed());
        let config = parts.config;
        let before = before.map(|world| &*world.monitor);
        let with = (groups, prober);
        let monitor = Monitor::new(config, parts.dns, with, clock, Arc::clone(metrics), before);
        Ok(Self {
            ready: Ready::new(&zones),
            zones,
            geography: ArcSwap::from_pointee(geography),
            monitor: Arc::new(monitor),
            secondaries,
            dns: parts.dns.clone(),
            ttl_min: ttl_seconds(parts.dns.ttl_min),
            identity: chaos::identity(parts.dns.protocol.identity.as_ref()).map(Arc::from),
            protocol: parts.dns.protocol.clone(),
            edges: parts.edges(),
            places: config.edges.iter().map(|edge| locate::point(edge.location)).collect(),
            sites: config.sites.iter().map(|site| site.name.as_str().into()).collect(),
            policies: config.sites.iter().map(|site| Policy::of(site, parts.dns)).collect(),
            answers: config.sites.iter().map(|_| OnceLock::new()).collect(),
        })
    }

    /// Where clients are.
    pub(crate) fn geography(&self) -> Guard<Arc<Geography>> {
        self.geography.load()
    }

    /// Has clients be where another database says.
    pub(crate) fn take(&self, geography: Geography) {
        self.geography.store(Arc::new(geography));
    }

    /// How DNS answers for a site.
    pub(crate) fn policy(&self, site: SiteIndex) -> Option<&Policy> {
        self.policies.get(site)
    }

    /// A site's name.
    pub(crate) fn site(&self, site: SiteIndex) -> &str {
        self.sites.get(site).map_or("", |name| name)
    }

    /// Every site's name.
    pub(crate) fn sites(&self) -> impl Iterator<Item = &str> {
        self.sites.iter().map(|name| &**name)
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

    /// Every edge's name, in the default order.
    pub(crate) fn edges(&self) -> &[Box<str>] {
        &self.edges
    }

    /// Counts answers of a site that name an edge.
    pub(crate) fn count(&self, site: SiteIndex, edge: EdgeIndex, count: u64, metrics: &Metrics) {
        let Some(counters) = self.answers.get(site) else { return };
        let none = || self.edges.iter().map(|_| OnceLock::new()).collect();
        if let Some(counter) = counters.get_or_init(none).get(usize::from(edge)) {
            let resolve = || metrics.answers(self.site(site), self.edge(edge));
            counter.get_or_init(resolve).inc_by(count);
        }
    }
}

impl Policy {
    fn of(site: &kingcdn_config::Site, dns: &Dns) -> Self {
        let (all_down, fallback) = match (&site.dns.all_down, dns.health.all_down) {
            (Some(SiteAllDown::Every), _) | (None, AllDown::Every) => {
                (steering::AllDown::Every, None)
            }
            (Some(SiteAllDown::Fail), _) | (None, AllDown::Fail) => (steering::AllDown::Fail, None),
            (Some(SiteAllDown::Alias(name)), _) => {
                let name = Name::from_ascii(format!("{name}."));
                (steering::AllDown::Fail, name.ok().map(Box::new))
            }
        };
        Self {
            seed: seed(site.name.as_str()),
            ttl: ttl_seconds(site.dns.ttl.unwrap_or(dns.ttl)),
            answers: site.dns.answers,
            all_down,
            fallback,
            client_subnet: site.dns.client_subnet.unwrap_or(dns.client_subnet),
        }
    }
}

/// Seconds, as many as a TTL can tell.
pub(crate) fn ttl_seconds(ttl: Duration) -> u32 {
    u32::try_from(ttl.as_secs()).unwrap_or(u32::MAX)
}
