use http::Method;
use proptest::prelude::*;

use super::*;
use crate::caching::{Policy, Request, Response, Times, judge};
use crate::key::Key;
use crate::purge::{self, Ledger};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

fn budget() -> Budget {
    Budget::new(u64::MAX, 0)
}

fn whole(record: &[Bytes]) -> Bytes {
    record.concat().into()
}

fn object(control: &'static str, extra: &[u8], language: &str, body: Body) -> Variant {
    let mut request = HeaderMap::new();
    request.insert("accept-language", HeaderValue::from_str(language).unwrap());
    let mut headers = HeaderMap::new();
    headers.insert("cache-control", HeaderValue::from_static(control));
    headers.insert("etag", HeaderValue::from_static("\"v1\""));
    headers.insert("last-modified", HeaderValue::from_static("Tue, 14 Nov 2023 21:13:20 GMT"));
    headers.insert("vary", HeaderValue::from_static("accept-language, x-other"));
    headers.append("x-extra", HeaderValue::from_bytes(extra).unwrap());
    headers.append("x-extra", HeaderValue::from_static("twice"));
    headers.insert("surrogate-key", HeaderValue::from_static("one two"));
    let asked = Request { method: &Method::GET, headers: &request };
    let answer = Response { status: StatusCode::OK, headers: &headers };
    let times = Times { request: NOW, response: NOW };
    let terms = judge(asked, answer, times, &Policy::default()).unwrap();
    let tags = purge::tags(&headers);
    let standing = Standing::new(Ledger::for_tests().moment(), "site", "/a/b", &tags);
    let object = Object::new(&budget(), StatusCode::OK, headers, terms, body, standing);
    Variant(Inputs::from_digest([7; 32]), Arc::new(object))
}

fn body() -> impl Strategy<Value = Body> {
    let bytes = prop::collection::vec(any::<u8>(), 0..2000);
    prop_oneof![
        bytes.clone().prop_map(|bytes| Body::Whole(bytes.into())),
        (bytes, 0..100_u64).prop_map(|(bytes, start)| {
            let complete = start + bytes.len() as u64 + 10;
            Body::part(start, bytes.into(), complete)
        }),
        (SLICE_BYTES + 1..u64::MAX).prop_map(|length| Body::Sliced(Sliced::fresh(length))),
    ]
}

fn variant() -> impl Strategy<Value = Variant> {
    let control = prop::sample::select(vec![
        "max-age=60",
        "max-age=60, must-revalidate",
        "no-cache",
        "max-age=1, stale-while-revalidate=30, stale-if-error=600",
        "max-age=60, immutable",
    ]);
    (control, "[ -~]{0,40}", "[a-z]{2}", body()).prop_map(|(control, extra, language, body)| {
        object(control, extra.as_bytes(), &language, body)
    })
}

fn variants() -> impl Strategy<Value = Variants> {
    let key = Key::new("site", "/").object;
    prop::collection::vec(variant(), 1..4).prop_map(move |all| Variants {
        key,
        all,
        on_disk: false,
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(variants in variants()) {
        let record = whole(&encode(&variants));
        let read = decode(&record, &variants.key, &budget(), NOW).unwrap();
        prop_assert_eq!(&whole(&encode(&read)), &record);
        for (one, two) in variants.all.iter().zip(&read.all) {
            prop_assert_eq!(one.0.digest(), two.0.digest());
            prop_assert_eq!(&one.1.headers, &two.1.headers);
            prop_assert_eq!(format!("{:?}", one.1.terms), format!("{:?}", two.1.terms));
            prop_assert_eq!(format!("{:?}", one.1.standing), format!("{:?}", two.1.standing));
            prop_assert_eq!(format!("{:?}", one.1.body), format!("{:?}", two.1.body));
        }
        let other = Key::new("site", "/other").object;
        prop_assert!(decode(&record, &other, &budget(), NOW).is_none());
        let before = Timestamp::from_secs(NOW.as_secs() - 2);
        prop_assert!(decode(&record, &variants.key, &budget(), before).is_none(), "set back");
    }

    #[test]
    fn what_is_cut_or_changed_is_no_panic_and_never_too_much(
        variants in variants(),
        at in any::<prop::sample::Index>(),
        flip in any::<u8>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let record = whole(&encode(&variants));
        let shorter = record.slice(..cut.index(record.len()));
        prop_assert!(decode(&shorter, &variants.key, &budget(), NOW).is_none());
        let mut bytes = record.to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        let _whatever = decode(&bytes.into(), &variants.key, &budget(), NOW);
    }

    #[test]
    fn any_bytes_are_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
        let key = Key::new("site", "/").object;
        prop_assert!(decode(&bytes.into(), &key, &budget(), NOW).is_none());
    }
}

#[test]
fn what_is_too_long_for_one_record_loses_its_oldest_variants() {
    let key = Key::new("site", "/").object;
    let body = |fill: u8| Body::Whole(vec![fill; SLICE_BYTES as usize].into());
    let all = (0..8).map(|fill| object("max-age=60", b"", "en", body(fill))).collect();
    let record = encode(&Variants { key, all, on_disk: false });
    assert!(record.iter().map(Bytes::len).sum::<usize>() <= RECORD_MAX_BYTES as usize);
    let read = decode(&whole(&record), &key, &budget(), NOW).unwrap();
    let fills: Vec<_> = read.all.iter().map(|it| it.1.body.find(&(0..1)).unwrap()[0]).collect();
    assert_eq!(fills, [4, 5, 6, 7]);
}
