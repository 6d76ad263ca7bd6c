use std::process::Command;
use std::sync::Mutex;

use super::super::meta::Meta;
use super::*;

#[test]
fn a_folder_serves_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path());
    put(&first, 1, 100);
    first.flush();
    let second = open(folder.path());
    let refused = status(&second);
    assert_eq!(refused.state, State::Out);
    let (label, sentence) = refused.reason.unwrap();
    assert_eq!(label, "locked");
    assert!(sentence.contains(&std::process::id().to_string()), "{sentence}");
    assert_eq!(get(&first, id(1)).unwrap(), content(1, 100), "not disturbed");
    drop(first);
    wait_back(&second);
    assert_eq!(get(&second, id(1)).unwrap(), content(1, 100));
}

#[test]
fn another_version_is_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    for _ in 0..2 {
        // As the next version may write it.
        let mut meta = Meta { seed: 1, segment_bytes: 1 }.encode();
        meta[8..12].copy_from_slice(&2_u32.to_le_bytes());
        let checksum = twox_hash::XxHash3_64::oneshot(&meta[..56]);
        meta[56..].copy_from_slice(&checksum.to_le_bytes());
        fs::write(folder.path().join("meta"), meta).unwrap();
        let disks = open(folder.path());
        assert_eq!(status(&disks).state, State::Ready);
        assert_eq!(fs::read(folder.path().join("set-aside/meta")).unwrap(), meta);
        assert!(folder.path().join("set-aside/segments").is_dir());
        put(&disks, 1, 100);
        disks.flush();
        assert_eq!(get(&disks, id(1)).unwrap(), content(1, 100));
    }
}

