//! A query's journey, from the request to the record of its answer.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use hickory_proto::op::{Header, HeaderCounts, ResponseCode};
use hickory_proto::rr::RecordType;
use hickory_server::net::runtime::Time;
use hickory_server::net::xfer::Protocol;
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use kingcdn_config::clock::Stopwatch;
use tracing::debug;

use crate::answer::{Answer, Steered};
use crate::decode::{Decoded, Edns, Question, Refusal, decode};
use crate::encode::Reply;
use crate::health::Snapshot;
use crate::locate;
use crate::record::{Decision, Metrics, Transport};
use crate::steering::{Choice, EdgeIndex, Source, choose};
use crate::world::World;
use crate::zone::{End, SiteIndex, resolve};

/// Answers queries, from whatever world there is at the moment.
#[derive(Clone)]
pub(crate) struct Journey {
    world: Arc<ArcSwap<World>>,
    metrics: Arc<Metrics>,
}

/// Why a query went where it went, for its record.
#[derive(Debug, Clone, Copy)]
struct Steering {
    site: SiteIndex,
    edge: Option<EdgeIndex>,
    by: Decision,
}

impl Journey {
    pub(crate) fn new(world: Arc<ArcSwap<World>>, metrics: Arc<Metrics>) -> Self {
        Self { world, metrics }
    }

    /// decode → zone → locate → choose → answer → encode → record. The request has been received,
    /// and the reply is sent by whoever called.
    pub(crate) fn answer<'r>(&self, request: &'r Request) -> Reply<'r> {
        let started = Stopwatch::start();
        let world = self.world.load();
        let Decoded { edns, question } = decode(request);
        let (answer, steering) = match &question {
            Err(refusal) => (Answer::code(refusal.code()), None),
            Ok(question) => resolved(&world, request, question, edns.as_ref()),
        };
        let reply = Reply::new(request, edns.as_ref(), answer);
        self.record(&world, request, edns.as_ref(), &question, steering, &reply);
        let (transport, rtype) = (transport(request), question.as_ref().ok().map(|q| q.rtype));
        self.metrics.query(transport, rtype, reply.code(), started.elapsed());
        reply
    }

    /// One record a query; its counters but for the latency.
    fn record(
        &self,
        world: &World,
        request: &Request,
        edns: Option<&Edns>,
        question: &Result<Question<'_>, Refusal>,
        steering: Option<Steering>,
        reply: &Reply<'_>,
    ) {
        let subnet = edns.and_then(|edns| edns.subnet);
        if subnet.is_some() {
            self.metrics.client_subnet();
        }
        if reply.truncated() {
            self.metrics.truncated();
        }
        if let Some(steering) = steering {
            self.metrics.decision(steering.by);
            if let Some(edge) = steering.edge {
                world.count(steering.site, edge, &self.metrics);
            }
        }
        debug!(
            target: "kingcdn::query",
            resolver = %request.src(),
            transport = ?transport(request),
            name = question.as_ref().ok().map(|q| tracing::field::display(q.name)),
            rtype = question.as_ref().ok().map(|q| tracing::field::display(q.rtype)),
            refused = question.as_ref().err().map(tracing::field::display),
            subnet = subnet.map(|s| tracing::field::display(format!("{}/{}", s.address, s.source))),
            rcode = ?reply.code(),
            edge = steering.and_then(|s| s.edge).map(|edge| world.edge(edge)),
            by = steering.map(|s| tracing::field::debug(s.by)),
            scope = reply.answer().scope,
            truncated = reply.truncated(),
        );
    }
}

/// The answer to a question of ours to decide.
fn resolved(
    world: &World,
    request: &Request,
    question: &Question<'_>,
    edns: Option<&Edns>,
) -> (Answer, Option<Steering>) {
    let found = resolve(&world.zones, &question.key, question.rtype);
    let End::Steered(site, _) = found.end else {
        return (Answer::new(question, &found, Steered::NoAddress), None);
    };
    let fleet = world.monitor.fleet();
    let client = locate::client(edns.and_then(|e| e.subnet.as_ref()), request.src().ip());
    let (steered, steering) = steer(world, &fleet, client, question.rtype, site);
    (Answer::new(question, &found, steered), steering)
}

/// locate → choose.
fn steer<'w>(
    world: &World,
    fleet: &'w Snapshot,
    (client, known): (std::net::IpAddr, u8),
    rtype: RecordType,
    site: SiteIndex,
) -> (Steered<'w>, Option<Steering>) {
    let family = match rtype {
        RecordType::AAAA => &fleet.v6,
        _ => &fleet.v4,
    };
    let located = world.map.locate(client, known);
    let placed = match located.source {
        Source::Operator => Decision::Network,
        Source::Database => Decision::Geo,
        Source::Default => Decision::Default,
    };
    let to = |edge, by| {
        let steered =
            Steered::To { addresses: family.addresses(edge), ttl: world.ttl, scope: located.scope };
        let edge = Some(edge);
        (steered, Some(Steering { site, edge, by }))
    };
    match choose(located.list, &family.fleet, world.all_down) {
        Choice::Edge(edge) => to(edge, placed),
        Choice::Despite(edge) => to(edge, Decision::AllDown),
        Choice::AllDown => {
            let (edge, by) = (None, Decision::AllDown);
            (Steered::AllDown, Some(Steering { site, edge, by }))
        }
        Choice::NoAddress => (Steered::NoAddress, None),
    }
}

fn transport(request: &Request) -> Transport {
    match request.protocol() {
        Protocol::Udp => Transport::Udp,
        _ => Transport::Tcp,
    }
}

#[async_trait]
impl RequestHandler for Journey {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        to: R,
    ) -> ResponseInfo {
        let reply = self.answer(request);
        match reply.send(to).await {
            Ok(info) => info,
            Err(error) => {
                debug!(%error, resolver = %request.src(), "answer not sent");
                let mut metadata = request.metadata;
                metadata.response_code = ResponseCode::ServFail;
                let counts = HeaderCounts::default();
                ResponseInfo::from(Header { metadata, counts })
            }
        }
    }
}
