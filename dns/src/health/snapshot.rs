//! The fleet as queries see it.

use std::net::IpAddr;
use std::sync::Arc;

use super::{Health, Machine, Target};
use crate::steering::{EdgeIndex, Fleet, Groups, Share, Standing};

/// By edge.
type Addresses = Box<[Box<[IpAddr]>]>;

/// Who is up, and with which addresses. Never changes; a new one takes its place.
#[derive(Debug, PartialEq)]
pub(crate) struct Snapshot {
    pub(crate) v4: Family,
    pub(crate) v6: Family,
    /// Whether an edge is down, or was lately: then answers are short-lived.
    pub(crate) degraded: bool,
}

/// The fleet for one address family.
#[derive(Debug, PartialEq)]
pub(crate) struct Family {
    pub(crate) fleet: Fleet,
    /// By edge, what is answered for it: its addresses that are as well as its best one.
    addresses: Addresses,
}

/// What checks say, and the best that each edge can be, whatever they say.
pub(super) struct Seen<'s> {
    pub(super) targets: &'s [Target],
    pub(super) machines: &'s [Machine],
    pub(super) limits: &'s [Standing],
}

impl Snapshot {
    pub(super) fn new(
        groups: &Arc<Groups>,
        seen: &Seen<'_>,
        shares: &Arc<[Share]>,
        degraded: bool,
    ) -> Self {
        let of = |family: fn(&IpAddr) -> bool| {
            let (standings, addresses) = seen.of(family);
            let fleet = Fleet::new(Arc::clone(groups), standings, Arc::clone(shares));
            Family { fleet, addresses }
        };
        Self { v4: of(IpAddr::is_ipv4), v6: of(IpAddr::is_ipv6), degraded }
    }
}

impl Seen<'_> {
    /// How edges stand with a family, and with which addresses.
    fn of(&self, family: fn(&IpAddr) -> bool) -> (Vec<Standing>, Addresses) {
        let mut standings = vec![Standing::Absent; self.limits.len()];
        let mut addresses = vec![Vec::new(); self.limits.len()];
        let checked = self.targets.iter().zip(self.machines);
        for (target, machine) in checked.filter(|(target, _)| family(&target.service.ip())) {
            let edge = usize::from(target.edge);
            let (Some(best), Some(addresses)) = (standings.get_mut(edge), addresses.get_mut(edge))
            else {
                continue;
            };
            let standing = match machine.health() {
                Health::Down => Standing::Down,
                Health::Unchecked => Standing::Unchecked,
                Health::Up => Standing::Up,
            };
            if standing > *best {
                *best = standing;
                addresses.clear();
            }
            if standing == *best {
                addresses.push(target.service.ip());
            }
        }
        for (standing, limit) in standings.iter_mut().zip(self.limits) {
            *standing = (*standing).min(*limit);
        }
        (standings, addresses.into_iter().map(Vec::into_boxed_slice).collect())
    }
}

impl Family {
    /// What is answered for an edge.
    pub(crate) fn addresses(&self, edge: EdgeIndex) -> &[IpAddr] {
        self.addresses.get(usize::from(edge)).map_or(&[], |addresses| addresses)
    }
}
