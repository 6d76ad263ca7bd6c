//! Durations: `250ms`, `30s`, `1h 30m`.

use std::time::Duration;

use thiserror::Error;

use crate::Refusal;

/// Reads a duration with its unit.
pub fn duration(text: &str) -> Result<Duration, DurationError> {
    humantime::parse_duration(text.trim()).map_err(|error| {
        let number = text.trim();
        if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) {
            DurationError::NoUnit(number.to_owned())
        } else {
            DurationError::Unreadable { text: text.to_owned(), reason: error.to_string() }
        }
    })
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
    #[error("`{text}` is no duration: {reason}")]
    Unreadable {
        /// The text.
        text: String,
        /// What was unexpected.
        reason: String,
    },
}

impl Refusal for DurationError {
    fn help(&self) -> String {
        match self {
            Self::NoUnit(number) => format!("write `{number}s` for seconds, or `{number}ms`"),
            Self::Unreadable { .. } => "write a number and a unit: `250ms`, `30s`, `5m`, `1h`, \
                                        `1h 30m`, `7d`"
                .to_owned(),
        }
    }
}
