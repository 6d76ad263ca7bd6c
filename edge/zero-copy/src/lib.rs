//! Bodies that leave without being copied.
//!
//! A body is kept in a buffer that is a file too: a [`Mapping`] of a segment on disk, or memory
//! that was [`seal`]ed. To everybody it is plain [`bytes::Bytes`]. A connection that writes through
//! [`Outgoing`] recognises such bytes by where they lie, and has the system send them from the
//! file's pages (`sendfile`); all else is copied into the socket as usual.
//!
//! # What must hold
//!
//! Pages that wait in a socket are references to the file's pages, not copies of them, until the
//! peer has acknowledged them, and sometimes beyond. So what was handed out never changes: memory
//! is sealed, which the system enforces; a segment is written once, and never overwritten, punched
//! or truncated while a [`Mapping`] of it lives. Closing, unmapping and unlinking whole files is
//! safe at any time, since the system keeps their pages as long as a socket refers to them.
//!
//! `unsafe` code is in one module, `region`: mapping, unmapping, and a view of what is mapped.

mod gather;
mod mapping;
mod outgoing;
mod region;
mod registry;
mod seal;

pub use gather::Gathering;
pub use mapping::Mapping;
pub use outgoing::{Outgoing, SENDFILE_MIN_BYTES};
pub use seal::{SEAL_MIN_BYTES, Usage, held_bytes, seal, usage};
