//! Large objects: fetched, kept and served slice by slice.

mod stage;

use bytes::Bytes;
use stage::{Answer, Gate, Got, Stage};

const MIB: usize = 1 << 20;

fn video(content: &Bytes, etag: &str) -> Answer {
    Answer::fresh(content.clone()).etag(etag).ranges()
}

async fn part(stage: &Stage, first: usize, end: usize) -> Got {
    stage.get_with("/video", &[("range", &format!("bytes={first}-{}", end - 1))]).await
}

fn gap_fetches(stage: &Stage) -> f64 {
    stage.metric("kingcdn_edge_gap_fetches_total", &[])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_object_is_fetched_once_and_served_whole_and_in_parts() {
    let stage = Stage::new().await;
    let content = Answer::content(9 * MIB + 12_345, 0);
    stage.origin.on("/video", video(&content, "\"v1\""));
    let first = stage.get("/video").await;
    assert_eq!(first.cache(), "fwd=uri-miss; fwd-status=200; stored; ttl=60");
    assert!(first.complete && first.body == content);
    let again = stage.get("/video").await;
    assert_eq!(again.cache(), "hit; ttl=60");
    assert!(again.complete && again.body == content);
    for (first, end) in [(0, 1), (MIB - 1, MIB + 1), (5 * MIB, content.len()), (300, 8 * MIB)] {
        let got = part(&stage, first, end).await;
        assert_eq!((got.status.as_u16(), got.cache()), (206, "hit; ttl=60"));
        assert!(got.complete && got.body == content[first..end], "{first}..{end}");
    }
    assert_eq!((stage.origin.count(), gap_fetches(&stage)), (1, 0.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_parts_of_a_large_object_come_as_multipart() {
    let stage = Stage::new().await;
    let content = Answer::content(3 * MIB, 0);
    stage.origin.on("/video", video(&content, "\"v1\""));
    stage.get("/video").await;
    let ranges = format!("bytes=0-9,{}-{}", 2 * MIB - 5, 2 * MIB + 4);
    let got = stage.get_with("/video", &[("range", &ranges)]).await;
    assert_eq!(got.status, 206);
    assert!(got.field("content-type").starts_with("multipart/byteranges"));
    let has = |piece: &[u8]| got.body.windows(piece.len()).any(|window| window == piece);
    assert!(has(&content[0..10]) && has(&content[2 * MIB - 5..2 * MIB + 5]));
    assert_eq!(got.field("content-length"), got.body.len().to_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seek_fetches_whole_slices_and_nothing_else() {
    let stage = Stage::new().await;
    let content = Answer::content(20 * MIB, 0);
    stage.origin.on("/video", video(&content, "\"v1\""));
    let at = 10 * MIB + 100;
    let got = part(&stage, at, at + 10).await;
    assert_eq!((got.status.as_u16(), &got.body), (206, &content.slice(at..at + 10)));
    assert_eq!(got.cache(), "fwd=uri-miss; fwd-status=206; stored; ttl=60");
    let asked = stage.origin.last();
    let (first, last) = asked.field("range")["bytes=".len()..].split_once('-').unwrap();
    let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
    assert!(first <= at && at + 9 <= last && last - first < MIB, "{first}-{last}");
    assert_eq!((first % (256 << 10), (last + 1) % (256 << 10)), (0, 0), "aligned");
    assert_eq!(stage.origin.count(), 1);
    let near = part(&stage, first, last + 1).await;
    assert_eq!(near.body, content[first..=last]);
    assert_eq!(stage.origin.count(), 1, "all of the slice comes, and is kept");
    let far = part(&stage, 15 * MIB, 15 * MIB + 7).await;
    assert_eq!(far.cache(), "fwd=partial; ttl=60");
    assert_eq!(far.body, content[15 * MIB..15 * MIB + 7]);
    assert_eq!(stage.origin.last().field("if-range"), "\"v1\"");
    assert_eq!((stage.origin.count(), gap_fetches(&stage)), (2, 1.0));
    let whole = stage.get("/video").await;
    assert_eq!((whole.status.as_u16(), whole.cache()), (200, "fwd=partial; ttl=60"));
    assert!(whole.complete && whole.body == content, "gaps are filled on the way");
    assert!(stage.get("/video").await.is_hit());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_that_seeks_to_one_place_causes_one_fetch() {
    let stage = Stage::new().await;
    let content = Answer::content(12 * MIB, 0);
    for known in [false, true] {
        let gate = Gate::new();
        let at = if known { 11 * MIB } else { 8 * MIB };
        stage.origin.on("/video", video(&content, "\"v1\"").hold(&gate));
        let before = stage.origin.count();
        let range = format!("bytes={at}-{}", at + 99);
        let clients: Vec<_> = (0..50)
            .map(|_| {
                let (address, range) = (stage.address(), range.clone());
                tokio::spawn(async move {
                    let fields = [("range", range.as_str())];
                    let got = http::Method::GET;
                    stage::open(address, got, "/video", &fields, Bytes::new()).await.finish().await
                })
            })
            .collect();
        stage.origin.wait_for(before + 1).await;
        gate.open(100);
        for client in clients {
            let got = client.await.unwrap();
            assert!(got.complete && got.body == content[at..at + 100]);
        }
        assert_eq!(stage.origin.count(), before + 1, "known: {known}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_larger_than_the_memory_passes_through_it_seeks_included() {
    let stage = Stage::with_memory(8 << 20).await;
    let content = Answer::content(30 * MIB, 0);
    stage.origin.on("/video", video(&content, "\"v1\""));
    let whole = stage.get("/video").await;
    assert!(whole.complete && whole.body == content);
    for at in [0, 29 * MIB, 17 * MIB, 3 * MIB] {
        let got = part(&stage, at, at + MIB).await;
        assert!(got.complete && got.body == content[at..at + MIB], "{at}");
    }
    let used = stage.metric("kingcdn_edge_content_bytes", &[]);
    assert!(used <= 7.0 * MIB as f64, "{used}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_breaks_off_is_taken_up_where_it_ended() {
    let stage = Stage::new().await;
    let content = Answer::content(5 * MIB, 0);
    stage.origin.on("/video", video(&content, "\"v1\"").breaks_after(2 * MIB + 77));
    let got = stage.get("/video").await;
    assert!(got.complete && got.body == content);
    let resumed = stage.origin.last();
    assert_eq!(resumed.field("if-range"), "\"v1\"");
    assert!(stage.metric("kingcdn_edge_resumed_total", &[]) >= 1.0);
    assert!(stage.get("/video").await.is_hit());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_origin_that_breaks_off_again_and_again_is_given_up() {
    let stage = Stage::new().await;
    let content = Answer::content(5 * MIB, 0);
    stage.origin.on("/video", video(&content, "\"v1\"").breaks_after(1000));
    let got = stage.get("/video").await;
    assert!(!got.complete);
    assert!(content.starts_with(&got.body), "{}", got.body.len());
    assert!(stage.origin.count() < 10);
    stage.origin.on("/video", video(&content, "\"v1\""));
    let next = stage.get("/video").await;
    assert!(next.complete && next.body == content);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_are_never_mixed() {
    let stage = Stage::new().await;
    let (one, two) = (Answer::content(8 * MIB, 0), Answer::content(8 * MIB, 0xff));
    stage.origin.on("/video", video(&one, "\"v1\"").breaks_after(2 * MIB));
    let mut client = stage.open("/video", &[]).await;
    let start = client.piece().await.unwrap().unwrap();
    assert!(one.starts_with(&start));
    stage.origin.on("/video", video(&two, "\"v2\""));
    let got = client.finish().await;
    assert!(!got.complete, "it can't be completed any more");
    assert!(one[start.len()..].starts_with(&got.body), "all of one version");
    assert_eq!(stage.metric("kingcdn_edge_outdated_total", &[]), 1.0);
    let next = stage.get("/video").await;
    assert_eq!(next.cache(), "fwd=uri-miss; fwd-status=200; stored; ttl=60");
    assert!(next.complete && next.body == two);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_origin_without_ranges_is_cut_into_slices_on_the_way() {
    let stage = Stage::new().await;
    let content = Answer::content(7 * MIB, 0);
    stage.origin.on("/video", Answer::fresh(content.clone()).etag("\"v1\""));
    let got = part(&stage, 6 * MIB, 6 * MIB + 5).await;
    assert_eq!((got.status.as_u16(), &got.body), (206, &content.slice(6 * MIB..6 * MIB + 5)));
    let whole = stage.get("/video").await;
    assert!(whole.complete && whole.body == content);
    assert!(stage.get("/video").await.is_hit());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_strong_validator_slices_are_kept_only_of_what_is_complete() {
    let stage = Stage::new().await;
    let content = Answer::content(3 * MIB + 5, 0);
    for etag in [None, Some("W/\"v1\"")] {
        let answer = Answer::fresh(content.clone());
        let answer = etag.map_or(answer.clone(), |etag| answer.etag(etag));
        let target = format!("/{}", etag.is_some());
        stage.origin.on(&target, answer.clone().announce(content.len()).breaks_after(2 * MIB));
        assert!(!stage.get(&target).await.complete);
        stage.origin.on(&target, answer);
        let before = stage.origin.count();
        for _ in 0..2 {
            let got = stage.get(&target).await;
            assert!(got.complete && got.body == content);
        }
        assert_eq!(stage.origin.count(), before + 1, "{etag:?}");
        let middle = format!("bytes={}-{}", MIB - 2, MIB + 1);
        let got = stage.get_with(&target, &[("range", &middle)]).await;
        assert!(got.is_hit() && got.body == content[MIB - 2..MIB + 2]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_far_range_without_a_strong_validator_is_passed_as_it_was_asked_for() {
    let stage = Stage::new().await;
    let content = Answer::content(8 * MIB, 0);
    stage.origin.on("/video", Answer::fresh(content.clone()).ranges());
    for _ in 0..2 {
        let got = part(&stage, 6 * MIB + 3, 6 * MIB + 9).await;
        let range = got.field("content-range").to_owned();
        assert_eq!(range, format!("bytes {}-{}/{}", 6 * MIB + 3, 6 * MIB + 8, 8 * MIB));
        assert_eq!((got.status.as_u16(), &got.body[..]), (206, &content[6 * MIB + 3..6 * MIB + 9]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_confirmed_object_keeps_its_slices() {
    let stage = Stage::new().await;
    let content = Answer::content(3 * MIB, 0);
    stage.origin.on("/video", video(&content, "\"v1\""));
    stage.get("/video").await;
    stage.elapse(61);
    let got = stage.get("/video").await;
    assert_eq!(got.cache(), "fwd=stale; fwd-status=304; ttl=60");
    assert!(got.complete && got.body == content);
    assert_eq!((stage.origin.count(), gap_fetches(&stage)), (2, 0.0));
}

/// RFC 9111 section 3.4: what a newer part says holds for all that is held of the same content.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_part_brings_newer_fields() {
    let stage = Stage::new().await;
    let content = Answer::content(20 * MIB, 0);
    stage.origin.on("/video", video(&content, "\"v1\"").field("x-old", "1").field("x-new", "1"));
    part(&stage, 8 * MIB, 8 * MIB + 5).await;
    stage.elapse(40);
    let newer = video(&content, "\"v1\"").field("x-new", "2").field("content-encoding", "other");
    stage.origin.on("/video", newer);
    let lacking = part(&stage, 16 * MIB, 16 * MIB + 5).await;
    assert_eq!(lacking.body, content[16 * MIB..16 * MIB + 5]);
    stage.elapse(30);
    let held = part(&stage, 8 * MIB, 8 * MIB + 5).await;
    assert_eq!(held.cache(), "hit; ttl=30", "as fresh as the newer part");
    assert_eq!((held.field("x-old"), held.field("x-new"), held.field("age")), ("1", "2", "30"));
    assert_eq!(held.field("content-encoding"), "", "what the bytes depend on stays");
    assert_eq!(held.body, content[8 * MIB..8 * MIB + 5]);
}

/// An origin that announces `announced` bytes of `content` and then sends `sent`, whatever it is
/// asked for.
async fn origin_that_sends(announced: usize, sent: &[u8]) -> Stage {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {announced}\r\nETag: \"1\"\r\n\
         Cache-Control: max-age=60\r\n\r\n"
    );
    let origin = stage::origin_of_bytes([head.as_bytes(), sent].concat()).await;
    Stage::facing(Some(origin), "").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_origin_sends_beyond_what_it_announced_is_nobodys() {
    let content = Answer::content(MIB + 100, 0);
    let junk = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\njunk".repeat(5000);
    let stage = origin_that_sends(content.len(), &[&content[..], &junk].concat()).await;
    for target in ["/video", "/video", "/other"] {
        let got = stage.get(target).await;
        assert!(got.complete && got.body == content, "{target}: {}", got.body.len());
    }
    assert!(stage.get("/video").await.is_hit());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_origin_announced_and_never_sends_is_told_to_be_missing() {
    let content = Answer::content(MIB, 0);
    let stage = origin_that_sends(content.len(), &content[..MIB - 1]).await;
    for _ in 0..2 {
        let got = stage.get("/video").await;
        assert!(!got.complete, "its last byte never came");
        assert!(got.body.len() < MIB && content.starts_with(&got.body), "{}", got.body.len());
    }
}
