use std::path::PathBuf;

use super::*;

fn files_beneath(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_beneath(&path, found);
        } else {
            found.push(path);
        }
    }
}

#[test]
fn every_file_of_the_site_is_embedded() {
    let site = Path::new(env!("CARGO_MANIFEST_DIR")).join("media/site");
    let mut found = Vec::new();
    files_beneath(&site, &mut found);
    found.sort();
    let embedded: Vec<PathBuf> = FILES.iter().map(|(path, _)| site.join(path)).collect();
    assert_eq!(embedded, found, "run media/list.sh");
}

#[test]
fn the_site_is_written_over_an_older_one() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("a/b");
    fs::create_dir_all(&root).unwrap();
    fs::write(root.join("index.html"), "x".repeat(100_000)).unwrap();
    write_to(&root).unwrap();
    for (path, bytes) in FILES {
        assert_eq!(&fs::read(root.join(path)).unwrap(), bytes, "{path}");
        let modified = fs::metadata(root.join(path)).unwrap().modified().unwrap();
        assert_eq!(modified, UNIX_EPOCH + MODIFIED, "{path}");
    }
}

#[test]
fn the_playlists_name_only_files_that_exist() {
    let names: Vec<&str> = FILES.iter().map(|(path, _)| *path).collect();
    let mut segments = 0;
    for (path, bytes) in FILES.iter().filter(|(path, _)| path.ends_with(".m3u8")) {
        let playlist = std::str::from_utf8(bytes).unwrap();
        let uris = playlist.lines().flat_map(|line| match line.split_once("URI=\"") {
            Some((_, uri)) => uri.split('"').next(),
            None => Some(line).filter(|line| !line.is_empty() && !line.starts_with('#')),
        });
        for uri in uris {
            assert!(names.contains(&uri), "{path} names {uri}");
            segments += usize::from(uri.ends_with(".m4s"));
        }
    }
    let embedded = names.iter().filter(|name| name.ends_with(".m4s")).count();
    assert_eq!(segments, embedded);
}
