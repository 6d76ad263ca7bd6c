//! Misses by size: the same trace through caches of many sizes.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use kingcdn_store::policy::Eviction;
use kingcdn_store::replay::{Counts, Replay, Request, Sizes};

/// Sizes of both tiers together, in thousandths of the footprint.
const SHARES: [u64; 12] = [5, 10, 20, 30, 50, 75, 100, 150, 200, 300, 400, 500];

pub(crate) struct Curve {
    /// Bytes of all objects, each counted once.
    pub(crate) footprint_bytes: u64,
    pub(crate) objects: usize,
    pub(crate) points: Vec<Point>,
}

pub(crate) struct Point {
    /// Of the footprint, in thousandths.
    pub(crate) share: u64,
    pub(crate) sizes: Sizes,
    /// None where the disk would be too small to be one.
    pub(crate) counts: Option<Counts>,
}

/// Runs the trace at each size, memory and disk in the proportion of `sizes`.
pub(crate) fn of(requests: &[Request], sizes: Sizes, eviction: Eviction) -> Curve {
    let mut objects = HashMap::new();
    for request in requests {
        objects.insert(request.object, request.bytes);
    }
    let footprint_bytes: u64 = objects.values().sum();
    let points: Vec<(u64, Sizes)> =
        SHARES.iter().map(|share| (*share, scaled(sizes, footprint_bytes, *share))).collect();
    let counts: Vec<Mutex<Option<Counts>>> = points.iter().map(|_| Mutex::new(None)).collect();
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(points.len());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(at) = Some(next.fetch_add(1, Ordering::Relaxed))
                    && let (Some((_, sizes)), Some(counts)) = (points.get(at), counts.get(at))
                {
                    let Ok(mut replay) = Replay::new(*sizes, eviction) else { continue };
                    requests.iter().for_each(|request| replay.request(*request));
                    if let Ok(mut counts) = counts.lock() {
                        *counts = Some(replay.counts());
                    }
                }
            });
        }
    });
    let points = points.into_iter().zip(counts).map(|((share, sizes), counts)| Point {
        share,
        sizes,
        counts: counts.into_inner().ok().flatten(),
    });
    Curve { footprint_bytes, objects: objects.len(), points: points.collect() }
}

/// Both tiers together are `share` thousandths of the footprint.
fn scaled(sizes: Sizes, footprint_bytes: u64, share: u64) -> Sizes {
    let (memory, disk) = (u128::from(sizes.memory_bytes), u128::from(sizes.disk_bytes));
    let total = u128::from(footprint_bytes) * u128::from(share) / 1000;
    let part = |of: u128| u64::try_from(total * of / (memory + disk).max(1)).unwrap_or(u64::MAX);
    Sizes { memory_bytes: part(memory).max(1), disk_bytes: part(disk) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_keep_their_proportion() {
        let sizes = Sizes { memory_bytes: 1 << 30, disk_bytes: 9 << 30 };
        let scaled = scaled(sizes, 1_000_000, 100);
        assert_eq!(scaled, Sizes { memory_bytes: 10_000, disk_bytes: 90_000 });
    }

    #[test]
    fn a_larger_cache_misses_less() {
        let requests: Vec<Request> =
            (0..40_000u64).map(|at| Request { object: at * at % 997, bytes: 100_000 }).collect();
        let sizes = Sizes { memory_bytes: 1, disk_bytes: 0 };
        let curve = of(&requests, sizes, Eviction::Lfu);
        let hits: Vec<u64> =
            curve.points.iter().filter_map(|it| it.counts).map(|it| it.requests[0]).collect();
        assert_eq!(hits.len(), SHARES.len());
        assert!(hits.is_sorted(), "{hits:?}");
        assert!(hits[0] < hits[SHARES.len() - 1]);
    }
}
