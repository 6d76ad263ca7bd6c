//! The steering map: for every address, the edges in the order in which they
//! serve it, and the largest network that is served alike.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;
use thiserror::Error;

use super::distance::{Direction, Point, nearest};
use super::preference::{Lists, Preference};
use super::ranges::{Bits, Ranges};
use super::sweep::{Entry, OutOfOrder, Place, Sweep};
use super::{GroupIndex, Source};

/// How many groups a list names at least, where there are so many. Behind them stands the default
/// order, so that nobody is without an edge when all of these are down; beyond so many the network
/// is in such trouble that distance no longer matters, and shorter lists merge into larger scopes.
const LIST_EDGES: usize = 8;

/// First address of the IPv4-mapped addresses, `::ffff:0:0/96` (RFC 4291 section 2.5.5.2).
const MAPPED: u128 = 0xffff_0000_0000;
const MAPPED_LENGTH: u8 = 96;

/// Where the clients of a network are sent.
#[derive(Debug, Clone, PartialEq)]
pub enum Placement {
    /// To the edges nearest to this place.
    Near(Point),
    /// To these groups, in this order; then to the other places in the default order.
    Order(Vec<GroupIndex>),
}

/// What the map says of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Located<'m> {
    /// Groups of edges in the order of preference; after them all places in their default order.
    pub list: Preference<'m>,
    /// Length of the largest network around the address whose every address has this list.
    pub scope: u8,
    /// What placed the address.
    pub source: Source,
}

/// The compiled map.
#[derive(Debug)]
pub struct Map {
    v4: Family<u32>,
    v6: Family<u128>,
    lists: Lists,
    /// The list of all of IPv4, where there is but one.
    v4_list: Option<u32>,
}

#[derive(Debug)]
struct Family<K> {
    /// [`Place`]s.
    lists: Ranges<K>,
    /// What placed each range. Apart from the lists, which merge across it: looked up where they
    /// don't know.
    sources: Ranges<K>,
}

/// Why no map could be compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum MapError {
    /// An [`GroupIndex`] can't count so many.
    #[error("{0} edges are more than a map can hold")]
    TooManyEdges(usize),
    /// The database's networks must arrive by address, and not meet.
    #[error("the networks aren't in the order of their addresses, or meet")]
    OutOfOrder,
}

/// A list of edges, by its number in the map that is being built, and what it is owed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct List {
    number: u32,
    source: Source,
}

/// Compiles a [`Map`].
#[derive(Debug)]
pub struct MapBuilder {
    /// Of the groups that are places.
    edges: Vec<Direction>,
    known: HashMap<Box<[GroupIndex]>, u32>,
    /// Lists by place: a database names the same few thousand places again and again.
    places: HashMap<(u64, u64), u32>,
    v4: Sweep<u32>,
    v6: Sweep<u128>,
}

impl MapBuilder {
    /// A map of the groups that stand at these places, in their default order, and of the operator's networks, in any order.
    pub fn new(
        edges: &[Point],
        operator: impl IntoIterator<Item = (IpNet, Placement)>,
    ) -> Result<Self, MapError> {
        // Each may be in two groups.
        if edges.len() > usize::from(GroupIndex::MAX / 2) {
            return Err(MapError::TooManyEdges(edges.len()));
        }
        let mut builder = Self {
            edges: edges.iter().copied().map(Direction::of).collect(),
            known: HashMap::new(),
            places: HashMap::new(),
            v4: Sweep::new(0, Vec::new()),
            v6: Sweep::new(0, Vec::new()),
        };
        let default = builder.number_of(&Placement::Order(Vec::new()));
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for (prefix, placement) in operator {
            let list = builder.number_of(&placement);
            match prefix.trunc() {
                IpNet::V4(net) => {
                    let start = net.network().to_bits();
                    v4.push(Entry { start, length: net.prefix_len(), list });
                }
                IpNet::V6(net) => {
                    let start = net.network().to_bits();
                    v6.push(Entry { start, length: net.prefix_len(), list });
                }
            }
        }
        builder.v4 = Sweep::new(default, v4);
        builder.v6 = Sweep::new(default, v6);
        Ok(builder)
    }

    /// The list for clients at this place.
    pub fn near(&mut self, place: Point) -> List {
        List { number: self.number_near(place), source: Source::Database }
    }

    /// The list for clients of whom a rule speaks.
    pub fn rule(&mut self, placement: &Placement) -> List {
        List { number: self.number_of(placement), source: Source::Rule }
    }

    fn number_near(&mut self, place: Point) -> u32 {
        let key = (place.latitude.to_bits(), place.longitude.to_bits());
        if let Some(list) = self.places.get(&key) {
            return *list;
        }
        let list = self.number(nearest(place, &self.edges, LIST_EDGES));
        self.places.insert(key, list);
        list
    }

