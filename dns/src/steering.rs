//! The pure choice of edges: which edges serve a network, nearest first, and
//! which of them is answered while the fleet is in a given state.
//!
//! Nothing here knows a clock, a socket, a file, a log or a counter. A [`Map`]
//! is compiled once from places and networks; a [`Fleet`] says who is up and
//! who gives up what ([`Shed`]); [`choose`] brings both together.

mod choose;
mod distance;
mod groups;
mod hash;
mod map;
mod preference;
mod ranges;
mod shed;
mod sweep;

#[cfg(test)]
mod tests;

pub use choose::{
    ANSWERS, AllDown, Ask, Choice, Fleet, Picks, Share, Standing, Verdict, choose, order,
};
pub use distance::Point;
pub use groups::{Groups, Member};
pub use hash::{Unit, seed};
pub use map::{List, Located, Map, MapBuilder, MapError, Placement};
pub use preference::Preference;
pub use shed::{Limits, Shed, Work, shares};

/// An edge, by its place in the configuration, which is also its place in the default order.
pub type EdgeIndex = u16;

/// Edges that are one to lists: those of a place, or one that a list names.
pub type GroupIndex = u16;

/// What placed a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// Nothing: the default order.
    Default,
    /// The location database.
    Database,
    /// A rule for the client's country or continent.
    Rule,
    /// The operator's own network.
    Operator,
}

impl Source {
    fn number(self) -> u32 {
        self as u32
    }

    fn numbered(number: u32) -> Self {
        match number {
            0 => Self::Default,
            1 => Self::Database,
            2 => Self::Rule,
            _ => Self::Operator,
        }
    }
}
