//! Entity tags: RFC 9110 section 8.8.3.

use std::fmt;

use http::HeaderValue;

/// The tag of a representation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EntityTag {
    /// What stands between the quotes. Only hexadecimal digits and hyphens.
    opaque: String,
    weak: bool,
}

impl EntityTag {
    /// The strong tag of exactly these bytes, by their hash.
    pub(crate) fn of_content(hash: &blake3::Hash) -> Self {
        let opaque = hash.to_hex().get(..32).unwrap_or_default().to_owned();
        Self { opaque, weak: false }
    }

    /// A tag of what the file system says of a file. `weak` where the file may have changed
    /// without the file system saying so.
    pub(crate) fn of_stamp(parts: &[u128], weak: bool) -> Self {
        let parts: Vec<String> = parts.iter().map(|part| format!("{part:x}")).collect();
        Self { opaque: parts.join("-"), weak }
    }

    /// What stands between the quotes.
    pub(crate) fn opaque(&self) -> &str {
        &self.opaque
    }

    /// RFC 9110 section 8.8.3.2: both strong and equal.
    pub(crate) fn strong_eq(&self, other: &Candidate<'_>) -> bool {
        !self.weak && !other.weak && self.opaque.as_bytes() == other.opaque
    }

    /// RFC 9110 section 8.8.3.2: equal, strong or not.
    pub(crate) fn weak_eq(&self, other: &Candidate<'_>) -> bool {
        self.opaque.as_bytes() == other.opaque
    }
}

impl fmt::Display for EntityTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = if self.weak { "W/" } else { "" };
        write!(f, "{prefix}\"{}\"", self.opaque)
    }
}

/// A tag that a client sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Candidate<'a> {
    opaque: &'a [u8],
    weak: bool,
}

/// The tags of a field value, in order, up to the first thing that is none.
pub(crate) fn candidates(value: &HeaderValue) -> impl Iterator<Item = Candidate<'_>> {
    let mut rest = value.as_bytes();
    std::iter::from_fn(move || {
        // Empty list members are ignored: RFC 9110 section 5.6.1.2.
        while let [b' ' | b'\t' | b',', tail @ ..] = rest {
            rest = tail;
        }
        let (weak, quoted) = match rest {
            [b'W', b'/', b'"', tail @ ..] => (true, tail),
            [b'"', tail @ ..] => (false, tail),
            _ => return None,
        };
        let end = quoted.iter().position(|&byte| byte == b'"')?;
        let (opaque, tail) = quoted.split_at(end);
        rest = tail.get(1..).unwrap_or_default();
        Some(Candidate { opaque, weak })
    })
}
