//! Master files (RFC 1035 section 5) to records.
//!
//! Entries, names, escapes and directives are read here, with their lines, and
//! so is the data of the common types; hickory reads the data of the others.
//! (Its own reader of whole files knows no lines, no `@` and no quotes in
//! parentheses, and takes decimal escapes for something else.)

use std::path::{Path, PathBuf};
use std::str::FromStr;

use hickory_proto::rr::{Name, Record, RecordType};
use hickory_proto::serialize::txt::parse_ttl;

use super::data;
use super::error::{Fault, ZoneError};
use super::lexer::{Entry, entries, labels, unescape};

/// How deep files may include files.
const INCLUDE_DEPTH: usize = 8;
/// The largest file.
const FILE_MIB: u64 = 256;
/// The longest time to live (RFC 2181 section 8).
const TTL_MAX: u32 = i32::MAX.unsigned_abs();

/// A record and where it stands.
#[derive(Debug)]
pub(super) struct Sourced {
    pub(super) record: Record,
    pub(super) file: PathBuf,
    pub(super) line: usize,
}

/// Every record of a file and of those that it includes.
pub(super) fn read(file: &Path, apex: &Name) -> Result<Vec<Sourced>, ZoneError> {
    let mut reader = Reader { ttl: None, last_ttl: None, records: Vec::new() };
    reader.file(file, apex.clone(), 0)?;
    Ok(reader.records)
}

/// Every record of a file's text, which can't include others.
#[cfg(any(test, fuzzing))]
pub(super) fn read_text(text: &str, apex: &Name) -> Result<Vec<Sourced>, ZoneError> {
    let mut reader = Reader { ttl: None, last_ttl: None, records: Vec::new() };
    reader.text(Path::new(""), text, apex.clone(), INCLUDE_DEPTH)?;
    Ok(reader.records)
}

#[derive(Debug)]
struct Reader {
    /// From `$TTL` (RFC 2308 section 4).
    ttl: Option<u32>,
    /// That of the record before (RFC 1035 section 5.1).
    last_ttl: Option<u32>,
    records: Vec<Sourced>,
}

impl Reader {
    fn file(&mut self, file: &Path, origin: Name, depth: usize) -> Result<(), ZoneError> {
        let error = |fault| ZoneError { file: file.to_owned(), line: None, fault };
        self.text(file, &text(file).map_err(error)?, origin, depth)
    }

    fn text(
        &mut self,
        file: &Path,
        text: &str,
        mut origin: Name,
        depth: usize,
    ) -> Result<(), ZoneError> {
        let error = |line, fault| ZoneError { file: file.to_owned(), line, fault };
        let entries = entries(text).map_err(|(line, fault)| error(Some(line), fault))?;
        let mut owner = None;
        for entry in entries {
            let line = entry.line;
            let error = |fault| error(Some(line), fault);
            let mut tokens = entry.tokens.iter().map(String::as_str);
            match tokens.next() {
                Some(directive) if directive.starts_with('$') && !entry.inherits_owner => {
                    let argument = || Fault::Directive(entry.tokens.join(" "));
                    let value = tokens.next().ok_or_else(argument).map_err(error)?;
                    match directive.to_ascii_uppercase().as_str() {
                        "$ORIGIN" => origin = name(value, &origin).map_err(error)?,
                        "$TTL" => self.ttl = Some(ttl(value).map_err(error)?),
                        "$INCLUDE" => {
                            if depth == INCLUDE_DEPTH {
                                return Err(error(Fault::IncludedTooDeep(INCLUDE_DEPTH)));
                            }
                            let inside = tokens.next().map(|text| name(text, &origin));
                            let inside = inside.transpose().map_err(error)?;
                            let path = file.parent().unwrap_or(Path::new("")).join(value);
                            let inside = inside.unwrap_or_else(|| origin.clone());
                            self.file(&path, inside, depth + 1)?;
                        }
                        _ => return Err(error(Fault::Directive(directive.to_owned()))),
                    }
                }
                _ => {
                    let record = self.record(&entry, &origin, &mut owner).map_err(error)?;
                    self.records.push(Sourced { record, file: file.to_owned(), line });
                }
            }
        }
        Ok(())
    }

