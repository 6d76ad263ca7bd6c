//! From a file's text to a [`Config`], or to everything that is wrong with it.

use std::io::Read;
use std::ops::Range;
use std::path::Path;

use toml::de::DeTable;

use crate::check::Claims;
use crate::reader::{Problems, Reader};
use crate::report::{Problem, Report, Severity};
use crate::{Config, read};

/// A longer file is refused unread.
const MAX_BYTES: u64 = 16 << 20;

/// A file that is right.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// What it says.
    pub config: Config,
    /// What it seems to say, but doesn't. Empty as a rule.
    pub warnings: Report,
}

/// Whether the files that a configuration names must be there. Only name servers read them; every
/// node has the same configuration, but not the same files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Files {
    /// They must be there and be readable.
    Checked,
    /// Nobody looks.
    Unchecked,
}

impl Config {
    /// Reads the file at `path` and checks it whole, the files that it names included.
    pub fn load(path: &Path) -> Result<Loaded, Report> {
        Self::load_with(path, Files::Checked)
    }

    /// Reads the file at `path`, on a node that may not have all the files that it names.
    pub fn load_with(path: &Path, files: Files) -> Result<Loaded, Report> {
        let text = read_text(path)?;
        Self::parse_with(&text, path, files)
    }

    /// Reads `text` as if it stood in the file at `path`: relative paths in it begin at the folder
    /// of `path`, and reports name it.
    pub fn parse(text: &str, path: &Path) -> Result<Loaded, Report> {
        Self::parse_with(text, path, Files::Checked)
    }

    /// The same, on a node that may not have all the files that the text names.
    pub fn parse_with(text: &str, path: &Path, files: Files) -> Result<Loaded, Report> {
        // A file that isn't TOML is read no further: every table that the parser gave up would be
        // reported as missing.
        let (table, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            let problems = errors.iter().map(|error| syntax_problem(error, text));
            let mut problems: Vec<_> = problems.collect();
            problems.dedup();
            return Err(Report::new(path, text, problems));
        }
        let problems = Problems::default();
        let mut claims = Claims::default();
        let folder = path.parent().unwrap_or(Path::new(""));
        let config = Reader::file(table.get_ref(), &problems, |file| {
            read::config(file, &mut claims, folder)
        });
        claims.check(&problems);
        if files == Files::Checked {
            claims.check_files(&problems);
        }
        let problems = problems.into_inner();
        let is_error = |problem: &Problem| problem.severity == Severity::Error;
        let refused = problems.iter().any(is_error);
        let report = Report::new(path, text, problems);
        if refused { Err(report) } else { Ok(Loaded { config, warnings: report }) }
    }
}

fn read_text(path: &Path) -> Result<String, Report> {
    let refuse = |message: String, help: &str| Report::of_file(path, message, help.to_owned());
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| {
            let message = format!("the configuration can't be read: {error}");
            refuse(message, "name a file that this user may read")
        })?;
    if bytes.len() as u64 > MAX_BYTES {
        let message =
            format!("the configuration is longer than {}", crate::units::format_size(MAX_BYTES));
        return Err(refuse(message, "move networks into a city database (`dns.geoip`)"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        refuse(format!("the configuration isn't UTF-8: byte {at} is wrong"), "save it as UTF-8")
    })
}

/// A syntax error with a remedy.
fn syntax_problem(error: &toml::de::Error, text: &str) -> Problem {
    let span = error.span().unwrap_or_default();
    let (said, expected) = match error.message().split_once(", expected ") {
        Some((said, "nothing")) => (said, None),
        Some((said, expected)) => (said, Some(expected)),
        None => (error.message(), None),
    };
    // The parser takes what has no quotes for a number or a date that went wrong half-way.
    let bare = said == "string values must be quoted"
        || said.starts_with("invalid ") && !said.ends_with("string");
    if bare {
        return bare_value(text, span);
    }
    if said == "duplicate key" {
        let key = text.get(span.clone()).unwrap_or_default();
        let heading = text.get(..span.start).is_some_and(|before| before.ends_with('['));
        let help = if heading {
            format!("keep one of them; if it is a list of tables, write `[[{key}]]`")
        } else {
            "keep one of them".to_owned()
        };
        let message = format!("`{}` stands here twice", key.escape_debug());
        return Problem::error(Some(span), "", message, help);
    }
    let help = match expected {
        Some(expected) => format!("expected {expected}"),
        None => "see https://toml.io for how TOML is written".to_owned(),
    };
    Problem::error(Some(span), "", said.to_owned(), help)
}

/// A value without quotes: the whole of it, of which `part` went wrong.
fn bare_value(text: &str, part: Range<usize>) -> Problem {
    let before = text.get(..part.start).unwrap_or_default();
    let behind = text.get(part.end..).unwrap_or_default();
    let begins = |c: char| c.is_whitespace() || matches!(c, '=' | '[' | '{' | ',');
    let ends = |c: char| c.is_whitespace() || matches!(c, '#' | ']' | '}' | ',');
    let start = before.trim_end_matches(|c| !begins(c)).len();
    let rest = behind.trim_start_matches(|c| !ends(c)).len();
    let span = start..text.len() - rest;
    let value = text.get(span.clone()).unwrap_or_default();
    let (message, help) = if value.is_empty() {
        let help = "write a value behind the `=`, or remove the key".to_owned();
        ("the value is missing".to_owned(), help)
    } else {
        let value = value.escape_debug();
        let help = format!("write `\"{value}\"`");
        (format!("`{value}` has no quotes"), help)
    };
    Problem::error(Some(span), "", message, help)
}
