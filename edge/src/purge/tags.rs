//! The tags of an answer: Surrogate-Key, Cache-Tag, and the groups of RFC 9875.

use http::{HeaderMap, HeaderName};
use sfv::{BareItem, List, ListEntry, Parser};

use crate::caching::fields;

/// Separated by white space, as many CDNs have it.
const SURROGATE_KEY: HeaderName = HeaderName::from_static("surrogate-key");
/// Separated by commas, as others have it.
const CACHE_TAG: HeaderName = HeaderName::from_static("cache-tag");
/// A list of strings (RFC 9875 section 2).
const CACHE_GROUPS: HeaderName = HeaderName::from_static("cache-groups");

/// Tags of one object that are kept by name; RFC 9875 section 2 asks for 32 groups. An object with
/// more goes with any tag of its site.
const TAGS_MAX: usize = 128;

/// The tags of an answer, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tags {
    kept: Vec<Vec<u8>>,
    cut: bool,
}

/// What the fields of an answer say of its tags. Upper and lower case are different.
pub fn tags(headers: &HeaderMap) -> Tags {
    let mut tags = Tags::default();
    for line in headers.get_all(SURROGATE_KEY) {
        let words = line.as_bytes().split(|byte| matches!(byte, b' ' | b'\t'));
        words.filter(|word| !word.is_empty()).for_each(|word| tags.add(word));
    }
    for line in headers.get_all(CACHE_TAG) {
        let members = line.as_bytes().split(|byte| *byte == b',').map(fields::trim);
        members.filter(|member| !member.is_empty()).for_each(|member| tags.add(member));
    }
    let lines: Vec<&[u8]> =
        headers.get_all(CACHE_GROUPS).iter().map(|line| line.as_bytes()).collect();
    if !lines.is_empty() {
        // RFC 9651 section 4.2: the lines are combined; an invalid field is ignored as a whole.
        let groups: List = Parser::new(&lines.join(&b", "[..])).parse().unwrap_or_default();
        for group in &groups {
            // RFC 9875 section 2: members that are no strings are ignored, and all parameters.
            if let ListEntry::Item(item) = group
                && let BareItem::String(group) = &item.bare_item
            {
                tags.add(group.as_str().as_bytes());
            }
        }
    }
    tags
}

impl Tags {
    /// Those of an object that hasn't come yet: they may be any.
    pub fn unknown() -> Self {
        Self { kept: Vec::new(), cut: true }
    }

    fn add(&mut self, tag: &[u8]) {
        if self.kept.iter().any(|known| known == tag) {
            return;
        }
        if self.kept.len() < TAGS_MAX {
            self.kept.push(tag.to_vec());
        } else {
            self.cut = true;
        }
    }

    /// Those that are kept by name.
    pub(super) fn kept(&self) -> impl Iterator<Item = &[u8]> {
        self.kept.iter().map(Vec::as_slice)
    }

    /// Whether there were more.
    pub(super) fn are_cut(&self) -> bool {
        self.cut
    }
}
