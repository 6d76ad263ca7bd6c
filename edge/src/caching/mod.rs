//! The rules of HTTP caching (RFC 9111 and its relatives), as pure functions.
//!
//! Nothing here knows a clock, a socket, a configuration file, a log or a
//! metric: `now` is an argument, and every "no" carries its reason.
//!
//! The journey asks four questions, in this order:
//!
//! 1. [`select`]: which of the stored variants of this key answers the request?
//! 2. [`decide`]: may it be used as it is, must it be validated, is there none?
//! 3. [`judge`]: may the origin's answer be stored, and on what [`Terms`]?
//! 4. [`stale_on_error`]: the origin failed; may the stale answer stand in?
//!
//! Beside them: [`conditional`] (is the client's copy still good?), [`range`]
//! (which bytes?), [`update`] (what a 304 changes in what is stored),
//! [`fields`] (what is never stored), [`invalidation`] (what a write makes
//! useless) and [`date`].
//!
//! `edge/CACHING.md` lists every clause with the test that holds it.

mod age;
pub mod conditional;
mod control;
pub mod date;
mod decide;
#[cfg(test)]
mod document;
pub mod fields;
mod freshness;
pub mod invalidation;
mod judge;
mod policy;
pub mod range;
mod stale;
pub(crate) mod stored;
mod targeted;
mod terms;
#[cfg(test)]
mod testing;
pub mod update;
mod validator;
mod vary;

use http::{HeaderMap, Method, StatusCode};
use kingcdn_config::clock::Timestamp;

pub use conditional::validation_fields;
pub use decide::{ClientControl, Decision, Forward, Held, decide};
pub use judge::{Unstorable, forbids_storing, judge};
pub use policy::{CDN_CACHE_CONTROL, Cookies, Policy};
pub use stale::{NoStale, Trouble, stale_on_error};
pub use terms::{Terms, select};
pub use validator::ETag;

/// A client's request, as far as the rules care.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Its fields.
    pub headers: &'a HeaderMap,
}

/// An origin's answer, as far as the rules care. Hop-by-hop fields may still be in it.
#[derive(Debug, Clone, Copy)]
pub struct Response<'a> {
    /// Its status.
    pub status: StatusCode,
    /// Its fields.
    pub headers: &'a HeaderMap,
}

/// When an exchange with the origin happened (RFC 9111 section 4.2.3).
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// When the request was sent.
    pub request: Timestamp,
    /// When the answer's header section arrived.
    pub response: Timestamp,
}
