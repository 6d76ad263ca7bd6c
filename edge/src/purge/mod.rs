//! Purging without scans: what a purge concerns is remembered, and compared with each object when
//! it is looked up.
//!
//! A purge costs the same however much is stored. Purges are numbered; an object knows the number
//! that was the last when its fetch began ([`Birth`]), so a purge concerns it if its number is
//! higher. No clock is asked: neither a clock that jumps nor a fetch that takes long lets an
//! object escape.
//!
//! Memory is bounded. When the table is full, the oldest purge becomes one of its whole site, and
//! the oldest of a site one of everything: more than was asked for may go, never less. All names
//! are kept as hashes; two that collide are purged together.
//!
//! [`Purges`] is pure; [`Journal`] is the file that lets it survive; the ledger holds both. The
//! store keeps a [`Birth`] beside each object and asks for its [`Verdict`] at each look-up.

mod journal;
mod ledger;
mod scope;
mod table;
mod tags;
#[cfg(test)]
mod tests;

pub use journal::{Found, Journal, JournalError};
pub(crate) use ledger::{Ledger, Moment, Standing};
pub use scope::{Birth, Mode, Scope};
pub use table::{Purges, Verdict};
pub use tags::{Tags, tags};
