//! DNSSEC (RFC 4033 to 4035): answers signed online with ECDSAP256SHA256.
//!
//! Addresses of sites are signed before anybody asks (`ahead`), all other sets
//! when they are first answered; signatures are kept until it is time for the
//! next (`memo`). That a name or type isn't
//! there is said as RFC 9824 has it: by a record made for that one name.

mod ahead;
mod denial;
pub mod keys;
mod memo;
mod seal;
mod sign;

#[cfg(test)]
mod tests;

pub(crate) use ahead::sign_ahead;
pub(crate) use keys::Key as SigningKey;
pub(crate) use memo::{Memo, Signed, seconds, serial_before};
pub(crate) use seal::{Exhausted, Seal};
pub(crate) use sign::Signer;

/// Types of records (RFC 4034, RFC 7344, RFC 9824 section 2).
const DS: u16 = 43;
const RRSIG: u16 = 46;
const NSEC: u16 = 47;
const DNSKEY: u16 = 48;
const CDS: u16 = 59;
const CDNSKEY: u16 = 60;
const NXNAME: u16 = 128;
/// ECDSA with curve P-256 and SHA-256 (RFC 6605 section 4).
const ALGORITHM: u8 = 13;
