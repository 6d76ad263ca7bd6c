//! KingCDN's authoritative name server.
#[allow(missing_docs)]
pub mod steering;
