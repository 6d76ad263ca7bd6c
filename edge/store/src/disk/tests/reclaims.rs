use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

/// Several times as much as fits, of mixed sizes; some of it is asked for often.
#[test]
fn what_is_found_is_right_however_much_was_reclaimed() {
    let folder = tempfile::tempdir().unwrap();
    let len = |number: u64| 500 + (number * 7919 % 120_000) as usize;
    let numbers = 900;
    {
        let disks = open(folder.path());
        for number in 0..numbers {
            put(&disks, number, len(number));
            if number % 8 == 0 {
                disks.flush();
                for popular in 0..8 {
                    if let Some(bytes) = get(&disks, id(popular)) {
                        assert_eq!(bytes, content(popular, len(popular)));
                    }
                }
            }
        }
        disks.flush();
        let status = status(&disks);
        assert!(status.counts.segments_reclaimed > 20, "{status:?}");
        assert!(status.used_bytes <= SMALL_BYTES + (2 << 20), "{status:?}");
        // What is rewritten; snapshots of so small a store say nothing.
        let rewritten = status.counts.bytes_rewritten as f64 / status.counts.bytes_written as f64;
        assert!(rewritten <= 0.5, "{rewritten}");
        let kept = (0..8).filter(|number| get(&disks, id(*number)).is_some()).count();
        // By chance alone it would be one.
        assert!(kept >= 4, "{kept} of the popular survived");
    }
    let disks = open(folder.path());
    let mut found = 0;
    for number in 0..numbers {
        if let Some(bytes) = get(&disks, id(number)) {
            assert_eq!(bytes, content(number, len(number)), "{number}");
            found += 1;
        }
    }
    assert_eq!(found, status(&disks).records);
    assert!(found > 50, "{found}");
    assert_eq!(status(&disks).counts.bad_records, 0);
}

#[test]
fn who_reads_keeps_reading_what_is_reclaimed() {
    let folder = tempfile::tempdir().unwrap();
    let disks = open(folder.path());
    let len = 200_000;
    put(&disks, 0, len);
    disks.flush();
    let held = get(&disks, id(0)).unwrap();
    for number in 1..200 {
        put(&disks, number, len);
        disks.flush();
    }
    assert!(get(&disks, id(0)).is_none(), "reclaimed by now");
    assert_eq!(held, content(0, len));
    drop(disks);
    drop(folder);
    assert_eq!(held, content(0, len), "even with the folder gone");
}

#[test]
fn removed_segments_that_are_read_count_and_hold_writers_back() {
    let folder = tempfile::tempdir().unwrap();
    let disks = open(folder.path());
    let len = 1 << 20;
    let mut held = Vec::new();
    let mut most = 0;
    for number in 0..60 {
        // With one reader a segment there is no room any more; then things aren't stored.
        if disks.put(id(number), Kind(1), 1, vec![content(number, len)]).is_err() {
            break;
        }
        let waiting = kingcdn_config::clock::Stopwatch::start();
        while disks.contains(&id(number)) && waiting.elapsed() < Duration::from_millis(300) {
            if let Some(bytes) = get(&disks, id(number)) {
                held.push((number, bytes));
                break;
            }
        }
        most = most.max(status(&disks).used_bytes);
    }
    assert!(most <= SMALL_BYTES + (2 << 20), "{most}");
    for (number, bytes) in &held {
        assert_eq!(*bytes, content(*number, len));
    }
    assert!(held.len() >= 9, "{}", held.len());
    drop(held);
    disks.flush();
    put(&disks, 1000, len);
    disks.flush();
    assert_eq!(get(&disks, id(1000)).unwrap(), content(1000, len));
}

#[test]
fn more_records_than_the_index_may_have_push_others_out() {
    let folder = tempfile::tempdir().unwrap();
    let options =
        DiskOptions { path: folder.path().to_owned(), size_bytes: SMALL_BYTES, mount: None };
    let disks =
        started(Disks::open(vec![options], &Settings { records_max: 20_000, ..settings() }));
    for number in 0..60_000 {
        while disks.put(id(number), Kind(1), 1, vec![content(number, 100)]).is_err() {
            disks.flush();
        }
    }
    disks.flush();
    let status = status(&disks);
    assert!(status.records <= 20_000, "{status:?}");
    assert!(status.records > 10_000, "{status:?}");
}

#[derive(Debug, Clone)]
enum Step {
    Put {
        number: u64,
        version: u64,
        len: usize,
    },
    Remove {
        number: u64,
    },
    Fill,
    /// Killed and started again.
    Kill,
    /// Stopped and started again.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let number = 0..12_u64;
    prop_oneof![
        6 => (number.clone(), any::<u64>(), 0..400_000_usize)
            .prop_map(|(number, version, len)| Step::Put { number, version, len }),
        3 => number.prop_map(|number| Step::Remove { number }),
        3 => Just(Step::Fill),
        2 => Just(Step::Kill),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Whatever is put, removed, reclaimed, and whenever the process is killed: what is found is
    /// the last word, or nothing.
    #[test]
    fn the_last_word_is_never_forgotten_for_an_older_one(
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let root = tempfile::tempdir().unwrap();
        let mut folder = root.path().join("0");
        let mut device = Arc::new(Faulty::default());
        let mut disks = open_on(&folder, SMALL_BYTES, Arc::clone(&device) as _);
        let mut words: HashMap<u64, Option<Bytes>> = HashMap::new();
        let mut filler = 1_000_000;
        for (at, step) in steps.iter().enumerate() {
            match step {
                Step::Put { number, version, len } => {
                    let bytes = content(*version, *len);
                    disks.put(id(*number), Kind(1), 1, vec![bytes.clone()]).unwrap();
                    words.insert(*number, Some(bytes));
                }
                Step::Remove { number } => {
                    disks.remove(&id(*number));
                    words.insert(*number, None);
                }
                Step::Fill => {
                    for _ in 0..4 {
                        filler += 1;
                        put(&disks, filler, 900_000);
                    }
                }
                Step::Kill => {
                    device.kill();
                    let next = root.path().join(format!("{}", at + 1));
                    copy(&folder, &next);
                    drop(disks);
                    fs::remove_dir_all(&folder).unwrap();
                    folder = next;
                    device = Arc::new(Faulty::default());
                    disks = open_on(&folder, SMALL_BYTES, Arc::clone(&device) as _);
                }
                Step::Restart => {
                    drop(disks);
                    disks = open_on(&folder, SMALL_BYTES, Arc::clone(&device) as _);
                }
            }
            disks.flush();
            for (number, word) in &words {
                if let Some(found) = get(&disks, id(*number)) {
                    let is_last = Some(&found) == word.as_ref();
                    prop_assert!(is_last, "{} after {:?}, {}", number, step, at);
                }
            }
        }
        prop_assert_eq!(status(&disks).counts.bad_records, 0);
    }
}
