//! The lists of a map: groups of edges in the order in which they serve a client.

use std::ops::Deref;

use super::GroupIndex;

/// Stands for the first of a list that has none: there are never so many groups.
const NONE: GroupIndex = GroupIndex::MAX;

/// Every list once, one behind the other.
#[derive(Debug)]
pub(super) struct Lists {
    groups: Box<[GroupIndex]>,
    /// Where each ends.
    ends: Box<[u32]>,
    /// The first of each, once more: the answer to most queries, and few enough to stay in the
    /// processor's caches.
    firsts: Box<[GroupIndex]>,
}

/// A list. Where it stands is looked up only by who wants more of it than its first group.
#[derive(Debug, Clone, Copy)]
pub struct Preference<'m>(Kept<'m>);

#[derive(Debug, Clone, Copy)]
enum Kept<'m> {
    Numbered(&'m Lists, u32),
    Given(&'m [GroupIndex]),
}

impl Lists {
    pub(super) fn new(lists: impl Iterator<Item = Box<[GroupIndex]>>) -> Self {
        let (mut groups, mut ends, mut firsts) = (Vec::new(), Vec::new(), Vec::new());
        for list in lists {
            groups.extend_from_slice(&list);
            // A gigabyte of lists is more than any map has.
            ends.push(u32::try_from(groups.len()).unwrap_or(u32::MAX));
            firsts.push(list.first().copied().unwrap_or(NONE));
        }
        Self { groups: groups.into(), ends: ends.into(), firsts: firsts.into() }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[GroupIndex]> {
        (0..).take(self.ends.len()).map(|number| self.get(number))
    }

    /// Bytes on the heap.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.groups) + size_of_val(&*self.ends) + size_of_val(&*self.firsts)
    }

    fn get(&self, number: u32) -> &[GroupIndex] {
        let number = number as usize;
        let Some(end) = self.ends.get(number) else { return &[] };
        let start = number.checked_sub(1).and_then(|before| self.ends.get(before)).unwrap_or(&0);
        self.groups.get(*start as usize..*end as usize).unwrap_or_default()
    }
}

impl<'m> Preference<'m> {
    pub(super) fn numbered(lists: &'m Lists, number: u32) -> Self {
        Self(Kept::Numbered(lists, number))
    }

    /// The nearest.
    pub fn first(self) -> Option<GroupIndex> {
        match self.0 {
            Kept::Numbered(lists, number) => {
                lists.firsts.get(number as usize).copied().filter(|group| *group != NONE)
            }
            Kept::Given(groups) => groups.first().copied(),
        }
    }

    /// All of it.
    pub fn groups(self) -> &'m [GroupIndex] {
        match self.0 {
            Kept::Numbered(lists, number) => lists.get(number),
            Kept::Given(groups) => groups,
        }
    }
}

impl<'m> From<&'m [GroupIndex]> for Preference<'m> {
    fn from(groups: &'m [GroupIndex]) -> Self {
        Self(Kept::Given(groups))
    }
}

impl Deref for Preference<'_> {
    type Target = [GroupIndex];

    fn deref(&self) -> &[GroupIndex] {
        self.groups()
    }
}

impl PartialEq for Preference<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.groups() == other.groups()
    }
}

impl Eq for Preference<'_> {}
