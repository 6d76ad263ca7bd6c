//! Bad files and what is said about them, word for word.
//!
//! Each file in `refused/` holds cases: `#### what is wrong + parts`, the text, `====`, the report.
//! The parts are right, and follow the text. With `BLESS=1` in the environment the reports are
//! written anew, to be read and committed.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::{parse, parts};

const SHEETS: [&str; 9] =
    ["syntax", "tables", "values", "dns", "protocol", "networks", "steering", "edges", "sites"];

struct Case<'a> {
    heading: &'a str,
    text: &'a str,
    report: &'a str,
}

impl Case<'_> {
    fn run(&self) -> String {
        let after = self.heading.split_once(" + ").map_or("", |(_, after)| after);
        let whole = format!("{}{}", self.text, parts(after));
        match parse(&whole) {
            Ok(loaded) => panic!("{}: it was taken, with {}", self.heading, loaded.warnings),
            Err(report) => report.to_string(),
        }
    }
}

fn cases(sheet: &str) -> Vec<Case<'_>> {
    sheet
        .split("#### ")
        .skip(1)
        .map(|case| {
            let (heading, rest) = case.split_once('\n').expect("a heading");
            let (text, report) = rest.split_once("====\n").expect("a line of ====");
            let report = report.trim_end();
            Case { heading, text, report }
        })
        .collect()
}

#[test]
fn bad_files_are_refused_with_place_reason_and_remedy() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tests/refused");
    let mut count = 0;
    for name in SHEETS {
        let path = folder.join(format!("{name}.txt"));
        let sheet = fs::read_to_string(&path).expect("a sheet of cases");
        let mut fresh = String::new();
        for case in cases(&sheet) {
            let report = case.run();
            count += 1;
            let Case { heading, text, .. } = case;
            write!(fresh, "#### {heading}\n{text}====\n{report}\n\n").expect("room");
            if std::env::var_os("BLESS").is_none() {
                assert_eq!(report, case.report, "\n{name}: {heading}\n{report}\n");
            }
        }
        if std::env::var_os("BLESS").is_some() {
            fs::write(&path, fresh).expect("a writable sheet");
        }
    }
    assert!(count >= 30, "only {count} cases");
}
