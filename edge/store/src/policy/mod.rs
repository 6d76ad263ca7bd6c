//! What stays: pure decisions for both tiers, without I/O and without a clock.
//!
//! - [`Ledger`]: what the tiers know together. How often was asked for what isn't held any more,
//!   and how much may be written to disk.
//! - [`Memory`]: who stays in memory. Its hits are recorded without a lock.
//! - [`Log`]: who stays in an append-only log of segments, and which segment is reclaimed next.
//!
//! `POLICY.md` has the reasons and the figures.

mod hash;
mod history;
mod ledger;
pub mod log;
pub mod memory;

pub use self::hash::{IdHasher, IdMap};
pub use self::ledger::{Leave, Ledger};
pub use self::log::{Log, Shape};
pub use self::memory::{FirstStop, Memory, Victim};

/// What is evicted when a tier is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Eviction {
    /// What was asked for least, with aging, and with a memory of what was evicted.
    Lfu,
    /// What wasn't asked for longest.
    Lru,
}
