//! The fleet as queries see it.

use std::net::IpAddr;

use super::{Health, Machine, Target};
use crate::steering::{EdgeIndex, Fleet, Standing};

/// Who is up, and with which addresses. Never changes; a new one takes its place.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) v4: Family,
    pub(crate) v6: Family,
}

/// The fleet for one address family.
#[derive(Debug)]
pub(crate) struct Family {
    pub(crate) fleet: Fleet,
    /// By edge, what is answered for it: its addresses that are as well as its best one.
    addresses: Box<[Box<[IpAddr]>]>,
}

impl Snapshot {
    pub(crate) fn new(edges: usize, targets: &[Target], machines: &[Machine]) -> Self {
        let checked = || targets.iter().zip(machines);
        let of = |family: fn(&IpAddr) -> bool| {
            Family::new(edges, checked().filter(|(target, _)| family(&target.service.ip())))
        };
        Self { v4: of(IpAddr::is_ipv4), v6: of(IpAddr::is_ipv6) }
    }
}

impl Family {
    fn new<'t>(edges: usize, checked: impl Iterator<Item = (&'t Target, &'t Machine)>) -> Self {
        let mut standings = vec![Standing::Absent; edges];
        let mut addresses = vec![Vec::new(); edges];
        for (target, machine) in checked {
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
        Self {
            fleet: Fleet::new(standings),
            addresses: addresses.into_iter().map(Vec::into_boxed_slice).collect(),
        }
    }

    /// What is answered for an edge.
    pub(crate) fn addresses(&self, edge: EdgeIndex) -> &[IpAddr] {
        self.addresses.get(usize::from(edge)).map_or(&[], |addresses| addresses)
    }
}
