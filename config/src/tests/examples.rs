//! The examples are right, and the reference knows every key.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::{Config, Loaded};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn load(name: &str) -> Loaded {
    Config::load(&folder().join(name)).unwrap_or_else(|report| panic!("{report}"))
}

#[test]
fn every_example_is_right() {
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(folder()).expect("the crate's folder") {
        let name = entry.expect("an entry").file_name();
        let name = name.to_str().expect("a name in UTF-8").to_owned();
        if name.ends_with(".toml") && name != "Cargo.toml" {
            load(&name);
            names.insert(name);
        }
    }
    let known = ["demo.toml", "full.toml", "minimal-edge.toml"];
    assert!(known.iter().all(|name| names.contains(*name)), "{names:?}");
}

#[test]
fn the_examples_have_no_warnings() {
    for name in ["demo.toml", "minimal-edge.toml", "full.toml"] {
        assert!(load(name).warnings.is_empty(), "{name}");
    }
}

#[test]
fn the_demo_is_what_up_runs() {
    let config = load("demo.toml").config;
    let names: Vec<_> = config.edges.iter().map(|edge| edge.name.as_str()).collect();
    assert_eq!(names, ["seoul", "frankfurt", "ashburn"]);
    let hosts: Vec<_> = config.sites[0].hosts.iter().map(|host| host.as_str()).collect();
    assert_eq!(hosts, ["video.netcinema.test", "netcinema.localhost", "netcinema.kingcdn.test"]);
    let dns = config.dns.expect("a name server");
    assert_eq!(dns.zones[0].file, folder().join("netcinema.zone"));
    assert_eq!(config.edges[0].cache.memory_bytes, 64 << 20);
}

/// Puts a key that nobody knows below every heading of the reference: the errors name the keys that
/// are known there, and each of them stands in the reference, be it behind a `#`.
#[test]
fn the_reference_has_every_key() {
    let path = folder().join("full.toml");
    let full = std::fs::read_to_string(&path).expect("the reference");
    let mut probe = "zzzzzzzzzz = 1\n".to_owned();
    let mut headings = 1;
    for line in full.lines() {
        probe.push_str(line);
        probe.push('\n');
        if line.starts_with('[') && !line.starts_with("[origin.cache_control]") {
            probe.push_str("zzzzzzzzzz = 1\n");
            headings += 1;
        }
    }
    let probe = probe.replace("{ path", "{ zzzzzzzzzz = 1, path");
    let report = Config::parse(&probe, &path).expect_err("unknown keys");
    assert_eq!(report.errors().count(), headings + 1);
    for problem in report.errors() {
        assert!(problem.key.ends_with("zzzzzzzzzz"), "{}", problem.message);
        let table = problem.key.rsplit_once('.').map_or("", |(table, _)| table);
        for key in problem.help.split('`').skip(1).step_by(2) {
            assert!(stands_in(&full, table, key), "{table}: {key} is missing in the reference");
        }
    }
}

/// Whether `key` of `table` stands in the text, as a key or as a heading. `cache` and `edge.cache`
/// have the same keys, and so have `limits` and `edge.limits`.
fn stands_in(text: &str, table: &str, key: &str) -> bool {
    let path = if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") };
    let headings = [format!("[{path}]"), format!("[[{path}]]")];
    let is_heading = |line: &str| headings.iter().any(|heading| line.starts_with(heading));
    if text.lines().any(|line| is_heading(line.trim_start_matches("# "))) {
        return true;
    }
    let twin = |heading: &str| heading.trim_start_matches("edge.").to_owned();
    let mut here = false;
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix('[') {
            let heading = heading.trim_start_matches('[').split(']').next().unwrap_or_default();
            here = heading == table
                || (table.ends_with("cache") || table.ends_with("limits"))
                    && twin(heading) == twin(table)
                || table.strip_suffix(".disk").is_some_and(|above| twin(above) == twin(heading));
        }
        let line = line.trim_start_matches("# ");
        let names = |rest: &str| rest.trim_start().starts_with('=');
        if here && line.strip_prefix(key).is_some_and(names) {
            return true;
        }
        if here && line.contains('{') && line.contains(&format!("{key} =")) {
            return true;
        }
    }
    false
}

#[test]
fn other_nodes_need_no_files_of_the_name_server() {
    let text = super::parts("cdn dns nameserver edge site")
        + "[[dns.zone]]\nname = \"netcinema.test\"\nfile = \"nowhere.zone\"\n";
    let path = Path::new("kingcdn.toml");
    assert!(Config::parse(&text, path).is_err());
    let loaded = Config::parse_with(&text, path, crate::Files::Unchecked);
    assert!(loaded.is_ok());
}

#[test]
fn a_secondary_is_told_at_the_usual_port_or_another() {
    let text = super::parts("cdn dns nameserver edge site")
        + "[[dns.secondary]]\nname = \"backup\"\nkey = \"backup.key\"\n\
           addresses = [\"192.0.2.54\", \"2001:db8::54\", \"192.0.2.55:5353\"]\n";
    let path = Path::new("kingcdn.toml");
    let loaded = Config::parse_with(&text, path, crate::Files::Unchecked).expect("a configuration");
    let addresses = &loaded.config.dns.expect("a name server").secondaries[0].addresses;
    let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["192.0.2.54:53", "[2001:db8::54]:53", "192.0.2.55:5353"]);
}

#[test]
fn a_file_that_cannot_be_read_is_reported_as_such() {
    let report = Config::load(Path::new("nowhere.toml")).expect_err("there is none");
    assert_eq!(
        report.to_string(),
        "error: the configuration can't be read: No such file or directory (os error 2)\n\
         --> nowhere.toml\n = help: name a file that this user may read"
    );
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("latin1.toml");
    std::fs::write(&path, b"# caf\xe9\n").expect("a file");
    let report = Config::load(&path).expect_err("it isn't UTF-8");
    assert!(report.to_string().contains("isn't UTF-8: byte 5 is wrong"), "{report}");
}
