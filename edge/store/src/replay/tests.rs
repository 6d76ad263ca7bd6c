//! What holds for any workload, on small ones made here.

use super::*;

/// Requests for objects of Zipf's popularity and of sizes that differ a thousandfold. Between them
/// come objects that nobody asks for again, as many as `once` in a hundred requests.
fn workload(seed: u64, requests: usize, once: u64) -> Vec<Request> {
    const OBJECTS: u64 = 8_000;
    let mut state = seed | 1;
    let mut random = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    let size = |object: u64| {
        let mixed = object.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        // Between 2 KB and 2 MB, as many of each power.
        2_000 << (mixed >> 60).min(10)
    };
    let mut unique = 1 << 40;
    (0..requests)
        .map(|_| {
            let object = if random() % 100 < once {
                unique += 1;
                unique
            } else {
                // The inverse of 1/x: Zipf with an exponent of about 1.
                let share = (random() % 1_000_000) as f64 / 1e6;
                (OBJECTS as f64).powf(share) as u64
            };
            Request { object: object.wrapping_mul(0x2545_f491_4f6c_dd1d), bytes: size(object) }
        })
        .collect()
}

fn run(requests: &[Request], sizes: Sizes, eviction: Eviction) -> Counts {
    let mut replay = Replay::new(sizes, eviction).unwrap();
    requests.iter().for_each(|request| replay.request(*request));
    replay.counts()
}

/// Hits of an exact LRU over slices, in bytes.
fn exact_lru(requests: &[Request], capacity: u64) -> f64 {
    let mut last: std::collections::HashMap<Id, (u64, u64)> = std::collections::HashMap::new();
    let mut order: std::collections::BTreeMap<u64, Id> = std::collections::BTreeMap::new();
    let (mut held, mut hit, mut all, mut now) = (0, 0, 0, 0);
    for request in requests {
        for slice in 0..request.bytes.div_ceil(SLICE_BYTES).max(1) {
            let bytes = (request.bytes - slice * SLICE_BYTES).min(SLICE_BYTES);
            let id = id(request.object, slice);
            now += 1;
            all += bytes;
            if let Some((before, _)) = last.insert(id, (now, bytes)) {
                order.remove(&before);
                hit += bytes;
            } else {
                held += bytes;
            }
            order.insert(now, id);
            while held > capacity {
                let (_, oldest) = order.pop_first().unwrap();
                held -= last.remove(&oldest).unwrap().1;
            }
        }
    }
    hit as f64 / all as f64
}

const DISK: Sizes = Sizes { memory_bytes: 10_000_000, disk_bytes: 90_000_000 };
const MEMORY: Sizes = Sizes { memory_bytes: 100_000_000, disk_bytes: 0 };
const TOTAL: u64 = 100_000_000;

fn hits(counts: &Counts) -> (f64, f64) {
    (1.0 - counts.object_share(Tier::Origin), 1.0 - counts.byte_share(Tier::Origin))
}

#[test]
fn relations_that_hold_for_any_workload() {
    for (seed, once) in [(1, 0), (2, 30), (3, 60)] {
        let requests = workload(seed, 60_000, once);
        for sizes in [MEMORY, DISK] {
            let lfu = run(&requests, sizes, Eviction::Lfu);
            let lru = run(&requests, sizes, Eviction::Lru);
            let what = format!("{once} in a hundred asked for once, {sizes:?}");
            for counts in [&lfu, &lru] {
                assert_eq!(counts.requested(), 60_000, "{what}");
                let amplification = counts.write_amplification();
                assert!(amplification <= 1.5, "{what}: {amplification}");
                assert!(counts.peak_bytes <= TOTAL * 105 / 100, "{what}: {}", counts.peak_bytes);
            }
            let ((lfu_objects, lfu_bytes), (lru_objects, lru_bytes)) = (hits(&lfu), hits(&lru));
            assert!(lfu_bytes >= lru_bytes, "{what}: {lfu_bytes} {lru_bytes}");
            assert!(lfu_objects >= lru_objects, "{what}: {lfu_objects} {lru_objects}");
            let exact = exact_lru(&requests, TOTAL);
            assert!(lru_bytes > exact - 0.015, "{what}: {lru_bytes}, exactly {exact}");
        }
    }
}

#[test]
fn what_is_asked_for_once_is_written_only_while_there_are_tokens() {
    let requests: Vec<Request> =
        (0..20_000).map(|object| Request { object, bytes: 50_000 }).collect();
    let counts = run(&requests, DISK, Eviction::Lfu);
    assert_eq!(counts.requests, [0, 0, 20_000]);
    let written = counts.written_bytes + counts.rewritten_bytes;
    assert!(written <= counts.requested_bytes(), "{written}");
}

#[test]
fn in_order_of_the_last_request_what_is_larger_than_the_store_leaves_the_rest_alone() {
    let small = Request { object: 1, bytes: 1000 };
    let huge = Request { object: 2, bytes: 2 * TOTAL };
    let counts = run(&[small, huge, small], DISK, Eviction::Lru);
    assert_eq!(counts.requests, [1, 0, 2]);
}

#[test]
fn a_request_is_a_hit_when_all_of_it_is_held() {
    let large = Request { object: 7, bytes: 5 * SLICE_BYTES + 3 };
    let counts = run(&[large, large], MEMORY, Eviction::Lfu);
    assert_eq!((counts.requests, counts.bytes[0]), ([1, 0, 1], large.bytes));
    let empty = Request { object: 8, bytes: 0 };
    assert_eq!(run(&[empty, empty], MEMORY, Eviction::Lru).requests, [1, 0, 1]);
    assert!(Replay::new(Sizes { memory_bytes: 1, disk_bytes: 1 }, Eviction::Lfu).is_err());
}
