//! How much an edge that has too much to do gives up.
//!
//! What an edge gives up isn't gone at once: resolvers keep answers for their
//! time to live, and the edge's figures are means of ten seconds. So it gives
//! up more at once, and takes back little at a time, waiting each time for
//! what it did to be seen.

use std::time::Duration;

use super::choose::Share;

/// Below this part of the soft limit an edge takes back.
const RELIEF: f64 = 0.9;
/// It takes back as much as should lead to this part of the soft limit: the load grows with what it
/// keeps.
const AIM: f64 = 0.97;
/// What it keeps grows at most so much at a time.
const GROWTH: f64 = 1.5;
/// What is kept after all was given up.
const FOOTHOLD: f64 = 0.05;
/// What isn't worth a step any more.
const CRUMB: f64 = 0.02;

/// What an edge has to do, or can do.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Work {
    /// Requests per second.
    pub requests_per_second: Option<f64>,
    /// Bits per second to clients.
    pub egress_bits_per_second: Option<f64>,
    /// Share of the processors, 0 to 1.
    pub cpu_share: Option<f64>,
}

impl Work {
    /// What it is of `capacity`, by whatever is nearest to its end. None where nothing is known of
    /// anything that has an end.
    pub fn of(&self, capacity: &Self) -> Option<f64> {
        let parts = [
            (self.requests_per_second, capacity.requests_per_second),
            (self.egress_bits_per_second, capacity.egress_bits_per_second),
            (self.cpu_share, capacity.cpu_share),
        ];
        let part = |(work, capacity): (Option<f64>, Option<f64>)| {
            let (work, capacity) = (work?, capacity?);
            (work.is_finite() && work >= 0.0 && capacity > 0.0).then(|| work / capacity)
        };
        parts.into_iter().filter_map(part).max_by(f64::total_cmp)
    }
}

/// Where shedding begins and ends, as shares of the capacity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Above this an edge gives up some of its networks.
    pub soft: f64,
    /// From this on it gives up all.
    pub hard: f64,
}

/// What an edge gives up, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Shed {
    /// The share of its networks.
    pub share: f64,
    /// How long it hasn't changed.
    pub settled: Duration,
}

impl Shed {
    /// What is given up after `passed`, at a load of which so much of the capacity is taken. Of
    /// more load never less is given up. A load that nobody knows sheds nothing.
    ///
    /// `settle` is how long it takes until a change can be seen in the load.
    pub fn next(
        self,
        load: Option<f64>,
        limits: Limits,
        passed: Duration,
        settle: Duration,
    ) -> Self {
        let settled = self.settled.saturating_add(passed);
        let Some(load) = load else { return Self { share: 0.0, settled } };
        let share = if load >= limits.hard {
            1.0
        } else if load > limits.soft {
            self.share.max((load - limits.soft) / (limits.hard - limits.soft))
        } else if load > limits.soft * RELIEF || settled < settle {
            self.share
        } else {
            let growth = (limits.soft * AIM / load).min(GROWTH);
            let kept = ((1.0 - self.share) * growth).max(FOOTHOLD);
            if kept >= 1.0 - CRUMB { 0.0 } else { 1.0 - kept }
        };
        #[allow(clippy::float_cmp)] // It is the same unless it was changed.
        let same = share == self.share;
        Self { share, settled: if same { settled } else { Duration::ZERO } }
    }
}

/// What every edge gives up. Where all edges that take clients would give up all, there is nobody
/// left to give them to, and nobody gives up anything.
pub fn shares(sheds: &[Shed], takes: impl Fn(usize) -> bool) -> Vec<Share> {
    let shares: Vec<Share> = sheds.iter().map(|shed| Share::of(shed.share)).collect();
    let mut taking = shares.iter().enumerate().filter(|(edge, _)| takes(*edge));
    if taking.all(|(_, share)| *share >= Share::ALL) {
        return vec![Share::default(); shares.len()];
    }
    shares
}
