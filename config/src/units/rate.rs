//! Rates and shares: `5000/s`, `2 Gbit/s`, `80%`.

use thiserror::Error;

use crate::Refusal;

/// The units in which bits per second are written, the largest first.
const UNITS: [(&str, u64); 5] = [
    ("Tbit/s", 1_000_000_000_000),
    ("Gbit/s", 1_000_000_000),
    ("Mbit/s", 1_000_000),
    ("kbit/s", 1_000),
    ("bit/s", 1),
];

/// Reads how often a second: `5000/s`.
pub fn per_second(text: &str) -> Result<u64, RateError> {
    let number = text.trim().strip_suffix("/s").and_then(|number| number.trim_end().parse().ok());
    number.ok_or_else(|| RateError::PerSecond(text.to_owned()))
}

/// Reads bits per second: `2 Gbit/s`, `1.5 Mbit/s`. The prefixes are powers of 1000.
pub fn bits_per_second(text: &str) -> Result<u64, RateError> {
    let unreadable = || RateError::Bits(text.to_owned());
    let trimmed = text.trim();
    let unit = UNITS.iter().find_map(|(unit, factor)| {
        let number = trimmed.strip_suffix(unit)?.trim_end();
        number.ends_with(|last: char| last.is_ascii_digit()).then_some((number, *factor))
    });
    let (number, factor) = unit.ok_or_else(unreadable)?;
    let number = decimal(number).ok_or_else(unreadable)?;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    Ok((number * factor as f64).round() as u64) // It saturates, and bounds are asked after.
}

/// The form that [`bits_per_second`] reads, in the largest unit that leaves no fraction.
pub fn format_bits_per_second(bits: u64) -> String {
    let (unit, factor) = UNITS
        .into_iter()
        .find(|(_, factor)| bits >= *factor && bits.is_multiple_of(*factor))
        .unwrap_or(("bit/s", 1));
    format!("{} {unit}", bits / factor)
}

/// Reads a share: `80%` is 0.8.
pub fn percent(text: &str) -> Result<f64, RateError> {
    let number = text.trim().strip_suffix('%').and_then(|number| decimal(number.trim_end()));
    number.map(|number| number / 100.0).ok_or_else(|| RateError::Percent(text.to_owned()))
}

/// The form that [`percent`] reads.
pub fn format_percent(share: f64) -> String {
    format!("{}%", (share * 1e6).round() / 1e4)
}

/// Digits, perhaps with a point between them.
fn decimal(text: &str) -> Option<f64> {
    let digits = text.starts_with(|first: char| first.is_ascii_digit())
        && text.bytes().all(|octet| octet.is_ascii_digit() || octet == b'.');
    digits.then(|| text.parse().ok()).flatten()
}

/// Why a text is no rate, or no share.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RateError {
    /// It doesn't say how often a second.
    #[error("`{0}` doesn't say how often a second")]
    PerSecond(String),
    /// It doesn't say how many bits a second.
    #[error("`{0}` doesn't say how many bits a second")]
    Bits(String),
    /// It is no share.
    #[error("`{0}` is no share")]
    Percent(String),
}

impl Refusal for RateError {
    fn help(&self) -> String {
        match self {
            Self::PerSecond(_) => "write a whole number and `/s`: `5000/s`",
            Self::Bits(_) => "write a number and a unit: `500 Mbit/s`, `2 Gbit/s`",
            Self::Percent(_) => "write a number and `%`: `80%`",
        }
        .to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_shares() {
        let bits = [
            ("2 Gbit/s", 2_000_000_000),
            ("1.5Mbit/s", 1_500_000),
            ("7 bit/s", 7),
            ("100 kbit/s", 100_000),
        ];
        for (text, expected) in bits {
            assert_eq!(bits_per_second(text), Ok(expected), "{text}");
        }
        for text in ["", "2", "2 GB/s", "Gbit/s", "-2 Gbit/s", "1e3 bit/s", ". bit/s"] {
            assert!(bits_per_second(text).is_err(), "{text}");
        }
        assert_eq!(format_bits_per_second(1_500_000), "1500 kbit/s");
        assert_eq!(per_second("5000/s"), Ok(5000));
        assert!(["5000", "-1/s", "/s", "1.5/s"].iter().all(|text| per_second(text).is_err()));
        assert_eq!(percent("80%"), Ok(0.8));
        assert_eq!(percent("12.5 %"), Ok(0.125));
        assert!(["80", "%", "-1%", "nan%"].iter().all(|text| percent(text).is_err()));
        assert_eq!(format_percent(0.8), "80%");
    }
}
