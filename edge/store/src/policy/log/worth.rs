//! What records are worth, and the threshold above which they are kept.
//!
//! A value is a `u32`: units of 1/16, so that it lasts for two hundred million requests' worth of
//! aging. The threshold moves by bins of [`BIN`]; a histogram of bytes by bin tells how far.

/// Units of a value that one request is worth, for a record of mean size.
pub(super) const ONE: u32 = 16;
/// Units of a bin.
const BIN: u32 = 2;
/// Bins above the threshold: no value is higher than these reach.
pub(super) const BINS: u32 = 1024;

/// Bytes by bin above the threshold.
#[derive(Debug)]
pub(super) struct Histogram {
    bytes: Box<[u64]>,
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

    /// The value of a record that is worth `units` above what is just not kept.
    pub(super) fn above(self, units: u32) -> u32 {
        self.capped((self.0 * BIN + BIN - 1).saturating_add(units))
    }

    /// The same value, or the highest that fits.
    pub(super) fn capped(self, value: u32) -> u32 {
        value.min((self.0 + BINS) * BIN + BIN - 1)
    }

    pub(super) fn raise(&mut self) {
        self.0 += 1;
    }
}

impl Histogram {
    pub(super) fn new() -> Self {
        Self { bytes: vec![0; BINS as usize].into(), kept: 0 }
    }

    /// Bytes above the threshold.
    pub(super) fn kept(&self) -> u64 {
        self.kept
    }

    pub(super) fn add(&mut self, threshold: Threshold, value: u32, bytes: u32) {
        if threshold.keeps(value) {
            self.bytes[place(value / BIN)] += u64::from(bytes);
            self.kept += u64::from(bytes);
        }
    }

    pub(super) fn take(&mut self, threshold: Threshold, value: u32, bytes: u32) {
        if threshold.keeps(value) {
            self.bytes[place(value / BIN)] -= u64::from(bytes);
            self.kept -= u64::from(bytes);
        }
    }

    /// The threshold has risen to `bin`: what is in that bin isn't kept any more.
    pub(super) fn risen(&mut self, bin: u32) {
        self.kept -= std::mem::take(&mut self.bytes[place(bin)]);
    }

    pub(super) fn clear(&mut self) {
        self.bytes.fill(0);
        self.kept = 0;
    }
}

fn place(bin: u32) -> usize {
    (bin % BINS) as usize
}

/// The value of a record that was asked for last when so many bins had passed. From 1, so that
/// nothing is below the first threshold.
pub(super) fn of_ticks(ticks: u32) -> u32 {
    ticks.saturating_add(1).saturating_mul(BIN)
}
