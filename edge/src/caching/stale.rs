//! Whether a stale answer may stand in for an origin in trouble.

use std::time::Duration;

use http::StatusCode;
use kingcdn_config::clock::Timestamp;

use super::control::RequestControl;
use super::terms::Reuse;
use super::{Request, Terms};

/// What went wrong with the origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// No answer: no connection, a time-out, or one that broke off.
    Unreachable,
    /// An answer with this status.
    Status(StatusCode),
}

/// Why a held answer may not stand in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NoStale {
    /// The origin's answer isn't an error in the sense of RFC 5861 section 4.
    NotAnError,
    /// The held answer may never be used without validation (`no-cache`).
    NoCache,
    /// The held answer may not be used stale (`must-revalidate`, `proxy-revalidate`, `s-maxage`).
    MustRevalidate,
    /// It has been stale for too long.
    WindowPassed,
}

impl NoStale {
    /// All of them, for the metric.
    pub const ALL: [Self; 4] =
        [Self::NotAnError, Self::NoCache, Self::MustRevalidate, Self::WindowPassed];

    /// For `Cache-Status` and the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotAnError => "not-an-error",
            Self::NoCache => "no-cache",
            Self::MustRevalidate => "must-revalidate",
            Self::WindowPassed => "window-passed",
        }
    }
}

/// The age with which the held answer may stand in for what the origin didn't deliver to `request`.
///
/// # Errors
/// The reason why it may not.
pub fn stale_on_error(
    request: Request<'_>,
    terms: &Terms,
    trouble: Trouble,
    now: Timestamp,
) -> Result<Duration, NoStale> {
    // RFC 5861 section 4 names the statuses that are errors.
    if let Trouble::Status(status) = trouble
        && !matches!(status.as_u16(), 500 | 502 | 503 | 504)
    {
        return Err(NoStale::NotAnError);
    }
    // RFC 5861 section 4: a request's own window is for this request, be it longer or shorter.
    let wished = RequestControl::parse(request.headers).stale_if_error;
    let wished = wished.map(|window| terms.fresh_until.plus(window));
    match terms.reuse {
        Reuse::Validated => Err(NoStale::NoCache),
        _ if terms.is_fresh(now) => Ok(terms.age(now)),
        Reuse::Fresh => Err(NoStale::MustRevalidate),
        Reuse::Stale { error_until, .. } if now < wished.unwrap_or(error_until) => {
            Ok(terms.age(now))
        }
        Reuse::Stale { .. } => Err(NoStale::WindowPassed),
    }
}

#[cfg(test)]
mod tests;
