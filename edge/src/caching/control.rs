//! Cache-Control (RFC 9111 section 5.2), read leniently and obeyed strictly.
//!
//! What a directive means doesn't depend on its case, its place, or whether its argument is
//! quoted. Where directives repeat or conflict the strictest wins, and an argument that can't be
//! read counts as the strictest there is (RFC 9111 section 4.2.1).

use std::time::Duration;

use http::header::{CACHE_CONTROL, PRAGMA};
use http::{HeaderMap, HeaderName};

use super::fields::{self, trim};

/// More than anybody means: what larger values count as (RFC 9111 section 1.2.2).
const LONGEST_SECS: u64 = 1 << 31;

/// The directives of an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ResponseControl {
    pub(super) no_store: bool,
    pub(super) no_cache: Qualified,
    pub(super) private: Qualified,
    pub(super) public: bool,
    pub(super) must_revalidate: bool,
    pub(super) proxy_revalidate: bool,
    pub(super) must_understand: bool,
    pub(super) immutable: bool,
    pub(super) max_age: Option<Duration>,
    pub(super) s_maxage: Option<Duration>,
    pub(super) stale_while_revalidate: Option<Duration>,
    pub(super) stale_if_error: Option<Duration>,
}

/// A directive that can be narrowed to some fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Qualified {
    /// The directive is absent.
    #[default]
    Absent,
    /// It concerns these fields only.
    Fields(Vec<HeaderName>),
    /// It concerns the whole answer.
    Whole,
}

/// The argument of a directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Argument {
    /// There is none: the directive is its name.
    None,
    /// What follows the `=`, without quotes and escapes.
    Text(Vec<u8>),
    /// Something that the grammar doesn't allow.
    Malformed,
}

impl ResponseControl {
    /// Reads every Cache-Control line of an answer.
    pub(super) fn parse(headers: &HeaderMap) -> Self {
        let mut control = Self::default();
        for line in headers.get_all(CACHE_CONTROL) {
            for (name, argument) in directives(line.as_bytes()) {
                control.add(name, &argument);
            }
        }
        control
    }

    /// Adds one directive; those already there aren't weakened.
    pub(super) fn add(&mut self, name: &[u8], argument: &Argument) {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if is("no-store") {
            self.no_store = true;
        } else if is("no-cache") {
            self.no_cache.add(argument);
        } else if is("private") {
            self.private.add(argument);
        } else if is("public") {
            self.public = true;
        } else if is("must-revalidate") {
            self.must_revalidate = true;
        } else if is("proxy-revalidate") {
            self.proxy_revalidate = true;
        } else if is("must-understand") {
            self.must_understand = true;
        } else if is("immutable") {
            self.immutable = true;
        } else if is("max-age") {
            shorten(&mut self.max_age, argument);
        } else if is("s-maxage") {
            shorten(&mut self.s_maxage, argument);
        } else if is("stale-while-revalidate") {
            shorten(&mut self.stale_while_revalidate, argument);
        } else if is("stale-if-error") {
            shorten(&mut self.stale_if_error, argument);
        }
    }
}

impl Qualified {
    /// Whether it concerns this field.
    pub(super) fn covers(&self, field: &HeaderName) -> bool {
        match self {
            Self::Absent => false,
            Self::Fields(names) => names.contains(field),
            Self::Whole => true,
        }
    }

    fn add(&mut self, argument: &Argument) {
        // RFC 9111 section 5.2.2.4: the token form is to be read too. A list that can't be read
        // might have named any field, so it counts as the whole answer.
        let names = match argument {
            Argument::Text(text) => field_names(text),
            Argument::None | Argument::Malformed => None,
        };
        match (names, &mut *self) {
            (_, Self::Whole) => {}
            (None, _) => *self = Self::Whole,
            (Some(names), Self::Absent) => *self = Self::Fields(names),
            (Some(names), Self::Fields(known)) => known.extend(names),
        }
    }
}

/// The names in a list; `None` if it has none, or one that can't be a field's.
fn field_names(list: &[u8]) -> Option<Vec<HeaderName>> {
    let names: Vec<HeaderName> =
        fields::members(list).map(HeaderName::from_bytes).collect::<Result<_, _>>().ok()?;
    (!names.is_empty()).then_some(names)
}

