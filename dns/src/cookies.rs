//! DNS Cookies (RFC 7873): who sends us a query sees in its answer that it
//! isn't forged, for it carries the cookie that only he and we know.
//!
//! Ours are made as RFC 9018 says. They are given to who sends one, and demanded of who asks too
//! much.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::IpAddr;

use kingcdn_config::clock::Timestamp;

/// What a client sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sent {
    /// What it chose.
    pub(crate) client: [u8; 8],
    /// What it got from a server, if it has something that may be ours.
    pub(crate) server: Option<[u8; 16]>,
}

/// The client's and ours.
pub(crate) type Cookie = [u8; 24];

/// Version, and three reserved octets (RFC 9018 sections 4.1 and 4.2).
const VERSION: [u8; 4] = [1, 0, 0, 0];
/// Seconds for which a cookie is ours, after which it is made anew, and by which another server's
/// clock may be ahead (RFC 9018 section 4.3).
const COOKIE_AGE: u32 = 3600;
const COOKIE_RENEWED: u32 = 1800;
const COOKIE_LEAD: u32 = 300;

/// Makes cookies with a secret of this process.
#[derive(Debug, Clone)]
pub(crate) struct Cookies {
    secret: [u8; 16],
}

impl Cookies {
    pub(crate) fn new(secret: [u8; 16]) -> Self {
        Self { secret }
    }

    /// With a secret that nobody knows: from std's keys, which are the system's random numbers.
    pub(crate) fn random() -> Self {
        let keys = RandomState::new();
        let half = |number: u8| keys.hash_one(number).to_le_bytes();
        let mut secret = [0; 16];
        secret[..8].copy_from_slice(&half(0));
        secret[8..].copy_from_slice(&half(1));
        Self::new(secret)
    }

    /// The cookie in answer to a client's, and whether the client's is ours: then it is where it
    /// says (RFC 9018 section 4.3).
    pub(crate) fn answer(&self, sent: Sent, now: Timestamp, from: IpAddr) -> (Cookie, bool) {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Serial arithmetic.
        let now = now.as_secs() as u32;
        let made = |at| self.make(sent.client, at, from);
        let Some(server) = sent.server.filter(|server| server[..4] == VERSION) else {
            return (made(now), false);
        };
        let [_, _, _, _, a, b, c, d, ..] = server;
        let at = u32::from_be_bytes([a, b, c, d]);
        let (age, lead) = (now.wrapping_sub(at), at.wrapping_sub(now));
        if age > COOKIE_AGE && lead > COOKIE_LEAD {
            return (made(now), false);
        }
        let known = made(at);
        let ours = known[8..] == server;
        if ours && age < COOKIE_RENEWED { (known, true) } else { (made(now), ours) }
    }

    fn make(&self, client: [u8; 8], at: u32, from: IpAddr) -> Cookie {
        let mut cookie = [0; 24];
        cookie[..8].copy_from_slice(&client);
        cookie[8..12].copy_from_slice(&VERSION);
        cookie[12..16].copy_from_slice(&at.to_be_bytes());
        let [low, high] = [&self.secret[..8], &self.secret[8..]]
            .map(|half| half.iter().rev().fold(0, |key, octet| key << 8 | u64::from(*octet)));
        // The RFC wants SipHash-2-4. std advises against this one only because its own tables have
        // moved on to 1-3.
        #[allow(deprecated)]
        let mut hash = std::hash::SipHasher::new_with_keys(low, high);
        hash.write(&cookie[..16]);
        match from.to_canonical() {
            IpAddr::V4(address) => hash.write(&address.octets()),
            IpAddr::V6(address) => hash.write(&address.octets()),
        }
        cookie[16..].copy_from_slice(&hash.finish().to_le_bytes());
        cookie
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn octets<const N: usize>(hex: &str) -> [u8; N] {
        std::array::from_fn(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
    }

    /// RFC 9018 appendix A, and what differs where an input differs.
    #[test]
    fn cookies_are_those_of_the_rfc() {
        let cases = [
            (
                "e5e973e5a6b2a43f48e7dc849e37bfcf",
                "2464c4abcf10c957",
                "198.51.100.100",
                1_559_731_985,
                "2464c4abcf10c957010000005cf79f111f8130c3eee29480",
            ),
            (
                "e5e973e5a6b2a43f48e7dc849e37bfcf",
                "2464c4abcf10c957",
                "198.51.100.100",
                1_559_734_385,
                "2464c4abcf10c957010000005cf7a871d4a564a1442aca77",
            ),
            (
                "445536bcd2513298075a5d379663c962",
                "22681ab97d52c298",
                "2001:db8:220:1:59de:d0f4:8769:82b8",
                1_559_741_961,
                "22681ab97d52c298010000005cf7c609a6bb79d16625507a",
            ),
        ];
        for (secret, client, from, now, expected) in cases {
            let cookies = Cookies::new(octets(secret));
            let now = Timestamp::from_secs(now);
            let sent = Sent { client: octets(client), server: None };
            let cookie = cookies.answer(sent, now, from.parse().unwrap());
            assert_eq!(cookie, (octets::<24>(expected), false), "{from}");
        }
        assert_ne!(Cookies::random().secret, Cookies::random().secret);
    }

    #[test]
    fn a_cookie_is_good_for_an_hour_and_one_address() {
        let (ours, theirs) = (Cookies::random(), Cookies::random());
        let now = Timestamp::from_secs(1_700_000_000);
        let from = "192.0.2.1".parse().unwrap();
        let client = [7; 8];
        let (made, _) = ours.answer(Sent { client, server: None }, now, from);
        let given = Sent { client, server: made.last_chunk().copied() };
        // Seconds later, whether it is ours, whether it stays.
        for (later, valid, stays) in [
            (0, true, true),
            (1799, true, true),
            (1800, true, false),
            (3600, true, false),
            (3601, false, false),
            (-300, true, false),
            (-301, false, false),
        ] {
            let now = Timestamp::from_secs(now.as_secs() + later);
            let (cookie, ok) = ours.answer(given, now, from);
            assert_eq!((ok, cookie == made), (valid, stays), "{later} s later");
        }
        assert!(!ours.answer(given, now, "192.0.2.2".parse().unwrap()).1);
        assert!(!ours.answer(Sent { client: [8; 8], ..given }, now, from).1);
        assert!(!theirs.answer(given, now, from).1);
        let mut other = given;
        other.server = other.server.map(|mut server| {
            server[0] = 2;
            server
        });
        assert!(!ours.answer(other, now, from).1);
    }
}
