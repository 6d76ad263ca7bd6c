//! Whether an answer may be stored (RFC 9111 section 3).

use std::time::Duration;

use http::header::{AUTHORIZATION, DATE, SET_COOKIE};
use http::{HeaderName, Method, StatusCode};
use kingcdn_config::clock::Timestamp;

use super::control::{Qualified, RequestControl, ResponseControl};
use super::freshness::{self, Explicit};
use super::terms::{LastModified, Reuse};
use super::vary::{Selecting, Vary};
use super::{Cookies, ETag, Policy, Request, Response, Terms, Times, age, date, targeted};

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
    /// All of them, for the metric.
    pub const ALL: [Self; 13] = [
        Self::Method,
        Self::Interim,
        Self::NotModified,
        Self::PartialContent,
        Self::NotUnderstood,
        Self::NoStore,
        Self::RequestNoStore,
        Self::Private,
        Self::Authorization,
        Self::SetCookie,
        Self::VaryStar,
        Self::Status,
        Self::NoFreshness,
    ];

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

impl Unstorable {
    /// Whether it says nothing about answers to others' requests.
    pub const fn is_the_requests_own(self) -> bool {
        matches!(self, Self::RequestNoStore | Self::Authorization)
    }
}

/// Whether a request keeps its answer out of the store (RFC 9111 section 5.2.1.5).
pub fn forbids_storing(request: Request<'_>) -> bool {
    RequestControl::parse(request.headers).no_store
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
    let (control, targeted) = targeted::effective(response.headers, policy);
    final_and_whole(request, response)?;
    permitted(request, response, &control, policy)?;
    let Vary::Fields(names) = Vary::parse(response.headers) else {
        // RFC 9111 section 4.1: it would never be selected.
        return Err(Unstorable::VaryStar);
    };
    let lifetime = lifetime(response, &control, !targeted, times, policy)?;
    let terms = terms(request, response, &control, times, policy, lifetime, names);
    match terms.useless_from() {
        Some(useless) if useless <= times.response => Err(Unstorable::NoFreshness),
        _ => Ok(terms),
    }
}

/// RFC 9111 section 3: a method whose answers this cache stores, and a status that is final.
fn final_and_whole(request: Request<'_>, response: Response<'_>) -> Result<(), Unstorable> {
    if *request.method != Method::GET {
        return Err(Unstorable::Method);
    }
    match response.status.as_u16() {
        100..=199 => Err(Unstorable::Interim),
        304 => Err(Unstorable::NotModified),
        206 => Err(Unstorable::PartialContent),
        _ => Ok(()),
    }
}

/// RFC 9111 section 3: nothing forbids it.
fn permitted(
    request: Request<'_>,
    response: Response<'_>,
    control: &ResponseControl,
    policy: &Policy,
) -> Result<(), Unstorable> {
    // RFC 9111 section 5.2.2.3: no-store is for caches that don't understand.
    if control.must_understand {
        if !is_understood(response.status) {
            return Err(Unstorable::NotUnderstood);
        }
    } else if control.no_store {
        return Err(Unstorable::NoStore);
    }
    if forbids_storing(request) {
        return Err(Unstorable::RequestNoStore);
    }
    if control.private == Qualified::Whole {
        return Err(Unstorable::Private);
    }
    // RFC 9111 section 3.5
    let for_others = control.public || control.must_revalidate || control.s_maxage.is_some();
    if request.headers.contains_key(AUTHORIZATION) && !for_others {
        return Err(Unstorable::Authorization);
    }
    if policy.cookies == Cookies::Pass
        && response.headers.contains_key(SET_COOKIE)
        && !control.private.covers(&SET_COOKIE)
        && !control.no_cache.covers(&SET_COOKIE)
    {
        return Err(Unstorable::SetCookie);
    }
    Ok(())
}

/// How long an answer is fresh.
struct Lifetime {
    duration: Duration,
    /// Whether the site's windows for stale use apply to it.
    windows: bool,
}

/// How long it is fresh; an answer that says nothing needs a status or `public` to be stored at
/// all.
fn lifetime(
    response: Response<'_>,
    control: &ResponseControl,
    expires: bool,
    times: Times,
    policy: &Policy,
) -> Result<Lifetime, Unstorable> {
    let Response { status, headers } = response;
    // What was never fresh for anybody isn't kept usable by the site's windows: nobody said that
    // it is for more than the one who asked.
    // Nor is an error: when it is stale, the next one is as good.
    let lasting = |duration: Duration| {
        let windows = !duration.is_zero() && !status.is_server_error();
        Lifetime { duration, windows }
    };
    match freshness::explicit(control, headers, expires, times.response) {
        Explicit::Lifetime(duration) => Ok(lasting(duration)),
        Explicit::Silent => {
            if let Some(duration) = freshness::negative(status, headers, policy) {
                // Nor is an error that was kept for a moment to spare the origin.
                Ok(Lifetime { duration, windows: false })
            } else if control.public || freshness::heuristically_cacheable(status) {
                let received = times.response;
                Ok(lasting(freshness::implicit(status, control, headers, received, policy)))
            } else {
                Err(Unstorable::Status)
            }
        }
    }
}

fn terms(
    request: Request<'_>,
    response: Response<'_>,
    control: &ResponseControl,
    times: Times,
    policy: &Policy,
    lifetime: Lifetime,
    names: Vec<HeaderName>,
) -> Terms {
    let headers = response.headers;
    let born = age::born(headers, times);
    let fresh_until = born.plus(lifetime.duration);
    Terms {
        born,
        fresh_until,
        reuse: reuse(control, policy, lifetime.windows, fresh_until),
        immutable: control.immutable,
        date: date::of(headers, &DATE, times.response).unwrap_or(times.response),
        etag: ETag::of(headers),
        last_modified: LastModified::of(headers, times.response),
        selecting: (!names.is_empty()).then(|| Box::new(Selecting::of(names, request.headers))),
    }
}

fn reuse(
    control: &ResponseControl,
    policy: &Policy,
    windows: bool,
    fresh_until: Timestamp,
) -> Reuse {
    if control.no_cache == Qualified::Whole {
        return Reuse::Validated;
    }
    // RFC 9111 section 4.2.4; s-maxage implies proxy-revalidate (section 5.2.2.10).
    if control.must_revalidate || control.proxy_revalidate || control.s_maxage.is_some() {
        return Reuse::Fresh;
    }
    let by_site = |window: Duration| if windows { window } else { Duration::ZERO };
    let while_revalidate =
        control.stale_while_revalidate.unwrap_or_else(|| by_site(policy.stale_while_revalidate));
    let if_error = control.stale_if_error.unwrap_or_else(|| by_site(policy.stale_if_error));
    Reuse::Stale {
        refresh_until: fresh_until.plus(while_revalidate),
        error_until: fresh_until.plus(if_error),
    }
}

/// The final statuses of RFC 9110 section 15 whose caching this cache implements.
fn is_understood(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        200..=205 | 300..=303 | 305..=308 | 400..=417 | 421 | 422 | 426 | 500..=505
    )
}

#[cfg(test)]
mod tests;
