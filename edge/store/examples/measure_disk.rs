//! Measures the disk tier:
//!
//! ```text
//! cargo run --release -p kingcdn-store --example measure_disk -- FOLDER [RECORDS]
//! ```
//!
//! Writing, hits from memory and from the device, write amplification of a store that is full, and
//! how long a start takes with so many small records (a million), stopped and killed.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kingcdn_config::clock::Stopwatch;
use kingcdn_store::Id;
use kingcdn_store::disk::{DiskOptions, Disks, Found, Kind, Settings, Shed, State};
use kingcdn_store::policy::{Eviction, Ledger};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().unwrap());
    let records: u64 = arguments.next().map_or(1_000_000, |records| records.parse().unwrap());
    fs::create_dir_all(&folder).unwrap();
    large(&folder.join("large"));
    small(&folder.join("small"), records);
}

fn open(folder: &Path, size_bytes: u64) -> Disks {
    let ledger = Arc::new(Ledger::new(Eviction::Lfu, size_bytes));
    let options = DiskOptions { path: folder.to_owned(), size_bytes, mount: None };
    let disks = Disks::open(vec![options], &Settings::new(Eviction::Lfu, ledger));
    while disks.status()[0].state == State::Starting {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(disks.status()[0].state, State::Ready, "{:?}", disks.status());
    disks
}

fn id(number: u64) -> Id {
    Id((u128::from(number) << 64 | u128::from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
        .to_le_bytes())
}

/// Stores a record, however long the queue is.
fn put(disks: &Disks, number: u64, bytes: &Bytes) {
    while disks.put(id(number), Kind(1), 1, vec![bytes.clone()]) == Err(Shed::Busy) {
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// How many of these are found at once and after waiting, and how long each took.
fn hits(name: &str, disks: &Disks, numbers: impl Iterator<Item = u64>) {
    let (mut ready, mut cold, mut bytes) = (0_u64, 0_u64, 0);
    let time = Stopwatch::start();
    for number in numbers {
        match disks.get(&id(number)) {
            Found::Absent => {}
            Found::Ready(found) => {
                ready += 1;
                bytes += found.len();
            }
            Found::Cold(pending) => {
                cold += 1;
                bytes += pending.wait().map_or(0, |found| found.len());
            }
        }
    }
    let each = time.elapsed().as_secs_f64() * 1e6 / (ready + cold).max(1) as f64;
    println!("{name}: {ready} at once, {cold} waited for, {each:.1} us each, {bytes} bytes");
}

/// Takes a store's segments out of the page cache.
fn forget(folder: &Path) {
    for entry in fs::read_dir(folder.join("segments")).unwrap() {
        let file = File::open(entry.unwrap().path()).unwrap();
        rustix::fs::fsync(&file).unwrap();
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    }
}

fn large(folder: &Path) {
    let (size, len) = (2_u64 << 30, 256 << 10);
    let slice = Bytes::from(vec![0x5a; len]);
    let number = size * 9 / 10 / len as u64;
    let disks = open(folder, size);
    let time = Stopwatch::start();
    (0..number).for_each(|number| put(&disks, number, &slice));
    disks.flush();
    let written = number as f64 * len as f64 / time.elapsed().as_secs_f64() / 1e6;
    println!("write, 256 KiB records: {written:.0} MB/s");
    hits("256 KiB, not verified yet", &disks, 0..2000);
    hits("256 KiB, in memory", &disks, 0..2000);
    forget(folder);
    hits("256 KiB, from the device", &disks, (0..2000).map(|number| number * 7 % number_of(size)));
    // Three times as much as fits, a tenth of it asked for all the time.
    for round in 0..number * 3 {
        put(&disks, number + round, &slice);
        drop(disks.get(&id(round % (number / 10))));
    }
    disks.flush();
    let status = disks.status().remove(0);
    println!(
        "full: write amplification {:.3}, of it {:.4} for snapshots and headers, {} reclaims",
        status.write_amplification(),
        status.counts.bytes_overhead as f64 / status.counts.bytes_written as f64,
        status.counts.segments_reclaimed
    );
    drop(disks);
    fs::remove_dir_all(folder).unwrap();
}

fn number_of(size: u64) -> u64 {
    size * 9 / 10 / (256 << 10)
}

fn small(folder: &Path, records: u64) {
    let killed = folder.with_extension("killed");
    let len = 500;
    let size = records * (len as u64 + 64) * 5 / 4;
    let bytes = Bytes::from(vec![0x5a; len]);
    {
        let disks = open(folder, size);
        let time = Stopwatch::start();
        (0..records).for_each(|number| put(&disks, number, &bytes));
        disks.flush();
        println!(
            "write, {len} bytes: {:.0} records/s",
            records as f64 / time.elapsed().as_secs_f64()
        );
        hits("500 bytes, in memory", &disks, (0..200_000).map(|number| number * 7 % records));
        // As a process that is killed now leaves it.
        let copied = std::process::Command::new("cp").arg("-r").arg(folder).arg(&killed).status();
        assert!(copied.unwrap().success());
        let time = Stopwatch::start();
        drop(disks);
        println!("stop: {:.3} s", time.elapsed().as_secs_f64());
    }
    for (name, folder) in [("stopped", folder), ("killed", &killed)] {
        forget(folder);
        let time = Stopwatch::start();
        let disks = open(folder, size);
        let found = !matches!(disks.get(&id(records / 2)), Found::Absent);
        println!(
            "start, {name}: {:.3} s to the first hit ({found}), {} records",
            time.elapsed().as_secs_f64(),
            disks.status()[0].records
        );
        hits("500 bytes, from the device", &disks, (0..2000).map(|number| number * 7919 % records));
        drop(disks);
        fs::remove_dir_all(folder).unwrap();
    }
}
