//! Signatures that were made, so that a set is signed once and not for every
//! query: tables of fixed size without locks, for all zones.
//!
//! A place is found by what was signed, so it can't hold what no longer is. Of
//! four places that a set may have it takes one that is free, or that of another.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use kingcdn_config::clock::Timestamp;

use super::sign::{Canonical, Signer};
use crate::answer::EdgeAddresses;
use crate::name::Key;

/// Sets whose signatures are kept: some 20 MiB with all taken.
const SETS: usize = 1 << 16;
/// Denials that are kept, apart from sets: a flood of names that nobody has drives out no more.
const DENIALS: usize = 1 << 12;
/// Places that a set may have.
const WAYS: usize = 4;
/// What is signed ahead is signed again so long before a query would.
const EARLIER: Duration = Duration::from_secs(86_400);
/// Denials signed in a second, over UDP and over TCP each: a tenth of a core, or less.
const DENIALS_A_SECOND: i64 = 4000;

/// Signatures of sets of records.
pub(crate) struct Memo {
    sets: Table,
    denials: Table,
    /// Signed while a query waited.
    late: AtomicU64,
    /// Over datagrams and over connections.
    pace: [Pace; 2],
}

/// A set's signatures.
#[derive(Debug)]
pub(crate) struct Signed {
    set: [u8; 32],
    /// The data of its RRSIG records.
    pub(crate) data: Vec<Box<[u8]>>,
    /// The second at which it is time for others.
    pub(super) renewed: u32,
}

struct Table(Box<[ArcSwapOption<Signed>]>);

/// So many a second, a second's worth at once.
#[derive(Default)]
struct Pace {
    /// The moment, in microseconds, up to which all is taken.
    taken: AtomicU64,
}

impl Pace {
    fn take(&self, now: Timestamp) -> bool {
        let now = now.as_millis().unsigned_abs() * 1000;
        let each = 1_000_000 / DENIALS_A_SECOND.unsigned_abs();
        let next = |taken: u64| {
            // A clock that was set back gives all at once, not nothing for long.
            let taken = if taken > now + 2_000_000 { now } else { taken.max(now) };
            Some(taken + each).filter(|taken| *taken <= now + 1_000_000)
        };
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }
}

impl Table {
    fn new(places: usize) -> Self {
        Self((0..places).map(|_| ArcSwapOption::empty()).collect())
    }

    /// The places of a set. Their number is a power of two.
    fn places(&self, set: &[u8; 32]) -> &[ArcSwapOption<Signed>] {
        // Spread well by itself.
        let [a, b, c, d, ..] = *set;
        let at = u32::from_be_bytes([a, b, c, d]) as usize % (self.0.len() / WAYS);
        self.0.get(at * WAYS..(at + 1) * WAYS).unwrap_or_default()
    }

    /// The signatures of a set, if they are good for longer than `now`.
    fn find(&self, set: &[u8; 32], now: u32) -> Option<Arc<Signed>> {
        self.places(set).iter().find_map(|place| {
            let held = place.load();
            let held = held.as_ref().filter(|held| held.set == *set)?;
            serial_before(now, held.renewed).then(|| Arc::clone(held))
        })
    }

    fn keep(&self, signed: &Arc<Signed>, now: u32) {
        let places = self.places(&signed.set);
        let free = |place: &&ArcSwapOption<Signed>| match &*place.load() {
            None => true,
            Some(held) => held.set == signed.set || !serial_before(now, held.renewed),
        };
        let any = usize::from(signed.set[4]) % WAYS;
        if let Some(place) = places.iter().find(free).or(places.get(any)) {
            place.store(Some(Arc::clone(signed)));
        }
    }
}

impl Memo {
    pub(crate) fn new() -> Self {
        Self {
            sets: Table::new(SETS),
            denials: Table::new(DENIALS),
            late: AtomicU64::new(0),
            pace: Default::default(),
        }
    }

    /// The signatures of a set.
    pub(super) fn signed(&self, by: &Signer, set: &Canonical<'_>, now: Timestamp) -> Arc<Signed> {
        let (name, now) = (name(by, set), seconds(now));
        self.sets.find(&name, now).unwrap_or_else(|| {
            self.late.fetch_add(1, Ordering::Relaxed);
            sign(&self.sets, by, (name, set), now)
        })
    }

    /// The signatures of a denial; none while too many are asked for.
    pub(super) fn denial(
        &self,
        by: &Signer,
        set: &Canonical<'_>,
        (now, stream): (Timestamp, bool),
    ) -> Option<Arc<Signed>> {
        let (name, seconds) = (name(by, set), seconds(now));
        let held = self.denials.find(&name, seconds);
        let may = || self.pace[usize::from(stream)].take(now);
        held.or_else(|| may().then(|| sign(&self.denials, by, (name, set), seconds)))
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
        let data = canonical(addresses);
        self.signed(by, &Canonical { owner, rtype, ttl, data: &data }, now)
    }

    /// Signs a name's addresses before anybody asks.
    pub(super) fn addresses_ahead(
        &self,
        by: &Signer,
        owner: &Key,
        (rtype, ttl): (u16, u32),
        addresses: EdgeAddresses<'_>,
        now: Timestamp,
    ) {
        let data = canonical(addresses);
        let set = Canonical { owner, rtype, ttl, data: &data };
        let name = name(by, &set);
        if self.sets.find(&name, seconds(now.plus(EARLIER))).is_none() {
            sign(&self.sets, by, (name, &set), seconds(now));
        }
    }

    /// How often a query waited for the signature of a set.
    pub(crate) fn late(&self) -> u64 {
        self.late.load(Ordering::Relaxed)
    }
}

fn sign(
    table: &Table,
    by: &Signer,
    (name, set): ([u8; 32], &Canonical<'_>),
    now: u32,
) -> Arc<Signed> {
    let (data, renewed) = by.sign(set, now);
    let signed = Arc::new(Signed { set: name, data, renewed });
    table.keep(&signed, now);
    signed
}

/// In their order (RFC 4034 section 6.3).
fn canonical(addresses: EdgeAddresses<'_>) -> Vec<Vec<u8>> {
    let octets = |address: &IpAddr| match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let mut data: Vec<Vec<u8>> = addresses.iter().map(octets).collect();
    data.sort_unstable();
    data.dedup();
    data
}

/// The second, in serial arithmetic.
pub(crate) fn seconds(now: Timestamp) -> u32 {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Serial arithmetic.
    let seconds = now.as_secs() as u32;
    seconds
}

/// Whether a second comes before another (RFC 4034 section 3.1.5).
pub(crate) fn serial_before(one: u32, other: u32) -> bool {
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
