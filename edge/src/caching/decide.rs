//! What a request gets from the cache.

use std::time::Duration;

use kingcdn_config::clock::Timestamp;

use super::{Request, Terms};

/// What the store holds for a key.
#[derive(Debug, Clone, Copy)]
pub enum Held<'a> {
    /// Nothing.
    Nothing,
    /// Answers to other requests for this key, none that Vary lets answer this one.
    OtherVariants,
    /// An answer that [`select`](super::select) chose for this request.
    This(&'a Terms),
}

/// Whether this client's `no-cache`, `max-age` and the like may send the edge to the origin now.
///
/// `only-if-cached` and `max-stale` are honoured either way: they spare the origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientControl {
    /// They may.
    Obey,
    /// They may not: an edge shields its origin.
    Ignore,
}

/// What is done with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The held answer is used as it is.
    Fresh {
        /// Its age.
        age: Duration,
    },
    /// The held answer is used although it is stale, and refreshed behind.
    StaleWhileRevalidate {
        /// Its age.
        age: Duration,
    },
    /// The origin is asked whether the held answer, which has a validator, is still good.
    Revalidate(Forward),
    /// The origin is asked for the whole answer. What is held, if anything, has no validator, but
    /// may still stand in when the origin fails ([`stale_on_error`](super::stale_on_error)).
    Miss(Forward),
    /// The request isn't the cache's business.
    Bypass(Forward),
    /// The client wanted a stored answer or none: 504 (RFC 9111 section 5.2.1.7).
    OnlyIfCached,
}

/// Why a request goes on towards the origin: the `fwd` parameter of RFC 9211 section 2.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Forward {
    /// The cache was configured not to handle it.
    Bypass,
    /// Its method requires it.
    Method,
    /// Nothing is stored for its URI.
    UriMiss,
    /// Answers are stored for its URI, but Vary keeps them from this request.
    VaryMiss,
    /// Nothing stored satisfies it; the cache can't tell why.
    Miss,
    /// A fresh answer is stored, but the request's directives forbid its use.
    Request,
    /// The stored answer is stale, or may never be used without validation.
    Stale,
    /// Only a part of the answer is stored.
    Partial,
}

impl Forward {
    /// The token of RFC 9211.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Method => "method",
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Miss => "miss",
            Self::Request => "request",
            Self::Stale => "stale",
            Self::Partial => "partial",
        }
    }
}

/// What `request` gets, given what is `held` for its key.
pub fn decide(
    request: Request<'_>,
    held: Held<'_>,
    clients: ClientControl,
    now: Timestamp,
) -> Decision {
    let _ = (request, held, clients, now);
    Decision::Miss(Forward::Miss)
}
