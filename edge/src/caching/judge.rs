//! Whether an answer may be stored (RFC 9111 section 3).

use super::{Policy, Request, Response, Terms, Times};

/// Why an answer isn't stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unstorable {
    /// The method's answers aren't stored.
    Method,
    /// The status isn't final (1xx).
    Interim,
    /// A 304 updates what is stored, and is never stored itself.
    NotModified,
    /// A part of an answer (206).
    PartialContent,
    /// `must-understand`, with a status that this cache doesn't know.
    NotUnderstood,
    /// The answer says `no-store`.
    NoStore,
    /// The request says `no-store`.
    RequestNoStore,
    /// The answer is for one user.
    Private,
    /// The request carried credentials and the answer doesn't say that others may have it.
    Authorization,
    /// The answer sets a cookie, and the site passes such answers.
    SetCookie,
    /// The answer depends on more than the request's fields.
    VaryStar,
    /// The status may not be stored without explicit freshness, and there is none.
    Status,
    /// It is stale at once, has no validator and no window in which it could be used stale.
    NoFreshness,
}

impl Unstorable {
    /// For `Cache-Status`, the log and a metric's label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Interim => "interim",
            Self::NotModified => "not-modified",
            Self::PartialContent => "partial-content",
            Self::NotUnderstood => "not-understood",
            Self::NoStore => "no-store",
            Self::RequestNoStore => "request-no-store",
            Self::Private => "private",
            Self::Authorization => "authorization",
            Self::SetCookie => "set-cookie",
            Self::VaryStar => "vary-star",
            Self::Status => "status",
            Self::NoFreshness => "no-freshness",
        }
    }
}

/// On what terms `response`, which answered `request`, may be stored.
///
/// # Errors
/// The reason why it may not.
pub fn judge(
    request: Request<'_>,
    response: Response<'_>,
    times: Times,
    policy: &Policy,
) -> Result<Terms, Unstorable> {
    let _ = (request, response, times, policy);
    Err(Unstorable::NoStore)
}
