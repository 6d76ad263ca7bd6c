//! Durations: `250ms`, `30s`, `1h 30m`.

use std::time::Duration;

use thiserror::Error;

use crate::Refusal;

/// Reads a duration with its unit.
pub fn duration(text: &str) -> Result<Duration, DurationError> {
    let trimmed = text.trim();
    // A lone zero would be read without unit.
    if !trimmed.is_empty() && trimmed.bytes().all(|b| b.is_ascii_digit()) {
        return Err(DurationError::NoUnit(trimmed.to_owned()));
    }
    humantime::parse_duration(trimmed).map_err(|_| DurationError::Unreadable(text.to_owned()))
}

/// The form that [`duration`] reads.
pub fn format_duration(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

/// Why a text is no duration.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DurationError {
    /// A number without unit.
    #[error("`{0}` has no unit of time")]
    NoUnit(String),
    /// Something else.
    #[error("`{0}` is no duration")]
    Unreadable(String),
}

impl Refusal for DurationError {
    fn help(&self) -> String {
        match self {
            Self::NoUnit(number) => format!("write `{number}s` for seconds, or `{number}ms`"),
            Self::Unreadable(_) => "write a number and a unit: `250ms`, `30s`, `5m`, `1h`, \
                                        `1h 30m`, `7d`"
                .to_owned(),
        }
    }
}
