//! How often was asked for what isn't held any more.
//!
//! Two generations of fingerprints. When one is full the older one is forgotten, and the next is
//! made as large as is wanted then. So between once and twice the wanted number is remembered, at
//! five to six bytes each, however that number changes.

/// Fingerprints of a bucket; the newest is first, the oldest falls out.
const WAYS: usize = 8;
/// Of these, how many are planned to be in use.
const PLANNED: usize = 7;
/// The smallest generation.
const SMALLEST: usize = 1024;

#[derive(Debug)]
pub(super) struct History {
    current: Generation,
    older: Generation,
}

#[derive(Debug)]
struct Generation {
    /// A fingerprint of 24 bits and a frequency of 8; 0 is empty.
    words: Vec<u32>,
    noted: usize,
    planned: usize,
}

impl History {
    pub(super) fn new() -> Self {
        Self { current: Generation::new(SMALLEST), older: Generation::new(SMALLEST) }
    }

    /// Remembers that `hash` was asked for `frequency` times, where `wanted` records are to be
    /// remembered.
    pub(super) fn note(&mut self, hash: u64, frequency: u8, wanted: usize) {
        if self.current.noted >= self.current.planned {
            let next = Generation::new(wanted.max(SMALLEST));
            self.older = std::mem::replace(&mut self.current, next);
        }
        self.current.note(hash, frequency);
    }

    /// How often it was asked for, 0 when that isn't known.
    pub(super) fn frequency(&self, hash: u64) -> u8 {
        self.current.find(hash).or_else(|| self.older.find(hash)).unwrap_or(0)
    }

    /// All of it: the current generation, then the older one.
    pub(super) fn words(&self) -> [Vec<u32>; 2] {
        [self.current.words.clone(), self.older.words.clone()]
    }

    /// Takes over what [`History::words`] gave, unless something is remembered already. What can't
    /// be of a history is left out.
    pub(super) fn restore(&mut self, [current, older]: [Vec<u32>; 2]) {
        if self.current.noted > 0 || self.older.noted > 0 {
            return;
        }
        if let (Some(current), Some(older)) = (Generation::of(current), Generation::of(older)) {
            *self = Self { current, older };
        }
    }

    pub(super) fn bytes(&self) -> usize {
        (self.current.words.capacity() + self.older.words.capacity()) * size_of::<u32>()
    }
}

impl Generation {
    fn new(planned: usize) -> Self {
        let buckets = planned.div_ceil(PLANNED);
        Self { words: vec![0; buckets * WAYS], noted: 0, planned }
    }

    fn of(words: Vec<u32>) -> Option<Self> {
        let buckets = words.len() / WAYS;
        let noted = words.iter().filter(|word| **word != 0).count();
        let whole = buckets > 0 && words.len() == buckets * WAYS;
        whole.then_some(Self { words, noted, planned: buckets * PLANNED })
    }

    /// The start of the bucket, and the fingerprint in its place. They come from different bits.
    #[allow(clippy::cast_possible_truncation)] // Below the number of buckets.
    fn place(&self, hash: u64) -> (usize, u32) {
        let buckets = (self.words.len() / WAYS) as u64;
        let bucket = ((hash >> 32) * buckets) >> 32;
        (bucket as usize * WAYS, ((hash as u32) << 8).max(1 << 8))
    }

    fn note(&mut self, hash: u64, frequency: u8) {
        let (start, fingerprint) = self.place(hash);
        let Some(bucket) = self.words.get_mut(start..start + WAYS) else { return };
        let same = bucket.iter().position(|word| word & !0xff == fingerprint);
        let free = bucket.iter().position(|word| *word == 0);
        bucket[..=same.or(free).unwrap_or(WAYS - 1)].rotate_right(1);
        bucket[0] = fingerprint | u32::from(frequency);
        self.noted += usize::from(same.is_none());
    }

    #[allow(clippy::cast_possible_truncation)] // The low eight bits.
    fn find(&self, hash: u64) -> Option<u8> {
        let (start, fingerprint) = self.place(hash);
        let bucket = self.words.get(start..start + WAYS)?;
        bucket.iter().find(|word| *word & !0xff == fingerprint).map(|word| *word as u8)
    }
}
