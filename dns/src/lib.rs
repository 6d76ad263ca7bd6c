//! KingCDN's authoritative name server.

mod name;
pub mod steering;
#[cfg(test)]
mod testing;
mod zone;

pub use zone::{Fault, ZoneError};
