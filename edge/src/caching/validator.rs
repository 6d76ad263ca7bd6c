//! Validators (RFC 9110 section 8.8).

use http::header::ETAG;
use http::{HeaderMap, HeaderValue};

use super::fields;

/// A valid entity tag (RFC 9110 section 8.8.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ETag(pub(super) HeaderValue);

impl ETag {
    /// The answer's ETag; `None` if it is absent, repeated or invalid.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut lines = headers.get_all(ETAG).iter();
        match (lines.next(), lines.next()) {
            (Some(only), None) => Tag::parse(only.as_bytes()).map(|_| Self(fields::detached(only))),
            _ => None,
        }
    }

    /// As a field value.
    pub fn as_header_value(&self) -> &HeaderValue {
        &self.0
    }

    /// Whether an equal one means the same bytes (RFC 9110 section 8.8.1).
    pub fn is_strong(&self) -> bool {
        !self.0.as_bytes().starts_with(b"W/")
    }

    /// RFC 9110 section 8.8.3.2: both strong, and alike.
    pub fn strong_eq(&self, other: &Self) -> bool {
        self.tag().strong_eq(other.tag())
    }

    /// RFC 9110 section 8.8.3.2: alike but for their strength.
    pub fn weak_eq(&self, other: &Self) -> bool {
        self.tag().weak_eq(other.tag())
    }

    pub(super) fn tag(&self) -> Tag<'_> {
        Tag(self.0.as_bytes())
    }
}

/// An entity tag inside a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tag<'a>(&'a [u8]);

impl<'a> Tag<'a> {
    /// Reads one that makes up all of `text`.
    pub(super) fn parse(text: &'a [u8]) -> Option<Self> {
        let (tag, rest) = Self::take(text)?;
        rest.is_empty().then_some(tag)
    }

    /// Reads one from the front of `text`; also returns what follows it.
    fn take(text: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let opaque = text.strip_prefix(b"W/").unwrap_or(text);
        let inner = opaque.strip_prefix(b"\"")?;
        // A backslash escapes nothing here (RFC 9110 section 8.8.3).
        let length = inner.iter().position(|byte| !matches!(byte, 0x21 | 0x23..=0x7e | 0x80..))?;
        if inner.get(length) != Some(&b'"') {
            return None;
        }
        let end = text.len() - inner.len() + length + 1;
        let (tag, rest) = text.split_at(end);
        Some((Self(tag), rest))
    }

    fn opaque(self) -> &'a [u8] {
        self.0.strip_prefix(b"W/").unwrap_or(self.0)
    }

    pub(super) fn is_strong(self) -> bool {
        !self.0.starts_with(b"W/")
    }

    pub(super) fn strong_eq(self, other: Tag<'_>) -> bool {
        self.is_strong() && self.0 == other.0
    }

    pub(super) fn weak_eq(self, other: Tag<'_>) -> bool {
        self.opaque() == other.opaque()
    }
}

/// The tags in a line of If-Match or If-None-Match. What isn't a tag is passed over.
pub(super) fn tags(line: &[u8]) -> impl Iterator<Item = Tag<'_>> {
    let mut rest = line;
    std::iter::from_fn(move || {
        loop {
            while let [b' ' | b'\t' | b',', after @ ..] = rest {
                rest = after;
            }
            if rest.is_empty() {
                return None;
            }
            // A comma may stand in a tag, so the tag is read before a comma is looked for.
            if let Some((tag, after)) = Tag::take(rest)
                && matches!(after, [] | [b' ' | b'\t' | b',', ..])
            {
                rest = after;
                return Some(tag);
            }
            let comma = rest.iter().position(|byte| *byte == b',');
            rest = &rest[comma.unwrap_or(rest.len())..];
        }
    })
}

#[cfg(test)]
mod tests;
