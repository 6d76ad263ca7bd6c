//! What records are worth, and the threshold above which they are kept.
//!
//! A value is a `u32` in units of a sixteenth of a request, so that it lasts for two hundred
//! million requests' worth of aging. The threshold moves by bins; a histogram of bytes by bin tells
//! how far.

/// Units of a value that one request is worth, for a record of mean size.
pub(super) const ONE: u32 = 16;
/// Units of a bin.
const BIN: u32 = 4;
/// Bins above the threshold: no value is higher than these reach.
const BINS: u32 = 256;

/// Bytes by bin above the threshold. `T` is as wide as all of them together.
#[derive(Debug)]
pub(super) struct Histogram<T = u64> {
    bytes: Vec<T>,
    kept: u64,
}

/// The threshold `L`: only rises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Threshold(u32);

impl Threshold {
    pub(super) fn new(bin: u32) -> Self {
        Self(bin)
    }

    pub(super) fn bin(self) -> u32 {
        self.0
    }

    /// Whether a record of this value is kept at a reclaim.
    pub(super) fn keeps(self, value: u32) -> bool {
        value / BIN > self.0
    }

    /// The value of a record that was asked for now and is worth so many requests.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Saturates.
    pub(super) fn of_worth(self, requests: f64) -> u32 {
        let units = (requests * f64::from(ONE)) as u32;
        self.capped(self.floor().saturating_add(units.max(1)))
    }

    /// The value of a record that was last asked for when the log had seen so many bytes of new
    /// records. In order of the last request nothing outlives as many as the log has room for, so
    /// half of the bins reach for all of it.
    pub(super) fn of_clock(self, bytes: u64, capacity_bytes: u64) -> u32 {
        let tick = (capacity_bytes / u64::from(BINS / 2)).max(1);
        let ticks = u32::try_from(bytes / tick).unwrap_or(u32::MAX);
        self.capped(ticks.saturating_add(1).saturating_mul(BIN))
    }

    /// The same value, or the highest that fits.
    pub(super) fn capped(self, value: u32) -> u32 {
        value.min((self.0 + BINS) * BIN + BIN - 1)
    }

    /// By how much a value is above the threshold.
    pub(super) fn units_above(self, value: u32) -> u32 {
        value.saturating_sub(self.floor())
    }

    pub(super) fn raise(&mut self) {
        self.0 += 1;
    }

    /// The highest value that isn't kept.
    fn floor(self) -> u32 {
        self.0 * BIN + BIN - 1
    }
}

impl<T: Copy + Default + Into<u64> + TryFrom<u64>> Histogram<T> {
    pub(super) fn new() -> Self {
        let mut new = Self::unallocated();
        new.allocate();
        new
    }

    /// One that takes no memory, and nothing else, before [`Histogram::allocate`].
    pub(super) fn unallocated() -> Self {
        Self { bytes: Vec::new(), kept: 0 }
    }

    pub(super) fn allocate(&mut self) {
        self.bytes = vec![T::default(); BINS as usize];
    }

    /// Bytes above the threshold.
    pub(super) fn kept(&self) -> u64 {
        self.kept
    }

    pub(super) fn add(&mut self, threshold: Threshold, value: u32, bytes: u32) {
        if threshold.keeps(value)
            && let Some(bin) = self.bytes.get_mut(place(value / BIN))
        {
            *bin = narrow((*bin).into() + u64::from(bytes));
            self.kept += u64::from(bytes);
        }
    }

    pub(super) fn take(&mut self, threshold: Threshold, value: u32, bytes: u32) {
        if threshold.keeps(value)
            && let Some(bin) = self.bytes.get_mut(place(value / BIN))
        {
            *bin = narrow((*bin).into() - u64::from(bytes));
            self.kept -= u64::from(bytes);
        }
    }

    pub(super) fn change(&mut self, threshold: Threshold, bytes: u32, before: u32, after: u32) {
        self.take(threshold, before, bytes);
        self.add(threshold, after, bytes);
    }

    /// The threshold has risen to `bin`: what is in that bin isn't kept any more.
    pub(super) fn risen(&mut self, bin: u32) {
        if let Some(bytes) = self.bytes.get_mut(place(bin)) {
            self.kept -= std::mem::take(bytes).into();
        }
    }

    /// Memory that this takes beside the struct.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.capacity() * size_of::<T>()
    }
}

fn place(bin: u32) -> usize {
    (bin % BINS) as usize
}

/// The bytes of a segment fit into 32 bits, since its length does.
fn narrow<T: Default + TryFrom<u64>>(bytes: u64) -> T {
    T::try_from(bytes).unwrap_or_default()
}
