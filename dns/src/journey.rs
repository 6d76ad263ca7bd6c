//! A query's journey, from a packet to the packet that answers it, and its record.

mod beyond;
mod outcome;
mod signed;
pub(crate) mod steer;

#[cfg(test)]
pub(crate) mod tests;

use std::cell::Cell;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{Name, RData};
use kingcdn_config::clock::{Clock, Timestamp};
use tokio::sync::Semaphore;

use crate::answer::{Answer, Steered};
use crate::chaos;
use crate::cookies::Cookies;
use crate::decode::{HEADER, Query, Question, Silence, decode};
use crate::dnssec::{Exhausted, Memo, Seal, seconds};
use crate::encode::{Head, Writer, bare, encode, limit};
use crate::health::Snapshot;
use crate::limits::Limiter;
use crate::locate::{self, Geography};
use crate::name::Key;
use crate::ready::{Addresses, Found};
use crate::record::{Metrics, Tally, Transport};
use crate::transfer::{self, Transfer};
use crate::world::World;
use crate::zone::{End, Found as Resolved, SiteIndex, resolve};
pub(crate) use outcome::Outcome;
use steer::{Client, Steering, steer};

/// Answers queries, from whatever world there is at the moment.
#[derive(Clone)]
pub(crate) struct Journey {
    pub(crate) world: Arc<ArcSwap<World>>,
    metrics: Arc<Metrics>,
    pub(crate) clock: Clock,
    cookies: Cookies,
    limiter: Arc<Limiter>,
    pub(crate) memo: Arc<Memo>,
    /// Places of transfers under way.
    places: Arc<Semaphore>,
}

/// The journey of a few queries at a time, over one transport: they see one world, one fleet, and
/// are counted together.
pub(crate) struct Turn<'t> {
    world: Guard<Arc<World>>,
    geography: Guard<Arc<Geography>>,
    fleet: Guard<Arc<Snapshot>>,
    journey: &'t Journey,
    now: Timestamp,
    tally: &'t mut Tally,
    transport: Transport,
}

/// How long a signed answer is kept at most, if its signatures are good for longer.
const SEALED_FOR: Duration = Duration::from_secs(86_400);

impl Journey {
    pub(crate) fn new(
        world: Arc<ArcSwap<World>>,
        metrics: Arc<Metrics>,
        clock: Clock,
        cookies: Cookies,
    ) -> Self {
        let (limiter, memo) = (Arc::new(Limiter::new()), Arc::new(Memo::new()));
        let places = Arc::new(Semaphore::new(transfer::AT_ONCE));
        Self { world, metrics, clock, cookies, limiter, memo, places }
    }

    /// Counts of queries, to be kept from turn to turn.
    pub(crate) fn tally(&self) -> Tally {
        self.metrics.tally()
    }

    /// Tells how often a query waited for a signature.
    pub(crate) fn signed_late(&self) {
        self.metrics.signed_late(self.memo.late());
    }

    /// Begins a turn.
    pub(crate) fn turn<'t>(&'t self, transport: Transport, tally: &'t mut Tally) -> Turn<'t> {
        let world = self.world.load();
        let (geography, fleet) = (world.geography(), world.monitor.fleet());
        Turn { world, geography, fleet, journey: self, now: self.clock.now(), tally, transport }
    }
}

