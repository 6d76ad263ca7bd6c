//! Which edges can take clients: checks, their results, and the snapshot of
//! the fleet by which queries are answered.

mod check;
mod known;
mod setup;
mod snapshot;
mod state;
mod tasks;
mod tls;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use kingcdn_config::clock::{Clock, Timestamp};
use kingcdn_config::{Config, Dns, HealthPolicy};
use tracing::{info, warn};

pub(crate) use check::{CheckError, Prober};
pub(crate) use known::{Known, Terms};
pub(crate) use setup::groups;
use setup::{machines, of_before, targets, work};
pub(crate) use snapshot::{Family, Snapshot};
pub(crate) use state::{Health, Machine, Thresholds};

use crate::fleet::{self, Change, Figures, History, Report, What, Wish, Wishes};
use crate::record::Metrics;
use crate::steering::{EdgeIndex, Groups, Limits, Share, Standing};

/// A load that changed shows in an edge's figures, and these here, after so long.
const LOAD_LAG: Duration = Duration::from_secs(15);

/// An address of an edge, which is checked and answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) edge: EdgeIndex,
    pub(crate) name: Arc<str>,
    /// The address that is answered, with the port that is checked.
    pub(crate) service: SocketAddr,
}

/// Where an edge tells of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Teller {
    name: Arc<str>,
    admin: SocketAddr,
}

/// All checks of one configuration.
pub(crate) struct Monitor {
    policy: HealthPolicy,
    prober: Prober,
    targets: Vec<Target>,
    /// One for each edge.
    tellers: Vec<Teller>,
    terms: Terms,
    /// Held for the time of a comparison or a copy.
    known: Mutex<Known>,
    history: Arc<History>,
    wishes: Arc<Wishes>,
    /// Where wishes are kept.
    state: Option<PathBuf>,
    snapshot: ArcSwap<Snapshot>,
    clock: Clock,
    metrics: Arc<Metrics>,
}

impl Monitor {
    /// The checks of a configuration. What `before` knows of edges that stay as they are is kept.
    pub(crate) fn new(
        config: &Config,
        dns: &Dns,
        (groups, prober): (Arc<Groups>, Prober),
        clock: Clock,
        metrics: Arc<Metrics>,
        before: Option<&Self>,
    ) -> Self {
        let policy = &dns.health;
        let targets = targets(config, policy);
        let tellers: Vec<Teller> = config.edges.iter().map(Teller::of).collect();
        let wishes = before.map_or_else(
            || Arc::new(Wishes::load(dns.state.as_deref())),
            |before| Arc::clone(&before.wishes),
        );
        let terms = Terms {
            groups,
            capacities: config.edges.iter().map(|edge| work(&edge.capacity)).collect(),
            limits: Limits { soft: dns.shedding.soft, hard: dns.shedding.hard },
            settle: dns.ttl + LOAD_LAG,
        };
        let now = clock.now();
        let known = Known {
            machines: machines(&targets, &prober, before, now),
            reports: of_before(before, &tellers, |known| &known.reports),
            sheds: of_before(before, &tellers, |known| &known.sheds),
            wishes: tellers.iter().map(|teller| wishes.of(&teller.name)).collect(),
            changed: before.and_then(|before| before.known().changed),
            looked: now,
        };
        let snapshot = known.snapshot(&terms, &targets, now);
        let monitor = Self {
            policy: policy.clone(),
            prober,
            targets,
            tellers,
            terms,
            known: Mutex::new(known),
            history: before.map(|before| Arc::clone(&before.history)).unwrap_or_default(),
            wishes,
            state: dns.state.clone(),
            snapshot: ArcSwap::from_pointee(snapshot),
            clock,
            metrics,
        };
        monitor.gauge();
        monitor
    }

    /// The fleet as it is now.
    pub(crate) fn fleet(&self) -> arc_swap::Guard<Arc<Snapshot>> {
        self.snapshot.load()
    }

    /// What is checked.
    pub(crate) fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// What is known.
    pub(crate) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What never changes.
    pub(crate) fn terms(&self) -> &Terms {
        &self.terms
    }

    /// The time.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// What happened lately.
    pub(crate) fn history(&self) -> &History {
        &self.history
    }

    /// Takes what an edge says of itself.
    pub(crate) fn told(&self, edge: usize, told: Result<Figures, fleet::FetchError>) {
        let now = self.clock.now();
        let mut known = self.known();
        let Some(report) = known.reports.get_mut(edge) else { return };
        match told {
            Ok(figures) => *report = Report { last: Some((now, figures)), error: None },
            Err(error) => report.error = Some(error),
        }
    }

