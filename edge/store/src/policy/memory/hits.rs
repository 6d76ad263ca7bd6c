//! Hits on their way to the policy: a lossy ring for each thread, so that a hit waits for nobody.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Hits that a ring holds between two drains. More than that are lost, and only counted.
const RING: usize = 1 << 14;

#[derive(Debug)]
pub(super) struct Hits {
    rings: Box<[Ring]>,
}

/// Of a cache line of its own, so that threads don't disturb each other.
#[derive(Debug)]
#[repr(align(128))]
struct Ring {
    /// Hashes of ids; 0 is empty.
    hashes: Box<[AtomicU64]>,
    written: AtomicUsize,
    read: AtomicUsize,
    lost: AtomicU64,
}

static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static THREAD: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// A small number of this thread's own.
fn thread() -> usize {
    THREAD.with(|cell| {
        if cell.get() == usize::MAX {
            cell.set(THREADS.fetch_add(1, Ordering::Relaxed));
        }
        cell.get()
    })
}

impl Hits {
    /// Rings for `threads` threads; more threads than that share them.
    pub(super) fn new(threads: usize) -> Self {
        let ring = |_| Ring {
            hashes: (0..RING).map(|_| AtomicU64::new(0)).collect(),
            written: AtomicUsize::new(0),
            read: AtomicUsize::new(0),
            lost: AtomicU64::new(0),
        };
        Self { rings: (0..threads.max(1)).map(ring).collect() }
    }

    /// Records a hit: a few uncontended atomic operations.
    pub(super) fn record(&self, hash: u64) {
        let Some(ring) = self.rings.get(thread() % self.rings.len()) else { return };
        let (written, read) =
            (ring.written.load(Ordering::Relaxed), ring.read.load(Ordering::Relaxed));
        if written.wrapping_sub(read) >= RING {
            ring.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        // Two threads that share a ring may write to one place: one of the hits is lost.
        ring.written.store(written.wrapping_add(1), Ordering::Relaxed);
        ring.hashes[written % RING].store(hash.max(1), Ordering::Release);
    }

    /// Takes what was recorded, oldest first by thread. One caller at a time.
    pub(super) fn drain(&self, mut each: impl FnMut(u64)) {
        for ring in &self.rings {
            let (read, written) =
                (ring.read.load(Ordering::Relaxed), ring.written.load(Ordering::Relaxed));
            let count = written.wrapping_sub(read).min(RING);
            for at in 0..count {
                let hash = ring.hashes[read.wrapping_add(at) % RING].swap(0, Ordering::Acquire);
                if hash != 0 {
                    each(hash);
                }
            }
            ring.read.store(read.wrapping_add(count), Ordering::Relaxed);
        }
    }

    /// Hits that were lost so far because nobody drained in time.
    pub(super) fn lost(&self) -> u64 {
        self.rings.iter().map(|ring| ring.lost.load(Ordering::Relaxed)).sum()
    }
}
