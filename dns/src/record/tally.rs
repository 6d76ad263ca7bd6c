//! What one thread has counted and not yet added to the metrics: no two threads write to the same
//! counter for every query.

use std::time::Duration;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use prometheus::local::LocalHistogram;

use super::{Decision, Limited, Metrics, Transport};
use crate::decode::Silence;
use crate::steering::EdgeIndex;
use crate::world::World;
use crate::zone::SiteIndex;

/// Counts of a few queries.
pub(crate) struct Tally {
    queries: Counts<(Transport, Option<RecordType>, ResponseCode)>,
    answers: Counts<(SiteIndex, EdgeIndex)>,
    decisions: Counts<Decision>,
    silences: Counts<Silence>,
    limited: Counts<Limited>,
    /// Queries since one was logged, once there was one.
    unlogged: Option<u32>,
    /// How many began to count before us: of many connections with a query each, one in so many has
    /// one logged, too.
    before: u32,
    subnets: u64,
    truncated: u64,
    seconds: LocalHistogram,
}

/// How often each of a few keys was seen.
struct Counts<K>(Vec<(K, u64)>);

impl<K: PartialEq> Counts<K> {
    fn add(&mut self, key: K) {
        match self.0.iter_mut().find(|(known, _)| *known == key) {
            Some((_, count)) => *count += 1,
            None => self.0.push((key, 1)),
        }
    }
}

impl Tally {
    pub(super) fn new(seconds: LocalHistogram, before: u32) -> Self {
        Self {
            queries: Counts(Vec::new()),
            answers: Counts(Vec::new()),
            decisions: Counts(Vec::new()),
            silences: Counts(Vec::new()),
            limited: Counts(Vec::new()),
            unlogged: None,
            before,
            subnets: 0,
            truncated: 0,
            seconds,
        }
    }

    /// Counts a query and how it was answered.
    pub(crate) fn query(
        &mut self,
        transport: Transport,
        rtype: Option<RecordType>,
        code: ResponseCode,
    ) {
        self.queries.add((transport, rtype, code));
    }

    /// Counts a steered answer.
    pub(crate) fn steered(&mut self, site: SiteIndex, edges: &[EdgeIndex], by: Decision) {
        self.decisions.add(by);
        for edge in edges {
            self.answers.add((site, *edge));
        }
    }

    /// Counts a packet that gets no answer.
    pub(crate) fn silence(&mut self, silence: Silence) {
        self.silences.add(silence);
    }

    /// Counts a query beyond the rate.
    pub(crate) fn limited(&mut self, limited: Limited) {
        self.limited.add(limited);
    }

    /// Whether this query is the one of `one_in` that is logged.
    pub(crate) fn sample(&mut self, one_in: u32) -> bool {
        let Some(first) = self.before.checked_rem(one_in) else { return false };
        let unlogged = self.unlogged.unwrap_or(first) + 1;
        let logged = unlogged >= one_in;
        self.unlogged = Some(if logged { 0 } else { unlogged });
        logged
    }

    pub(crate) fn client_subnet(&mut self) {
        self.subnets += 1;
    }

    pub(crate) fn truncated(&mut self) {
        self.truncated += 1;
    }

    /// Adds all of it to the metrics. The queries took so long, each of them.
    pub(crate) fn flush(&mut self, metrics: &Metrics, world: &World, took: Duration) {
        let took = took.as_secs_f64();
        for ((transport, rtype, code), count) in self.queries.0.drain(..) {
            metrics.queries(transport, rtype, code, count);
            (0..count).for_each(|_| self.seconds.observe(took));
        }
        self.seconds.flush();
        for ((site, edge), count) in self.answers.0.drain(..) {
            world.count(site, edge, count, metrics);
        }
        for (decision, count) in self.decisions.0.drain(..) {
            metrics.decisions[decision as usize].inc_by(count);
        }
        for (silence, count) in self.silences.0.drain(..) {
            metrics.silences[silence as usize].inc_by(count);
        }
        for (limited, count) in self.limited.0.drain(..) {
            metrics.limited[limited as usize].inc_by(count);
        }
        if self.subnets > 0 {
            metrics.ecs.inc_by(std::mem::take(&mut self.subnets));
        }
        if self.truncated > 0 {
            metrics.truncated.inc_by(std::mem::take(&mut self.truncated));
        }
    }
}
