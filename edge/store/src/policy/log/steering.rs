//! What bounds write amplification: how much is kept, and how much of it may be written again.

/// What reclaims should write again, of what is new: write amplification of 1.48.
const REWRITTEN: f64 = 0.48;
/// What they may write at most, ever: write amplification never exceeds 1.49.
const REWRITTEN_MOST: f64 = 0.49;
/// Of the capacity: what may be written again at once after a time of few reclaims.
const ALLOWANCE_MOST: f64 = 0.5;
/// How fast the share that is kept follows.
const GAIN: f64 = 0.01;
const SHARE_LEAST: f64 = 0.2;
const SHARE_FIRST: f64 = 0.7;
const SHARE_MOST: f64 = 0.97;

/// The controller.
#[derive(Debug)]
pub(super) struct Steering {
    capacity_bytes: f64,
    /// `u`: the share of the capacity that is to be above the threshold.
    share: f64,
    /// Bytes of new records since the last reclaim.
    new_bytes: f64,
    /// Bytes that may be written again.
    allowance: f64,
}

#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
impl Steering {
    pub(super) fn new(capacity_bytes: u64) -> Self {
        let capacity_bytes = capacity_bytes as f64;
        Self { capacity_bytes, share: SHARE_FIRST, new_bytes: 0.0, allowance: 0.0 }
    }

    /// A new record was written.
    pub(super) fn wrote(&mut self, bytes: u64) {
        let bytes = bytes as f64;
        self.new_bytes += bytes;
        let most = ALLOWANCE_MOST * self.capacity_bytes;
        self.allowance = (self.allowance + REWRITTEN_MOST * bytes).min(most);
    }

    /// A reclaim writes so much again: what is kept follows.
    pub(super) fn rewrote(&mut self, bytes: u64, segment_bytes: u32) {
        let bytes = bytes as f64;
        self.allowance -= bytes;
        let new = std::mem::take(&mut self.new_bytes);
        let off = (REWRITTEN * new - bytes) / f64::from(segment_bytes);
        self.set_share(self.share + GAIN * off.clamp(-1.0, 1.0));
    }

    /// Bytes that may be written again now.
    pub(super) fn allowance_bytes(&self) -> u64 {
        self.allowance as u64
    }

    /// Bytes that may be above the threshold.
    pub(super) fn kept_most_bytes(&self) -> u64 {
        (self.share * self.capacity_bytes) as u64
    }

    pub(super) fn share(&self) -> f64 {
        self.share
    }

    pub(super) fn set_share(&mut self, share: f64) {
        self.share = share.clamp(SHARE_LEAST, SHARE_MOST);
    }
}
