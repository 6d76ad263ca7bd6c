//! The fuzzers' entries with their seeds and many mutations of them. To look further, run
//! `dns/fuzz/run`.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

#[path = "../../fuzz/entries.rs"]
mod entries;

/// Octets that mean something somewhere.
const TELLING: &[u8] = b"\n\t ();\"\\@$*.09aZ\0\x01\x0c\x29\xc0\xff";

fn hexadecimal(seed: &str) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(seed.as_bytes()).unwrap()
}

fn text(seed: &str) -> Vec<u8> {
    seed.replace('␤', "\n").into_bytes()
}

/// A seed with up to four changes: octets flipped, put in or taken out, or the rest of another seed.
fn mutated(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let others = seeds.clone();
    let change = (0..5_u8, any::<Index>(), any::<u8>(), select(TELLING), select(others));
    (select(seeds), vec(change, 0..=4)).prop_map(|(mut seed, changes)| {
        for (kind, at, bits, telling, other) in changes {
            let at = at.index(seed.len() + 1);
            match kind {
                0 if at < seed.len() => seed[at] ^= bits,
                1 if at < seed.len() => drop(seed.drain(at..(at + 4).min(seed.len()))),
                2 => seed.insert(at, telling),
                3 if at < seed.len() => seed[at] = telling,
                _ => {
                    seed.truncate(at);
                    seed.extend_from_slice(other.get(at..).unwrap_or_default());
                }
            }
        }
        seed
    })
}

fn seeds(file: &str, read: fn(&str) -> Vec<u8>) -> Vec<Vec<u8>> {
    file.lines().map(read).collect()
}

const PACKETS: &str = include_str!("../../fuzz/seeds/packet.txt");
const ZONES: &str = include_str!("../../fuzz/seeds/zone.txt");

#[test]
fn seeds_do_what_they_are_for() {
    seeds(PACKETS, hexadecimal).iter().for_each(|seed| entries::packet(seed));
    seeds(ZONES, text).iter().for_each(|seed| entries::zone(seed));
    let apex = hickory_proto::rr::Name::from_ascii("fuzz.test.").unwrap();
    let zones = ZONES.lines().filter(|seed| !seed.contains("$INCLUDE"));
    for zone in zones.map(|seed| seed.replace('␤', "\n")) {
        crate::zone::load_text(&apex, &zone).unwrap_or_else(|error| panic!("{zone}: {error}"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn packets(data in mutated(seeds(PACKETS, hexadecimal))) {
        entries::packet(&data);
    }

    #[test]
    fn zone_files(data in mutated(seeds(ZONES, text))) {
        entries::zone(&data);
    }
}
