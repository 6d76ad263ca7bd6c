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
//! (which bytes?), [`update`] (what a 304 changes in what is stored).
