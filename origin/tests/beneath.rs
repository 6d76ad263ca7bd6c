//! Nothing outside the root is ever served.

#![allow(clippy::unwrap_used)] // Helpers of tests, outside of test functions.

mod common;

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{ask, get, start};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::TempDir;

const SECRET: &str = "the secret";

/// A folder with a secret beside the root.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("secret.txt"), SECRET).unwrap();
    let root = folder.path().join("root");
    fs::create_dir_all(root.join("film")).unwrap();
    fs::write(root.join("index.html"), "the page").unwrap();
    fs::write(root.join("a b.txt"), "a space").unwrap();
    fs::write(root.join("film/index.html"), "the film").unwrap();
    fs::create_dir(root.join("empty")).unwrap();
    fs::write(root.join(".htpasswd"), SECRET).unwrap();
    folder
}

fn links(root: &Path) {
    let outside = root.parent().unwrap();
    symlink("../index.html", root.join("film/page")).unwrap();
    symlink("film", root.join("movie")).unwrap();
    symlink("../secret.txt", root.join("up")).unwrap();
    symlink(outside.join("secret.txt"), root.join("absolute")).unwrap();
    symlink("..", root.join("folder-up")).unwrap();
    symlink("film/../../secret.txt", root.join("detour")).unwrap();
    symlink("up", root.join("twice")).unwrap();
    symlink("loop", root.join("loop")).unwrap();
    symlink("nowhere", root.join("dangling")).unwrap();
    symlink("/proc/self/root/etc/passwd", root.join("magic")).unwrap();
}

#[tokio::test]
async fn every_way_out_is_closed() {
    let folder = folder();
    let root = folder.path().join("root");
    links(&root);
    let fifo = root.join("fifo");
    mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR, 0).unwrap();
    let _socket = UnixListener::bind(root.join("socket")).unwrap();
    let origin = start(&root).await.unwrap();

    let table = [
        // ways in
        ("/", 200),
        ("/index.html", 200),
        ("/a%20b.txt", 200),
        ("/film/", 200),
        ("/film/page", 200),
        ("/movie/", 200),
        ("http://other.test/film/", 200),
        ("/film", 301),
        // ways up
        ("/../secret.txt", 404),
        ("/film/../../secret.txt", 404),
        ("/%2e%2e/secret.txt", 404),
        ("/..%2fsecret.txt", 404),
        ("/..%5csecret.txt", 404),
        ("/..\\secret.txt", 404),
        ("//secret.txt", 404),
        ("/film/..", 404),
        ("/./index.html", 404),
        ("http://other.test/../secret.txt", 404),
        ("/index.html%00.png", 400),
        ("/%zz", 400),
        // links
        ("/up", 404),
        ("/absolute", 404),
        ("/folder-up/secret.txt", 404),
        ("/folder-up/", 404),
        ("/detour", 404),
        ("/twice", 404),
        ("/loop", 404),
        ("/dangling", 404),
        ("/magic", 404),
        // no files
        ("/fifo", 404),
        ("/socket", 404),
        ("/empty/", 404),
        ("/index.html/", 404),
        ("/nothing", 404),
        ("/.htpasswd", 404),
    ];
    for (path, status) in table {
        let response = get(&origin, path).await;
        assert_eq!(response.status, status, "{path}");
        let body = String::from_utf8_lossy(&response.body);
        assert!(!body.contains(SECRET), "{path}");
    }
    let long = format!("/{}", "a/".repeat(5000));
    assert_eq!(get(&origin, &long).await.status, 404);
}

#[tokio::test]
async fn a_folder_leads_to_its_page() {
    let folder = folder();
    let origin = start(&folder.path().join("root")).await.unwrap();
    for (path, location) in [("/film", "/film/"), ("/film?a=b", "/film/?a=b")] {
        let response = get(&origin, path).await;
        assert_eq!(response.field("location"), Some(location));
    }
    assert_eq!(ask(&origin, "HEAD", "/film", "").await.body, b"");
}

/// A check before the open would lose this race sooner or later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_is_swapped_under_way_leads_nowhere() {
    let folder = folder();
    let root = folder.path().join("root");
    let origin = start(&root).await.unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let swapper = {
        let (root, done) = (root.clone(), Arc::clone(&done));
        std::thread::spawn(move || {
            let targets = ["index.html", "../secret.txt", "film/../../secret.txt"];
            for target in targets.iter().cycle() {
                symlink(target, root.join("next")).unwrap();
                fs::rename(root.join("next"), root.join("moving")).unwrap();
                if done.load(Ordering::Relaxed) {
                    return;
                }
            }
        })
    };
    let mut served = 0;
    for _ in 0..300 {
        let response = get(&origin, "/moving").await;
        match response.status {
            200 => {
                served += 1;
                assert_eq!(response.body, b"the page");
            }
            status => assert!([404, 503].contains(&status), "{status}"),
        }
    }
    done.store(true, Ordering::Relaxed);
    swapper.join().unwrap();
    assert!(served > 0, "the link was never seen inside");
}
