//! The house's rules, checked on the source itself: which way dependencies run, what stays pure,
//! where the clock is, how long a file may be.

#![allow(clippy::expect_used)] // Helpers of tests are tests.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const CRATES: [&str; 6] = ["config", "dns", "edge", "edge/store", "edge/zero-copy", "origin"];

/// The one module that may have `unsafe` code.
const UNSAFE: &str = "edge/zero-copy/src/region.rs";

/// Lines of a file: an author splits it beyond the first, the test fails beyond the second.
const LINES_SOFT: usize = 400;
const LINES_HARD: usize = 450;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below `folder` with this ending, build output and hidden folders aside.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a readable folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && !name.starts_with('.') && name != "target" {
                folders.push(path);
            } else if path.is_file() && name.ends_with(ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Rust source, with its path from the root.
fn sources(folder: &str) -> Vec<(String, String)> {
    let sources: Vec<_> = files(&root().join(folder), ".rs")
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).expect("a readable file");
            let name = path.strip_prefix(root()).expect("a path in here").display().to_string();
            (name, text)
        })
        .collect();
    assert!(!sources.is_empty(), "no source in {folder}");
    sources
}

/// The same without the modules that only tests have.
fn product_sources(folder: &str) -> Vec<(String, String)> {
    let mut sources = sources(folder);
    // The module's own file may stand beside its folder.
    let beside = format!("{folder}.rs");
    if let Ok(text) = fs::read_to_string(root().join(&beside)) {
        sources.push((beside, text));
    }
    let mut of_tests = BTreeSet::new();
    for (file, text) in &sources {
        let parent = file.strip_suffix("/mod.rs").or(file.strip_suffix(".rs")).unwrap_or(file);
        for after in text.split("#[cfg(test)]").skip(1) {
            if let Some((name, _)) =
                after.trim_start().strip_prefix("mod ").and_then(|it| it.split_once(';'))
            {
                of_tests.insert(format!("{parent}/{name}.rs"));
            }
        }
    }
    sources.into_iter().filter(|(file, _)| !of_tests.contains(file)).collect()
}

/// The lines of code, numbered, without comments.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(at, line)| (at + 1, line.split("//").next().unwrap_or_default()))
}

/// `word` in `line`, with nothing around it that would make it part of another word.
fn mentions(line: &str, word: &str) -> bool {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        !line[..at].ends_with(part_of_word) && !line[at + word.len()..].starts_with(part_of_word)
    })
}

fn manifest(path: &str) -> toml::Table {
    let path = root().join(path).join("Cargo.toml");
    fs::read_to_string(path).expect("a manifest").parse().expect("TOML")
}

#[test]
fn dependencies_run_one_way() {
    for (krate, allowed) in [
        ("config", &[] as &[&str]),
        ("dns", &["kingcdn-config"]),
        ("edge", &["kingcdn-config", "kingcdn-store", "kingcdn-zero-copy"]),
        ("edge/store", &["kingcdn-config", "kingcdn-zero-copy"]),
        ("edge/zero-copy", &[]),
        ("origin", &["kingcdn-config"]),
    ] {
        let manifest = manifest(krate);
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(dependencies) = manifest.get(section).and_then(toml::Value::as_table) else {
                continue;
            };
            for name in dependencies.keys().filter(|name| name.starts_with("kingcdn")) {
                assert!(allowed.contains(&name.as_str()), "{krate} must not depend on {name}");
            }
        }
    }
}

#[test]
fn every_version_is_named_once() {
    for krate in CRATES.iter().copied().chain(["."]) {
        let manifest = manifest(krate);
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(dependencies) = manifest.get(section).and_then(toml::Value::as_table) else {
                continue;
            };
            for (name, value) in dependencies {
                let inherited = value.get("workspace").and_then(toml::Value::as_bool);
                assert_eq!(inherited, Some(true), "{krate}: {name} names a version of its own");
            }
        }
    }
}