fn wait_for_room(disks: &Disks, bytes: u64) {
    let waiting = kingcdn_config::clock::Stopwatch::start();
    while status(disks).used_bytes > bytes {
        assert!(waiting.elapsed() < Duration::from_secs(60), "{:?}", status(disks));
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_size_may_change() {
    let folder = tempfile::tempdir().unwrap();
    let large = 40 << 20;
    let len = 100_000;
    {
        let disks = open_sized(folder.path(), large);
        (0..350).for_each(|number| put(&disks, number, len));
        disks.flush();
        // These are asked for.
        for _ in 0..20 {
            (0..20).for_each(|number| drop(get(&disks, id(number))));
        }
    }
    let held = |disks: &Disks| {
        let right = |number: &u64| {
            let found = get(disks, id(*number));
            found.inspect(|bytes| assert_eq!(*bytes, content(*number, len))).is_some()
        };
        (0..350).filter(right).count()
    };
    let disks = open_sized(folder.path(), 25 << 20);
    wait_for_room(&disks, 25 << 20);
    let after = held(&disks);
    assert!((100..250).contains(&after), "{after}");
    assert!((0..20).all(|number| get(&disks, id(number)).is_some()), "the popular stayed");
    drop(disks);
    let disks = open_sized(folder.path(), 2 * large);
    assert_eq!(held(&disks), after);
    (1000..1400).for_each(|number| {
        while disks.put(id(number), Kind(1), 1, vec![content(number, len)]).is_err() {
            disks.flush();
        }
    });
    disks.flush();
    assert_eq!(held(&disks), after, "there is room for more");
    drop(disks);
    let disks = open_sized(folder.path(), SMALL_BYTES);
    wait_for_room(&disks, SMALL_BYTES);
    assert_eq!(status(&disks).state, State::Ready);
}

#[test]
fn a_folder_that_is_removed_is_noticed_and_made_again() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("cache");
    let disks = open(&folder);
    put(&disks, 1, 100);
    disks.flush();
    fs::remove_dir_all(&folder).unwrap();
    wait_out(&disks);
    wait_back(&disks);
    assert!(folder.join("meta").exists());
    assert_eq!(status(&disks).counts.outages, 1);
    put(&disks, 2, 100);
    disks.flush();
    assert_eq!(get(&disks, id(2)).unwrap(), content(2, 100));
    assert_eq!(get(&disks, id(1)), None);
}

/// A mount that goes with the test, however it ends.
struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    /// A small disk at `point`, where this process may mount one.
    fn new(point: &'a Path, size: &str) -> Option<Self> {
        let options = format!("size={size}");
        let mut mount = Command::new("mount");
        let ran = mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(point).output();
        if !ran.is_ok_and(|ran| ran.status.success()) {
            eprintln!("skipped: no right to mount a small disk");
            return None;
        }
        Some(Self(point))
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

/// A real full disk, where this process may mount one.
#[test]
fn a_full_disk_takes_itself_out() {
    let root = tempfile::tempdir().unwrap();
    let Some(_mounted) = Mounted::new(root.path(), "5m") else { return };
    let folder = root.path().join("cache");
    let disks = open(&folder);
    assert_eq!(status(&disks).state, State::Ready);
    for number in 0..20 {
        let _ = disks.put(id(number), Kind(1), 1, vec![content(number, 700_000)]);
        disks.flush();
    }
    wait_out(&disks);
    assert_eq!(status(&disks).reason.unwrap().0, "full");
    let mut mount = Command::new("mount");
    let larger = mount.args(["-o", "remount,size=30m"]).arg(root.path()).status();
    assert!(larger.is_ok_and(|it| it.success()), "more room");
    wait_back(&disks);
    put(&disks, 100, 700_000);
    disks.flush();
    assert_eq!(get(&disks, id(100)).unwrap(), content(100, 700_000));
}

fn reason(disks: &Disks) -> Option<&'static str> {
    status(disks).reason.map(|reason| reason.0)
}

/// Has the disk tried until it is out for this reason.
fn wait_out_for(disks: &Disks, label: &str) {
    let waiting = kingcdn_config::clock::Stopwatch::start();
    while reason(disks) != Some(label) {
        disks.retry();
        assert!(waiting.elapsed() < Duration::from_secs(60), "{:?}", status(disks));
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn nothing_is_written_beneath_the_mount_point_of_a_disk_that_is_unmounted() {
    let root = tempfile::tempdir().unwrap();
    let point = root.path().join("disk");
    fs::create_dir(&point).unwrap();
    for folder in [point.clone(), point.join("cache")] {
        let Some(mounted) = Mounted::new(&point, "40m") else { return };
        let disks = open(&folder);
        put(&disks, 1, 100);
        disks.flush();
        drop(mounted);
        wait_out_for(&disks, "not-mounted");
        assert_eq!(fs::read_dir(&point).unwrap().count(), 0);
        let _mounted = Mounted::new(&point, "40m");
        wait_back(&disks);
        assert!(folder.join("meta").exists());
        drop(disks);
    }
}

#[test]
fn a_disk_that_is_not_mounted_at_the_start_is_out_until_it_is() {
    let root = tempfile::tempdir().unwrap();
    let point = root.path().join("disk");
    let options = DiskOptions {
        path: point.join("cache"),
        size_bytes: SMALL_BYTES,
        mount: Some(point.clone()),
    };
    let disks = started(Disks::open(vec![options], &settings()));
    assert_eq!(reason(&disks), Some("not-mounted"), "no such folder");
    fs::create_dir(&point).unwrap();
    disks.retry();
    wait_out_for(&disks, "not-mounted");
    assert_eq!(fs::read_dir(&point).unwrap().count(), 0);
    let Some(_mounted) = Mounted::new(&point, "40m") else { return };
    wait_back(&disks);
    put(&disks, 1, 100);
    disks.flush();
    assert_eq!(get(&disks, id(1)).unwrap(), content(1, 100));
}

#[test]
fn who_has_something_beside_the_records_is_told_before_they_are_read() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("cache");
    let told = Arc::new(Mutex::new(Vec::new()));
    let beside = {
        let told = Arc::clone(&told);
        Beside(Arc::new(move |folder: &Path, is_ours| {
            let is_new = !folder.join("meta").exists();
            told.lock().unwrap().push((folder.to_owned(), is_ours, is_new));
        }))
    };
    let settings = Settings { beside: Some(beside), ..settings() };
    let options = || DiskOptions { path: folder.clone(), size_bytes: SMALL_BYTES, mount: None };
    let first = started(Disks::open(vec![options()], &settings));
    let second = started(Disks::open(vec![options()], &settings));
    assert_eq!(reason(&second), Some("locked"));
    first.shutdown();
    let expected = [(folder.clone(), true, true), (folder.clone(), false, false)];
    assert_eq!(*told.lock().unwrap(), expected, "not told of what another one holds");
}
