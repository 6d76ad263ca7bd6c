//! Records on disks: everything that does I/O.
//!
//! ```text
//! Disks ── whose is this id? ──► Disk ── in use: Volume (index, segments)
//!                                  ├─ keeper thread: opens (recovery), writes, reclaims
//!                                  ├─ caretaker thread: syncs, removes, snapshots, scrubs
//!                                  └─ reader threads: what isn't in memory
//! ```
//!
//! What is on disk is described in `FORMAT.md`. The rules that everything here keeps:
//!
//! - A segment is written once, front to back, and removed as a whole. Views of it stay right as
//!   long as somebody holds them.
//! - A record is found when it is written, not before; and served when it is verified, not before.
//! - The word on an id that came last is the one that a start believes.
//! - A disk that fails takes nothing along but what is on it.

mod caretaker;
mod counters;
mod device;
#[allow(clippy::module_inception)] // The room and its main noun share a name.
mod disk;
mod disks;
mod error;
#[doc(hidden)]
pub mod fuzz;
mod history_file;
mod lock;
mod meta;
mod mount;
mod queue;
mod reader;
mod reclaim;
mod record;
mod recovery;
mod scan;
mod scrub;
mod segment;
mod snapshot;
mod snapshot_file;
mod stage;
mod status;
#[cfg(test)]
mod tests;
mod volume;
mod writer;

pub use self::counters::Counts;
pub use self::disks::{Beside, DiskOptions, Disks, Settings};
pub use self::error::Shed;
pub use self::reader::{Found, Pending};
pub use self::status::{DiskStatus, State};

/// The longest payload of a record: a slice, and what its owner adds.
pub const RECORD_MAX_BYTES: u32 = (1 << 20) + (64 << 10) - 64;

/// What a record is to its owner. For tools; the store doesn't look at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kind(pub u8);
