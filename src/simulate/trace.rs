//! A trace: requests from a table, or from an edge's own access log.

use std::fs::File;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use kingcdn_store::replay::Request;
use serde::Deserialize;

/// A longer line is none of a trace.
const LINE_MAX_BYTES: u64 = 1 << 20;
/// No object is larger: its slices are replayed one by one.
const OBJECT_MAX_BYTES: u64 = 1 << 42;

/// Why a trace can't be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TraceError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("not a zstd file: {0}")]
    Zstd(String),
    #[error("line {line}: {error}")]
    Cut { line: u64, error: io::Error },
    #[error("line {line}: {what}")]
    Line { line: u64, what: Wrong },
    #[error("it is empty: neither a header `time,key,size` nor a line of an access log")]
    Empty,
}

/// What is wrong with a line.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Wrong {
    #[error("the header has no column `{0}`; a trace begins with `time,key,size`")]
    NoColumn(&'static str),
    #[error("it has {0} columns, the header has {1}")]
    Columns(usize, usize),
    #[error("`{0}` is no size in bytes")]
    Size(String),
    #[error("an object of {0} bytes; {OBJECT_MAX_BYTES} are the most")]
    TooLarge(u64),
    #[error("not the JSON of an access log: {0}")]
    Json(String),
    #[error("longer than {LINE_MAX_BYTES} bytes")]
    TooLong,
    #[error("not UTF-8")]
    NotText,
}

/// Lines of an access log that aren't a request for a whole object that may be stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LeftOut {
    /// Not of the access log.
    pub(crate) other_lines: u64,
    /// Not a complete answer 200 to a GET, or never stored.
    pub(crate) not_whole: u64,
}

pub(crate) struct Trace {
    input: Box<dyn BufRead>,
    line: u64,
    text: Vec<u8>,
    format: Option<Format>,
    left_out: LeftOut,
}

#[derive(Debug, Clone, Copy)]
enum Format {
    /// A table: which columns of how many are what.
    Table {
        key: usize,
        size: usize,
        columns: usize,
    },
    Log,
}

impl Trace {
    /// Opens `file`: compressed when its name ends in `.zst` or `.gz`.
    pub(crate) fn open(file: &Path) -> Result<Self, TraceError> {
        let input = BufReader::with_capacity(1 << 16, File::open(file)?);
        let ending = file.extension().and_then(|it| it.to_str()).unwrap_or_default();
        Ok(Self::over(match ending {
            "zst" => {
                let decoder = ruzstd::decoding::StreamingDecoder::new(input);
                let decoder = decoder.map_err(|error| TraceError::Zstd(error.to_string()))?;
                Box::new(BufReader::with_capacity(1 << 16, decoder))
            }
            "gz" => Box::new(BufReader::new(flate2::bufread::MultiGzDecoder::new(input))),
            _ => Box::new(input),
        }))
    }

    fn over(input: Box<dyn BufRead>) -> Self {
        let left_out = LeftOut::default();
        Self { input, line: 0, text: Vec::new(), format: None, left_out }
    }

    pub(crate) fn left_out(&self) -> LeftOut {
        self.left_out
    }

    /// The next request, none at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Request>, TraceError> {
        loop {
            if !self.read_line()? {
                return if self.format.is_none() { Err(TraceError::Empty) } else { Ok(None) };
            }
            let line = self.line;
            let wrong = |what| TraceError::Line { line, what };
            let text = std::str::from_utf8(&self.text).map_err(|_| wrong(Wrong::NotText))?;
            let text = text.trim_ascii();
            if text.is_empty() {
                continue;
            }
            match self.format {
                None if text.starts_with('{') => self.format = Some(Format::Log),
                None => {
                    self.format = Some(header(text).map_err(wrong)?);
                    continue;
                }
                Some(_) => {}
            }
            let request = match self.format {
                Some(Format::Table { key, size, columns }) => {
                    Some(row(text, key, size, columns).map_err(wrong)?)
                }
                Some(Format::Log) | None => logged(text, &mut self.left_out).map_err(wrong)?,
            };
            if request.is_some() {
                return Ok(request);
            }
        }
    }

    /// Reads a line into `text`. False at the end.
    fn read_line(&mut self) -> Result<bool, TraceError> {
        self.text.clear();
        self.line += 1;
        let line = self.line;
        let mut input = io::Read::take(&mut self.input, LINE_MAX_BYTES);
        let read = input.read_until(b'\n', &mut self.text);
        let read = read.map_err(|error| TraceError::Cut { line, error })?;
        if read as u64 == LINE_MAX_BYTES {
            return Err(TraceError::Line { line, what: Wrong::TooLong });
        }
        Ok(read > 0)
    }
}

fn header(text: &str) -> Result<Format, Wrong> {
    let names: Vec<&str> = text.split(',').map(str::trim).collect();
    let at = |name: &'static str| {
        names.iter().position(|it| it.eq_ignore_ascii_case(name)).ok_or(Wrong::NoColumn(name))
    };
    Ok(Format::Table { key: at("key")?, size: at("size")?, columns: names.len() })
}

fn row(text: &str, key: usize, size: usize, columns: usize) -> Result<Request, Wrong> {
    let (mut object, mut bytes, mut count) = (0, None, 0);
    for (at, value) in text.split(',').enumerate() {
        if at == key {
            object = hash(&[value.trim()]);
        }
        if at == size {
            let value = value.trim();
            bytes = Some(value.parse().map_err(|_| Wrong::Size(value.to_owned()))?);
        }
        count += 1;
    }
    match bytes {
        Some(bytes) if count == columns => request(object, bytes),
        _ => Err(Wrong::Columns(count, columns)),
    }
}

