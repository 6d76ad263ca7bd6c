use std::time::Duration;

use http::StatusCode;

use super::*;
use crate::caching::testing::{after, stored};

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
        let age = stale_on_error(&terms, trouble, after(elapsed));
        assert_eq!(age, expected.map(Duration::from_secs), "{clause}: {held}");
    }
}
