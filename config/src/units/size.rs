//! Sizes: `512 MiB`, `100 MB`, `1.5 GiB`.

use bytesize::ByteSize;
use thiserror::Error;

use crate::Refusal;

/// The units in which sizes are written, the largest first.
const UNITS: [(&str, u64); 6] = [
    ("PiB", 1 << 50),
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

/// Reads a size with its unit, in bytes.
pub fn size(text: &str) -> Result<u64, SizeError> {
    let trimmed = text.trim();
    if !trimmed.is_empty() && trimmed.bytes().all(|b| b.is_ascii_digit()) {
        return Err(SizeError::NoUnit(trimmed.to_owned()));
    }
    trimmed
        .parse::<ByteSize>()
        .map(|size| size.as_u64())
        .map_err(|_| SizeError::Unreadable(text.to_owned()))
}

/// The form that [`size`] reads, in the largest unit that leaves no fraction.
pub fn format_size(bytes: u64) -> String {
    let (unit, factor) = UNITS
        .into_iter()
        .find(|(_, factor)| bytes >= *factor && bytes.is_multiple_of(*factor))
        .unwrap_or(("B", 1));
    format!("{} {unit}", bytes / factor)
}

/// Why a text is no size.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SizeError {
    /// A number without unit.
    #[error("`{0}` has no unit of size")]
    NoUnit(String),
    /// Something else.
    #[error("`{0}` is no size")]
    Unreadable(String),
}

impl Refusal for SizeError {
    fn help(&self) -> String {
        match self {
            Self::NoUnit(number) => format!("write `{number} MiB`, or `{number} B` for bytes"),
            Self::Unreadable(_) => {
                "write a number and a unit: `16 KiB`, `512 MiB`, `100 MB`, `50 GiB`".to_owned()
            }
        }
    }
}
