//! What is signed before anybody asks: the addresses that sites may be answered with, for every edge
//! and both times to live. So neither the first query nor an edge's end waits for a signature.

use hickory_proto::rr::RecordType;
use kingcdn_config::clock::Timestamp;

use super::{Memo, Signer};
use crate::answer::EdgeAddresses;
use crate::health::Snapshot;
use crate::journey::steer::family;
use crate::name::Key;
use crate::steering::{Ask, Choice, EdgeIndex, choose};
use crate::world::{Policy, World};

/// Sets that are signed ahead: a quarter of those that are kept. The rest is signed when it is asked
/// for.
const SETS: usize = 1 << 14;
/// Lists of edges of which several are answered at once, looked at for each site.
const LISTS: usize = 1 << 10;

/// Signs what may be asked for and isn't signed yet, or not for long any more; how many sets it
/// looked at.
pub(crate) fn sign_ahead(world: &World, fleet: &Snapshot, memo: &Memo, now: Timestamp) -> usize {
    let mut left = SETS;
    for (_, zone) in world.zones.iter() {
        let Some(signer) = &zone.signer else { continue };
        for (name, site) in zone.steered() {
            let (Some(policy), Some(owner)) = (world.policy(site), Key::of_wire(name)) else {
                continue;
            };
            let site = Site { world, fleet, policy, signer, owner: &owner };
            if site.sign(memo, now, &mut left).is_none() {
                return SETS;
            }
        }
    }
    SETS - left
}

/// A site at one of its names.
struct Site<'w> {
    world: &'w World,
    fleet: &'w Snapshot,
    policy: &'w Policy,
    signer: &'w Signer,
    owner: &'w Key,
}

impl Site<'_> {
    /// None where no more sets may be signed.
    fn sign(&self, memo: &Memo, now: Timestamp, left: &mut usize) -> Option<()> {
        for rtype in [RecordType::A, RecordType::AAAA] {
            for edges in self.answers(rtype) {
                let mut addresses = EdgeAddresses::default();
                for edge in &edges {
                    addresses.push(family(self.fleet, rtype).addresses(*edge));
                }
                if addresses.iter().next().is_none() {
                    continue;
                }
                for ttl in [self.policy.ttl, self.world.ttl_min] {
                    *left = left.checked_sub(1)?;
                    let what = (rtype.into(), ttl);
                    memo.addresses_ahead(self.signer, self.owner, what, addresses, now);
                }
            }
        }
        Some(())
    }

    /// The edges that an answer may name: where it names one, any of them, for any may be the next
    /// to be the only one up.
    fn answers(&self, rtype: RecordType) -> Vec<Vec<EdgeIndex>> {
        if self.policy.answers == 1 {
            return self.world.edges().iter().zip(0..).map(|(_, edge)| vec![edge]).collect();
        }
        let fleet = &family(self.fleet, rtype).fleet;
        let geography = self.world.geography();
        let picks = geography.map.lists().take(LISTS).filter_map(|list| {
            let ask = Ask {
                list: list.into(),
                client: [0, 0, 0, 0].into(),
                scope: 0,
                site: self.policy.seed,
                answers: self.policy.answers,
                all_down: self.policy.all_down,
            };
            match choose(&ask, fleet) {
                Choice::Edges(picks) | Choice::Despite(picks) => {
                    let mut edges = picks.edges().to_vec();
                    edges.sort_unstable();
                    Some(edges)
                }
                Choice::AllDown | Choice::NoAddress => None,
            }
        });
        let mut answers: Vec<Vec<EdgeIndex>> = picks.collect();
        answers.sort_unstable();
        answers.dedup();
        answers
    }
}
