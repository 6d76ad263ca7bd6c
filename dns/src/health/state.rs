//! When results of checks turn an edge: pure.

use kingcdn_config::clock::Timestamp;

use super::CheckError;

/// How many results in a row turn an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Thresholds {
    pub(crate) down_after: u32,
    pub(crate) up_after: u32,
}

/// What checks say of an edge's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Health {
    Down,
    /// Nothing yet.
    Unchecked,
    Up,
}

/// An address's health, and what came last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Machine {
    health: Health,
    since: Timestamp,
    /// Results in a row that speak against `health`.
    against: u32,
    last: Option<(Timestamp, Result<(), CheckError>)>,
}

impl Machine {
    /// An address of which nothing is known.
    pub(crate) fn new(now: Timestamp) -> Self {
        Self { health: Health::Unchecked, since: now, against: 0, last: None }
    }

    /// An address that is never checked.
    pub(crate) fn always_up(now: Timestamp) -> Self {
        Self { health: Health::Up, ..Self::new(now) }
    }

    /// Takes a result; the health to which it turns the address, if it does.
    ///
    /// The first success of an unchecked address brings it up at once: nothing is known against it.
    /// In every other case so many in a row are needed that one lost check turns nothing (unless
    /// the threshold is one).
    pub(crate) fn observe(
        &mut self,
        result: Result<(), CheckError>,
        now: Timestamp,
        thresholds: Thresholds,
    ) -> Option<Health> {
        self.last = Some((now, result));
        let (towards, needed) = match (self.health, result) {
            (Health::Unchecked, Ok(())) => (Health::Up, 1),
            (Health::Down, Ok(())) => (Health::Up, thresholds.up_after),
            (Health::Unchecked | Health::Up, Err(_)) => (Health::Down, thresholds.down_after),
            (Health::Up, Ok(())) | (Health::Down, Err(_)) => {
                self.against = 0;
                return None;
            }
        };
        self.against = self.against.saturating_add(1);
        if self.against < needed {
            return None;
        }
        self.health = towards;
        self.since = now;
        self.against = 0;
        Some(towards)
    }

    pub(crate) fn health(&self) -> Health {
        self.health
    }

    /// Since when it is so.
    pub(crate) fn since(&self) -> Timestamp {
        self.since
    }

    /// The latest result, and when it came.
    pub(crate) fn last(&self) -> Option<(Timestamp, Result<(), CheckError>)> {
        self.last
    }

    /// Whether no check has brought a result.
    pub(crate) fn is_new(&self) -> bool {
        self.last.is_none()
    }
}