    /// Takes the database's next range, the last address included. Those of one family arrive by
    /// address and don't meet.
    pub fn push(&mut self, first: IpAddr, last: IpAddr, list: List) -> Result<(), MapError> {
        let pushed = match (first, last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => {
                self.v4.push(first.to_bits(), last.to_bits(), list.number, list.source)
            }
            (IpAddr::V6(first), IpAddr::V6(last)) => {
                self.v6.push(first.to_bits(), last.to_bits(), list.number, list.source)
            }
            _ => Err(OutOfOrder),
        };
        pushed.map_err(|OutOfOrder| MapError::OutOfOrder)
    }

    /// The map.
    pub fn build(self) -> Map {
        let mut lists: Vec<(u32, Box<[GroupIndex]>)> =
            self.known.into_iter().map(|(list, number)| (number, list)).collect();
        lists.sort_unstable_by_key(|(number, _)| *number);
        let (v4, v6) = (self.v4.finish(), self.v6.finish());
        let (first, scope) = v4.0.network(0);
        Map {
            v4_list: (scope == 0).then(|| Place::numbered(first).list),
            v4: Family { lists: v4.0, sources: v4.1 },
            v6: Family { lists: v6.0, sources: v6.1 },
            lists: Lists::new(lists.into_iter().map(|(_, list)| list)),
        }
    }

    /// The number of a placement's list.
    fn number_of(&mut self, placement: &Placement) -> u32 {
        match placement {
            Placement::Near(place) => self.number_near(*place),
            Placement::Order(edges) => {
                let mut list = edges.clone();
                // Filled up from the default order, so that equal orders are equal lists.
                let rest = (0..).take(self.edges.len());
                list.extend(rest.filter(|index| !edges.contains(index)));
                list.truncate(LIST_EDGES.max(edges.len()));
                self.number(list)
            }
        }
    }

    fn number(&mut self, list: Vec<GroupIndex>) -> u32 {
        #[allow(clippy::cast_possible_truncation)] // Fewer than networks, which are below 2³².
        let next = self.known.len() as u32;
        *self.known.entry(list.into_boxed_slice()).or_insert(next)
    }
}

impl Map {
    /// What holds for a client, of whose address `known` bits are known: the rest are zero.
    pub fn locate(&self, client: IpAddr, known: u8) -> Located<'_> {
        match client {
            IpAddr::V4(address) => self.located(&self.v4, address.to_bits(), 0),
            IpAddr::V6(address) => match address.to_ipv4_mapped() {
                Some(mapped) if known >= MAPPED_LENGTH => {
                    self.located(&self.v4, mapped.to_bits(), MAPPED_LENGTH)
                }
                _ => self.locate_v6(address),
            },
        }
    }

    fn locate_v6(&self, address: Ipv6Addr) -> Located<'_> {
        let address = address.to_bits();
        let mut located = self.located(&self.v6, address, 0);
        // The mapped addresses are IPv4, so a network around both is alike only where all of IPv4
        // is alike too.
        if self.v4_list.is_none_or(|v4| Preference::numbered(&self.lists, v4) != located.list) {
            let apart = address.common(MAPPED).saturating_add(1);
            located.scope = located.scope.max(apart.min(u128::LENGTH));
        }
        located
    }

    fn located<K: Bits>(&self, family: &Family<K>, address: K, outside: u8) -> Located<'_> {
        let (number, scope) = family.lists.network(address);
        let Place { list, source } = Place::numbered(number);
        Located {
            list: Preference::numbered(&self.lists, list),
            scope: outside + scope,
            source: source.unwrap_or_else(|| Source::numbered(family.sources.number(address))),
        }
    }

    /// What [`Map::locate`] says of clients at a place, without asking where they are.
    pub fn near(place: Point, edges: &[Point]) -> Vec<GroupIndex> {
        let edges: Vec<Direction> = edges.iter().copied().map(Direction::of).collect();
        nearest(place, &edges, LIST_EDGES)
    }

    /// Every list of edges, once.
    pub fn lists(&self) -> impl Iterator<Item = &[GroupIndex]> {
        self.lists.iter()
    }

    /// Ranges of either family after merging.
    pub fn ranges(&self) -> usize {
        self.v4.lists.len() + self.v6.lists.len()
    }

    /// Bytes on the heap.
    pub fn bytes(&self) -> usize {
        self.v4.lists.bytes()
            + self.v4.sources.bytes()
            + self.v6.lists.bytes()
            + self.v6.sources.bytes()
            + self.lists.bytes()
    }
}
