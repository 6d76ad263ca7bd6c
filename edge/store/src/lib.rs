//! The disk tier of the edge's cache: records in append-only segments.
//!
//! [`policy`] decides, purely: which records stay, which segment is reclaimed next. `disk` does
//! everything that touches a file. Neither knows anything of HTTP: a record is an [`Id`] that its
//! owner chose, and bytes.

pub mod disk;
pub mod policy;
pub mod replay;

/// Names a record. Its owner makes it, by a hash wide enough that two never meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub [u8; 16]);
