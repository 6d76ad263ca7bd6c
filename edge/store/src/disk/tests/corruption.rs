use std::os::unix::fs::FileExt;

use proptest::prelude::*;

use super::*;

/// A store that was closed, and one that was killed, to be damaged.
fn stores() -> (tempfile::TempDir, [std::path::PathBuf; 2]) {
    let root = tempfile::tempdir().unwrap();
    let (closed, killed) = (root.path().join("closed"), root.path().join("killed"));
    let disks = open(&closed);
    for number in 0..60 {
        put(&disks, number, 100 + number as usize * 2000);
    }
    disks.flush();
    copy(&closed, &killed);
    drop(disks);
    (root, [closed, killed])
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// Every get gives the right bytes or nothing; how many there are.
fn check(folder: &Path) -> usize {
    let disks = open(folder);
    assert_eq!(status(&disks).state, State::Ready, "{:?}", status(&disks));
    let mut found = 0;
    for number in 0..60 {
        if let Some(bytes) = get(&disks, id(number)) {
            assert_eq!(bytes, content(number, 100 + number as usize * 2000), "{number}");
            found += 1;
        }
    }
    // It goes on.
    put(&disks, 1000, 70_000);
    disks.flush();
    assert_eq!(get(&disks, id(1000)).unwrap(), content(1000, 70_000));
    found
}

fn flip(path: &Path, at: u64, by: u8) {
    let file = fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ by], at).unwrap();
}

#[test]
fn every_class_of_byte_may_be_wrong() {
    let (root, stores) = stores();
    let whole = check_copy(&root, &stores[0], |_| {});
    assert_eq!(whole, 60);
    for store in &stores {
        let segment = files(&store.join("segments")).remove(0);
        let others = ["meta", "snapshot", "history", "lock"].map(|name| store.join(name));
        for file in others.into_iter().chain([segment]).filter(|file| file.exists()) {
            let name = file.strip_prefix(store).unwrap();
            // Headers of files, of records and blocks, ids, lengths, checksums, payloads.
            for at in [0, 9, 13, 20, 28, 40, 58, 68, 80, 4100, 4115, 4130, 4140, 4155, 4200] {
                if at < fs::metadata(&file).unwrap().len() {
                    check_copy(&root, store, |copy| flip(&copy.join(name), at, 0x41));
                }
            }
            for len in [0, 63, 4096] {
                check_copy(&root, store, |copy| {
                    let file = fs::File::options().write(true).open(copy.join(name)).unwrap();
                    file.set_len(len).unwrap();
                });
            }
            check_copy(&root, store, |copy| fs::remove_file(copy.join(name)).unwrap());
        }
    }
}

/// Damages a copy of a store, and looks what is left.
fn check_copy(root: &tempfile::TempDir, store: &Path, damage: impl Fn(&Path)) -> usize {
    let folder = root.path().join("damaged");
    copy(store, &folder);
    damage(&folder);
    let found = check(&folder);
    fs::remove_dir_all(&folder).unwrap();
    found
}

#[test]
fn one_damaged_file_costs_little() {
    let (root, [closed, _]) = stores();
    for name in ["meta", "snapshot", "snapshot.old", "history", "lock"] {
        let damage = |copy: &Path| fs::write(copy.join(name), b"garbage").unwrap();
        assert_eq!(check_copy(&root, &closed, damage), 60, "{name}");
    }
    let both = |copy: &Path| {
        fs::write(copy.join("snapshot"), b"garbage").unwrap();
        fs::write(copy.join("snapshot.old"), b"garbage").unwrap();
    };
    assert_eq!(check_copy(&root, &closed, both), 60, "by the segments' headers");
}

#[test]
fn a_record_that_rots_is_dropped_counted_and_fetched_again() {
    let folder = tempfile::tempdir().unwrap();
    let disks = open(folder.path());
    for (number, len) in [(1, 1000), (2, 100_000)] {
        put(&disks, number, len);
    }
    disks.flush();
    let segment = files(&folder.path().join("segments")).remove(0);
    flip(&segment, 4096 + 64 + 10, 1);
    flip(&segment, 4096 + 64 + 1000 + 64 + 99_999, 1);
    for number in [1, 2] {
        assert_eq!(get(&disks, id(number)), None);
        assert!(!disks.contains(&id(number)));
    }
    assert_eq!(status(&disks).counts.bad_records, 2);
    put(&disks, 2, 100_000);
    disks.flush();
    assert_eq!(get(&disks, id(2)).unwrap(), content(2, 100_000));
}

#[test]
fn the_scrub_finds_what_nobody_asks_for() {
    let folder = tempfile::tempdir().unwrap();
    let killed = tempfile::tempdir().unwrap();
    {
        let disks = open(folder.path());
        (0..20).for_each(|number| put(&disks, number, 50_000));
        disks.flush();
        copy(folder.path(), killed.path());
    }
    for segment in files(&killed.path().join("segments")) {
        flip(&segment, 4096 + 64 + 10, 1);
    }
    let disks = open(killed.path());
    let waiting = kingcdn_config::clock::Stopwatch::start();
    while status(&disks).counts.bad_records == 0 {
        assert!(waiting.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(status(&disks).records < 20);
}

#[test]
fn a_payload_that_looks_like_records_is_only_a_payload() {
    let folder = tempfile::tempdir().unwrap();
    let forged = tempfile::tempdir().unwrap();
    let segment = {
        let disks = open(folder.path());
        put(&disks, 1, 5000);
        disks.flush();
        let segment = files(&folder.path().join("segments")).remove(0);
        fs::read(segment).unwrap()
    };
    // Somebody had a whole segment cached, as a part of a larger one.
    {
        let disks = open(forged.path());
        let part = Bytes::from(segment[4096..4096 + 6000].to_vec());
        disks.put(id(9), Kind(1), 1, vec![part]).unwrap();
        disks.flush();
    }
    for name in ["snapshot", "snapshot.old"] {
        let _ = fs::remove_file(forged.path().join(name));
    }
    let disks = open(forged.path());
    assert_eq!(status(&disks).records, 1);
    assert_eq!(get(&disks, id(1)), None);
    assert_eq!(get(&disks, id(9)).unwrap(), segment[4096..4096 + 6000]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn whatever_is_flipped_what_is_found_is_right(
        flips in prop::collection::vec(
            (any::<prop::sample::Index>(), any::<prop::sample::Index>(), 1..=255_u8), 1..30),
        which in 0..2_usize,
    ) {
        let (root, stores) = stores();
        check_copy(&root, &stores[which], |copy| {
            let files = files(copy);
            for (file, at, by) in &flips {
                let file = &files[file.index(files.len())];
                // Where something is, mostly.
                let len = fs::metadata(file).unwrap().len().min(400_000);
                if len > 0 {
                    flip(file, at.index(len as usize) as u64, *by);
                }
            }
        });
    }
}
