//! Signatures that were made, so that a set is signed once and not for every
//! query: a table of fixed size without locks, for all zones.
//!
//! A place is found by what was signed, so it can't hold what no longer is.
//! Who comes to a place that is taken takes it over.

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use kingcdn_config::clock::Timestamp;

use super::sign::{Canonical, Signer};
use crate::answer::EdgeAddresses;
use crate::name::Key;

/// Sets whose signatures are kept: some 20 MiB with all taken.
const PLACES: usize = 1 << 16;

/// Signatures of sets of records.
pub(crate) struct Memo {
    places: Box<[ArcSwapOption<Signed>]>,
}

/// A set's signatures.
#[derive(Debug)]
pub(crate) struct Signed {
    set: [u8; 32],
    /// The data of its RRSIG records.
    pub(crate) data: Vec<Box<[u8]>>,
    renewed: u32,
}

impl Memo {
    pub(crate) fn new() -> Self {
        Self { places: (0..PLACES).map(|_| ArcSwapOption::empty()).collect() }
    }

    /// The signatures of a set.
    pub(super) fn signed(&self, by: &Signer, set: &Canonical<'_>, now: Timestamp) -> Arc<Signed> {
        let name = name(by, set);
        let now = seconds(now);
        // Spread well by itself.
        let [a, b, ..] = name;
        let place = self.places.get(usize::from(u16::from_be_bytes([a, b])));
        if let Some(held) = place.map(ArcSwapOption::load)
            && let Some(held) = &*held
            && held.set == name
            && serial_before(now, held.renewed)
        {
            return Arc::clone(held);
        }
        let (data, renewed) = by.sign(set, now);
        let signed = Arc::new(Signed { set: name, data, renewed });
        if let Some(place) = place {
            place.store(Some(Arc::clone(&signed)));
        }
        signed
    }

    /// The signatures of a name's addresses.
    pub(crate) fn addresses(
        &self,
        by: &Signer,
        owner: &Key,
        (rtype, ttl): (u16, u32),
        addresses: EdgeAddresses<'_>,
        now: Timestamp,
    ) -> Arc<Signed> {
        let mut data: Vec<Vec<u8>> = addresses
            .iter()
            .map(|address| match address {
                IpAddr::V4(address) => address.octets().to_vec(),
                IpAddr::V6(address) => address.octets().to_vec(),
            })
            .collect();
        // RFC 4034 section 6.3.
        data.sort_unstable();
        data.dedup();
        self.signed(by, &Canonical { owner, rtype, ttl, data: &data }, now)
    }
}

/// Signatures that nobody will ask for again.
pub(super) fn once(by: &Signer, set: &Canonical<'_>, now: Timestamp) -> Vec<Box<[u8]>> {
    by.sign(set, seconds(now)).0
}

fn seconds(now: Timestamp) -> u32 {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Serial arithmetic.
    let seconds = now.as_secs() as u32;
    seconds
}

/// RFC 4034 section 3.1.5.
fn serial_before(one: u32, other: u32) -> bool {
    other.wrapping_sub(one).cast_signed() > 0
}

fn name(by: &Signer, set: &Canonical<'_>) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for part in by.identity() {
        hasher.update(part);
    }
    hasher.update(set.owner.whole());
    hasher.update(&set.rtype.to_be_bytes());
    hasher.update(&set.ttl.to_be_bytes());
    for data in set.data {
        hasher.update(&u64::try_from(data.len()).unwrap_or(u64::MAX).to_be_bytes());
        hasher.update(data);
    }
    hasher.finalize().into()
}
