//! Which edges can take clients: checks, their results, and the snapshot of
//! the fleet by which queries are answered.

mod check;
mod snapshot;
mod state;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use kingcdn_config::clock::Clock;
use kingcdn_config::{Config, HealthCheck, HealthPolicy};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::{info, warn};

pub(crate) use check::CheckError;
pub(crate) use snapshot::{Family, Snapshot};
pub(crate) use state::{Health, Machine, Thresholds};

use crate::fleet::{self, Change, Figures, History, Report, What};
use crate::record::Metrics;
use crate::steering::{EdgeIndex, Standing};

/// Share of the interval by which checks are put off at random, so that name servers and edges
/// don't fall into step.
const JITTER: f64 = 0.1;

/// From the start of one look at an edge's `/status` to the start of the next.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);
/// A look without an answer by then has failed.
const REPORT_TIMEOUT: Duration = Duration::from_secs(3);
/// A document is believed for so long.
const REPORT_LIFE: Duration = Duration::from_secs(30);

/// An address of an edge, which is checked and answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) edge: EdgeIndex,
    pub(crate) name: Arc<str>,
    /// The address that is answered, with the port on which the edge serves.
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
    targets: Vec<Target>,
    /// One for each edge.
    tellers: Vec<Teller>,
    /// One for each edge. Held for the time of a copy.
    reports: Mutex<Vec<Report>>,
    history: Arc<History>,
    /// One for each target. Held for the time of a comparison or a copy.
    machines: Mutex<Vec<Machine>>,
    snapshot: ArcSwap<Snapshot>,
    clock: Clock,
    metrics: Arc<Metrics>,
}

