//! KingCDN's one configuration file, parsed into domain types.
//!
//! A [`Config`] that exists is valid: every name is unique, every reference
//! resolves, every number is within its bounds. Nothing later in the process
//! checks again.
//!
//! What the roles say to each other over the wire ([`status`]) and where all
//! of them take the time from ([`clock`]) live here too, because `dns`, `edge`
//! and `origin` know nothing of each other.

pub mod clock;
pub mod model;
pub mod status;

pub use model::*;
