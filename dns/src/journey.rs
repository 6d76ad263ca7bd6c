//! A query's journey, from a packet to the packet that answers it, and its record.

mod steer;

#[cfg(test)]
pub(crate) mod tests;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use hickory_proto::op::ResponseCode;
use kingcdn_config::clock::{Clock, Timestamp};
use tracing::debug;

use crate::answer::{Answer, Steered};
use crate::cookies::Cookies;
use crate::decode::{Query, Question, Silence, decode};
use crate::encode::{Writer, encode, limit};
use crate::health::Snapshot;
use crate::locate;
use crate::ready::{Addresses, Found};
use crate::receive::KEEPALIVE_TENTHS;
use crate::record::{Metrics, Tally, Transport};
use crate::world::World;
use crate::zone::{End, resolve};
use steer::{Steering, steer};

/// Answers queries, from whatever world there is at the moment.
#[derive(Clone)]
pub(crate) struct Journey {
    pub(crate) world: Arc<ArcSwap<World>>,
    metrics: Arc<Metrics>,
    clock: Clock,
    cookies: Cookies,
}

/// The journey of a few queries at a time, over one transport: they see one world, one fleet, and
/// are counted together.
pub(crate) struct Turn<'t> {
    world: Guard<Arc<World>>,
    fleet: Guard<Arc<Snapshot>>,
    journey: &'t Journey,
    now: Timestamp,
    tally: &'t mut Tally,
    transport: Transport,
}

/// What became of a query, for its record.
pub(crate) struct Outcome {
    code: ResponseCode,
    steering: Option<Steering>,
    scope: u8,
    truncated: bool,
}

impl Journey {
    pub(crate) fn new(
        world: Arc<ArcSwap<World>>,
        metrics: Arc<Metrics>,
        clock: Clock,
        cookies: Cookies,
    ) -> Self {
        Self { world, metrics, clock, cookies }
    }

    /// Counts of queries, to be kept from turn to turn.
    pub(crate) fn tally(&self) -> Tally {
        self.metrics.tally()
    }

    /// Begins a turn.
    pub(crate) fn turn<'t>(&'t self, transport: Transport, tally: &'t mut Tally) -> Turn<'t> {
        let world = self.world.load();
        let fleet = world.monitor.fleet();
        Turn { world, fleet, journey: self, now: self.clock.now(), tally, transport }
    }
}

impl Turn<'_> {
    /// decode → ready, or zone → locate → choose → answer → encode → record. Leaves `out` empty where
    /// silence is the answer.
    pub(crate) fn answer(&mut self, packet: &[u8], from: IpAddr, out: &mut Vec<u8>) {
        out.clear();
        match self.read(packet, from) {
            Ok(query) => {
                let ready = self.ready(&query, from, out);
                let outcome = ready.unwrap_or_else(|| self.whole(&query, from, out));
                self.record(&query, from, &outcome);
            }
            Err(silence) => self.tally.silence(silence),
        }
    }

    /// A packet, read, with what its answer says to the client whatever it is.
    pub(crate) fn read<'p>(&self, packet: &'p [u8], from: IpAddr) -> Result<Query<'p>, Silence> {
        let mut query = decode(packet)?;
        if let Some(edns) = &query.edns {
            let cookie = |client| self.journey.cookies.answer(client, self.now, from);
            query.promise.cookie = edns.cookie.map(cookie);
            // Over UDP it is ignored (RFC 7828 section 3.2.2).
            let asks = edns.keepalive && self.transport == Transport::Tcp;
            query.promise.keepalive = asks.then_some(KEEPALIVE_TENTHS);
        }
        Ok(query)
    }

    /// Ends a turn, which took so long.
    pub(crate) fn end(self, took: Duration) {
        self.tally.flush(&self.journey.metrics, &self.world, took);
    }

    /// The answer that was made ahead, if there is one and it fits.
    pub(crate) fn ready(
        &self,
        query: &Query<'_>,
        from: IpAddr,
        out: &mut Vec<u8>,
    ) -> Option<Outcome> {
        let question = query.question.as_ref().ok()?;
        let world = &*self.world;
        let limit = limit(self.transport, query.edns.as_ref());
        let (sent, addresses, scope, steering) = match world.ready.find(&world.zones, question)? {
            Found::Whole(sent) => (sent, None, 0, None),
            Found::Steered { site, aliases, owner, no_address } => {
                let client = self.client(query, from);
                match steer(world, &self.fleet, client, question.rtype, site) {
                    (Steered::To { addresses, ttl, scope }, steering) => {
                        (aliases, Some(Addresses { addresses, ttl, owner }), scope, steering)
                    }
                    (Steered::NoAddress, steering) => (no_address, None, 0, steering),
                    (Steered::AllDown, _) => return None,
                }
            }
        };
        let code = sent.code;
        let written = sent.write(query, addresses, (scope, limit), out);
        written.then_some(Outcome { code, steering, scope, truncated: false })
    }

    /// The answer to whatever there may come, cut to what the client takes.
    pub(crate) fn whole(&self, query: &Query<'_>, from: IpAddr, out: &mut Vec<u8>) -> Outcome {
        let (answer, steering) = match &query.question {
            Err(refusal) => {
                let extended = refusal.extended();
                (Answer { extended, ..Answer::code(refusal.code()) }, None)
            }
            Ok(question) => self.resolved(query, question, from),
        };
        let limit = limit(self.transport, query.edns.as_ref());
        let head = encode(query, &answer, (Writer::Hickory, limit), out);
        Outcome { code: head.code, steering, scope: answer.scope, truncated: head.truncated }
    }

    /// The answer to a question of ours to decide.
    fn resolved(
        &self,
        query: &Query<'_>,
        question: &Question,
        from: IpAddr,
    ) -> (Answer, Option<Steering>) {
        let world = &*self.world;
        let found = resolve(&world.zones, &question.key, question.rtype);
        let (steered, steering) = match found.end {
            End::Steered(site, _) => {
                let client = self.client(query, from);
                steer(world, &self.fleet, client, question.rtype, site)
            }
            _ => (Steered::NoAddress, None),
        };
        (Answer::new(&question.key.name(), &found, steered), steering)
    }

    fn client(&self, query: &Query<'_>, from: IpAddr) -> (IpAddr, u8) {
        locate::client(query.edns.as_ref().and_then(|edns| edns.subnet.as_ref()), from)
    }

    /// One record a query.
    fn record(&mut self, query: &Query<'_>, from: IpAddr, outcome: &Outcome) {
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
        if let Some(Steering { site, edge, by }) = outcome.steering {
            self.tally.steered(site, edge, by);
        }
        let steering = outcome.steering;
        debug!(
            target: "kingcdn::query",
            resolver = %from,
            transport = ?self.transport,
            name = question.ok().map(|question| tracing::field::display(question.key.name())),
            rtype = rtype.map(tracing::field::display),
            refused = question.err().map(tracing::field::display),
            subnet = subnet.map(|s| tracing::field::display(format!("{}/{}", s.address, s.source))),
            rcode = ?outcome.code,
            edge = steering.and_then(|s| s.edge).map(|edge| self.world.edge(edge)),
            by = steering.map(|s| tracing::field::debug(s.by)),
            scope = outcome.scope,
            truncated = outcome.truncated,
        );
    }
}
