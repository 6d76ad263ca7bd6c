//! What runs by itself: checks of addresses, looks at what edges say of themselves, and a clock.

use std::sync::Arc;
use std::time::Duration;

use kingcdn_config::HealthCheck;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::Monitor;
use crate::fleet::{self, Figures};

/// Share of the interval by which checks are put off at random, so that name servers and edges
/// don't fall into step.
const JITTER: f64 = 0.1;

/// From the start of one look at an edge's `/status` to the start of the next.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);
/// A look without an answer by then has failed.
const REPORT_TIMEOUT: Duration = Duration::from_secs(3);
/// How often shedding and time's passing are thought of.
const TICK: Duration = Duration::from_secs(1);
impl Monitor {
    /// Starts a task for each target and for each edge; they end with the set.
    pub(crate) fn watch(self: &Arc<Self>) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        for index in 0..self.tellers.len() {
            tasks.spawn(Arc::clone(self).listen_to(index));
        }
        tasks.spawn(Arc::clone(self).think());
        if self.prober.how() != HealthCheck::None {
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
        let mut wait = self.known().machines.get(index).is_some_and(|machine| !machine.is_new());
        for round in 0_u64.. {
            if wait {
                sleep(self.jitter(self.policy.interval, index, round)).await;
            }
            let result = self.prober.check(target.service, limit).await;
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
            self.told(index, told.map(Figures::from));
        }
    }

    /// Thinks of shedding, and of what has become old, for ever.
    async fn think(self: Arc<Self>) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.tick();
        }
    }

    /// Up to a tenth of an interval, evenly spread over targets and rounds.
    pub(super) fn jitter(&self, interval: Duration, index: usize, round: u64) -> Duration {
        // Fibonacci hashing: the golden ratio's multiples fill a circle evenly.
        let salt = self.clock.now().as_millis().unsigned_abs();
        let spread = (index as u64 + 1).wrapping_add(round).wrapping_add(salt);
        let hash = spread.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        #[allow(clippy::cast_precision_loss)] // 32 bits.
        let share = hash as f64 / f64::from(u32::MAX);
        interval.mul_f64(JITTER * share)
    }
}