    /// `[<owner>] [<TTL>] [<class>] <type> <data>`, TTL and class in either order.
    fn record(
        &mut self,
        entry: &Entry,
        origin: &Name,
        owner: &mut Option<Name>,
    ) -> Result<Record, Fault> {
        let mut tokens = entry.tokens.iter().map(String::as_str).peekable();
        if !entry.inherits_owner {
            *owner = Some(name(tokens.next().unwrap_or("@"), origin)?);
        }
        let owner = owner.clone().ok_or(Fault::NoOwner)?;
        let mut explicit_ttl = None;
        let rtype = loop {
            let word = tokens.next().ok_or(Fault::NoType)?.to_ascii_uppercase();
            match word.as_str() {
                "IN" => {}
                "CH" | "HS" | "CS" | "NONE" | "ANY" => return Err(Fault::Class(word)),
                number if number.starts_with(|c: char| c.is_ascii_digit()) => {
                    explicit_ttl = Some(ttl(number)?);
                }
                rtype => {
                    // RFC 3597 section 5, and LOC and URI, whose text form is the generic one alone.
                    let word_number = match rtype {
                        "LOC" => Some(29),
                        "URI" => Some(256),
                        _ => None,
                    };
                    let number = rtype.strip_prefix("TYPE").and_then(|number| number.parse().ok());
                    let known = RecordType::from_str(rtype).ok();
                    let number: Option<u16> = number.or(word_number);
                    let rtype = number.map(RecordType::from).or(known);
                    break rtype.ok_or(Fault::Type(word))?;
                }
            }
        };
        let ttl = explicit_ttl.or(self.ttl).or(self.last_ttl).ok_or(Fault::NoTtl)?;
        self.last_ttl = Some(ttl);
        let rest: Vec<&str> = tokens.collect();
        let data = data::read(rtype, &rest, origin)?;
        Ok(Record::from_rdata(owner, ttl, data))
    }
}

fn text(file: &Path) -> Result<String, Fault> {
    let unreadable = |error: std::io::Error| Fault::Unreadable(error.to_string());
    let metadata = std::fs::metadata(file).map_err(unreadable)?;
    // A device has no end, whatever its size says.
    if !metadata.is_file() {
        return Err(Fault::Unreadable("it isn't a file".to_owned()));
    }
    if metadata.len() > FILE_MIB << 20 {
        return Err(Fault::TooLarge(FILE_MIB));
    }
    std::fs::read_to_string(file).map_err(unreadable)
}

/// A name as a master file writes it: `@` is the origin, one without a final dot lies below it.
pub(super) fn name(text: &str, origin: &Name) -> Result<Name, Fault> {
    let bad = |reason: String| Fault::Name { name: text.to_owned(), reason };
    if text == "@" {
        return Ok(origin.clone());
    }
    if text == "." {
        return Ok(Name::root());
    }
    let mut parts = labels(text);
    let absolute = parts.last().is_some_and(|last| last.is_empty());
    if absolute {
        parts.pop();
    }
    let mut labels = Vec::with_capacity(parts.len());
    for part in parts {
        match unescape(part).map_err(|reason| bad(reason.to_owned()))? {
            label if label.is_empty() => return Err(bad("it has an empty label".to_owned())),
            label if label.len() > 63 => return Err(bad("a label is too long".to_owned())),
            label => labels.push(label),
        }
    }
    let mut name = Name::from_labels(labels.iter().map(Vec::as_slice))
        .map_err(|error| bad(error.to_string()))?;
    if !absolute {
        name = name.append_domain(origin).map_err(|error| bad(error.to_string()))?;
    }
    name.set_fqdn(true);
    Ok(name)
}

/// Seconds, or numbers with units: `1h30m`.
pub(super) fn ttl(text: &str) -> Result<u32, Fault> {
    match parse_ttl(text) {
        Ok(seconds) if seconds <= TTL_MAX => Ok(seconds),
        _ => Err(Fault::Ttl(text.to_owned())),
    }
}
