//! What fuzzers call: the reader of what is on disk of an object. Panics where it does, and where it
//! takes what the writer wouldn't say again.

use http::Method;

use super::*;
use crate::caching::{Policy, Request, Response, Times, judge};
use crate::key::Key;
use crate::purge::{self, Ledger};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
/// Bytes before the head: the version, and the head's length.
const START: usize = 2;

/// Reads `data` as it is, as the head of a record, and as changes of a right record: each three
/// bytes are a place, what is done there, and with what.
pub(crate) fn read(data: &[u8]) {
    let key = Key::new("site", "/").object;
    check(&key, data);
    check(&key, &around(&[key.digest(), data].concat()));
    let Some(record) = right(&key) else { panic!("refused its own") };
    check(&key, &record);
    let (whole, _) = data.as_chunks::<3>();
    let mut changed = record;
    for [place, what, with] in whole {
        let at = START + usize::from(*place) * 3 % (changed.len() - START);
        match what % 4 {
            0 => changed[at] = *with,
            1 => changed[at] ^= 1 << (with % 8),
            2 => changed.insert(at, *with),
            _ if changed.len() > START + 1 => drop(changed.remove(at)),
            _ => {}
        }
        check(&key, &changed);
    }
}

fn around(head: &[u8]) -> Vec<u8> {
    let mut record = Writer::default();
    record.number(VERSION);
    record.piece(head);
    record.0
}

/// A record with a whole body, a part and slices.
fn right(key: &ObjectKey) -> Option<Vec<u8>> {
    let part = Body::part(3, Bytes::from_static(b"part"), 10);
    let sliced = Body::Sliced(Sliced::fresh(SLICE_BYTES + 1));
    let bodies = [Body::Whole(Bytes::from_static(b"body")), part, sliced];
    let all = bodies.into_iter().map(variant).collect::<Option<_>>()?;
    Some(encode(&Variants { key: *key, all, on_disk: false }).concat())
}

fn variant(body: Body) -> Option<Variant> {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("cache-control", "max-age=60, stale-if-error=600"),
        ("etag", "\"v1\""),
        ("vary", "accept-language"),
        ("surrogate-key", "one two"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let nothing = HeaderMap::new();
    let asked = Request { method: &Method::GET, headers: &nothing };
    let answer = Response { status: StatusCode::OK, headers: &headers };
    let times = Times { request: NOW, response: NOW };
    let terms = judge(asked, answer, times, &Policy::default()).ok()?;
    let tags = purge::tags(&headers);
    let standing = Standing::new(Ledger::in_memory().moment(), "site", "/a/b", &tags);
    let object = Object::new(&budget(), StatusCode::OK, headers, terms, body, standing);
    Some(Variant(Inputs::from_digest([7; 32]), Arc::new(object)))
}

fn budget() -> Budget {
    Budget::new(u64::MAX, 0)
}

/// What is taken is written as something that is taken, and says the same.
fn check(key: &ObjectKey, record: &[u8]) {
    let record = Bytes::copy_from_slice(record);
    let Some(read) = decode(&record, key, &budget(), NOW) else { return };
    let written = Bytes::from(encode(&read).concat());
    let Some(again) = decode(&written, key, &budget(), NOW) else { panic!("refused its own") };
    assert_eq!(encode(&again).concat(), written);
    for Variant(_, object) in &read.all {
        let complete = object.body.complete_bytes();
        let fits = |(start, piece): &(u64, Bytes)| {
            start.checked_add(piece.len() as u64).is_some_and(|end| end <= complete)
        };
        assert!(object.body.contents().iter().all(fits), "more than the whole");
    }
}
