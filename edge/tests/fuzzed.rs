//! The fuzzers' entries with their seeds and many mutations of them, the same in every run. To look
//! further, run `edge/fuzz/run`.

#[path = "../fuzz/entries.rs"]
mod entries;

use std::panic::{self, AssertUnwindSafe};

const MUTATIONS: usize = 20_000;
/// Bytes that mean something somewhere.
const TELLING: &[u8] = b"\n\t ,;=\"\\-/*:0129aZ\xff";

/// SplitMix64, by Steele, Lea and Flood: small, and enough to choose bytes.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

/// One to four small changes: bytes flipped, removed, doubled, put in, taken from another seed.
fn mutate(seed: &[u8], others: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut text = seed.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(text.len() + 1);
        let end = (at + 1 + random.below(8)).min(text.len());
        match random.below(6) {
            0 if at < text.len() => text[at] ^= 1 << random.below(8),
            1 if at < text.len() => drop(text.drain(at..end)),
            2 if at < text.len() => {
                let piece = text[at..end].to_vec();
                text.splice(at..at, piece);
            }
            3 => text.insert(at, TELLING[random.below(TELLING.len())]),
            4 => {
                let other = &others[random.below(others.len())];
                let from = random.below(other.len() + 1);
                text.truncate(at);
                text.extend_from_slice(&other[from..]);
            }
            _ => {
                let digits = random.next().to_string();
                text.splice(at..at, digits.into_bytes());
            }
        }
    }
    text
}

fn run(name: &str, seeds: &str, entry: fn(&[u8])) {
    let seeds: Vec<Vec<u8>> = seeds
        .split('\n')
        .filter(|seed| !seed.is_empty())
        .map(|seed| seed.replace('␤', "\n").into_bytes())
        .collect();
    assert!(!seeds.is_empty());
    let mut random = Random(0x6b69_6e67);
    for round in 0..seeds.len() + MUTATIONS {
        let seed = &seeds[round % seeds.len()];
        let input =
            if round < seeds.len() { seed.clone() } else { mutate(seed, &seeds, &mut random) };
        let result = panic::catch_unwind(AssertUnwindSafe(|| entry(&input)));
        assert!(result.is_ok(), "{name} fails on {:?}", String::from_utf8_lossy(&input));
    }
}

macro_rules! entries {
    ($($name:ident),*) => {$(
        #[test]
        fn $name() {
            let seeds = include_str!(concat!("../fuzz/seeds/", stringify!($name), ".txt"));
            run(stringify!($name), seeds, entries::$name);
        }
    )*};
}

entries!(cache_control, cdn_cache_control, vary, heads, range, date, content_range, disk, record);
