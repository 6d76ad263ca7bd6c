//! What a request gets from the cache.

use std::time::Duration;

use http::Method;
use kingcdn_config::clock::Timestamp;

use super::control::RequestControl;
use super::terms::Reuse;
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
    /// The same, but a purge has made it stale, however fresh it is by its terms.
    Purged(&'a Terms),
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
    /// All of them, in the order of [`Forward::index`].
    pub const ALL: [Self; 8] = [
        Self::Bypass,
        Self::Method,
        Self::UriMiss,
        Self::VaryMiss,
        Self::Miss,
        Self::Request,
        Self::Stale,
        Self::Partial,
    ];

    /// Its place in [`Forward::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

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

/// What `request` gets, given what is `held` for its key (RFC 9111 section 4).
#[inline]
pub fn decide(
    request: Request<'_>,
    held: Held<'_>,
    clients: ClientControl,
    now: Timestamp,
) -> Decision {
    // RFC 9111 section 4: what answered a GET answers a HEAD too, and nothing else.
    if !matches!(*request.method, Method::GET | Method::HEAD) {
        return Decision::Bypass(Forward::Method);
    }
    let wishes = RequestControl::parse(request.headers);
    let decision = match held {
        Held::Nothing => Decision::Miss(Forward::UriMiss),
        Held::OtherVariants => Decision::Miss(Forward::VaryMiss),
        Held::This(terms) if terms.is_fresh(now) => use_fresh(terms, wishes, clients, now),
        Held::This(terms) | Held::Purged(terms) => use_stale(terms, wishes, clients, now),
    };
    match decision {
        Decision::Revalidate(_) | Decision::Miss(_) if wishes.only_if_cached => {
            Decision::OnlyIfCached
        }
        decision => decision,
    }
}

fn use_fresh(
    terms: &Terms,
    wishes: RequestControl,
    clients: ClientControl,
    now: Timestamp,
) -> Decision {
    if terms.reuse == Reuse::Validated {
        return forward(terms, Forward::Stale);
    }
    let age = terms.age(now);
    if clients == ClientControl::Obey && refuses(terms, wishes, age, now) {
        return forward(terms, Forward::Request);
    }
    Decision::Fresh { age }
}

/// Whether the client doesn't want this fresh answer.
fn refuses(terms: &Terms, wishes: RequestControl, age: Duration, now: Timestamp) -> bool {
    // RFC 9111 section 5.2.1.4
    if wishes.no_cache {
        return true;
    }
    // RFC 9111 section 5.2.1.3
    let fresh_for = terms.fresh_until.since(now);
    if wishes.min_fresh.is_some_and(|least| fresh_for < least) {
        return true;
    }
    // RFC 9111 section 5.2.1.1. `max-age=0` is what a browser's reload says, which is pointless
    // for an immutable answer (RFC 8246 section 2); a forced reload says `no-cache`.
    match wishes.max_age {
        Some(Duration::ZERO) if terms.immutable => false,
        Some(oldest) => age > oldest || oldest.is_zero(),
        None => false,
    }
}

fn use_stale(
    terms: &Terms,
    wishes: RequestControl,
    clients: ClientControl,
    now: Timestamp,
) -> Decision {
    // RFC 9111 section 4.2.4: nobody may use what the origin forbids to use stale.
    let Reuse::Stale { refresh_until, .. } = terms.reuse else {
        return forward(terms, Forward::Stale);
    };
    let age = terms.age(now);
    let obey = clients == ClientControl::Obey;
    if obey && (wishes.no_cache || wishes.max_age.is_some_and(|oldest| age > oldest)) {
        return forward(terms, Forward::Stale);
    }
    // RFC 9111 section 5.2.1.2: the client takes what has been stale for no longer than this.
    let stale_for = now.since(terms.fresh_until);
    let tolerated = wishes.max_stale.is_some_and(|limit| stale_for <= limit);
    // RFC 5861 section 3; a client that limits age or staleness wants nothing beyond its limits.
    let limited =
        wishes.max_age.is_some() || wishes.min_fresh.is_some() || wishes.max_stale.is_some();
    let permitted = now < refresh_until && !(obey && limited);
    if tolerated || permitted {
        return Decision::StaleWhileRevalidate { age };
    }
    forward(terms, Forward::Stale)
}

fn forward(terms: &Terms, why: Forward) -> Decision {
    if terms.has_validator() { Decision::Revalidate(why) } else { Decision::Miss(why) }
}

#[cfg(test)]
mod tests;