fn request(object: u64, bytes: u64) -> Result<Request, Wrong> {
    if bytes > OBJECT_MAX_BYTES {
        return Err(Wrong::TooLarge(bytes));
    }
    Ok(Request { object, bytes })
}

/// The same for the same text, in this process and the next.
fn hash(parts: &[&str]) -> u64 {
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    hasher.finish()
}

fn logged(text: &str, left_out: &mut LeftOut) -> Result<Option<Request>, Wrong> {
    let line: Line = serde_json::from_str(text).map_err(|it| Wrong::Json(it.to_string()))?;
    if line.target.as_deref() != Some("kingcdn::access") {
        left_out.other_lines += 1;
        return Ok(None);
    }
    let (Some(site), Some(path), Some(bytes)) = (&line.site, &line.path, line.bytes) else {
        left_out.other_lines += 1;
        return Ok(None);
    };
    let stored = matches!(line.cache.as_deref(), Some("hit" | "stale" | "revalidated" | "miss"));
    let get = line.method.as_deref() == Some("GET");
    if !(get && line.status == Some(200) && line.complete && stored) {
        left_out.not_whole += 1;
        return Ok(None);
    }
    request(hash(&[site, path]), bytes).map(Some)
}

/// What is wanted of a line of the access log.
#[derive(Debug, Default, Deserialize)]
struct Line {
    target: Option<String>,
    site: Option<String>,
    method: Option<String>,
    path: Option<String>,
    status: Option<u64>,
    cache: Option<String>,
    bytes: Option<u64>,
    #[serde(default)]
    complete: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(Vec<u64>, LeftOut), String> {
        let mut trace = Trace::over(Box::new(io::Cursor::new(text.as_bytes().to_vec())));
        let mut sizes = Vec::new();
        while let Some(request) = trace.next().map_err(|error| error.to_string())? {
            sizes.push(request.bytes);
        }
        Ok((sizes, trace.left_out()))
    }

    #[test]
    fn tables_are_read_by_their_header() {
        for (text, expected) in [
            ("time,key,size\n0,a,5\n1,b,6\n", Ok(vec![5, 6])),
            ("size,key\r\n7,x\r\n\r\n", Ok(vec![7])),
            ("time,key,size", Ok(vec![])),
            ("time,key\n0,a\n", Err("line 1: the header has no column `size`")),
            ("0,1,2\n", Err("line 1: the header has no column `key`")),
            ("time,key,size\n0,a,5\n0,a,five\n", Err("line 3: `five` is no size in bytes")),
            ("time,key,size\n0,a\n", Err("line 2: it has 2 columns, the header has 3")),
            ("time,key,size\n0,a,5,9\n", Err("line 2: it has 4 columns, the header has 3")),
            ("time,key,size\n0,a,-5\n", Err("line 2: `-5` is no size in bytes")),
            ("time,key,size\n0,a,9999999999999\n", Err("line 2: an object of 9999999999999")),
            ("", Err("it is empty")),
        ] {
            let read = read(text).map(|(sizes, _)| sizes);
            match (read, expected) {
                (Ok(sizes), Ok(expected)) => assert_eq!(sizes, expected, "{text:?}"),
                (Err(error), Err(expected)) => {
                    assert!(error.starts_with(expected), "{text:?}: {error}");
                }
                (read, _) => panic!("{text:?}: {read:?}"),
            }
        }
    }

    #[test]
    fn an_access_log_gives_the_whole_objects_in_it() {
        let line = |method: &str, status: u16, cache: &str, complete: bool| {
            format!(
                "{{\"level\":\"INFO\",\"site\":\"s\",\"method\":\"{method}\",\"path\":\"/a\",\
                 \"status\":{status},\"cache\":\"{cache}\",\"bytes\":10,\"complete\":{complete},\
                 \"target\":\"kingcdn::access\"}}\n"
            )
        };
        let text = [
            line("GET", 200, "miss", true),
            line("GET", 200, "hit", true),
            line("HEAD", 200, "hit", true),
            line("GET", 206, "hit", true),
            line("GET", 200, "bypass", true),
            line("GET", 200, "hit", false),
            "{\"message\":\"ready\",\"target\":\"kingcdn::node\"}\n".to_owned(),
        ]
        .concat();
        let (sizes, left_out) = read(&text).unwrap();
        assert_eq!(sizes, [10, 10]);
        assert_eq!(left_out, LeftOut { other_lines: 1, not_whole: 4 });
        let error = read("{\"level\":\"INFO\"}\n{oops\n").unwrap_err();
        assert!(error.starts_with("line 2: not the JSON of an access log"), "{error}");
    }

    #[test]
    fn compressed_traces_are_read_as_they_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("trace.csv.gz");
        let mut encoder =
            flate2::write::GzEncoder::new(File::create(&file).unwrap(), Default::default());
        io::Write::write_all(&mut encoder, b"time,key,size\n0,a,5\n").unwrap();
        encoder.finish().unwrap();
        assert_eq!(Trace::open(&file).unwrap().next().unwrap().unwrap().bytes, 5);
        // Cut off in the middle.
        let bytes = std::fs::read(&file).unwrap();
        std::fs::write(&file, &bytes[..bytes.len() - 9]).unwrap();
        let mut trace = Trace::open(&file).unwrap();
        let error = std::iter::from_fn(|| trace.next().transpose()).find_map(Result::err);
        assert!(error.is_some());
        let plain = folder.path().join("trace.csv.zst");
        std::fs::write(&plain, "time,key,size\n").unwrap();
        assert!(matches!(Trace::open(&plain), Err(TraceError::Zstd(_))));
    }
}