    /// Thinks of shedding, and of what has become old.
    pub(crate) fn tick(&self) {
        let now = self.clock.now();
        let mut known = self.known();
        let before = known.sheds.clone();
        known.shed(&self.terms, now);
        for ((index, teller), before) in self.tellers.iter().enumerate().zip(before) {
            let share = known.sheds.get(index).map_or(0.0, |shed| shed.share);
            let Some(what) = turn(Share::of(before.share), Share::of(share)) else { continue };
            let load = known.load(index, &self.terms, now);
            let reason = load.map(|load| format!("at {:.0}% of its capacity", load * 100.0));
            info!(edge = %teller.name, reason, "edge {}", what.as_str());
            let (edge, address) = (teller.name.to_string(), None);
            self.history.add(Change { at: now, edge, address, what, reason });
        }
        for (teller, shed) in self.tellers.iter().zip(&known.sheds) {
            self.metrics.shed(&teller.name, shed.share);
        }
        self.publish(&known, now);
    }

    /// Takes what the operator wants of the edges whose names fit a pattern, and writes it down;
    /// their names.
    pub(crate) fn wish(&self, pattern: &str, wish: Wish) -> (Vec<&str>, std::io::Result<()>) {
        let fitting = self.tellers.iter().filter(|teller| fleet::fits(pattern, &teller.name));
        let names: Vec<&str> = fitting.map(|teller| &*teller.name).collect();
        let written = self.wishes.set(&names, wish, self.state.as_deref());
        let now = self.clock.now();
        let mut known = self.known();
        for (index, teller) in self.tellers.iter().enumerate() {
            let asked = self.wishes.of(&teller.name);
            let Some(held) = known.wishes.get_mut(index) else { continue };
            if std::mem::replace(held, asked) == asked {
                continue;
            }
            known.changed = Some(now);
            info!(edge = %teller.name, wish = asked.as_str(), "the operator set an edge");
            let (edge, what) = (teller.name.to_string(), What::Wished(asked));
            let reason = Some("the operator".to_owned());
            self.history.add(Change { at: now, edge, address: None, what, reason });
        }
        self.publish(&known, now);
        (names, written)
    }

    /// Publishes the fleet, if it is another. The lock is held, so that no older fleet takes the
    /// place of a newer one, nor its gauges.
    fn publish(&self, known: &Known, now: Timestamp) {
        let snapshot = known.snapshot(&self.terms, &self.targets, now);
        if snapshot != **self.snapshot.load() {
            self.snapshot.store(Arc::new(snapshot));
            self.gauge();
        }
    }

    /// Takes a result; where it turns a target, says so and publishes the fleet anew.
    pub(crate) fn observe(&self, index: usize, result: Result<(), CheckError>) {
        let Some(target) = self.targets.get(index) else { return };
        let thresholds =
            Thresholds { down_after: self.policy.down_after, up_after: self.policy.up_after };
        let now = self.clock.now();
        self.metrics.checked(result.is_ok());
        {
            let mut known = self.known();
            let Some(machine) = known.machines.get_mut(index) else { return };
            let first = machine.health() == Health::Unchecked;
            let turned = machine.observe(result, now, thresholds);
            if let Some(health) = turned {
                // That all is well at the start is no change.
                if !(first && health == Health::Up) {
                    known.changed = Some(now);
                }
                self.history.add(Change {
                    at: now,
                    edge: target.name.to_string(),
                    address: Some(target.service.to_string()),
                    what: if health == Health::Up { What::Up } else { What::Down },
                    reason: result.err().map(|error| error.to_string()),
                });
            }
            match turned {
                None => return,
                Some(Health::Up) => {
                    info!(edge = %target.name, address = %target.service, "edge is up")
                }
                Some(_) => {
                    let reason = result.err().map(|error| error.to_string());
                    warn!(edge = %target.name, address = %target.service, reason, "edge is down");
                }
            }
            self.publish(&known, now);
        }
        self.metrics.turned();
    }

    /// An edge counts as up when clients of some family can be sent there.
    fn gauge(&self) {
        let fleet = self.fleet();
        for target in &self.targets {
            let standing = |family: &Family| family.fleet.standing(target.edge);
            let up = [&fleet.v4, &fleet.v6].iter().any(|f| standing(f) == Standing::Up);
            self.metrics.edge_up(&target.name, up);
        }
    }
}

/// What it means that an edge's share became another.
fn turn(before: Share, now: Share) -> Option<What> {
    match (before, now) {
        _ if before == now => None,
        (_, Share::ALL) => Some(What::ShedsAll),
        (_, Share(0)) => Some(What::ShedsNothing),
        (Share(0), _) => Some(What::Sheds),
        _ => None,
    }
}
