//! The human forms of durations, sizes and addresses, and why a text is none.

mod address;
mod duration;
mod rate;
mod size;

pub use address::{AddressError, IpError, PrefixError, address, ip, overlap, prefix};
pub use duration::{DurationError, duration, format_duration};
pub use rate::{
    RateError, bits_per_second, format_bits_per_second, format_percent, per_second, percent,
};
pub use size::{SizeError, format_size, size};