impl Turn<'_> {
    /// decode → ready, or zone → locate → choose → answer → encode → record. Leaves `out` empty where
    /// silence is the answer, or a zone, which the caller sends.
    pub(crate) fn answer(
        &mut self,
        packet: &[u8],
        from: IpAddr,
        out: &mut Vec<u8>,
    ) -> Option<Box<Transfer>> {
        out.clear();
        let (mut transfer, mut key) = (None, Key::root());
        match self.read(packet, &mut key, from) {
            Ok(mut query) => {
                let outcome = match self.limited(&query, from) {
                    None if query.signed => {
                        let (outcome, granted) = self.signed(packet, &mut query, from, out);
                        transfer = granted;
                        outcome
                    }
                    None => {
                        let ready = self.ready(&query, from, out);
                        ready.unwrap_or_else(|| self.whole(&query, from, out))
                    }
                    Some(limited) => {
                        self.tally.limited(limited);
                        // No answer at all.
                        beyond::answer(&query, limited, out)?
                    }
                };
                self.record(&query, from, &outcome);
            }
            Err(silence) => self.tally.silence(silence),
        }
        transfer
    }

    /// A packet, read, with what its answer says to the client whatever it is.
    pub(crate) fn read<'p>(
        &self,
        packet: &'p [u8],
        key: &'p mut Key,
        from: IpAddr,
    ) -> Result<Query<'p>, Silence> {
        let mut query = decode(packet, key)?;
        if let Some(edns) = &query.edns {
            let promise = &mut query.promise;
            if let Some(sent) = edns.cookie {
                let (cookie, proven) = self.journey.cookies.answer(sent, self.now, from);
                promise.cookie = Some(cookie);
                promise.proven = proven;
            }
            // Over UDP it is ignored (RFC 7828 section 3.2.2).
            let asks = edns.keepalive && self.transport.is_stream();
            promise.keepalive = asks.then(|| self.keepalive());
            // RFC 7830 section 6: what others can read isn't padded.
            promise.padded = edns.padding && self.transport.is_encrypted();
            promise.identity = self.world.identity.clone().filter(|_| edns.nsid);
        }
        Ok(query)
    }

    /// For how many tenths of a second a connection may idle (RFC 7828 section 3.1).
    fn keepalive(&self) -> u16 {
        let idle = match (self.transport, &self.world.dns.tls) {
            (Transport::Tls, Some(tls)) => tls.idle,
            _ => self.world.protocol.limits.tcp_idle,
        };
        u16::try_from(idle.as_millis() / 100).unwrap_or(u16::MAX)
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
        let question = query.question.as_ref().ok().filter(|question| !question.chaos)?;
        let world = &*self.world;
        let limit = limit(self.transport, query.edns.as_ref());
        let signs = self.signs(query);
        let signed;
        let (sent, addresses, scope, steering) = match world.ready.find(question)? {
            Found::Whole(sent) if signs && sent.code != ResponseCode::Refused => {
                let written = sent.write_sealed(query, (seconds(self.now), limit), out);
                return written.then(|| Outcome::of_all(sent.code));
            }
            // Addresses of the name itself are signed here, others' aren't.
            Found::Steered { owner, .. } if signs && usize::from(owner) != HEADER => return None,
            Found::Whole(sent) => (sent, None, 0, None),
            Found::Steered { site, signer, aliases, owner, no_address } => {
                let client = self.client(query, question, (from, site), true);
                match steer(world, &self.geography.map, &self.fleet, client, site) {
                    (Steered::To { addresses, ttl, scope }, steering) => {
                        let sign = |signer| {
                            let (key, rtype) = (question.key, question.rtype.into());
                            let memo = &self.journey.memo;
                            memo.addresses(signer, key, (rtype, ttl), addresses, self.now)
                        };
                        signed = signer.filter(|_| signs).map(sign);
                        let signed = signed.as_deref();
                        let addresses = Addresses { addresses, ttl, owner, signed };
                        (aliases, Some(addresses), scope, steering)
                    }
                    (Steered::NoAddress, steering) if signs => {
                        let when = (seconds(self.now), limit);
                        let written = no_address.write_sealed(query, when, out);
                        let outcome = Outcome::of_all(no_address.code);
                        return written.then_some(Outcome { steering, ..outcome });
                    }
                    (Steered::NoAddress, steering) => (no_address, None, 0, steering),
                    (Steered::AllDown | Steered::Fallback { .. }, _) => return None,
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
            Ok(question) => match self.resolved(query, question, from) {
                Ok(resolved) => resolved,
                Err(Exhausted) => return self.exhausted(query, out),
            },
        };
        let limit = limit(self.transport, query.edns.as_ref()).saturating_sub(query.promise.tail);
        let head = encode(query, &answer, (Writer::Hickory, limit), out);
        Outcome { code: head.code, steering, scope: answer.scope, truncated: head.truncated }
    }

    /// The answer to a question of ours to decide.
    fn resolved(
        &self,
        query: &Query<'_>,
        question: &Question<'_>,
        from: IpAddr,
    ) -> Result<(Answer, Option<Steering>), Exhausted> {
        let world = &*self.world;
        if question.chaos {
            let version = world.protocol.version;
            return Ok((chaos::answer(question, world.identity.as_deref(), version), None));
        }
        let found = resolve(&world.zones, question.key, question.rtype);
        let (steered, steering) = match found.end {
            End::Steered(site, zone) => {
                let may_alias = !leads_to(&found, &question.key.name(), &zone.negative.name);
                let client = self.client(query, question, (from, site), may_alias);
                steer(world, &self.geography.map, &self.fleet, client, site)
            }
            _ => (Steered::NoAddress, None),
        };
        let answer = Answer::new(&question.key.name(), &found, steered);
        if !self.signs(query) {
            return Ok((answer, steering));
        }
        // The same for everybody, and whatever the client knows of denials.
        let keep = matches!(steered, Steered::NoAddress) && answer.code == ResponseCode::NoError;
        Ok((self.sealed((query, question), answer, keep)?, steering))
    }

    /// The answer with signatures, kept for those who ask next if it may.
    fn sealed(
        &self,
        (query, question): (&Query<'_>, &Question<'_>),
        mut answer: Answer,
        keep: bool,
    ) -> Result<Answer, Exhausted> {
        let seal = Seal {
            zones: &self.world.zones,
            memo: &self.journey.memo,
            now: self.now,
            compact_ok: query.edns.is_some_and(|edns| edns.compact_ok),
            stream: self.transport != Transport::Udp,
            until: Cell::new(seconds(self.now.plus(SEALED_FOR))),
        };
        seal.seal(question.key, question.rtype, &mut answer)?;
        if keep {
            self.world.ready.keep_sealed(question, &answer, seal.until.get());
        }
        Ok(answer)
    }

    /// The answer where there are too many denials to sign: over UDP to come over TCP, where forged
    /// addresses don't; there, to come later.
    fn exhausted(&self, query: &Query<'_>, out: &mut Vec<u8>) -> Outcome {
        let truncated = self.transport == Transport::Udp;
        let code = if truncated { ResponseCode::NoError } else { ResponseCode::ServFail };
        bare(query, &Head { code, truncated, ..Head::default() }, out);
        self.journey.metrics.unsigned();
        Outcome { code, steering: None, scope: 0, truncated }
    }

    /// Whether the client wants signatures and there may be some (RFC 3225 section 3).
    fn signs(&self, query: &Query<'_>) -> bool {
        self.world.zones.signed() && query.edns.is_some_and(|edns| edns.dnssec_ok)
    }

    fn client(
        &self,
        query: &Query<'_>,
        question: &Question<'_>,
        (from, site): (IpAddr, SiteIndex),
        may_alias: bool,
    ) -> Client {
        let heard = self.world.policy(site).is_some_and(|policy| policy.client_subnet);
        let subnet = query.edns.as_ref().and_then(|edns| edns.subnet.as_ref());
        let (address, known) = locate::client(subnet.filter(|_| heard), from);
        // Resolvers don't choose their numbers twice (RFC 5452 section 4.3).
        let salt = u16::from_be_bytes(query.id);
        Client { address, known, rtype: question.rtype, salt, may_alias }
    }
}

/// Whether a question for the name `asked` ends at the name `end`.
fn leads_to(found: &Resolved<'_>, asked: &Name, end: &Name) -> bool {
    match found.aliases.last().map(|alias| &alias.data) {
        Some(RData::CNAME(target)) => target.0 == *end,
        _ => asked == end,
    }
}