#[test]
fn the_rules_are_pure() {
    const NEVER: [&str; 14] = [
        "tokio",
        "hyper",
        "hyper_util",
        "tracing",
        "prometheus",
        "moka",
        "Instant",
        "SystemTime",
        "TcpStream",
        "TcpListener",
        "UdpSocket",
        "ToSocketAddrs",
        "Clock",
        "Config",
    ];
    for (rules, config_allowed) in [
        ("edge/src/caching", Some("kingcdn_config::clock::Timestamp")),
        ("dns/src/steering", None),
        ("edge/store/src/policy", None),
    ] {
        for (file, text) in product_sources(rules) {
            for (at, line) in code(&text) {
                for word in NEVER {
                    assert!(!mentions(line, word), "{file}:{at}: {word} in pure rules");
                }
                for path in ["std::fs", "std::net::{Tcp", "std::process", "std::env", "std::thread"]
                {
                    assert!(!line.contains(path), "{file}:{at}: {path} in pure rules");
                }
                let rest = config_allowed.map_or(line.to_owned(), |it| line.replace(it, ""));
                assert!(!mentions(&rest, "kingcdn_config"), "{file}:{at}: {}", line.trim());
            }
        }
    }
}

#[test]
fn unsafe_code_is_in_one_module() {
    for krate in CRATES.iter().copied().chain(["."]) {
        let manifest = manifest(krate);
        let lints = manifest.get("lints").and_then(toml::Value::as_table);
        let inherited = lints.and_then(|lints| lints.get("workspace")?.as_bool());
        assert!(inherited == Some(true) || krate == "edge/zero-copy", "{krate}: lints of its own");
    }
    let forbidden = manifest(".")["workspace"]["lints"]["rust"]["unsafe_code"].clone();
    assert_eq!(forbidden.as_str(), Some("forbid"));
    let mut found = 0;
    for folder in CRATES.into_iter().chain(["src"]) {
        for (file, text) in sources(folder) {
            let begins = |line: &str| {
                ["{", "fn", "impl"]
                    .map(|it| format!("unsafe {it}"))
                    .iter()
                    .any(|it| line.contains(it))
            };
            let blocks = code(&text).filter(|(_, line)| begins(line)).count();
            let allowed = mentions(&text, "allow(unsafe_code)");
            assert!(file == UNSAFE || blocks == 0 && !allowed, "{file}: unsafe code");
            found += blocks;
        }
    }
    assert!(found > 0, "this test looks in the wrong places");
}

#[test]
fn the_clock_is_read_in_one_place() {
    let clock = "config/src/clock.rs";
    let mut found = BTreeSet::new();
    for folder in
        CRATES.map(|krate| format!("{krate}/src")).iter().map(String::as_str).chain(["src"])
    {
        for (file, text) in sources(folder) {
            for (at, line) in code(&text) {
                for call in ["Instant::now", "SystemTime::now", "UNIX_EPOCH.elapsed"] {
                    if line.contains(call) {
                        assert_eq!(file, clock, "{file}:{at}: {call}; ask a Clock");
                        found.insert(call);
                    }
                }
            }
        }
    }
    assert!(found.contains("Instant::now"), "this test looks in the wrong places");
}

#[test]
fn files_are_short_and_finished() {
    for (file, text) in sources(".") {
        let lines = text.lines().count();
        assert!(lines <= LINES_HARD, "{file} has {lines} lines; split it");
        if lines > LINES_SOFT {
            eprintln!("{file} has {lines} lines; {LINES_SOFT} read better");
        }
        if file == "tests/structure.rs" {
            continue;
        }
        for (at, line) in code(&text) {
            for unfinished in ["todo!", "unimplemented!", "dbg!"] {
                assert!(!line.contains(unfinished), "{file}:{at}: {unfinished}");
            }
        }
    }
}

#[test]
fn nothing_names_the_machine_it_was_written_on() {
    let written_here = ["/home/", "/root/.", "/work/", "/Users/"];
    for ending in [".rs", ".toml", ".md", ".sh", ".zone", ".html", "Dockerfile", ".yml", ".yaml"] {
        for path in files(root(), ending) {
            let name = path.strip_prefix(root()).expect("a path in here").display().to_string();
            if name == "tests/structure.rs" {
                continue;
            }
            let text = fs::read_to_string(&path).expect("a readable file");
            for (at, line) in text.lines().enumerate() {
                for place in written_here {
                    assert!(!line.contains(place), "{name}:{}: {place}", at + 1);
                }
            }
        }
    }
}

#[test]
fn every_example_is_right() {
    let examples: Vec<_> = files(&root().join("config"), ".toml")
        .into_iter()
        .filter(|path| !path.ends_with("Cargo.toml"))
        .collect();
    assert!(!examples.is_empty(), "no example in config/");
    for path in examples {
        if let Err(report) = kingcdn_config::Config::load(&path) {
            panic!("{}:\n{report}", path.display());
        }
    }
}
