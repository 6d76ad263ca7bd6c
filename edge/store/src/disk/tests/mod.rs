//! The disk tier as its users see it.

mod basics;
mod corruption;
mod faults;
mod faulty;
mod folders;
mod reclaims;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use self::faulty::Faulty;
use super::device::{Device, System};
use super::*;
use crate::Id;
use crate::policy::{Eviction, Ledger};

/// About the smallest disk: nine segments of a little more than 1 MiB each.
const SMALL_BYTES: u64 = 10 << 20;

fn settings() -> Settings {
    let ledger = Arc::new(Ledger::new(Eviction::Lfu, SMALL_BYTES));
    let mut settings = Settings::new(Eviction::Lfu, ledger);
    settings.readers = 2;
    // When the test says so.
    settings.retry_first = Duration::from_secs(3600);
    settings.retry_most = Duration::from_secs(3600);
    settings
}

fn open_sized(folder: &Path, size_bytes: u64) -> Disks {
    open_on(folder, size_bytes, Arc::new(Faulty::default()))
}

fn open_on(folder: &Path, size_bytes: u64, device: Arc<dyn Device>) -> Disks {
    let options = DiskOptions { path: folder.to_owned(), size_bytes, mount: None };
    started(Disks::open_on(vec![options], &settings(), device))
}

/// Waits for disks as long as it takes them.
fn started(disks: Disks) -> Disks {
    while disks.status().iter().any(|status| status.state == State::Starting) {
        std::thread::sleep(Duration::from_millis(1));
    }
    disks
}

fn open(folder: &Path) -> Disks {
    open_sized(folder, SMALL_BYTES)
}

fn id(number: u64) -> Id {
    let mut id = [7; 16];
    id[..8].copy_from_slice(&number.to_le_bytes());
    Id(id)
}

/// The bytes of a record, which tell whose they are.
fn content(number: u64, len: usize) -> Bytes {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut byte = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..len).map(|_| byte()).collect()
}

/// What is found, the device included.
fn get(disks: &Disks, id: Id) -> Option<Bytes> {
    found(disks.get(&id))
}

fn found(found: Found) -> Option<Bytes> {
    match found {
        Found::Absent => None,
        Found::Ready(bytes) => Some(bytes),
        Found::Cold(pending) => pending.wait(),
    }
}

fn put(disks: &Disks, number: u64, len: usize) {
    disks.put(id(number), Kind(1), 1, vec![content(number, len)]).unwrap();
}

fn status(disks: &Disks) -> DiskStatus {
    disks.status().remove(0)
}

/// The folder as a process that is killed now leaves it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Waits until the first disk is out.
fn wait_out(disks: &Disks) {
    let waiting = kingcdn_config::clock::Stopwatch::start();
    while status(disks).state != State::Out {
        assert!(waiting.elapsed() < Duration::from_secs(60), "{:?}", status(disks));
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Has the disks tried again until all are in use.
fn wait_back(disks: &Disks) {
    let waiting = kingcdn_config::clock::Stopwatch::start();
    while disks.status().iter().any(|status| status.state != State::Ready) {
        disks.retry();
        assert!(waiting.elapsed() < Duration::from_secs(60), "{:?}", disks.status());
        std::thread::sleep(Duration::from_millis(1));
    }
}
