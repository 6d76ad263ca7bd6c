//! A real player plays the film through an edge, by DASH and by HLS.

use crate::harness::{Cdn, Node, run, tables};

/// The film is a little longer.
const FILM_SECONDS: f64 = 20.0;

/// Plays to the end without a complaint; gives the seconds played.
async fn play(url: &str) -> f64 {
    let host = format!("Host: {}\r\n", tables::HOST);
    let script = r#"ffmpeg -nostdin -v warning -xerror -headers "$1" -i "$2" -map 0 -f null \
        -progress pipe:3 - 3>&1 1>/dev/null 2>"$0" </dev/null"#;
    let complaints = tempfile::NamedTempFile::new().expect("a temporary file");
    let complaints_path = complaints.path().to_str().expect("text");
    let progress = run("sh", &["-c", script, complaints_path, &host, url]).await;
    let complaints = std::fs::read_to_string(complaints.path()).expect("a readable file");
    let errors: Vec<&str> =
        complaints.lines().filter(|line| line.to_lowercase().contains("error")).collect();
    assert!(errors.is_empty(), "{url}: {complaints}");
    assert!(progress.contains("progress=end"), "{url}: {progress}");
    let mut played = progress.lines().filter_map(|line| line.strip_prefix("out_time_us="));
    let microseconds: f64 = played.next_back().and_then(|it| it.parse().ok()).expect("a time");
    microseconds / 1e6
}

/// Requests for segments that the origin's log tells of.
fn segments(origin: &Node) -> usize {
    origin.log().lines().filter(|line| line.contains(".m4s")).count()
}

#[tokio::test]
async fn the_second_viewer_costs_the_origin_no_segment() {
    let cdn = Cdn::new();
    let network = cdn.network;
    let (listen, admin) = (network.socket(11), network.socket(11));
    let (origin, origin_admin) = (network.socket(1), network.socket(1));
    kingcdn_origin::sample::write_to(&cdn.folder().join("netcinema")).expect("the sample");
    cdn.configure(
        &[
            tables::edge("seoul", tables::SEOUL, listen, admin),
            tables::site(origin),
            tables::origin(origin, origin_admin),
        ]
        .concat(),
    );
    let origin_node = cdn.origin(origin_admin).await;
    let _edge = cdn.edge("seoul", admin).await;

    for manifest in ["manifest.mpd", "master.m3u8"] {
        let url = format!("http://{listen}/{manifest}");
        let seconds = play(&url).await;
        assert!(seconds >= FILM_SECONDS, "{manifest}: only {seconds} s");
        let first = segments(&origin_node);
        assert!(first > 10, "{manifest}: the log tells of {first} segments");
        let seconds = play(&url).await;
        assert!(seconds >= FILM_SECONDS, "{manifest}: only {seconds} s");
        assert_eq!(segments(&origin_node), first, "{manifest}: segments fetched again");
    }
}