/// RFC 9111 section 4.2.1: of several the shortest; one that can't be read makes stale.
fn shorten(known: &mut Option<Duration>, argument: &Argument) {
    let read = match argument {
        Argument::Text(text) => delta_seconds(text),
        Argument::None | Argument::Malformed => None,
    };
    let read = read.unwrap_or(Duration::ZERO);
    *known = Some(known.map_or(read, |known| known.min(read)));
}

/// RFC 9111 section 1.2.2: digits and nothing else; what is too large is 2^31.
pub(super) fn delta_seconds(text: &[u8]) -> Option<Duration> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let secs = text
        .iter()
        .fold(0_u64, |secs, digit| (secs * 10 + u64::from(digit - b'0')).min(LONGEST_SECS));
    Some(Duration::from_secs(secs))
}

/// The directives of a request (RFC 9111 section 5.2.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct RequestControl {
    pub(super) no_cache: bool,
    pub(super) no_store: bool,
    pub(super) only_if_cached: bool,
    pub(super) max_age: Option<Duration>,
    pub(super) min_fresh: Option<Duration>,
    /// [`Duration::MAX`] where the client takes any stale answer.
    pub(super) max_stale: Option<Duration>,
    pub(super) stale_if_error: Option<Duration>,
}

impl RequestControl {
    /// Reads every Cache-Control line of a request, or Pragma where there is none.
    pub(super) fn parse(headers: &HeaderMap) -> Self {
        let mut control = Self::default();
        // RFC 9111 section 5.4: Pragma speaks only where Cache-Control is silent.
        if !headers.contains_key(CACHE_CONTROL) {
            if !headers.contains_key(PRAGMA) {
                return control;
            }
            control.no_cache = headers
                .get_all(PRAGMA)
                .iter()
                .flat_map(|line| directives(line.as_bytes()))
                .any(|(name, _)| name.eq_ignore_ascii_case(b"no-cache"));
            return control;
        }
        for line in headers.get_all(CACHE_CONTROL) {
            for (name, argument) in directives(line.as_bytes()) {
                control.add(name, &argument);
            }
        }
        control
    }

    fn add(&mut self, name: &[u8], argument: &Argument) {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if is("no-cache") {
            self.no_cache = true;
        } else if is("no-store") {
            self.no_store = true;
        } else if is("only-if-cached") {
            self.only_if_cached = true;
        } else if is("max-age") {
            shorten(&mut self.max_age, argument);
        } else if is("min-fresh") {
            // What can't be read asks for nothing that could be given.
            if let Some(wish) = argument.seconds() {
                self.min_fresh = Some(self.min_fresh.map_or(wish, |known| known.max(wish)));
            }
        } else if is("max-stale") {
            let limit = match argument {
                Argument::None => Some(Duration::MAX),
                _ => argument.seconds(),
            };
            let limit = limit.unwrap_or(Duration::ZERO);
            self.max_stale = Some(self.max_stale.map_or(limit, |known| known.min(limit)));
        } else if is("stale-if-error") {
            shorten(&mut self.stale_if_error, argument);
        }
    }
}

impl Argument {
    fn seconds(&self) -> Option<Duration> {
        match self {
            Self::Text(text) => delta_seconds(text),
            Self::None | Self::Malformed => None,
        }
    }
}

/// The directives of one line, with their arguments.
fn directives(line: &[u8]) -> impl Iterator<Item = (&[u8], Argument)> {
    fields::members(line).map(directive)
}

fn directive(member: &[u8]) -> (&[u8], Argument) {
    let Some(equals) = member.iter().position(|byte| *byte == b'=') else {
        return (member, Argument::None);
    };
    let (name, text) = (&member[..equals], &member[equals + 1..]);
    // The grammar knows no white space around the `=`: such a name is still recognised, so that
    // `private ="x"` doesn't go unheard, but such an argument isn't relied on.
    if trim(name).len() != name.len() || trim(text).len() != text.len() {
        return (trim(name), Argument::Malformed);
    }
    (name, argument(text))
}

fn argument(text: &[u8]) -> Argument {
    match text {
        [b'"', inner @ .., b'"'] => {
            fields::unquote(inner).map_or(Argument::Malformed, Argument::Text)
        }
        [] | [b'"', ..] => Argument::Malformed,
        token => Argument::Text(token.to_vec()),
    }
}

#[cfg(test)]
mod tests;
