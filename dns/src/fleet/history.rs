//! What happened lately.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use kingcdn_config::clock::Timestamp;

use super::Wish;

/// Changes that are remembered.
const KEPT: usize = 100;

/// Something that happened to an edge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) at: Timestamp,
    pub(crate) edge: String,
    /// The address to which it happened; none if it happened to all of the edge.
    pub(crate) address: Option<String>,
    pub(crate) what: What,
    pub(crate) reason: Option<String>,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// Checks brought it up.
    Up,
    /// Checks took it out.
    Down,
    /// The operator said so.
    Wished(Wish),
    /// It began to give up networks.
    Sheds,
    /// It gives up all networks.
    ShedsAll,
    /// It has all its networks back.
    ShedsNothing,
}

impl What {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Wished(Wish::Auto) => "set to auto",
            Self::Wished(Wish::Drain) => "set to drain",
            Self::Wished(Wish::Down) => "set to down",
            Self::Sheds => "sheds load",
            Self::ShedsAll => "sheds all load",
            Self::ShedsNothing => "sheds no load",
        }
    }
}

/// The latest changes, of all configurations that there were.
#[derive(Debug, Default)]
pub(crate) struct History(Mutex<VecDeque<Change>>);

impl History {
    pub(crate) fn add(&self, change: Change) {
        let mut changes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if changes.len() == KEPT {
            changes.pop_front();
        }
        changes.push_back(change);
    }

    /// All of them, the latest first.
    pub(crate) fn changes(&self) -> Vec<Change> {
        let changes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        changes.iter().rev().cloned().collect()
    }
}
