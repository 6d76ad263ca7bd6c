//! Who of a list is answered.

use std::net::IpAddr;
use std::sync::Arc;

use super::groups::Groups;
use super::hash::Unit;
use super::preference::Preference;
use super::{EdgeIndex, GroupIndex};

/// Edges that one answer names at most.
pub const ANSWERS: usize = 4;

/// How an edge stands with the clients of one address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It has no address of this family.
    Absent,
    /// Its checks fail, or the operator says so.
    Down,
    /// It is wanted empty.
    Drained,
    /// No check has brought a result yet.
    Unchecked,
    /// Its checks succeed.
    Up,
}

/// Of an edge's networks the share that it gives up, in parts of [`Share::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Share(pub u32);

impl Share {
    /// All of them.
    pub const ALL: Self = Self(1 << 16);

    /// The nearest to a share of 0 to 1.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 to 2^16.
    pub fn of(share: f64) -> Self {
        Self((share.clamp(0.0, 1.0) * f64::from(Self::ALL.0)).round() as u32)
    }
}

/// How all edges stand with the clients of one address family.
#[derive(Debug, Clone, PartialEq)]
pub struct Fleet {
    groups: Arc<Groups>,
    standings: Box<[Standing]>,
    shares: Arc<[Share]>,
    /// The best there is. Only edges that stand so are answered.
    best: Standing,
    /// By group the edge that all of its clients get: one that is alone there, stands best and gives
    /// nothing up. Almost every group has one.
    usual: Box<[Option<EdgeIndex>]>,
}

/// Who asks, and for what.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// The map's list for the client's network.
    pub list: Preference<'a>,
    /// The client's address, and the length of that network.
    pub client: IpAddr,
    /// That length.
    pub scope: u8,
    /// The site's number: a hash of its name.
    pub site: u64,
    /// How many edges are wanted, 1 to [`ANSWERS`].
    pub answers: usize,
    /// What is answered while every edge is down.
    pub all_down: AllDown,
}

/// What is answered while every edge is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AllDown {
    /// As if every edge were up.
    Every,
    /// Nothing of the edges.
    Fail,
}

/// What [`choose`] decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// The first of the list that can take clients.
    Edges(Picks),
    /// Every edge is down, and these are the first of the list.
    Despite(Picks),
    /// Every edge is down, and the policy is to name none.
    AllDown,
    /// No edge has an address of this family.
    NoAddress,
}

/// The edges that are answered, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Picks {
    edges: [EdgeIndex; ANSWERS],
    count: usize,
    /// Length of the network around the client whose every client gets these.
    pub scope: u8,
    /// Whether a better one gave this client's network up.
    pub shed: bool,
}

/// Why an edge isn't answered to a client, or that it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It may be.
    Takes,
    /// Others stand better.
    Stands(Standing),
    /// It has too much to do, and gave this client's network up.
    Shed,
}

impl Picks {
    /// The edges, the best first.
    pub fn edges(&self) -> &[EdgeIndex] {
        self.edges.get(..self.count).unwrap_or_default()
    }

    fn push(&mut self, edge: EdgeIndex) {
        if let Some(free) = self.edges.get_mut(self.count) {
            *free = edge;
            self.count += 1;
        }
    }
}

impl Fleet {
    /// A fleet that stands so; where there is no share, an edge gives up nothing.
    pub fn new(
        groups: Arc<Groups>,
        standings: impl Into<Box<[Standing]>>,
        shares: Arc<[Share]>,
    ) -> Self {
        let standings = standings.into();
        let best = standings.iter().copied().max().unwrap_or(Standing::Absent);
        let mut fleet = Self { groups, standings, shares, best, usual: Box::default() };
        fleet.usual = fleet.groups.iter().map(|members| fleet.usual_of(members)).collect();
        fleet
    }

    fn usual_of(&self, members: &[EdgeIndex]) -> Option<EdgeIndex> {
        let [edge] = members else { return None };
        let gets_all = self.standing(*edge) == self.best && self.share(*edge) == Share::default();
        gets_all.then_some(*edge)
    }

    /// How an edge stands.
    pub fn standing(&self, edge: EdgeIndex) -> Standing {
        let standing = self.standings.get(usize::from(edge)).copied();
        standing.unwrap_or(Standing::Absent)
    }

    /// The share of its networks that an edge gives up.
    pub fn share(&self, edge: EdgeIndex) -> Share {
        self.shares.get(usize::from(edge)).copied().unwrap_or_default()
    }

    /// How edges are grouped.
    pub fn groups(&self) -> &Groups {
        &self.groups
    }

    /// Whether an edge may be answered to the clients of a unit, and if not, why.
    pub fn verdict(&self, edge: EdgeIndex, unit: Unit) -> Verdict {
        match self.standing(edge) {
            standing if standing != self.best => Verdict::Stands(standing),
            _ if self.gives_up(edge, unit) => Verdict::Shed,
            _ => Verdict::Takes,
        }
    }

    /// With a larger share an edge gives up more units, and none that it gave up comes back.
    fn gives_up(&self, edge: EdgeIndex, unit: Unit) -> bool {
        let share = self.share(edge);
        let seed = || self.groups.member(edge).map_or(0, |member| member.seed);
        // The upper half is as evenly spread as the whole.
        share > Share(0) && (share >= Share::ALL || unit.with(!seed()) >> 48 < share.0.into())
    }

