//! The rest of an answer that broke off, taken up where it ended.
//!
//! Large objects do this slice by slice. This is for what is read as it comes: small objects, and
//! what passes through a window.

use std::ops::Range;

use http::header::{IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, RANGE};
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri};
use http_body::Body as _;

use super::Pull;
use crate::caching::ETag;
use crate::caching::range::ContentRange;
use crate::fill::Head;
use crate::upstream::{AnswerBody, RequestBody};

/// How often one answer is taken up.
const TIMES_MAX: u32 = 4;

/// What it takes to take an answer up: only a strong validator says that what follows is of the
/// same content (RFC 9110 section 15.3.7.3).
pub(super) struct Rest {
    etag: ETag,
    /// Where the answer begins and ends in its content, as far as is known.
    start: u64,
    end: Option<u64>,
    /// The length of the content.
    complete: Option<u64>,
    times: u32,
}

impl Rest {
    /// Of an answer that can be taken up. `part` is what of its content it brings.
    pub(super) fn of(head: &Head, part: Option<&(Range<u64>, u64)>) -> Option<Self> {
        let etag = ETag::of(&head.headers).filter(ETag::is_strong)?;
        let (start, end, complete) = match (head.status, part) {
            (StatusCode::OK, _) => (0, head.length, head.length),
            (StatusCode::PARTIAL_CONTENT, Some((range, complete))) => {
                (range.start, Some(range.end), Some(*complete))
            }
            _ => return None,
        };
        Some(Self { etag, start, end, complete, times: 0 })
    }

    /// What follows after `taken_bytes`, if the origin still has the same.
    pub(super) async fn take_up(&mut self, pull: &Pull, taken_bytes: u64) -> Option<AnswerBody> {
        let from = self.start.checked_add(taken_bytes)?;
        let at_end = self.end.is_some_and(|end| from >= end);
        if taken_bytes == 0 || at_end || self.times == TIMES_MAX {
            return None;
        }
        self.times += 1;
        pull.node.metrics.slices.resumed.inc();
        let answer = pull.fetch.site.upstream.send(self.request(pull, from)?).await.ok()?;
        let (parts, body) = answer.into_parts();
        let length = body.size_hint().exact();
        self.continues(parts.status, &parts.headers, length, from).then_some(body)
    }

    fn request(&self, pull: &Pull, from: u64) -> Option<Request<RequestBody>> {
        let mut request = Request::new(RequestBody::Empty);
        *request.uri_mut() = Uri::from(pull.fetch.target.clone());
        let last = self.end.map(|end| (end - 1).to_string()).unwrap_or_default();
        let range = HeaderValue::try_from(format!("bytes={from}-{last}")).ok()?;
        let headers = request.headers_mut();
        *headers = pull.fetch.upstream.clone();
        for name in [IF_NONE_MATCH, IF_MODIFIED_SINCE] {
            headers.remove(name);
        }
        headers.insert(RANGE, range);
        headers.insert(IF_RANGE, self.etag.as_header_value().clone());
        Some(request)
    }

    /// Whether an answer of `length` bytes goes on at `from`, to the end.
    fn continues(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        length: Option<u64>,
        from: u64,
    ) -> bool {
        let same = ETag::of(headers).is_some_and(|tag| tag.strong_eq(&self.etag));
        let Some(ContentRange::Part(range, complete)) = ContentRange::of(headers) else {
            return false;
        };
        status == StatusCode::PARTIAL_CONTENT
            && same
            && range.start == from
            && self.end.or(complete) == Some(range.end)
            && (self.complete.is_none() || complete.is_none() || complete == self.complete)
            && length.is_none_or(|length| length == range.end - range.start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderName;

    #[test]
    fn only_the_rest_of_the_same_goes_on() {
        let headers = |etag: &'static str, range: &'static str| -> HeaderMap {
            [("etag", etag), ("content-range", range)]
                .map(|(name, value)| {
                    (HeaderName::from_static(name), HeaderValue::from_static(value))
                })
                .into_iter()
                .collect()
        };
        let etag = ETag::of(&headers("\"v1\"", "")).unwrap();
        let known = Rest { etag, start: 0, end: Some(100), complete: Some(100), times: 0 };
        let unknown =
            Rest { etag: known.etag.clone(), start: 0, end: None, complete: None, times: 0 };
        for (status, etag, range, length, expected) in [
            (206, "\"v1\"", "bytes 40-99/100", Some(60), (true, true)),
            (206, "\"v1\"", "bytes 40-99/100", None, (true, true)),
            (206, "\"v1\"", "bytes 40-99/*", None, (true, false)),
            (206, "\"v1\"", "bytes 40-99/100", Some(59), (false, false)),
            (206, "\"v1\"", "bytes 40-98/100", Some(59), (false, false)),
            (206, "\"v1\"", "bytes 39-99/100", Some(61), (false, false)),
            (206, "\"v1\"", "bytes 40-100/101", Some(61), (false, true)),
            (206, "\"v2\"", "bytes 40-99/100", Some(60), (false, false)),
            (206, "W/\"v1\"", "bytes 40-99/100", Some(60), (false, false)),
            (206, "", "bytes 40-99/100", Some(60), (false, false)),
            (200, "\"v1\"", "bytes 40-99/100", Some(60), (false, false)),
            (206, "\"v1\"", "", Some(60), (false, false)),
        ] {
            let (headers, status) = (headers(etag, range), StatusCode::from_u16(status).unwrap());
            let got = [&known, &unknown].map(|rest| rest.continues(status, &headers, length, 40));
            assert_eq!(got, [expected.0, expected.1], "{status} {etag} {range} {length:?}");
        }
    }
}
