use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const LINE_MAX: usize = 64;

/// What is found in `pieces`, one after the other.
fn scan<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Option<(u64, Flaw)> {
    let mut scan = Scan::new(LINE_MAX);
    pieces.into_iter().fold(None, |found, piece| found.or(scan.read(piece)))
}

fn scan_all_cuts(text: &str) -> Option<(u64, Flaw)> {
    let text = text.as_bytes();
    let whole = scan([text]);
    for cut in 0..=text.len() {
        let (before, after) = text.split_at(cut);
        assert_eq!(scan([before, after]), whole, "{}", String::from_utf8_lossy(before));
    }
    assert_eq!(scan(text.chunks(1)), whole, "byte by byte");
    whole
}

#[test]
fn what_hyper_hides_is_found_wherever_it_is_cut() {
    const BOTH: Option<(u64, Flaw)> = Some((1, Flaw::LengthAndCoding));
    const LINE_FEED: Option<(u64, Flaw)> = Some((1, Flaw::BareLineFeed));
    for (lines, expected) in [
        ("", None),
        ("Host: a\r\nContent-Length: 0\r\n", None),
        ("Transfer-Encoding: chunked\r\n", None),
        ("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", BOTH),
        ("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", BOTH),
        ("cOnTeNt-LeNgTh:3\r\nX: y\r\nTRANSFER-ENCODING:\tchunked\r\n", BOTH),
        ("Content-Length:\r\nTransfer-Encoding:\r\n", BOTH),
        ("Content-Length: 0\r\nContent-Length: 0\r\n", Some((1, Flaw::SeveralLengths))),
        // Names that only begin or end like them, and values that look like them.
        ("Content-Lengths: 3\r\nTransfer-Encoding: chunked\r\n", None),
        ("X-Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", None),
        ("X: Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", None),
        ("Content-\r\nLength: 3\r\nTransfer-Encoding: chunked\r\n", None),
        ("Trailer: Transfer-Encoding:\r\nCookie: Content-Length: 3\r\n", None),
        ("Host: a\n", LINE_FEED),
        ("Host: a\r\r\n", None),
        ("\n", LINE_FEED),
        ("C\n", LINE_FEED),
        ("Content-Length: 1\n", LINE_FEED),
        ("Content-Length\n", LINE_FEED),
    ] {
        let text = format!("GET / HTTP/1.1\r\n{lines}\r\n");
        assert_eq!(scan_all_cuts(&text), expected, "{text:?}");
    }
    assert_eq!(scan_all_cuts("GET / HTTP/1.1\n\r\n"), LINE_FEED);
    let long = |bytes: usize| format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(bytes));
    let usual = long(0).len() - 4;
    assert_eq!(scan_all_cuts(&long(LINE_MAX - usual - 1)), None);
    assert_eq!(scan_all_cuts(&long(LINE_MAX)), Some((1, Flaw::TargetTooLong)));
    let second = format!("{}{}", long(1), long(LINE_MAX));
    assert_eq!(scan_all_cuts(&second), Some((2, Flaw::TargetTooLong)));
    assert_eq!(scan_all_cuts("\r\n\r\nGET / HTTP/1.1\r\n\r\n"), None);
}

/// A request, and what is wrong with it.
fn request() -> impl Strategy<Value = (String, Option<Flaw>)> {
    const BAIT: &str = "GET / HTTP/1.1\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n";
    let line = prop_oneof![
        Just("Host: a.test\r\n"),
        Just("Cookie: a=b\r\n"),
        Just("TE: trailers\r\n"),
        Just("Content-Type: text/plain\r\n"),
        Just("Connection: keep-alive\r\n"),
        Just("X:\r\n"),
    ];
    let content = prop_oneof![
        Just(String::new()),
        Just(BAIT.to_owned()),
        Just(BAIT.repeat(3)),
        "[a-f0-9\r\n: ]{0,40}",
    ];
    (vec(line, 0..6), content, 0..7).prop_map(|(lines, content, kind)| {
        let lines = lines.concat();
        let length = format!("Content-Length: {}\r\n", content.len());
        let coding = "transfer-encoding: Chunked\r\n";
        let (extra, body, flaw) = match kind {
            0 => (String::new(), String::new(), None),
            1 | 2 => (length, content, None),
            3 | 4 => {
                let (one, other) = content.split_at(content.len() / 2);
                let chunk = |text: &str| match text.len() {
                    0 => String::new(),
                    length => format!("{length:x};a=\"9\"\r\n{text}\r\n"),
                };
                let trailer = "Content-Length: 5\r\nX: a\nb\r\n";
                let body = format!("{}{}0\r\n{trailer}\r\n", chunk(one), chunk(other));
                (coding.to_owned(), body, None)
            }
            5 => (format!("{length}{coding}"), content, Some(Flaw::LengthAndCoding)),
            _ => ("X: y\n".to_owned(), String::new(), Some(Flaw::BareLineFeed)),
        };
        (format!("POST /a HTTP/1.1\r\n{lines}{extra}\r\n{body}"), flaw)
    })
}

proptest! {
    #[test]
    fn requests_are_told_apart_whatever_is_in_their_bodies(
        requests in vec(request(), 1..6),
        cuts in vec(any::<proptest::sample::Index>(), 0..6),
    ) {
        let text: String = requests.iter().map(|(text, _)| text.as_str()).collect();
        let expected = requests.iter().enumerate().find_map(|(index, (_, flaw))| {
            Some((index as u64 + 1, (*flaw)?))
        });
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(text.len())).collect();
        cuts.extend([0, text.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|cut| &text.as_bytes()[cut[0]..cut[1]]);
        prop_assert_eq!(scan(pieces), expected, "{:?}", text);
        prop_assert_eq!(scan([text.as_bytes()]), expected);
    }
}

#[test]
fn the_request_with_the_flaw_is_refused_and_no_other() {
    let found = Found::default();
    assert_eq!(found.next(), None);
    for flaw in Flaw::ALL {
        let found = Found::default();
        found.tell((2, flaw));
        assert_eq!([found.next(), found.next(), found.next()], [None, Some(flaw), None]);
    }
}

#[tokio::test]
async fn a_request_line_that_is_too_long_is_ended_where_it_may_end() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let text = format!("GET / HTTP/1.1\r\n\r\nGET /{} HTTP/1.1\r\nX: y\r\n", "a".repeat(100));
    for piece in [1, 7, 70, 1000] {
        let (ours, mut theirs) = tokio::io::duplex(piece);
        let text = text.clone();
        tokio::spawn(async move { theirs.write_all(text.as_bytes()).await });
        let (mut followed, found) = Followed::new(ours, LINE_MAX);
        let mut seen = Vec::new();
        while !seen.ends_with(b"HTTP/1.1\r\n\r\n") || seen.len() < 40 {
            followed.read_buf(&mut seen).await.unwrap();
        }
        let expected = format!(
            "GET / HTTP/1.1\r\n\r\nGET /{} HTTP/1.1\r\n\r\n",
            "a".repeat(LINE_MAX - "GET /".len())
        );
        assert_eq!(String::from_utf8(seen).unwrap(), expected, "in pieces of {piece}");
        assert_eq!([found.next(), found.next()], [None, Some(Flaw::TargetTooLong)]);
    }
}
