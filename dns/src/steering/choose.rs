//! Who of a list is answered.

use super::EdgeIndex;

/// How an edge stands with the clients of one address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It has no address of this family.
    Absent,
    /// Its checks fail.
    Down,
    /// No check has brought a result yet.
    Unchecked,
    /// Its checks succeed.
    Up,
}

/// How all edges stand with the clients of one address family, by [`EdgeIndex`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fleet {
    standings: Box<[Standing]>,
    /// The best there is. Only edges that stand so are answered.
    best: Standing,
}

/// What is answered while every edge is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AllDown {
    /// As if every edge were up.
    Every,
    /// Nothing: the query fails.
    Fail,
}

/// What [`choose`] decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// The first of the list that can take clients.
    Edge(EdgeIndex),
    /// Every edge is down, and this is the first of the list.
    Despite(EdgeIndex),
    /// Every edge is down, and the policy is to fail.
    AllDown,
    /// No edge has an address of this family.
    NoAddress,
}

impl Fleet {
    /// A fleet that stands so.
    pub fn new(standings: impl Into<Box<[Standing]>>) -> Self {
        let standings = standings.into();
        let best = standings.iter().copied().max().unwrap_or(Standing::Absent);
        Self { standings, best }
    }

    /// How an edge stands.
    pub fn standing(&self, edge: EdgeIndex) -> Standing {
        let standing = self.standings.get(usize::from(edge)).copied();
        standing.unwrap_or(Standing::Absent)
    }
}

/// The edge for a client whose network has `list`: the first that is up; while none is, the first
/// that nobody has checked yet; while all are down, what the policy says.
///
/// After the list come all edges in their default order.
pub fn choose(list: &[EdgeIndex], fleet: &Fleet, all_down: AllDown) -> Choice {
    let best = || {
        let rest = (0..).take(fleet.standings.len());
        let mut order = list.iter().copied().chain(rest);
        order.find(|edge| fleet.standing(*edge) == fleet.best)
    };
    match fleet.best {
        Standing::Absent => Choice::NoAddress,
        Standing::Down => match all_down {
            AllDown::Every => best().map_or(Choice::NoAddress, Choice::Despite),
            AllDown::Fail => Choice::AllDown,
        },
        Standing::Unchecked | Standing::Up => best().map_or(Choice::NoAddress, Choice::Edge),
    }
}
