//! The pure choice of edges: which edges serve a network, nearest first, and
//! which of them is answered while the fleet is in a given state.
//!
//! Nothing here knows a clock, a socket, a file, a log or a counter. A [`Map`]
//! is compiled once from places and networks; a [`Fleet`] says who is up;
//! [`choose`] brings both together.

mod choose;
mod distance;
mod map;
mod ranges;
mod sweep;

#[cfg(test)]
mod tests;

pub use choose::{AllDown, Choice, Fleet, Standing, choose};
pub use distance::Point;
pub use map::{List, Located, Map, MapBuilder, MapError, Placement};

/// An edge, by its place in the configuration, which is also its place in the default order.
pub type EdgeIndex = u16;

/// What placed a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// Nothing: the default order.
    Default,
    /// The location database.
    Database,
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
            _ => Self::Operator,
        }
    }
}
