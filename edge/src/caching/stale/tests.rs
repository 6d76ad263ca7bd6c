use std::time::Duration;

use http::{HeaderMap, Method, StatusCode};

use super::*;
use crate::caching::testing::{after, stored};

fn get(headers: &HeaderMap) -> Request<'_> {
    Request { method: &Method::GET, headers }
}

#[test]
fn when_a_stale_answer_stands_in() {
    use NoStale as No;
    let gone = Trouble::Unreachable;
    let status = |code| Trouble::Status(StatusCode::from_u16(code).expect("a status"));
    for (clause, held, trouble, elapsed, expected) in [
        ("RFC 5861 4 unreachable", "max-age=60, stale-if-error=5", gone, 64, Ok(64)),
        (
            "RFC 5861 4 at the window's end",
            "max-age=60, stale-if-error=5",
            gone,
            65,
            Err(No::WindowPassed),
        ),
        ("RFC 5861 4 no window", "max-age=60", gone, 60, Err(No::WindowPassed)),
        ("RFC 5861 4", "max-age=60, stale-if-error=5", status(500), 60, Ok(60)),
        ("RFC 5861 4", "max-age=60, stale-if-error=5", status(502), 60, Ok(60)),
        ("RFC 5861 4", "max-age=60, stale-if-error=5", status(503), 60, Ok(60)),
        ("RFC 5861 4", "max-age=60, stale-if-error=5", status(504), 60, Ok(60)),
        (
            "RFC 5861 4 not an error",
            "max-age=60, stale-if-error=5",
            status(501),
            60,
            Err(No::NotAnError),
        ),
        (
            "RFC 5861 4 not an error",
            "max-age=60, stale-if-error=5",
            status(404),
            60,
            Err(No::NotAnError),
        ),
        (
            "RFC 5861 4 other window",
            "max-age=60, stale-while-revalidate=5",
            gone,
            60,
            Err(No::WindowPassed),
        ),
        ("RFC 9111 4.2.4 still fresh", "max-age=60", gone, 59, Ok(59)),
        ("RFC 9111 5.2.2.2 still fresh", "max-age=60, must-revalidate", gone, 59, Ok(59)),
        (
            "RFC 9111 5.2.2.2",
            "max-age=60, must-revalidate, stale-if-error=5",
            gone,
            60,
            Err(No::MustRevalidate),
        ),
        (
            "RFC 9111 5.2.2.8",
            "max-age=60, proxy-revalidate, stale-if-error=5",
            gone,
            60,
            Err(No::MustRevalidate),
        ),
        ("RFC 9111 5.2.2.10", "s-maxage=60, stale-if-error=5", gone, 60, Err(No::MustRevalidate)),
        ("RFC 9111 5.2.2.4", "max-age=60, no-cache, stale-if-error=5", gone, 0, Err(No::NoCache)),
    ] {
        let terms = stored(&[&format!("Cache-Control: {held}"), "ETag: \"a\""]);
        let age = stale_on_error(get(&HeaderMap::new()), &terms, trouble, after(elapsed));
        assert_eq!(age, expected.map(Duration::from_secs), "{clause}: {held}");
    }
}

#[test]
fn a_requests_own_window() {
    use NoStale as No;
    for (clause, held, wished, elapsed, expected) in [
        ("RFC 5861 4 longer", "max-age=60, stale-if-error=5", "stale-if-error=9", 68, Ok(68)),
        ("RFC 5861 4 end", "max-age=60", "stale-if-error=9", 69, Err(No::WindowPassed)),
        ("shorter", "max-age=60, stale-if-error=5", "stale-if-error=1", 61, Err(No::WindowPassed)),
        (
            "no number",
            "max-age=60, stale-if-error=5",
            "stale-if-error=x",
            60,
            Err(No::WindowPassed),
        ),
        ("forbidden", "s-maxage=60", "stale-if-error=9", 60, Err(No::MustRevalidate)),
        ("never", "max-age=60, no-cache", "stale-if-error=9", 0, Err(No::NoCache)),
    ] {
        let terms = stored(&[&format!("Cache-Control: {held}"), "ETag: \"a\""]);
        let mut headers = HeaderMap::new();
        headers.insert("cache-control", wished.parse().expect("a value"));
        let age = stale_on_error(get(&headers), &terms, Trouble::Unreachable, after(elapsed));
        assert_eq!(age, expected.map(Duration::from_secs), "{clause}: {wished}");
    }
}
