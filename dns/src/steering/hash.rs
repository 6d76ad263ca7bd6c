//! Numbers that look random and never change: the same on every name server.

use std::net::IpAddr;

/// Bits of an address by which clients are told apart when some of a network go here and some go
/// there. A resolver keeps an answer for each such network, and no more than these.
const UNIT_V4: u8 = 16;
const UNIT_V6: u8 = 32;
/// The IPv4-mapped addresses (RFC 4291 section 2.5.5.2) are IPv4 behind so many bits.
const MAPPED: u8 = 96;

/// The network that shares a fate: a client's, as large as the map has it, and no larger than a
/// network of a provider's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unit {
    /// Its length.
    pub length: u8,
    hash: u64,
}

impl Unit {
    /// The unit of a client in whose network of length `scope` all are served alike.
    pub fn of(client: IpAddr, scope: u8) -> Self {
        let (bits, family, least) = match client {
            IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, 4, UNIT_V4),
            IpAddr::V6(address) if scope >= MAPPED && address.to_ipv4_mapped().is_some() => {
                (address.to_bits(), 6, MAPPED + UNIT_V4)
            }
            IpAddr::V6(address) => (address.to_bits(), 6, UNIT_V6),
        };
        let length = scope.max(least);
        let kept = bits & !u128::MAX.checked_shr(length.into()).unwrap_or(0);
        #[allow(clippy::cast_possible_truncation)] // Its two halves.
        let (high, low) = ((kept >> 64) as u64, kept as u64);
        Self { length, hash: mix(mix(mix(high) ^ low) ^ family << 8 ^ u64::from(length)) }
    }

    /// A number for this unit and something else, evenly spread over all numbers.
    pub(super) fn with(self, seed: u64) -> u64 {
        mix(self.hash ^ mix(seed))
    }
}

/// A number for a name.
pub fn seed(name: &str) -> u64 {
    // FNV-1a, 64 bits.
    let step = |hash: u64, octet: u8| (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3);
    mix(name.bytes().fold(0xcbf2_9ce4_8422_2325, step))
}

/// The finalizer of SplitMix64 (Steele, Lea, Flood 2014): every bit depends on every bit.
fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}
