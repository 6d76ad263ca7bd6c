//! All that is known of a fleet at a moment, and what follows from it: pure.

use std::sync::Arc;
use std::time::Duration;

use kingcdn_config::clock::Timestamp;

use super::{Health, Machine, Snapshot, Target};
use crate::fleet::{Figures, Report, Wish};
use crate::steering::{Groups, Limits, Share, Shed, Standing, Work, shares};

/// A document is believed for so long.
const REPORT_LIFE: Duration = Duration::from_secs(30);
/// After a change, clients get short-lived answers for so long.
const UNREST: Duration = Duration::from_secs(60);

/// What never changes while a configuration holds.
#[derive(Debug)]
pub(crate) struct Terms {
    pub(crate) groups: Arc<Groups>,
    /// What each edge can do.
    pub(crate) capacities: Vec<Work>,
    pub(crate) limits: Limits,
    /// How long it takes until shedding shows in an edge's load.
    pub(crate) settle: Duration,
}

/// What changes.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    /// One for each target.
    pub(crate) machines: Vec<Machine>,
    /// One for each edge, and so are those below.
    pub(crate) reports: Vec<Report>,
    pub(crate) sheds: Vec<Shed>,
    pub(crate) wishes: Vec<Wish>,
    /// When something last changed that moves clients.
    pub(crate) changed: Option<Timestamp>,
    /// When shedding was last thought of.
    pub(crate) looked: Timestamp,
}

impl Known {
    /// An edge's last document, unless it is old.
    pub(crate) fn figures(&self, edge: usize, now: Timestamp) -> Option<(Timestamp, &Figures)> {
        let (at, figures) = self.reports.get(edge)?.last.as_ref()?;
        (now.since(*at) <= REPORT_LIFE).then_some((*at, figures))
    }

    /// How much of its capacity an edge has to do, if that is known.
    pub(crate) fn load(&self, edge: usize, terms: &Terms, now: Timestamp) -> Option<f64> {
        let (_, figures) = self.figures(edge, now)?;
        let work = Work {
            requests_per_second: Some(figures.requests_per_second),
            egress_bits_per_second: Some(figures.egress_bits_per_second),
            cpu_share: figures.cpu_share,
        };
        work.of(terms.capacities.get(edge)?)
    }

    /// Thinks of shedding again.
    pub(crate) fn shed(&mut self, terms: &Terms, now: Timestamp) {
        let passed = now.since(self.looked);
        self.looked = now;
        for edge in 0..self.sheds.len() {
            let load = self.load(edge, terms, now);
            if let Some(shed) = self.sheds.get_mut(edge) {
                *shed = shed.next(load, terms.limits, passed, terms.settle);
            }
        }
    }

    /// Whether an edge is wanted empty: by the operator, or by itself.
    pub(crate) fn drains(&self, edge: usize, now: Timestamp) -> bool {
        let wish = self.wishes.get(edge).copied().unwrap_or_default();
        let itself = || self.figures(edge, now).is_some_and(|(_, figures)| figures.draining);
        wish == Wish::Drain || itself()
    }

    /// The fleet as queries see it.
    pub(crate) fn snapshot(&self, terms: &Terms, targets: &[Target], now: Timestamp) -> Snapshot {
        let edges = 0..terms.groups.members().len();
        let mut best = vec![Health::Down; edges.len()];
        for (target, machine) in targets.iter().zip(&self.machines) {
            if let Some(best) = best.get_mut(usize::from(target.edge)) {
                *best = (*best).max(machine.health());
            }
        }
        let wish = |edge: usize| self.wishes.get(edge).copied().unwrap_or_default();
        let takes = |edge: usize| {
            best.get(edge) == Some(&Health::Up)
                && wish(edge) != Wish::Down
                && !self.drains(edge, now)
        };
        // At its own wish or not at all.
        let limit = |edge: usize| match wish(edge) {
            Wish::Down => Standing::Down,
            _ if self.drains(edge, now) => Standing::Drained,
            _ => Standing::Up,
        };
        let limits: Vec<Standing> = edges.clone().map(limit).collect();
        let shares: Arc<[Share]> = shares(&self.sheds, takes).into();
        let unwell = |(target, machine): (&Target, &Machine)| {
            machine.health() != Health::Up && wish(target.edge.into()) == Wish::Auto
        };
        let degraded = self.changed.is_some_and(|at| now.since(at) <= UNREST)
            || targets.iter().zip(&self.machines).any(unwell)
            || shares.iter().any(|share| *share > Share::default());
        let seen = super::snapshot::Seen { targets, machines: &self.machines, limits: &limits };
        Snapshot::new(&terms.groups, &seen, &shares, degraded)
    }
}
