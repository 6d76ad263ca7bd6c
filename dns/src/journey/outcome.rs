//! What became of a query: counted, and told in the log.

use std::net::IpAddr;

use hickory_proto::op::ResponseCode;

use super::Turn;
use super::steer::Steering;
use crate::decode::Query;
use crate::record::code_name;
use crate::steering::Picks;

/// What became of a query, for its record.
pub(crate) struct Outcome {
    pub(super) code: ResponseCode,
    pub(super) steering: Option<Steering>,
    pub(super) scope: u8,
    pub(super) truncated: bool,
}

impl Outcome {
    /// Of an answer that is the same for everybody.
    pub(super) fn of_all(code: ResponseCode) -> Self {
        Self { code, steering: None, scope: 0, truncated: false }
    }
}

impl Turn<'_> {
    /// One record a query.
    pub(super) fn record(&mut self, query: &Query<'_>, from: IpAddr, outcome: &Outcome) {
        let question = query.question.as_ref();
        let subnet = query.edns.and_then(|edns| edns.subnet);
        let rtype = question.ok().map(|question| question.rtype);
        self.tally.query(self.transport, rtype, outcome.code);
        if subnet.is_some() {
            self.tally.client_subnet();
        }
        if outcome.truncated {
            self.tally.truncated();
        }
        if let Some(Steering { site, picks, by }) = &outcome.steering {
            let edges = picks.as_ref().map_or(&[][..], Picks::edges);
            self.tally.steered(*site, edges, *by);
        }
        let steering = outcome.steering.as_ref();
        let sampled = self.tally.sample(self.world.protocol.log_one_in);
        // A transfer that is granted is none of them.
        let refusal = question.err().filter(|_| outcome.code != ResponseCode::NoError);
        // A macro, because the level of an event is a constant.
        macro_rules! tell {
            ($level:ident, $target:literal) => {
                tracing::$level!(
                    target: $target,
                    resolver = %from,
                    transport = self.transport.as_str(),
                    name = question.ok().map(|question| display(question.key.name())),
                    rtype = rtype.map(display),
                    refused = refusal.map(display),
                    subnet = subnet.map(|s| display(format!("{}/{}", s.address, s.source))),
                    rcode = code_name(outcome.code),
                    edge = steering
                        .and_then(|s| s.picks.as_ref()?.edges().first().copied())
                        .map(|edge| self.world.edge(edge)),
                    by = steering.map(|s| s.by.as_str()),
                    scope = outcome.scope,
                    truncated = outcome.truncated,
                )
            };
        }
        if sampled {
            tell!(info, "kingcdn::sample");
        }
        tell!(debug, "kingcdn::query");
    }
}
