//! From a request and what is known of the file to the whole response but its bytes. Pure: no
//! file, no clock, no socket.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW,
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, HeaderName,
    HeaderValue, LAST_MODIFIED, LOCATION, RANGE, X_CONTENT_TYPE_OPTIONS,
};
use http::{Method, StatusCode};
use kingcdn_config::clock::Timestamp;

use crate::conditions::{Validators, Verdict, judge, range_applies, single};
use crate::ranges::{Asked, resolve};
use crate::tag::EntityTag;

/// The methods that this origin answers, for `Allow`.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");

/// A response, with its body as a list of what to send.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: VecDeque<Piece>,
}

/// A stretch of a body. Never empty.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Piece {
    /// These bytes.
    Bytes(Bytes),
    /// These bytes of the file.
    File(Range<u64>),
}

/// What is known of the file that is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Representation<'a> {
    pub(crate) length: u64,
    /// When it was written, by the file system.
    pub(crate) modified_secs: i64,
    pub(crate) tag: &'a EntityTag,
    pub(crate) media_type: &'static str,
    pub(crate) cache_control: Option<HeaderValue>,
}

/// Plans the answer to a GET or HEAD of a file that exists.
pub(crate) fn representation(
    method: &Method,
    headers: &HeaderMap,
    file: &Representation<'_>,
    now: Timestamp,
) -> Plan {
    // A date in the future is replaced by that of the response: RFC 9110 section 8.8.2.1.
    let modified_secs = file.modified_secs.clamp(0, now.as_secs().max(0));
    let validators = Validators { tag: file.tag, modified_secs };
    let plan = match judge(headers, validators) {
        Verdict::Failed => return refusal(method, StatusCode::PRECONDITION_FAILED),
        // RFC 9110 section 15.4.5: what updates a cache, and nothing that only describes the body.
        Verdict::NotModified => return described(Plan::new(StatusCode::NOT_MODIFIED), file),
        Verdict::Perform => match asked(method, headers, file.length, validators, now) {
            Asked::Whole => whole(file),
            Asked::Ranges(ranges) => partial(file, &ranges),
            Asked::Unsatisfiable => return unsatisfiable(method, file.length),
        },
    };
    let mut plan = described(plan, file);
    plan.set(&ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    plan.set_text(&LAST_MODIFIED, http_date(modified_secs));
    plan.finished(method)
}

/// Plans the answer to `OPTIONS`, which is also a browser's question whether a page of another
/// site may send a `Range` (CORS preflight).
pub(crate) fn options() -> Plan {
    let mut plan = Plan::new(StatusCode::NO_CONTENT);
    plan.set(&ALLOW, METHODS);
    plan.set(&ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    plan.set(
        &ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("If-Match, If-Modified-Since, If-None-Match, If-Range, Range"),
    );
    plan.set(&ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    plan
}

/// Plans a refusal: a status and its name as text.
pub(crate) fn refusal(method: &Method, status: StatusCode) -> Plan {
    let mut plan = Plan::new(status);
    // A file that is missing may be on its way, so caches ask again soon.
    let cache_control = match status {
        StatusCode::NOT_FOUND | StatusCode::MOVED_PERMANENTLY => "public, max-age=4",
        _ => "no-store",
    };
    plan.set(&CACHE_CONTROL, HeaderValue::from_static(cache_control));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        plan.set(&ALLOW, METHODS);
    }
    let content_type = HeaderValue::from_static("text/plain; charset=utf-8");
    plan.set(&CONTENT_TYPE, content_type);
    let reason = status.canonical_reason().unwrap_or("Refused");
    let text = format!("{} {reason}\n", status.as_u16());
    plan.body.push_back(Piece::Bytes(text.into()));
    plan.finished(method)
}

/// Plans the way from a folder's name to its page.
pub(crate) fn redirect(method: &Method, location: HeaderValue) -> Plan {
    let mut plan = refusal(method, StatusCode::MOVED_PERMANENTLY);
    plan.set(&LOCATION, location);
    plan
}

fn asked(
    method: &Method,
    headers: &HeaderMap,
    length: u64,
    validators: Validators<'_>,
    now: Timestamp,
) -> Asked {
    // Range means something with GET only (RFC 9110 section 14.2), and two fields mean nothing.
    let field = single(headers, &RANGE).filter(|_| method == Method::GET);
    match field.and_then(|field| field.to_str().ok()) {
        Some(field) if range_applies(headers, validators, now) => resolve(field, length),
        _ => Asked::Whole,
    }
}

fn whole(file: &Representation<'_>) -> Plan {
    let mut plan = Plan::new(StatusCode::OK);
    plan.set(&CONTENT_TYPE, HeaderValue::from_static(file.media_type));
    if file.length > 0 {
        plan.body.push_back(Piece::File(0..file.length));
    }
    plan
}

/// RFC 9110 section 15.3.7. One range is sent bare, even where several were asked for.
fn partial(file: &Representation<'_>, ranges: &[Range<u64>]) -> Plan {
    let mut plan = Plan::new(StatusCode::PARTIAL_CONTENT);
    if let [range] = ranges {
        plan.set(&CONTENT_TYPE, HeaderValue::from_static(file.media_type));
        plan.set_text(&CONTENT_RANGE, content_range(range, file.length));
        plan.body.push_back(Piece::File(range.clone()));
        return plan;
    }
    // RFC 9110 section 14.6. The file would have to hold its own hash to hold the boundary.
    let boundary = file.tag.opaque();
    let content_type = format!("multipart/byteranges; boundary={boundary}");
    plan.set_text(&CONTENT_TYPE, content_type);
    for (index, range) in ranges.iter().enumerate() {
        let line_end = if index == 0 { "" } else { "\r\n" };
        let head = format!(
            "{line_end}--{boundary}\r\nContent-Type: {}\r\nContent-Range: {}\r\n\r\n",
            file.media_type,
            content_range(range, file.length),
        );
        plan.body.push_back(Piece::Bytes(head.into()));
        plan.body.push_back(Piece::File(range.clone()));
    }
    let end = format!("\r\n--{boundary}--\r\n");
    plan.body.push_back(Piece::Bytes(end.into()));
    plan
}

/// RFC 9110 section 15.5.17.
fn unsatisfiable(method: &Method, length: u64) -> Plan {
    let mut plan = refusal(method, StatusCode::RANGE_NOT_SATISFIABLE);
    plan.set(&ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    plan.set_text(&CONTENT_RANGE, format!("bytes */{length}"));
    plan
}

/// With what a cache needs to know of the file.
fn described(mut plan: Plan, file: &Representation<'_>) -> Plan {
    plan.set_text(&ETAG, file.tag.to_string());
    if let Some(cache_control) = &file.cache_control {
        plan.set(&CACHE_CONTROL, cache_control.clone());
    }
    plan
}

/// RFC 9110 section 14.4; `range` isn't empty.
fn content_range(range: &Range<u64>, length: u64) -> String {
    format!("bytes {}-{}/{length}", range.start, range.end - 1)
}

fn http_date(secs: i64) -> String {
    let since_epoch = Duration::from_secs(u64::try_from(secs).unwrap_or(0));
    httpdate::fmt_http_date(UNIX_EPOCH + since_epoch)
}

impl Plan {
    /// With what every response says: whose pages may read it, and that its type is no guess.
    fn new(status: StatusCode) -> Self {
        let mut plan =
            Self { status, headers: HeaderMap::with_capacity(16), body: VecDeque::new() };
        let any = HeaderValue::from_static("*");
        plan.set(&ACCESS_CONTROL_ALLOW_ORIGIN, any.clone());
        plan.set(&ACCESS_CONTROL_EXPOSE_HEADERS, any);
        plan.set(&X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        plan
    }

    fn set(&mut self, name: &HeaderName, value: HeaderValue) {
        self.headers.insert(name, value);
    }

    /// Sets a field to text of ours, which is always fit for one.
    fn set_text(&mut self, name: &HeaderName, text: String) {
        if let Ok(value) = HeaderValue::try_from(text) {
            self.set(name, value);
        }
    }

    /// With its length; and for HEAD without its body (RFC 9110 section 9.3.2).
    fn finished(mut self, method: &Method) -> Self {
        let length: u64 = self.body.iter().map(Piece::length).sum();
        self.set(&CONTENT_LENGTH, HeaderValue::from(length));
        if method == Method::HEAD {
            self.body.clear();
        }
        self
    }
}

impl Piece {
    /// In bytes.
    pub(crate) fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            Self::File(range) => range.end - range.start,
        }
    }
}

#[cfg(test)]
mod tests;
