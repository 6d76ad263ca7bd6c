//! What the fuzzers call, and `tests/fuzzed.rs` with it: one function for each kind of text that
//! others send. Each panics where a rule does, and where one contradicts itself.
//!
//! The input's lines are fields' values, in an order that each function says.

use http::header::{
    ACCEPT_ENCODING, ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_RANGE, ETAG, HeaderName, IF_RANGE,
    LAST_MODIFIED, RANGE, VARY,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use kingcdn_config::clock::Timestamp;
use kingcdn_edge::caching::range::{self, ContentRange, Selection};
use kingcdn_edge::caching::{
    CDN_CACHE_CONTROL, ClientControl, Held, Policy, Request, Response, Terms, Times, Trouble, date,
    decide, judge, stale_on_error,
};
use kingcdn_edge::heads::Scan;

/// Tue, 14 Nov 2023 22:13:20 GMT
const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
const ANSWER: [(HeaderName, &str); 2] =
    [(ETAG, "\"a\""), (LAST_MODIFIED, "Tue, 14 Nov 2023 21:13:20 GMT")];

/// What lies on a disk, each as whatever it says to be.
pub(crate) fn disk(data: &[u8]) {
    kingcdn_store::disk::fuzz::decode(data);
}

/// What lies on a disk of an object.
pub(crate) fn record(data: &[u8]) {
    kingcdn_edge::fuzz_record(data);
}

/// The first line is what a client says, the others are what the origin does.
pub(crate) fn cache_control(data: &[u8]) {
    control(data, &CACHE_CONTROL);
}

/// As [`cache_control`], with the origin's lines in the targeted field.
pub(crate) fn cdn_cache_control(data: &[u8]) {
    control(data, &CDN_CACHE_CONTROL);
}

fn control(data: &[u8], field: &HeaderName) {
    let mut lines = values(data);
    let mut asked = HeaderMap::new();
    asked.extend(lines.next().flatten().map(|value| (CACHE_CONTROL, value)));
    let mut answer = answer();
    for value in lines.flatten() {
        answer.append(field, value);
    }
    let Some(terms) = stored(&asked, &answer) else { return };
    assert!(terms.serves(get(&asked)), "what it was fetched for");
    for secs in [0, 1, 60, 1 << 31, 1 << 40] {
        let now = Timestamp::from_secs(NOW.as_secs() + secs);
        assert_eq!(terms.age(now).as_secs(), secs.unsigned_abs());
        let decided = decide(get(&asked), Held::This(&terms), ClientControl::Ignore, now);
        let again = decide(get(&asked), Held::This(&terms), ClientControl::Ignore, now);
        assert_eq!(format!("{decided:?}"), format!("{again:?}"));
        let _ = decide(get(&asked), Held::This(&terms), ClientControl::Obey, now);
        let _ = stale_on_error(get(&asked), &terms, Trouble::Unreachable, now);
    }
}

/// Vary, then Accept-Encoding of two clients, then their Accept-Language.
pub(crate) fn vary(data: &[u8]) {
    let mut lines = values(data);
    let mut answer = answer();
    answer.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=60"));
    answer.extend(lines.next().flatten().map(|value| (VARY, value)));
    let (mut one, mut other) = (HeaderMap::new(), HeaderMap::new());
    for name in [ACCEPT_ENCODING, ACCEPT_LANGUAGE] {
        one.extend(lines.next().flatten().map(|value| (name.clone(), value)));
        other.extend(lines.next().flatten().map(|value| (name, value)));
    }
    let (of_one, of_other) = (stored(&one, &answer), stored(&other, &answer));
    assert_eq!(of_one.is_some(), of_other.is_some());
    let (Some(of_one), Some(of_other)) = (of_one, of_other) else { return };
    assert!(of_one.serves(get(&one)) && of_other.serves(get(&other)));
    assert_eq!(of_one.serves(get(&other)), of_other.serves(get(&one)), "it goes both ways");
}

/// A client's connection, from its first byte on: however it is cut, the same is found in it.
pub(crate) fn heads(data: &[u8]) {
    let whole = Scan::new(256).read(data);
    let mut scan = Scan::new(256);
    let bytes = data.chunks(1).fold(None, |found, byte| found.or(scan.read(byte)));
    assert_eq!(whole, bytes, "byte by byte");
    let middle = data.len() / 2;
    let mut scan = Scan::new(256);
    let halves = scan.read(&data[..middle]).or_else(|| scan.read(&data[middle..]));
    assert_eq!(whole, halves);
    let line_feeds = data.iter().filter(|&&byte| byte == b'\n').count() as u64;
    assert!(whole.is_none_or(|(head, _)| head <= line_feeds + 1));
}

/// Range, If-Range and the length of what is held.
pub(crate) fn range(data: &[u8]) {
    let mut lines = data.split(|&byte| byte == b'\n');
    let mut asked = HeaderMap::new();
    for name in [RANGE, IF_RANGE] {
        let value = lines.next().and_then(|line| HeaderValue::from_bytes(line).ok());
        asked.extend(value.filter(|value| !value.is_empty()).map(|value| (name, value)));
    }
    let length = lines.next().and_then(|line| std::str::from_utf8(line).ok());
    let length: u64 = length.and_then(|text| text.parse().ok()).unwrap_or(1000);
    let mut answer = answer();
    answer.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=60"));
    let Some(terms) = stored(&HeaderMap::new(), &answer) else { return };
    let parts = match range::resolve(get(&asked), &terms, length) {
        Selection::Whole | Selection::Unsatisfiable => return,
        Selection::Part(part) => vec![part],
        Selection::Parts(parts) => {
            assert!(parts.len() > 1);
            parts
        }
    };
    for part in &parts {
        assert!(part.start < part.end && part.end <= length, "{part:?} of {length}");
    }
    for (index, part) in parts.iter().enumerate() {
        for other in &parts[..index] {
            assert!(part.end < other.start || other.end < part.start, "{part:?} {other:?}");
        }
    }
    assert!(range::requested(&asked).is_some());
}

/// A date, which is the same when it is written and read again, as far as we write dates: from 1970
/// to 9999. A leap second goes beyond that.
pub(crate) fn date(data: &[u8]) {
    let Some(moment) = date::parse(data, NOW) else { return };
    let written = date::format(moment);
    let read = date::parse(written.as_bytes(), NOW);
    let expected = moment.as_secs().clamp(0, 253_402_300_799);
    assert_eq!(read, Some(Timestamp::from_secs(expected)), "{written:?}");
}

/// Content-Range.
pub(crate) fn content_range(data: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(data) else { return };
    let headers = HeaderMap::from_iter([(CONTENT_RANGE, value)]);
    if let Some(ContentRange::Part(part, whole)) = ContentRange::of(&headers) {
        assert!(part.start < part.end && whole.is_none_or(|whole| part.end <= whole));
    }
}

fn values(data: &[u8]) -> impl Iterator<Item = Option<HeaderValue>> {
    data.split(|&byte| byte == b'\n').map(|line| HeaderValue::from_bytes(line).ok())
}

/// The fields that every answer has here, so that it can be stored.
fn answer() -> HeaderMap {
    ANSWER.map(|(name, value)| (name, HeaderValue::from_static(value))).into_iter().collect()
}

fn stored(asked: &HeaderMap, answer: &HeaderMap) -> Option<Terms> {
    let response = Response { status: StatusCode::OK, headers: answer };
    let times = Times { request: NOW, response: NOW };
    judge(get(asked), response, times, &Policy::default()).ok()
}

fn get(headers: &HeaderMap) -> Request<'_> {
    Request { method: &Method::GET, headers }
}