impl Monitor {
    /// The checks of a configuration. What `before` knows of edges that stay as they are is kept.
    pub(crate) fn new(
        config: &Config,
        policy: &HealthPolicy,
        clock: Clock,
        metrics: Arc<Metrics>,
        before: Option<&Self>,
    ) -> Self {
        let targets = targets(config);
        let now = clock.now();
        let known: Vec<(Target, Machine)> = before
            .filter(|before| before.policy.check == policy.check)
            .map(|before| before.targets.iter().cloned().zip(before.machines()).collect())
            .unwrap_or_default();
        let machine = |target: &Target| {
            let same = |(known, _): &&(Target, Machine)| {
                known.name == target.name && known.service == target.service
            };
            let known = known.iter().find(same).map(|(_, machine)| machine.clone());
            known.unwrap_or_else(|| match policy.check {
                HealthCheck::None => Machine::always_up(now),
                HealthCheck::Http | HealthCheck::Tcp => Machine::new(now),
            })
        };
        let machines: Vec<Machine> = targets.iter().map(machine).collect();
        let snapshot = Snapshot::new(config.edges.len(), &targets, &machines);
        let teller = |edge: &kingcdn_config::Edge| Teller {
            name: edge.name.as_str().into(),
            admin: edge.admin,
        };
        let tellers: Vec<Teller> = config.edges.iter().map(teller).collect();
        let reports = tellers.iter().map(|teller| before.and_then(|b| b.report_of(teller)));
        let monitor = Self {
            policy: policy.clone(),
            targets,
            reports: Mutex::new(reports.map(Option::unwrap_or_default).collect()),
            tellers,
            history: before.map(|before| Arc::clone(&before.history)).unwrap_or_default(),
            machines: Mutex::new(machines),
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

    /// The state of every target, in their order.
    pub(crate) fn machines(&self) -> Vec<Machine> {
        self.machines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What every edge says of itself, by edge: nothing that is old.
    pub(crate) fn reports(&self) -> Vec<Report> {
        let now = self.clock.now();
        let mut reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for report in &mut reports {
            report.last.take_if(|(at, _)| now.since(*at) > REPORT_LIFE);
        }
        reports
    }

    fn report_of(&self, teller: &Teller) -> Option<Report> {
        let index = self.tellers.iter().position(|known| known == teller)?;
        self.reports().into_iter().nth(index)
    }

    /// What happened lately.
    pub(crate) fn history(&self) -> &History {
        &self.history
    }

    /// Starts a task for each target and for each edge; they end with the set.
    pub(crate) fn watch(self: &Arc<Self>) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        for index in 0..self.tellers.len() {
            tasks.spawn(Arc::clone(self).listen_to(index));
        }
        if self.policy.check != HealthCheck::None {
            for index in 0..self.targets.len() {
                tasks.spawn(Arc::clone(self).watch_one(index));
            }
        }
        tasks
    }

    /// Checks one target for ever. From start to start of its checks it is an interval, however
    /// long they take; one that takes an interval has failed, so that at most one is under way.
    async fn watch_one(self: Arc<Self>, index: usize) {
        let Some(target) = self.targets.get(index) else { return };
        let limit = self.policy.timeout.min(self.policy.interval);
        let mut ticks = interval(self.policy.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first check at once; one that is known from before waits its turn.
        ticks.tick().await;
        let mut wait = self.machines().get(index).is_some_and(|machine| !machine.is_new());
        for round in 0_u64.. {
            if wait {
                sleep(self.jitter(self.policy.interval, index, round)).await;
            }
            let result = check::check(self.policy.check, target.service, limit).await;
            self.observe(index, result);
            ticks.tick().await;
            wait = true;
        }
    }

    /// Looks at what one edge says of itself, for ever. That it says nothing means nothing.
    async fn listen_to(self: Arc<Self>, index: usize) {
        let Some(teller) = self.tellers.get(index) else { return };
        if teller.admin.port() == 0 {
            return;
        }
        let mut ticks = interval(REPORT_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for round in 0_u64.. {
            ticks.tick().await;
            if round > 0 {
                sleep(self.jitter(REPORT_INTERVAL, index, round)).await;
            }
            let told = fleet::fetch(&teller.name, teller.admin, REPORT_TIMEOUT).await;
            let now = self.clock.now();
            let mut reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(report) = reports.get_mut(index) else { return };
            match told {
                Ok(status) => {
                    let last = Some((now, Figures::from(status)));
                    *report = Report { last, error: None };
                }
                Err(error) => report.error = Some(error),
            }
        }
    }

    /// Up to a tenth of an interval, evenly spread over targets and rounds.
    fn jitter(&self, interval: Duration, index: usize, round: u64) -> Duration {
        // Fibonacci hashing: the golden ratio's multiples fill a circle evenly.
        let salt = self.clock.now().as_millis().unsigned_abs();
        let spread = (index as u64 + 1).wrapping_add(round).wrapping_add(salt);
        let hash = spread.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        #[allow(clippy::cast_precision_loss)] // 32 bits.
        let share = hash as f64 / f64::from(u32::MAX);
        interval.mul_f64(JITTER * share)
    }

    /// Takes a result; where it turns a target, says so and publishes the fleet anew.
    pub(crate) fn observe(&self, index: usize, result: Result<(), CheckError>) {
        let Some(target) = self.targets.get(index) else { return };
        let thresholds =
            Thresholds { down_after: self.policy.down_after, up_after: self.policy.up_after };
        let now = self.clock.now();
        self.metrics.checked(result.is_ok());
        {
            let mut machines = self.machines.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(machine) = machines.get_mut(index) else { return };
            let turned = machine.observe(result, now, thresholds);
            if let Some(health) = turned {
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
            // Within the lock, so that no older fleet takes the place of a newer one, nor its
            // gauges.
            let snapshot = Snapshot::new(self.tellers.len(), &self.targets, &machines);
            self.snapshot.store(Arc::new(snapshot));
            self.gauge();
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

/// Every address of every edge, on the port of the edge's first listener.
fn targets(config: &Config) -> Vec<Target> {
    let edges = config.edges.iter().zip(0..);
    edges
        .flat_map(|(edge, index)| {
            let name: Arc<str> = edge.name.as_str().into();
            let port = edge.listen.first().map_or(80, SocketAddr::port);
            edge.addresses.iter().map(move |address| Target {
                edge: index,
                name: Arc::clone(&name),
                service: SocketAddr::new(*address, port),
            })
        })
        .collect()
}
