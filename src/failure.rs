//! How a command fails: what people read, and the exit code.

use std::fmt;
use std::io::{self, Write as _};
use std::process::ExitCode;

/// Why a command didn't do what it was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Wrong usage: exit code 2.
    Usage(String),
    /// A configuration that isn't right, as its report says: exit code 2.
    Config(String),
    /// It failed while running: exit code 1.
    Running(anyhow::Error),
}

impl Failure {
    /// Tells people on standard error; gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        // Nobody is left to tell when standard error is closed.
        let _ = match self {
            Self::Config(_) => writeln!(io::stderr().lock(), "{self}"),
            Self::Usage(_) | Self::Running(_) => writeln!(io::stderr().lock(), "kingcdn: {self}"),
        };
        ExitCode::from(match self {
            Self::Usage(_) | Self::Config(_) => 2,
            Self::Running(_) => 1,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) => f.write_str(text),
            Self::Config(report) => f.write_str(report.trim_end()),
            Self::Running(error) => write!(f, "{error:#}"),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Running(error)
    }
}
