//! A process that stores, reads and removes is killed, again and again; whatever the next one
//! finds is right, and no older than what was acknowledged.
//!
//! `KINGCDN_KILLS=100` for more of it.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests.

use std::collections::HashMap;
use std::env;
use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kingcdn_store::Id;
use kingcdn_store::disk::{DiskOptions, Disks, Found, Kind, Settings, State};
use kingcdn_store::policy::{Eviction, Ledger};

const FOLDER: &str = "KINGCDN_STORE_FOLDER";
const IDS: u64 = 150;
const SIZE_BYTES: u64 = 16 << 20;

struct Random(u64);

impl Random {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 8) % below
    }
}

fn id(number: u64) -> Id {
    let mut id = [3; 16];
    id[..8].copy_from_slice(&number.to_le_bytes());
    Id(id)
}

/// Says whose it is and which version, and can't be mistaken for another's.
fn content(number: u64, version: u64) -> Bytes {
    let mut random = Random(number << 32 | version | 1 << 63);
    let len = match random.next(4) {
        0 => random.next(500_000),
        _ => random.next(20_000),
    };
    let mut bytes = Vec::from(number.to_le_bytes());
    bytes.extend(version.to_le_bytes());
    while (bytes.len() as u64) < len {
        bytes.extend(random.next(u64::MAX).to_le_bytes());
    }
    Bytes::from(bytes)
}

fn open(folder: &Path) -> Disks {
    let ledger = Arc::new(Ledger::new(Eviction::Lfu, SIZE_BYTES));
    let options = DiskOptions { path: folder.join("cache"), size_bytes: SIZE_BYTES, mount: None };
    let disks = Disks::open(vec![options], &Settings::new(Eviction::Lfu, ledger));
    while disks.status()[0].state == State::Starting {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(disks.status()[0].state, State::Ready, "{:?}", disks.status());
    disks
}

fn get(disks: &Disks, number: u64) -> Option<Bytes> {
    match disks.get(&id(number)) {
        Found::Absent => None,
        Found::Ready(bytes) => Some(bytes),
        Found::Cold(pending) => pending.wait(),
    }
}

/// The last version of each id that was acknowledged, and whether that was a removal.
fn acknowledged(folder: &Path) -> HashMap<u64, (u64, bool)> {
    let mut last = HashMap::new();
    let Ok(text) = fs::read_to_string(folder.join("acknowledged")) else { return last };
    for line in text.lines() {
        let mut words = line.split(' ').map(|word| word.parse::<u64>().unwrap());
        let mut word = || words.next().unwrap();
        last.insert(word(), (word(), word() == 1));
    }
    last
}

/// Reads all there is. How many records were found.
fn verify(disks: &Disks, last: &HashMap<u64, (u64, bool)>) -> usize {
    let mut found = 0;
    for number in 0..IDS {
        let Some(bytes) = get(disks, number) else { continue };
        let version = u64::from_le_bytes(bytes[8..16].try_into().unwrap());
        assert!(bytes == content(number, version), "wrong bytes under {number}");
        if let Some((newest, removed)) = last.get(&number) {
            assert!(version >= *newest, "{number}: version {version} in place of {newest}");
            assert!(version > *newest || !removed, "{number}: {version} was removed");
        }
        found += 1;
    }
    found
}

/// The process that is killed.
#[test]
#[ignore = "run by the other test"]
fn child() {
    let Some(folder) = env::var_os(FOLDER).map(PathBuf::from) else { return };
    let last = acknowledged(&folder);
    let disks = open(&folder);
    let found = verify(&disks, &last);
    let mut stdout = std::io::stdout();
    writeln!(stdout, "\n@ready {found}").unwrap();
    let log = folder.join("acknowledged");
    let mut log = OpenOptions::new().create(true).append(true).open(log).unwrap();
    let mut version = last.values().map(|(version, _)| *version).max().unwrap_or(0) + 1000;
    let mut random = Random(version | 1 << 40);
    loop {
        // Some at once, then it is waited for them.
        let mut lines = String::new();
        for _ in 0..=random.next(8) {
            version += 1;
            let number = random.next(IDS);
            let remove = random.next(5) == 0;
            if remove {
                disks.remove(&id(number));
            } else {
                disks.put(id(number), Kind(1), 1, vec![content(number, version)]).unwrap();
            }
            lines += &format!("{number} {version} {}\n", u64::from(remove));
            drop(get(&disks, random.next(IDS)));
        }
        disks.flush();
        log.write_all(lines.as_bytes()).unwrap();
    }
}

#[test]
fn a_kill_at_any_moment_costs_nothing_that_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let kills = env::var("KINGCDN_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(12);
    let mut random = Random(0x1234_5678_9abc_def1);
    let mut most = 0;
    for kill in 0..kills {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["child", "--exact", "--ignored", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines.find_map(|line| Some(line.ok()?.strip_prefix("@ready ")?.to_owned()));
        let Some(found) = ready else { panic!("kill {kill}: {:?}", child.wait()) };
        most = most.max(found.parse::<usize>().unwrap());
        std::thread::sleep(Duration::from_micros(random.next(250_000)));
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let disks = open(folder.path());
    let found = verify(&disks, &acknowledged(folder.path()));
    assert!(most > 20, "{most} at most were found");
    assert!(found > 20, "{found} were found");
    let counts = disks.status()[0].counts;
    assert_eq!((counts.bad_records, counts.bad_segments), (0, 0), "{counts:?}");
    println!("{kills} kills, {found} records found at the end, {counts:?}");
}
