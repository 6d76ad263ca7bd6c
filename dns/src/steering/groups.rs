//! Edges that stand at one place share its clients: lists name groups of
//! edges, and most groups are one edge.

use super::distance::Point;
use super::{EdgeIndex, GroupIndex};

/// An edge, as the choice knows it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Member {
    /// Where it stands.
    pub place: Point,
    /// Its share of the clients of its place.
    pub weight: u32,
    /// A number of its own, that stays when others come and go: a hash of its name.
    pub seed: u64,
}

/// Who stands together. First come the places, in the order of their first edges; then every edge
/// that doesn't stand alone, for lists that name it.
#[derive(Debug, Clone, PartialEq)]
pub struct Groups {
    members: Box<[Member]>,
    groups: Box<[Box<[EdgeIndex]>]>,
    places: Box<[Point]>,
    /// The group in which each edge stands alone.
    singles: Box<[GroupIndex]>,
}

impl Groups {
    /// Groups of these edges, in their default order; those beyond what an [`EdgeIndex`] counts
    /// aren't in any.
    pub fn new(members: impl Into<Box<[Member]>>) -> Self {
        let members = members.into();
        let mut places: Vec<Point> = Vec::new();
        let mut groups: Vec<Vec<EdgeIndex>> = Vec::new();
        for (member, index) in members.iter().zip(0..) {
            match places.iter().position(|place| *place == member.place) {
                Some(known) => groups[known].push(index),
                None => {
                    places.push(member.place);
                    groups.push(vec![index]);
                }
            }
        }
        let mut singles = Vec::new();
        for (_, index) in members.iter().zip(0..) {
            let alone = groups.iter().position(|group| *group == [index]);
            let group = alone.unwrap_or_else(|| {
                groups.push(vec![index]);
                groups.len() - 1
            });
            singles.push(GroupIndex::try_from(group).unwrap_or(GroupIndex::MAX));
        }
        Self {
            members,
            groups: groups.into_iter().map(Vec::into_boxed_slice).collect(),
            places: places.into(),
            singles: singles.into(),
        }
    }

    /// Every edge.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// An edge.
    pub(super) fn member(&self, edge: EdgeIndex) -> Option<&Member> {
        self.members.get(usize::from(edge))
    }

    /// Who is in each group.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[EdgeIndex]> {
        self.groups.iter().map(|group| &**group)
    }

    /// Who is in a group.
    pub fn of(&self, group: GroupIndex) -> &[EdgeIndex] {
        self.groups.get(usize::from(group)).map_or(&[], |group| group)
    }

    /// Where the edges of each of the first groups stand.
    pub fn places(&self) -> &[Point] {
        &self.places
    }

    /// The group in which an edge stands alone.
    pub fn single(&self, edge: EdgeIndex) -> Option<GroupIndex> {
        self.singles.get(usize::from(edge)).copied()
    }
}