    /// Whether clients of one network may be told apart by this edge's share.
    fn divides(&self, edge: EdgeIndex) -> bool {
        (Share(1)..Share::ALL).contains(&self.share(edge))
    }

    /// How little an edge is the one for a site and a unit, among the edges of its place: weighted
    /// rendezvous hashing (Schindelhauer, Schomaker 2005). Each edge's number depends on no other
    /// edge, so one that comes or goes moves only its own clients.
    fn distaste(&self, edge: EdgeIndex, site: u64, unit: Unit) -> f64 {
        let Some(member) = self.groups.member(edge) else { return f64::INFINITY };
        #[allow(clippy::cast_precision_loss)] // 53 bits.
        let uniform = ((unit.with(member.seed ^ site) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        -uniform.ln() / f64::from(member.weight.max(1))
    }
}

/// The edges for a client: of the groups in the list's order the edges that are up; while none is,
/// those that nobody has checked yet; then those that are drained; while all are down, what the
/// policy says. Edges that gave the client's network up are passed over, unless all did.
///
/// After the list come all places in their default order.
pub fn choose(ask: &Ask<'_>, fleet: &Fleet) -> Choice {
    match fleet.best {
        Standing::Absent => Choice::NoAddress,
        Standing::Down => match ask.all_down {
            AllDown::Every => pick(ask, fleet).map_or(Choice::NoAddress, Choice::Despite),
            AllDown::Fail => Choice::AllDown,
        },
        Standing::Drained | Standing::Unchecked | Standing::Up => {
            pick(ask, fleet).map_or(Choice::NoAddress, Choice::Edges)
        }
    }
}

fn pick(ask: &Ask<'_>, fleet: &Fleet) -> Option<Picks> {
    let mut picks = Picks { edges: [0; ANSWERS], count: 0, scope: ask.scope, shed: false };
    if ask.answers == 1
        && let Some(first) = ask.list.first()
        && let Some(Some(edge)) = fleet.usual.get(usize::from(first))
    {
        picks.push(*edge);
        return Some(picks);
    }
    let mut nearest = None;
    for group in order(ask.list.groups(), &fleet.groups) {
        let members = fleet.groups.of(group);
        if let [edge] = members {
            if fleet.standing(*edge) == fleet.best && !picks.edges().contains(edge) {
                nearest.get_or_insert(group);
                take(*edge, &mut picks, ask, fleet);
            }
        } else if members.iter().any(|edge| fleet.standing(*edge) == fleet.best) {
            nearest.get_or_insert(group);
            share_out(members, &mut picks, ask, fleet);
        }
        if picks.count >= ask.answers {
            break;
        }
    }
    if picks.count == 0 {
        // All gave it up. Better the nearest than none.
        let edge = among(fleet.groups.of(nearest?), &mut picks, ask, fleet)?;
        picks.push(edge);
        picks.shed = false;
    }
    Some(picks)
}

/// Takes an edge that stands well enough, unless it gave the unit up.
fn take(edge: EdgeIndex, picks: &mut Picks, ask: &Ask<'_>, fleet: &Fleet) {
    if fleet.share(edge) == Share::default() {
        picks.push(edge);
        return;
    }
    let unit = Unit::of(ask.client, ask.scope);
    if fleet.divides(edge) {
        picks.scope = unit.length;
    }
    if fleet.gives_up(edge, unit) {
        picks.shed |= picks.count == 0;
    } else {
        picks.push(edge);
    }
}

/// Takes edges of one place, the one for the site and the unit first.
fn share_out(members: &[EdgeIndex], picks: &mut Picks, ask: &Ask<'_>, fleet: &Fleet) {
    let unit = Unit::of(ask.client, ask.scope);
    while picks.count < ask.answers {
        let mut best: Option<(f64, EdgeIndex)> = None;
        let mut candidates = 0;
        for edge in members.iter().copied() {
            if fleet.standing(edge) != fleet.best || picks.edges().contains(&edge) {
                continue;
            }
            candidates += 1;
            if fleet.divides(edge) {
                picks.scope = unit.length;
            }
            if fleet.gives_up(edge, unit) {
                continue;
            }
            let distaste = fleet.distaste(edge, ask.site, unit);
            if best.is_none_or(|(least, _)| distaste < least) {
                best = Some((distaste, edge));
            }
        }
        if candidates > 1 {
            picks.scope = unit.length;
        }
        match best {
            Some((_, edge)) => picks.push(edge),
            None => {
                picks.shed |= picks.count == 0 && candidates > 0;
                return;
            }
        }
    }
}

/// The one for the site and the unit, whatever it gave up.
fn among(
    members: &[EdgeIndex],
    picks: &mut Picks,
    ask: &Ask<'_>,
    fleet: &Fleet,
) -> Option<EdgeIndex> {
    let unit = Unit::of(ask.client, ask.scope);
    let able = || members.iter().copied().filter(|edge| fleet.standing(*edge) == fleet.best);
    if able().nth(1).is_some() {
        picks.scope = unit.length;
    }
    let distaste = |edge: &EdgeIndex| fleet.distaste(*edge, ask.site, unit);
    able().min_by(|a, b| distaste(a).total_cmp(&distaste(b)))
}

/// The groups of a list, then all places.
pub fn order<'a>(
    list: &'a [GroupIndex],
    groups: &'a Groups,
) -> impl Iterator<Item = GroupIndex> + use<'a> {
    list.iter().copied().chain((0..).take(groups.places().len()))
}
