//! locate → choose: which edges a client of a site gets, and why.

use std::net::IpAddr;

use hickory_proto::rr::RecordType;

use crate::answer::{EdgeAddresses, Steered};
use crate::health::{Family, Snapshot};
use crate::record::Decision;
use crate::steering::{AllDown, Ask, Choice, Located, Map, Picks, Source, choose};
use crate::world::{Policy, World};
use crate::zone::SiteIndex;

/// Why a query went where it went, for its record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Steering {
    pub(crate) site: SiteIndex,
    pub(crate) picks: Option<Picks>,
    pub(crate) by: Decision,
}

/// Who asks for a site.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Client {
    pub(crate) address: IpAddr,
    /// How many bits of the address are known.
    pub(crate) known: u8,
    pub(crate) rtype: RecordType,
    /// Another number for every query.
    pub(crate) salt: u16,
    /// Whether an alias may be answered: not beside SOA and NS (RFC 1034 section 3.6.2). There,
    /// every edge is better than none.
    pub(crate) may_alias: bool,
}

/// What is answered to a client.
pub(crate) fn steer<'w>(
    world: &'w World,
    map: &Map,
    fleet: &'w Snapshot,
    client: Client,
    site: SiteIndex,
) -> (Steered<'w>, Option<Steering>) {
    let Some(policy) = world.policy(site) else { return (Steered::NoAddress, None) };
    let family = family(fleet, client.rtype);
    let located = map.locate(client.address, client.known);
    let ttl = if fleet.degraded { world.ttl_min } else { policy.ttl };
    let to = |picks: Picks, by| {
        let mut addresses = EdgeAddresses::default();
        for edge in picks.edges() {
            addresses.push(family.addresses(*edge));
        }
        addresses.shuffle(client.salt);
        // Whose client it is doesn't matter where that isn't heard.
        let scope = if policy.client_subnet { picks.scope } else { 0 };
        let steered = Steered::To { addresses, ttl, scope };
        (steered, Some(Steering { site, picks: Some(picks), by }))
    };
    let mut ask = ask(&located, policy, client.address);
    if policy.fallback.is_some() && !client.may_alias {
        ask.all_down = AllDown::Every;
    }
    match choose(&ask, &family.fleet) {
        Choice::Edges(picks) if picks.shed => to(picks, Decision::Shed),
        Choice::Edges(picks) => to(picks, placed(located.source)),
        Choice::Despite(picks) => to(picks, Decision::AllDown),
        Choice::AllDown => {
            let steered = match &policy.fallback {
                Some(name) => Steered::Fallback { name, ttl },
                None => Steered::AllDown,
            };
            (steered, Some(Steering { site, picks: None, by: Decision::AllDown }))
        }
        Choice::NoAddress => (Steered::NoAddress, None),
    }
}

/// The fleet for clients that ask for this type.
pub(crate) fn family(fleet: &Snapshot, rtype: RecordType) -> &Family {
    match rtype {
        RecordType::AAAA => &fleet.v6,
        _ => &fleet.v4,
    }
}

/// What is asked of the choice.
pub(crate) fn ask<'a>(located: &Located<'a>, policy: &Policy, client: IpAddr) -> Ask<'a> {
    Ask {
        list: located.list,
        client,
        scope: located.scope,
        site: policy.seed,
        answers: policy.answers,
        all_down: policy.all_down,
    }
}

pub(crate) fn placed(source: Source) -> Decision {
    match source {
        Source::Operator => Decision::Network,
        Source::Rule => Decision::Rule,
        Source::Database => Decision::Geo,
        Source::Default => Decision::Default,
    }
}
