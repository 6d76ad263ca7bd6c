//! Response rate limiting: how many answers over UDP one network gets in a
//! second, so that nobody can have us shoot at others.
//!
//! Who proves his address isn't limited: over TCP, or with our cookie (RFC
//! 7873). So a real resolver is never starved: past the rate it is asked for
//! its cookie, or told to come over TCP.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use kingcdn_config::clock::Timestamp;

/// Networks that are known at once, in buckets of a few.
const BUCKETS: usize = 1 << 14;
const SLOTS: usize = 4;
/// A slot: a tag of 24 bits, and when the network's answers so far will have been paid for, in
/// microseconds of 40 bits: 12 days, after which all is forgotten.
const TIME_BITS: u32 = 40;
const TIME: u64 = (1 << TIME_BITS) - 1;
/// A second: answers at once to a network that was silent.
const BURST: u64 = 1_000_000;
/// Attempts to change a slot while others do.
const ATTEMPTS: usize = 4;

/// Counts answers by network: a /24 or a /56. Of fixed size, and without a lock.
pub(crate) struct Limiter {
    buckets: Box<[[AtomicU64; SLOTS]]>,
    keys: RandomState,
    beyond: AtomicU32,
}

impl Limiter {
    pub(crate) fn new() -> Self {
        Self {
            buckets: (0..BUCKETS).map(|_| Default::default()).collect(),
            keys: RandomState::new(),
            beyond: AtomicU32::new(0),
        }
    }

    /// Whether one more answer to this client is within `rate` answers a second.
    pub(crate) fn take(&self, client: IpAddr, now: Timestamp, rate: u32) -> bool {
        let Some(cost) = 1_000_000_u64.checked_div(u64::from(rate)) else { return true };
        let hash = self.keys.hash_one(network(client));
        let tag = hash >> TIME_BITS;
        // Below the bits of the tag.
        #[allow(clippy::cast_possible_truncation)]
        let Some(bucket) = self.buckets.get(hash as usize % BUCKETS) else { return true };
        let now = now.as_millis().unsigned_abs().wrapping_mul(1000) & TIME;
        for _ in 0..ATTEMPTS {
            let slots = bucket.each_ref().map(|slot| slot.load(Ordering::Relaxed));
            let mine = slots.iter().position(|slot| *slot != 0 && slot >> TIME_BITS == tag);
            // Another network's place is taken from the one that owes least.
            let place = mine.or_else(|| {
                (0..SLOTS).min_by_key(|at| slots.get(*at).map_or(0, |slot| owed(*slot, now)))
            });
            let Some((slot, before)) =
                place.and_then(|at| Some((bucket.get(at)?, *slots.get(at)?)))
            else {
                return true;
            };
            let owed = if mine.is_some() { owed(before, now) } else { 0 };
            if owed + cost > BURST {
                return false;
            }
            let after = tag << TIME_BITS | (now + owed + cost) & TIME;
            let changed =
                slot.compare_exchange_weak(before, after, Ordering::Relaxed, Ordering::Relaxed);
            if changed.is_ok() {
                return true;
            }
        }
        true
    }

    /// Whether it is the turn of one of `every` limited queries.
    pub(crate) fn slips(&self, every: u32) -> bool {
        every > 0 && self.beyond.fetch_add(1, Ordering::Relaxed).is_multiple_of(every)
    }
}

/// How many microseconds a slot is ahead of its time.
fn owed(slot: u64, now: u64) -> u64 {
    let ahead = (slot & TIME).wrapping_sub(now) & TIME;
    // What is further ahead than any network can be lies in the past.
    if ahead > 2 * BURST { 0 } else { ahead }
}

/// A client's network: all addresses of one are one client.
fn network(client: IpAddr) -> u64 {
    match client.to_canonical() {
        IpAddr::V4(address) => u64::from(address.to_bits() >> 8),
        // Apart from version 4, whose numbers have 24 bits.
        IpAddr::V6(address) => u64::try_from(address.to_bits() >> 72).unwrap_or(0) | 1 << 56,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000 + millis)
    }

    fn taken(limiter: &Limiter, client: &str, now: Timestamp, rate: u32, times: u32) -> u32 {
        let client = client.parse().unwrap();
        (0..times).map(|_| u32::from(limiter.take(client, now, rate))).sum()
    }

    #[test]
    fn a_network_gets_so_many_answers_a_second() {
        let limiter = Limiter::new();
        for rate in [1, 7, 1000, 1_000_000] {
            let client = format!("192.0.{}.1", rate % 250);
            let burst = taken(&limiter, &client, at(0), rate, rate + 100);
            assert!((rate..=rate + rate / 100).contains(&burst), "{burst} of {rate} at once");
            // None before its time, and no more for having been silent for long.
            assert!(taken(&limiter, &client, at(100), rate, rate) <= rate / 10 + rate / 100 + 1);
            let again = taken(&limiter, &client, at(60_000), rate, rate + 100);
            assert!((rate..=rate + rate / 100).contains(&again), "{again} of {rate} later");
        }
        assert_eq!(taken(&limiter, "192.0.2.1", at(0), 0, 100_000), 100_000);
    }

    #[test]
    fn networks_are_what_one_operator_has() {
        let rate = 100;
        for (one, other, same) in [
            ("192.0.2.1", "192.0.2.200", true),
            ("192.0.2.1", "::ffff:192.0.2.9", true),
            ("192.0.2.1", "192.0.3.1", false),
            ("2001:db8:1:2::1", "2001:db8:1:ff::1", true),
            ("2001:db8:1:2::1", "2001:db8:1:102::1", false),
        ] {
            let limiter = Limiter::new();
            assert_eq!(taken(&limiter, one, at(0), rate, 100), 100);
            let left = taken(&limiter, other, at(0), rate, 100);
            assert_eq!(left, if same { 0 } else { 100 }, "{one} {other}");
        }
    }

    /// A flood from everywhere doesn't make a network that asks much anew, nor limits others.
    #[test]
    fn a_flood_of_networks_needs_no_more_room_and_hurts_nobody() {
        let limiter = Limiter::new();
        let mut now = at(0);
        let victim = "198.51.100.1";
        let mut answers = 0;
        for round in 0..10_u32 {
            answers += taken(&limiter, victim, now, 100, 200);
            for n in 0..20_000_u32 {
                let from = IpAddr::from((round << 24 | n << 8).to_be_bytes());
                assert!(limiter.take(from, now, 100), "{from}");
            }
            now = now.plus(Duration::from_millis(100));
        }
        assert!((190..=200).contains(&answers), "{answers} answers in a second");
    }

    #[test]
    fn some_slip() {
        let limiter = Limiter::new();
        let slipped = |every| (0..100).filter(|_| limiter.slips(every)).count();
        assert_eq!([0, 1, 2, 4].map(slipped), [0, 100, 50, 25]);
    }
}
