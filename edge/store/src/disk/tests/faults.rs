use rustix::io::Errno;

use super::faulty::Call;
use super::*;

#[test]
fn a_disk_that_fails_is_taken_out_and_comes_back() {
    for (call, errno, label) in [
        (Call::Create, Errno::NOSPC, "full"),
        (Call::Create, Errno::DQUOT, "full"),
        (Call::Create, Errno::ROFS, "read-only"),
        (Call::Create, Errno::ACCESS, "permission"),
        (Call::Create, Errno::IO, "io"),
        (Call::Write, Errno::IO, "io"),
        (Call::Write, Errno::NOSPC, "full"),
        (Call::Write, Errno::ROFS, "read-only"),
        (Call::Sync, Errno::IO, "io"),
        (Call::Unlink, Errno::IO, "io"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let device = Arc::new(Faulty::default());
        let disks = open_on(folder.path(), SMALL_BYTES, Arc::clone(&device) as _);
        put(&disks, 1, 5000);
        disks.flush();
        device.set(&[(call, errno)]);
        // So much that segments are opened, and later removed.
        for number in 2..60 {
            let _ = disks.put(id(number), Kind(1), 1, vec![content(number, 800_000)]);
            disks.flush();
        }
        wait_out(&disks);
        let status_then = status(&disks);
        assert_eq!(status_then.reason.as_ref().unwrap().0, label, "{call:?} {errno:?}");
        assert!(status_then.counts.outages > 0);
        assert!(matches!(disks.get(&id(1)), Found::Absent));
        assert_eq!(disks.put(id(3), Kind(1), 1, vec![content(3, 10)]), Err(Shed::Out));
        device.set(&[]);
        wait_back(&disks);
        put(&disks, 100, 5000);
        disks.flush();
        assert_eq!(get(&disks, id(100)).unwrap(), content(100, 5000), "{call:?} {errno:?}");
        assert_eq!(get(&disks, id(3)), None, "what wasn't stored isn't what it was before");
    }
}

#[test]
fn what_was_removed_while_a_disk_was_out_stays_removed() {
    let folder = tempfile::tempdir().unwrap();
    let device = Arc::new(Faulty::default());
    let disks = open_on(folder.path(), SMALL_BYTES, Arc::clone(&device) as _);
    (0..5).for_each(|number| put(&disks, number, 5000));
    disks.flush();
    device.set(&[(Call::Write, Errno::IO)]);
    // Under way when it fails.
    put(&disks, 3, 100);
    disks.flush();
    wait_out(&disks);
    disks.remove(&id(1));
    assert!(disks.put(id(2), Kind(1), 1, vec![content(20, 5000)]).is_err());
    device.set(&[]);
    wait_back(&disks);
    let found: Vec<bool> = (0..5).map(|number| get(&disks, id(number)).is_some()).collect();
    assert_eq!(found, [true, false, false, false, true]);
}

#[test]
fn reads_that_fail_are_counted_and_too_many_take_the_disk_out() {
    let folder = tempfile::tempdir().unwrap();
    let device = Arc::new(Faulty::default());
    let disks = open_on(folder.path(), SMALL_BYTES, Arc::clone(&device) as _);
    (0..40).for_each(|number| put(&disks, number, 5000));
    disks.flush();
    device.set(&[(Call::Read, Errno::IO), (Call::ReadReady, Errno::AGAIN)]);
    assert_eq!(get(&disks, id(0)), None);
    assert!(!disks.contains(&id(0)), "dropped");
    for number in 1..40 {
        assert_eq!(get(&disks, id(number)), None);
    }
    wait_out(&disks);
    assert!(status(&disks).counts.read_errors > 1);
    device.set(&[]);
    wait_back(&disks);
    assert_eq!(get(&disks, id(39)).unwrap(), content(39, 5000));
}

#[test]
fn what_is_not_in_memory_is_read_by_others() {
    let folder = tempfile::tempdir().unwrap();
    let device = Arc::new(Faulty::default());
    let disks = open_on(folder.path(), SMALL_BYTES, Arc::clone(&device) as _);
    for (number, len) in [(1, 5000), (2, 500_000)] {
        put(&disks, number, len);
    }
    disks.flush();
    device.set(&[(Call::ReadReady, Errno::AGAIN)]);
    for (number, len) in [(1, 5000), (2, 500_000)] {
        let Found::Cold(pending) = disks.get(&id(number)) else { panic!("{number} is cold") };
        assert_eq!(pending.wait().unwrap(), content(number, len));
        // Given up: nothing comes of it, and nothing breaks.
        drop(disks.get(&id(number)));
    }
    assert!(status(&disks).counts.cold_reads >= 4);
    // Where the system can't say what is in memory, all is read by others.
    device.set(&[(Call::ReadReady, Errno::OPNOTSUPP)]);
    assert_eq!(get(&disks, id(1)).unwrap(), content(1, 5000));
}

#[test]
fn one_disk_out_leaves_the_others_alone() {
    let root = tempfile::tempdir().unwrap();
    let options = |name: &str, size_bytes| DiskOptions {
        path: root.path().join(name),
        size_bytes,
        mount: None,
    };
    let nowhere = root.path().join("missing/b");
    let disks = started(Disks::open(
        vec![
            options("a", SMALL_BYTES),
            DiskOptions { path: nowhere.clone(), size_bytes: SMALL_BYTES, mount: None },
            options("c", 1000),
        ],
        &settings(),
    ));
    let states: Vec<_> = disks.status().iter().map(|status| status.state).collect();
    assert_eq!(states, [State::Ready, State::Out, State::Out]);
    let reasons: Vec<_> =
        disks.status().into_iter().map(|status| status.reason.map(|it| it.0)).collect();
    assert_eq!(reasons, [None, Some("gone"), Some("too-small")]);
    let stored = |disks: &Disks| {
        let put =
            |number: &u64| disks.put(id(*number), Kind(1), 1, vec![content(*number, 100)]).is_ok();
        (0..100).filter(put).count()
    };
    let before = stored(&disks);
    assert!((20..80).contains(&before), "{before}");
    fs::create_dir_all(&nowhere).unwrap();
    while disks.status()[1].state != State::Ready {
        disks.retry();
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(stored(&disks) > before);
}
