//! KingCDN's one configuration file, parsed into domain types.
//!
//! A [`Config`] that exists is valid: every name is unique, every reference
//! resolves, every number is within its bounds. Nothing later in the process
//! checks again.
//!
//! What the roles say to each other over the wire ([`status`]) and where all
//! of them take the time from ([`clock`]) live here too, because `dns`, `edge`
//! and `origin` know nothing of each other. So does [`hearsay`]: what an edge
//! doesn't send on can't be part of a site's key.

mod check;
pub mod clock;
pub mod hearsay;
mod load;
mod location;
pub mod model;
mod names;
mod read;
mod reader;
mod refusal;
mod reload;
mod report;
mod role;
pub mod status;
mod tokens;
pub mod units;
mod url;
mod values;

pub use load::{Files, Loaded};
pub use location::LocationError;
pub use model::*;
pub use names::{MailboxError, NameError};
pub use refusal::Refusal;
pub use reload::{FixedDifference, fixed_differences};
pub use report::{Problem, Report, Severity};
pub use role::{Overrides, Role, RoleError};
pub use tokens::{ParameterError, TokenError, UpgradeError};
pub use url::OriginUrlError;

#[cfg(test)]
mod tests;
