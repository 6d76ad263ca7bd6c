//! What a decision costs. The fresh hit is the one that counts: every request from the cache pays
//! for it, and it is to stay well under a microsecond.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use kingcdn_config::clock::Timestamp;
use kingcdn_edge::caching::{
    ClientControl, Held, Policy, Request, Response, Terms, Times, decide, judge, select,
};
use kingcdn_edge::heads::Scan;

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

/// What a browser sends.
const BROWSER: [(&str, &str); 8] = [
    ("host", "video.netcinema.test"),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("accept", "*/*"),
    ("accept-language", "ko-KR,ko;q=0.8,en-US;q=0.5,en;q=0.3"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("referer", "http://video.netcinema.test/"),
    ("connection", "keep-alive"),
    ("priority", "u=4"),
];

fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    lines
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect()
}

fn get(headers: &HeaderMap) -> Request<'_> {
    Request { method: &Method::GET, headers }
}

fn answer(vary: &'static str) -> HeaderMap {
    headers(&[
        ("date", "Tue, 14 Nov 2023 22:13:20 GMT"),
        ("content-type", "video/mp4"),
        ("cache-control", "public, max-age=3600, stale-while-revalidate=60"),
        ("last-modified", "Tue, 14 Nov 2023 21:13:20 GMT"),
        ("etag", "\"5f3c-18c2a\""),
        ("vary", vary),
    ])
}

fn stored(asked: &HeaderMap, answer: &HeaderMap) -> Option<Terms> {
    let response = Response { status: StatusCode::OK, headers: answer };
    let times = Times { request: NOW, response: NOW };
    judge(get(asked), response, times, &Policy::default()).ok()
}

/// What a hit asks of the rules: which variant, and what may be done with it.
fn hit(terms: &Terms, asked: &HeaderMap) -> bool {
    let request = get(black_box(asked));
    let held = match select(std::iter::once(black_box(terms)), request) {
        Some(_) => Held::This(terms),
        None => Held::OtherVariants,
    };
    let now = black_box(NOW.plus(Duration::from_secs(5)));
    let decision = decide(request, held, ClientControl::Ignore, now);
    matches!(decision, kingcdn_edge::caching::Decision::Fresh { .. })
}

fn fresh_hits(criterion: &mut Criterion) {
    let browser = headers(&BROWSER);
    let mut reordered = browser.clone();
    reordered.insert("accept-encoding", HeaderValue::from_static("br, gzip, zstd, deflate"));
    let mut reload = browser.clone();
    reload.insert("cache-control", HeaderValue::from_static("max-age=0"));
    for (name, vary, asked) in [
        ("fresh hit", "", &browser),
        ("fresh hit, client's Cache-Control", "", &reload),
        ("fresh hit, Vary: Accept-Encoding, same text", "Accept-Encoding", &browser),
        ("fresh hit, Vary: Accept-Encoding, other order", "Accept-Encoding", &reordered),
    ] {
        let Some(terms) = stored(&browser, &answer(vary)) else { continue };
        assert!(hit(&terms, asked), "{name} is a hit");
        criterion.bench_function(name, |bencher| bencher.iter(|| hit(&terms, asked)));
    }
}

fn judging(criterion: &mut Criterion) {
    let (browser, answer) = (headers(&BROWSER), answer("Accept-Encoding"));
    criterion.bench_function("judge an answer", |bencher| {
        bencher.iter(|| stored(black_box(&browser), black_box(&answer)));
    });
}

/// What every request costs beneath hyper.
fn following(criterion: &mut Criterion) {
    let lines = BROWSER.map(|(name, value)| format!("{name}: {value}\r\n")).concat();
    let text = format!("GET /film/segment-1.m4s HTTP/1.1\r\n{lines}\r\n");
    let mut scan = Scan::new(12 << 10);
    criterion.bench_function("follow a request's head", |bencher| {
        bencher.iter(|| scan.read(black_box(text.as_bytes())));
    });
}

criterion_group!(benches, fresh_hits, judging, following);
criterion_main!(benches);
