//! The disk tier, through the whole edge.

mod stage;

use std::fs;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use kingcdn_config::status::DiskStatus;
use kingcdn_edge::purge::{Mode, Scope};
use stage::{Answer, Stage};
use tempfile::TempDir;

const MIB: usize = 1 << 20;
/// Of which the store gets a part.
const LITTLE_MEMORY: u64 = 4 << 20;
const MEMORY: u64 = 16 << 20;

fn disk(stage: &Stage) -> DiskStatus {
    stage.edge.status().cache.disks.remove(0)
}

/// Waits until so many records are on the disk, and nothing more is to be written.
async fn until_written(stage: &Stage, records: u64) {
    until(|| {
        let queued = stage.metric("kingcdn_edge_disk_queued_bytes", &[]);
        queued == 0.0 && disk(stage).records >= records
    })
    .await;
}

async fn until(mut done: impl FnMut() -> bool) {
    for _ in 0..6000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it doesn't happen");
}

/// Bytes that are nowhere else.
fn noise(length: usize, seed: u64) -> Bytes {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length).map(|_| next()).collect()
}

fn text(number: usize) -> Bytes {
    noise(32_000, number as u64 + 1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_leaves_memory_is_served_from_disk() {
    const COUNT: usize = 100;
    let folder = TempDir::new().unwrap();
    let stage = Stage::with_disk(LITTLE_MEMORY, folder.path()).await;
    for number in 0..COUNT {
        stage.origin.on(&format!("/{number}"), Answer::fresh(text(number)));
        stage.get(&format!("/{number}")).await;
    }
    let in_memory = stage.edge.status().cache.objects;
    assert!(in_memory < COUNT as u64 / 2, "{in_memory}");
    until_written(&stage, COUNT as u64 - in_memory).await;
    let mut from_disk = 0;
    for number in 0..COUNT {
        let got = stage.get(&format!("/{number}")).await;
        assert!(got.is_hit() && got.body == text(number), "{number}: {}", got.cache());
        from_disk += usize::from(got.cache() == "hit; ttl=60; detail=disk");
    }
    assert!(from_disk >= COUNT / 2, "{from_disk}");
    assert_eq!(stage.origin.count(), COUNT);
    assert!(stage.metric("kingcdn_edge_cache_bytes", &[("tier", "disk")]) > 1e6);
    assert_eq!(stage.metric("kingcdn_edge_disk_up", &[]), 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_keeps_what_was_held_with_its_age_and_its_variants() {
    let folder = TempDir::new().unwrap();
    let stage = Stage::with_disk(MEMORY, folder.path()).await;
    let answer = |body: &str| Answer::fresh(body.to_owned()).field("vary", "accept-language");
    let (english, korean) = ([("accept-language", "en")], [("accept-language", "ko")]);
    stage.origin.on("/", answer("hello").etag("\"en\""));
    stage.get_with("/", &english).await;
    stage.origin.on("/", answer("annyeong").etag("\"ko\""));
    stage.get_with("/", &korean).await;
    stage.elapse(10);
    let stage = stage.restart().await;
    for (fields, body) in [(&english, "hello"), (&korean, "annyeong"), (&english, "hello")] {
        let got = stage.get_with("/", fields).await;
        assert_eq!((got.text(), got.field("age")), (body, "10"), "{}", got.cache());
        assert!(got.cache().starts_with("hit; ttl=50"), "{}", got.cache());
    }
    assert_eq!(stage.origin.count(), 2);
    let stage = stage.restart().await;
    stage.elapse(100);
    let got = stage.get_with("/", &korean).await;
    assert_eq!(got.cache(), "fwd=stale; fwd-status=304; ttl=60");
    let stage = stage.restart().await;
    let got = stage.get_with("/", &korean).await;
    assert_eq!((got.text(), got.cache()), ("annyeong", "hit; ttl=60; detail=disk"), "refreshed");
    assert_eq!(stage.origin.count(), 3);
}

/// The folder as a process that is killed now leaves it.
#[allow(clippy::unwrap_used)] // Helpers of tests are tests.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            // It may go in this moment.
            let _ = fs::copy(entry.path(), target);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_refreshed_is_on_disk_before_it_leaves_memory() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("cache");
    let stage = Stage::with_disk(MEMORY, &path).await;
    let content = noise(MIB, 1000);
    stage.origin.on("/video", Answer::fresh(content.clone()).etag("\"v1\"").ranges());
    stage.get("/video").await;
    until_written(&stage, 1).await;
    let written = || stage.metric("kingcdn_edge_disk_written_bytes_total", &[("kind", "new")]);
    let before = written();
    stage.elapse(100);
    let got = stage.get("/video").await;
    assert_eq!(got.cache(), "fwd=stale; fwd-status=304; ttl=60");
    until(|| written() > before && stage.metric("kingcdn_edge_disk_queued_bytes", &[]) == 0.0)
        .await;
    let killed = folder.path().join("killed");
    copy(&path, &killed);
    let origin = stage.origin.count();
    let stage = stage.restart_from(&killed).await;
    // Its slices were in memory alone.
    let head = stage.ask(Method::HEAD, "/video", &[]).await;
    assert_eq!((head.cache(), head.field("age")), ("hit; ttl=60; detail=disk", "0"));
    assert_eq!(stage.origin.count(), origin);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_writes_purges_down_only_where_the_folder_is_its_own() {
    let folder = TempDir::new().unwrap();
    let stage = Stage::with_disk(MEMORY, folder.path()).await;
    for target in ["/a", "/b", "/c"] {
        stage.origin.on(target, Answer::fresh(text(1)));
        stage.get(target).await;
    }
    let stage = stage.restart().await;
    let journal = folder.path().join("purges");
    let before = fs::read(&journal).unwrap();
    let second = Stage::with_disk(MEMORY, folder.path()).await;
    let of = |target| Scope::Object("netcinema", target);
    second.edge.purge(of("/a"), Mode::Hard).unwrap_err();
    assert_eq!(fs::read(&journal).unwrap(), before, "the other one's");
    stage.edge.purge(of("/b"), Mode::Hard).unwrap();
    let errors = "kingcdn_edge_purge_journal_errors_total";
    assert_eq!((stage.metric(errors, &[]), second.metric(errors, &[])), (0.0, 1.0));
    let labels = [("scope", "object"), ("mode", "hard")];
    assert_eq!(stage.metric("kingcdn_edge_purges_total", &labels), 1.0);
    assert!(stage.edge.drain(Duration::from_secs(10)).await);
    // The second one takes the folder over, with what the first one wrote.
    until(|| disk(&second).state == "ready").await;
    second.origin.on("/a", Answer::fresh("new"));
    second.origin.on("/b", Answer::fresh("new"));
    for (target, is_hit) in [("/a", false), ("/b", false), ("/c", true)] {
        assert_eq!(second.get(target).await.is_hit(), is_hit, "{target}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_objects_are_served_from_disk_whole_and_in_parts() {
    for memory in [LITTLE_MEMORY, MEMORY] {
        let folder = TempDir::new().unwrap();
        let stage = Stage::with_disk(memory, folder.path()).await;
        let content = noise(20 * MIB + 777, 1000);
        stage.origin.on("/video", Answer::fresh(content.clone()).etag("\"v1\"").ranges());
        // Not faster than it can be written, or some of it isn't.
        for first in (0..content.len()).step_by(MIB) {
            let range = format!("bytes={first}-{}", first + MIB - 1);
            stage.get_with("/video", &[("range", &range)]).await;
            until_written(&stage, 0).await;
        }
        // What a busy disk didn't take is fetched again.
        while !stage.get("/video").await.is_hit() {
            until_written(&stage, 0).await;
        }
        let asked = stage.origin.count();
        let again = stage.get("/video").await;
        assert_eq!((again.cache(), stage.origin.count()), ("hit; ttl=60", asked));
        assert!(again.complete && again.body == content);
        assert!(disk(&stage).records > 30);
        let stage = stage.restart().await;
        for (first, end) in [(0, 1), (MIB - 1, MIB + 1), (5 * MIB, content.len()), (300, 8 * MIB)] {
            let range = format!("bytes={first}-{}", end - 1);
            let got = stage.get_with("/video", &[("range", &range)]).await;
            assert!(got.is_hit() && got.status == 206, "{}", got.cache());
            assert!(got.complete && got.body == content[first..end], "{first}..{end}");
        }
        let whole = stage.get("/video").await;
        assert!(whole.is_hit() && whole.complete && whole.body == content);
        assert_eq!(stage.origin.count(), asked);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_written_to_is_not_on_disk_any_more() {
    let folder = TempDir::new().unwrap();
    let stage = Stage::with_disk(MEMORY, folder.path()).await;
    let video = noise(MIB, 1000);
    stage.origin.on("/text", Answer::fresh("before"));
    stage.origin.on("/video", Answer::fresh(video).etag("\"v1\"").ranges());
    stage.get("/text").await;
    stage.get("/video").await;
    let stage = stage.restart().await;
    stage.send(Method::POST, "/text", &[], Bytes::from_static(b"x")).await;
    stage.send(Method::POST, "/video", &[], Bytes::from_static(b"x")).await;
    stage.origin.on("/text", Answer::fresh("after"));
    stage.origin.on("/video", Answer::fresh("no video"));
    let stage = stage.restart().await;
    assert_eq!(stage.get("/text").await.text(), "after");
    assert_eq!(stage.get("/video").await.text(), "no video");
    assert_eq!(stage.origin.count(), 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purge_holds_for_what_is_on_disk_and_after_a_restart() {
    let folder = TempDir::new().unwrap();
    let mut stage = Stage::with_disk(MEMORY, folder.path()).await;
    for target in ["/soft", "/hard", "/kept"] {
        stage.origin.on(target, Answer::fresh(target).etag(&format!("\"{target}\"")));
        stage.get(target).await;
    }
    stage = stage.restart().await;
    for (target, mode) in [("/soft", Mode::Soft), ("/hard", Mode::Hard)] {
        stage.edge.purge(Scope::Object("netcinema", target), mode).unwrap();
    }
    stage = stage.restart().await;
    assert_eq!(stage.get("/kept").await.cache(), "hit; ttl=60; detail=disk");
    assert_eq!(stage.get("/soft").await.cache(), "hit; ttl=0", "refreshed behind");
    assert_eq!(stage.get("/hard").await.cache(), "fwd=uri-miss; fwd-status=200; stored; ttl=60");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_disk_spoils_is_fetched_again() {
    let folder = TempDir::new().unwrap();
    let stage = Stage::with_disk(MEMORY, folder.path()).await;
    let video = noise(3 * MIB, 1000);
    stage.origin.on("/text", Answer::fresh(text(7)));
    stage.origin.on("/video", Answer::fresh(video.clone()).etag("\"v1\"").ranges());
    stage.get("/text").await;
    stage.get("/video").await;
    assert!(stage.edge.drain(Duration::from_secs(10)).await);
    let spoilt = spoil(&folder.path().join("segments"), &[&text(7), &video.slice(2 * MIB..)]);
    assert_eq!(spoilt, 2);
    let stage = stage.restart().await;
    let got = stage.get("/text").await;
    assert_eq!((got.body, stage.origin.count()), (text(7), 3));
    let got = stage.get("/video").await;
    assert!(got.complete && got.body == video);
    assert_eq!((got.status.as_u16(), stage.origin.count()), (200, 4), "one slice");
    assert_eq!(stage.metric("kingcdn_edge_gap_fetches_total", &[]), 1.0);
    assert_eq!(stage.metric("kingcdn_edge_disk_errors_total", &[("kind", "bad-record")]), 2.0);
}

/// Changes a byte of each of these contents, where it is in a segment. How many were found.
#[allow(clippy::unwrap_used)] // A helper of tests.
fn spoil(segments: &Path, contents: &[&[u8]]) -> usize {
    let mut spoilt = 0;
    for entry in fs::read_dir(segments).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        for content in contents {
            let needle = &content[1000..1064];
            if let Some(at) = bytes.windows(64).position(|window| window == needle) {
                bytes[at] ^= 1;
                spoilt += 1;
            }
        }
        fs::write(&path, &bytes).unwrap();
    }
    spoilt
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_goes_on_without_its_disk() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("cache");
    let stage = Stage::with_disk(MEMORY, &path).await;
    stage.origin.on("/text", Answer::fresh(text(1)));
    stage.get("/text").await;
    let stage = stage.restart().await;
    fs::rename(&path, folder.path().join("elsewhere")).unwrap();
    fs::write(&path, "in the way").unwrap();
    until(|| disk(&stage).state == "out").await;
    assert!(disk(&stage).reason.is_some());
    assert_eq!(stage.metric("kingcdn_edge_disk_up", &[]), 0.0);
    let video = noise(3 * MIB, 1000);
    stage.origin.on("/video", Answer::fresh(video.clone()).etag("\"v1\"").ranges());
    for _ in 0..2 {
        assert_eq!(stage.get("/text").await.body, text(1));
        assert_eq!(stage.get("/video").await.body, video);
    }
    assert_eq!(stage.origin.count(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_is_one_edges_alone() {
    let folder = TempDir::new().unwrap();
    let first = Stage::with_disk(MEMORY, folder.path()).await;
    let second = Stage::with_disk(MEMORY, folder.path()).await;
    assert_eq!((&*disk(&first).state, &*disk(&second).state), ("ready", "out"));
    let reason = disk(&second).reason.unwrap();
    assert!(reason.contains("another process uses"), "{reason}");
    second.origin.on("/", Answer::fresh("hello"));
    assert_eq!(second.get("/").await.text(), "hello");
    assert!(second.get("/").await.is_hit());
}
