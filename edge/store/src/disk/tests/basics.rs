use super::*;

const LENGTHS: [usize; 9] =
    [0, 1, 100, 4096, (32 << 10) - 65, 32 << 10, 300_000, 1 << 20, RECORD_MAX_BYTES as usize];

#[test]
fn what_is_put_is_found_in_full() {
    let folder = tempfile::tempdir().unwrap();
    let disks = open(folder.path());
    for (number, len) in (0..).zip(LENGTHS) {
        assert!(matches!(disks.get(&id(number)), Found::Absent));
        let whole = content(number, len);
        // In parts, as heads and bodies come.
        let parts = vec![whole.slice(..len / 3), Bytes::new(), whole.slice(len / 3..)];
        disks.put(id(number), Kind(2), 1, parts).unwrap();
        assert!(disks.contains(&id(number)));
    }
    disks.flush();
    for _ in 0..2 {
        for (number, len) in (0..).zip(LENGTHS) {
            assert_eq!(get(&disks, id(number)).unwrap(), content(number, len), "{len}");
            assert_eq!(found(disks.get_copied(&id(number))).unwrap(), content(number, len));
        }
    }
    // By now all of it was verified, and is in memory.
    assert!(matches!(disks.get(&id(7)), Found::Ready(_)));
    assert_eq!(status(&disks).counts.bad_records, 0);
}

#[test]
fn the_latest_word_counts() {
    let folder = tempfile::tempdir().unwrap();
    let disks = open(folder.path());
    for version in 0..3 {
        disks.put(id(1), Kind(1), 1, vec![content(version, 1000)]).unwrap();
    }
    disks.flush();
    assert_eq!(get(&disks, id(1)).unwrap(), content(2, 1000));
    disks.remove(&id(1));
    assert!(matches!(disks.get(&id(1)), Found::Absent));
    assert!(!disks.contains(&id(1)));
    disks.remove(&id(1));
    put(&disks, 1, 50);
    disks.flush();
    assert_eq!(get(&disks, id(1)).unwrap(), content(1, 50));
    // A put that waits is as good as removed.
    put(&disks, 2, 50);
    disks.remove(&id(2));
    disks.flush();
    assert!(matches!(disks.get(&id(2)), Found::Absent));
    assert!(!disks.contains(&id(2)));
}

#[test]
fn a_record_too_long_is_refused_and_takes_the_older_along() {
    let folder = tempfile::tempdir().unwrap();
    let disks = open(folder.path());
    put(&disks, 1, 50);
    disks.flush();
    let long = vec![Bytes::from(vec![0; RECORD_MAX_BYTES as usize + 1])];
    assert_eq!(disks.put(id(1), Kind(1), 1, long), Err(Shed::TooLarge));
    assert!(matches!(disks.get(&id(1)), Found::Absent));
}

#[test]
fn everything_is_there_after_a_restart_and_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let killed = tempfile::tempdir().unwrap();
    {
        let disks = open(folder.path());
        for number in 0..100 {
            put(&disks, number, 10 + number as usize * 500);
        }
        disks.put(id(5), Kind(1), 1, vec![content(1005, 70)]).unwrap();
        disks.remove(&id(6));
        disks.flush();
        copy(folder.path(), killed.path());
    }
    for folder in [folder.path(), killed.path()] {
        let disks = open(folder);
        assert_eq!(status(&disks).records, 99);
        for number in 0..100 {
            let expected = match number {
                5 => Some(content(1005, 70)),
                6 => None,
                _ => Some(content(number, 10 + number as usize * 500)),
            };
            assert_eq!(get(&disks, id(number)), expected, "{number}");
        }
        // And goes on from there.
        put(&disks, 200, 5000);
        disks.flush();
        assert_eq!(get(&disks, id(200)).unwrap(), content(200, 5000));
        assert_eq!(status(&disks).counts.bad_records, 0);
    }
}

#[test]
fn a_full_queue_refuses_and_forgets_what_it_would_have_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let options =
        DiskOptions { path: folder.path().to_owned(), size_bytes: SMALL_BYTES, mount: None };
    let disks =
        started(Disks::open(vec![options], &Settings { queue_bytes: 10_000, ..settings() }));
    put(&disks, 1, 50);
    disks.flush();
    assert_eq!(disks.put(id(1), Kind(1), 1, vec![content(2, 10_001)]), Err(Shed::Busy));
    assert!(matches!(disks.get(&id(1)), Found::Absent));
    disks.flush();
    assert!(matches!(disks.get(&id(1)), Found::Absent));
    assert_eq!(status(&disks).counts.shed_busy, 1);
}

#[test]
fn without_a_disk_nothing_is_kept() {
    let disks = Disks::open(Vec::new(), &settings());
    assert!(disks.is_empty());
    assert_eq!(disks.put(id(1), Kind(1), 1, vec![content(1, 1)]), Err(Shed::NoDisk));
    assert!(matches!(disks.get(&id(1)), Found::Absent));
    disks.remove(&id(1));
    disks.flush();
}

#[test]
fn several_disks_share_by_size_and_one_less_moves_only_its_share() {
    let folder = tempfile::tempdir().unwrap();
    let options = |name: &str, size_bytes| DiskOptions {
        path: folder.path().join(name),
        size_bytes,
        mount: None,
    };
    let all =
        vec![options("a", SMALL_BYTES), options("b", 3 * SMALL_BYTES), options("c", SMALL_BYTES)];
    let two = all[..2].to_vec();
    let number = 2000_u64;
    let held = {
        let disks = started(Disks::open(all, &settings()));
        (0..number).for_each(|number| put(&disks, number, 100));
        disks.flush();
        let held: Vec<u64> = disks.status().iter().map(|status| status.records).collect();
        assert_eq!(held.iter().sum::<u64>(), number);
        for (held, share) in held.iter().zip([0.2, 0.6, 0.2]) {
            let expected = number as f64 * share;
            assert!((*held as f64 - expected).abs() < expected * 0.25, "{held} of {expected}");
        }
        held
    };
    let disks = started(Disks::open(two, &settings()));
    let found = (0..number).filter(|number| get(&disks, id(*number)).is_some()).count() as u64;
    assert_eq!(found, held[0] + held[1]);
}

#[test]
fn what_was_asked_for_is_remembered_beyond_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let options = || {
        vec![DiskOptions { path: folder.path().to_owned(), size_bytes: SMALL_BYTES, mount: None }]
    };
    let before = settings();
    let disks = Disks::open_on(options(), &before, Arc::new(Faulty::default()));
    before.ledger.note(&id(1), 7);
    drop(started(disks));
    let after = settings();
    let _disks = started(Disks::open_on(options(), &after, Arc::new(Faulty::default())));
    assert_eq!(after.ledger.frequency(&id(1)), 7);
    assert_eq!(after.ledger.frequency(&id(2)), 0);
}

#[test]
fn what_waits_to_be_written_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let disks = open(folder.path());
    for number in 0..300 {
        let len = 100 + 300 * number as usize;
        put(&disks, number, len);
        assert_eq!(get(&disks, id(number)).unwrap(), content(number, len));
        let parts = vec![content(1, 70), content(2, 40_000)];
        disks.put(id(number), Kind(1), 1, parts.clone()).unwrap();
        assert_eq!(get(&disks, id(number)).unwrap(), parts.concat(), "the newer one, at once");
        if number % 3 == 0 {
            disks.remove(&id(number));
            assert_eq!(get(&disks, id(number)), None);
        }
    }
}
