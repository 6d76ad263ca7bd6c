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
mod location;
pub mod model;
mod names;
mod refusal;
pub mod status;
mod url;

pub use location::LocationError;
pub use model::*;
pub use names::{MailboxError, NameError};
pub use refusal::Refusal;
pub use url::OriginUrlError;
