//! locate → choose: which edge a client of a site gets, and why.

use std::net::IpAddr;

use hickory_proto::rr::RecordType;

use crate::answer::Steered;
use crate::health::Snapshot;
use crate::record::Decision;
use crate::steering::{Choice, EdgeIndex, Source, choose};
use crate::world::World;
use crate::zone::SiteIndex;

/// Why a query went where it went, for its record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Steering {
    pub(super) site: SiteIndex,
    pub(super) edge: Option<EdgeIndex>,
    pub(super) by: Decision,
}

/// What is answered to a client, of whose address so many bits are known.
pub(super) fn steer<'w>(
    world: &World,
    fleet: &'w Snapshot,
    (client, known): (IpAddr, u8),
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
