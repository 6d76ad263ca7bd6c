//! From the path of a request to the name of a file, without looking at any file.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The file of a folder that answers for the folder itself.
const INDEX: &[u8] = b"index.html";

/// A file's name relative to the site's root: one or more segments, none of them empty, hidden, or
/// a way up.
///
/// It says nothing about symbolic links: that nothing outside the root is opened is
/// [`crate::root::Root`]'s promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SitePath(Vec<u8>);

/// Why a request's path names no file of the site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PathRefusal {
    #[error("the path doesn't begin with a slash")]
    Relative,
    #[error("a percent sign without two hexadecimal digits")]
    Escape,
    #[error("a NUL in the path")]
    Nul,
    #[error("a control character, backslash or encoded slash in the path")]
    Character,
    #[error("an empty segment in the path")]
    Empty,
    #[error("a hidden name in the path")]
    Hidden,
}

impl SitePath {
    /// Reads the path of a request target, as it was sent: still percent-encoded.
    ///
    /// Every file has one name only. What other servers would clean up (`//`, `/./`, `/../`) is
    /// refused: whatever normalises does so before it asks (RFC 3986 section 6.2.2.3).
    ///
    /// # Errors
    /// Why the path can't name a file of the site.
    pub(crate) fn parse(path: &str) -> Result<Self, PathRefusal> {
        let path = path.strip_prefix('/').ok_or(PathRefusal::Relative)?;
        let mut name = Vec::with_capacity(path.len() + INDEX.len());
        let mut segments = path.split('/').peekable();
        while let Some(segment) = segments.next() {
            let last = segments.peek().is_none();
            if last && segment.is_empty() {
                name.extend_from_slice(INDEX);
                break;
            }
            let segment = decode(segment)?;
            check(&segment)?;
            name.extend_from_slice(&segment);
            if !last {
                name.push(b'/');
            }
        }
        Ok(Self(name))
    }

    /// The name, relative to the root.
    pub(crate) fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }

    /// The last segment in lower case, for rules that go by a name's ending.
    pub(crate) fn file_name(&self) -> String {
        let name = self.0.rsplit(|&byte| byte == b'/').next().unwrap_or(&[]);
        String::from_utf8_lossy(name).to_ascii_lowercase()
    }
}

/// RFC 3986 section 2.1, on one segment: an encoded slash doesn't separate segments.
fn decode(segment: &str) -> Result<Vec<u8>, PathRefusal> {
    let mut decoded = Vec::with_capacity(segment.len());
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'%' => {
                let high = bytes.next().and_then(hex_digit);
                let low = bytes.next().and_then(hex_digit);
                high.zip(low).map(|(high, low)| high << 4 | low).ok_or(PathRefusal::Escape)?
            }
            byte => byte,
        };
        decoded.push(byte);
    }
    Ok(decoded)
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

fn check(segment: &[u8]) -> Result<(), PathRefusal> {
    if segment.is_empty() {
        return Err(PathRefusal::Empty);
    }
    if segment.contains(&0) {
        return Err(PathRefusal::Nul);
    }
    if segment.iter().any(|byte| matches!(byte, b'/' | b'\\') || byte.is_ascii_control()) {
        return Err(PathRefusal::Character);
    }
    // `.`, `..`, `.git`, `.htpasswd`; what is published on purpose is RFC 8615's.
    if segment.starts_with(b".") && segment != b".well-known" {
        return Err(PathRefusal::Hidden);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
