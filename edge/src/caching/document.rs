//! `edge/CACHING.md` tells the truth about its tests' names.

use std::fs;
use std::io::Write as _;
use std::path::Path;

const DOCUMENT: &str = include_str!("../../CACHING.md");
const STATES: [&str; 4] = ["rule", "edge", "declined", "open"];

/// The rows of the tables of requirements: what holds each, and its state.
fn rows() -> impl Iterator<Item = (&'static str, &'static str)> {
    DOCUMENT.lines().filter_map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        match cells[..] {
            ["", section, _, tests, state, ""]
                if section.starts_with(|first: char| first.is_ascii_digit()) =>
            {
                Some((tests, state))
            }
            _ => None,
        }
    })
}

fn read_sources(folder: &Path, into: &mut String) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            read_sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs" || extension == "txt")
        {
            into.push_str(&fs::read_to_string(&path).expect("a source file"));
        }
    }
}

#[test]
fn every_test_that_the_document_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let [rules, edge] = [&["src/caching", "src/heads"][..], &["tests"]].map(|folders| {
        let mut sources = String::new();
        for folder in folders {
            read_sources(&root.join(folder), &mut sources);
        }
        sources
    });
    for (tests, state) in rows() {
        let names = || tests.split_whitespace().map(|name| name.trim_matches('`'));
        let has = |sources: &str, name: &str| {
            sources.contains(&format!("fn {name}(")) || sources.contains(&format!("#### {name}\n"))
        };
        let of = |sources: &str| names().any(|name| has(sources, name));
        for name in names() {
            assert!(has(&rules, name) || has(&edge, name), "no test {name}");
        }
        assert!(state != "rule" || of(&rules), "no rule's test: {tests}");
        assert!(state != "edge" || of(&edge), "no test of the whole edge: {tests}");
    }
}

#[test]
fn every_row_has_a_state() {
    let count = |wanted: &str| rows().filter(|(_, state)| *state == wanted).count();
    let counts = STATES.map(|state| (state, count(state)));
    let total: usize = counts.iter().map(|(_, count)| count).sum();
    assert_eq!(total, rows().count(), "a row has another state");
    assert!(total > 100, "rows are found");
    // Past the capture of tests' output: every run says it.
    let counts = counts.map(|(state, count)| format!("{count} {state}")).join(", ");
    let _said = writeln!(std::io::stderr(), "CACHING.md: {total} requirements: {counts}");
}
