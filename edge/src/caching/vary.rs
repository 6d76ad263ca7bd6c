//! Vary: which requests an answer answers (RFC 9111 section 4.1).

mod normal;

use std::hash::{DefaultHasher, Hash, Hasher};

use http::header::{FORWARDED, VARY};
use http::{HeaderMap, HeaderName};

use super::fields;
use super::stored::{Reader, Writer};

/// What Vary says about an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Vary {
    /// `*`: more than the request's fields decided, so it answers no other request.
    Star,
    /// These fields decided.
    Fields(Vec<HeaderName>),
}

/// As [`FORWARDED`].
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

impl Vary {
    /// Reads every Vary line. A name that can't be a field's can't be compared: it counts as `*`.
    /// So does a field in which the edge itself says who asks, whatever the client's own says: what
    /// depends on that is for one client.
    pub(super) fn parse(headers: &HeaderMap) -> Self {
        let mut names = Vec::new();
        let lines = headers.get_all(VARY);
        for member in lines
            .iter()
            .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
            .map(fields::trim)
            .filter(|member| !member.is_empty())
        {
            match HeaderName::from_bytes(member) {
                Ok(name) if member != b"*" && ![FORWARDED, X_FORWARDED_FOR].contains(&name) => {
                    if !names.contains(&name) {
                        names.push(name);
                    }
                }
                _ => return Self::Star,
            }
        }
        Self::Fields(names)
    }
}

/// The fields of a request that decided which answer it got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Selecting(Box<[Field]>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Field {
    name: HeaderName,
    /// `None` where the request didn't have the field.
    value: Option<Value>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Value {
    /// The field's one line as it came, to compare first; empty if there were several.
    raw: Box<[u8]>,
    /// In its normal form.
    normal: Box<[u8]>,
}

impl Selecting {
    /// The values that `names` have in `request`.
    pub(super) fn of(names: Vec<HeaderName>, request: &HeaderMap) -> Self {
        let field = |name: HeaderName| {
            let value = request.contains_key(&name).then(|| Value {
                raw: only_line(request, &name).unwrap_or_default().into(),
                normal: normal::value(&name, request).into(),
            });
            Field { name, value }
        };
        Self(names.into_iter().map(field).collect())
    }

    pub(super) fn write(&self, out: &mut Writer) {
        out.number(self.0.len() as u64);
        for field in &self.0 {
            out.piece(field.name.as_str().as_bytes());
            out.option(field.value.as_ref(), |out, value| {
                out.piece(&value.raw);
                out.piece(&value.normal);
            });
        }
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Option<Self> {
        let field = |from: &mut Reader<'_>| {
            let name = HeaderName::from_bytes(from.piece()?).ok()?;
            let value = from.option(|from| {
                let (raw, normal) = (from.piece()?.into(), from.piece()?.into());
                Some(Value { raw, normal })
            })?;
            Some(Field { name, value })
        };
        from.several(field).map(|fields| Self(fields.into()))
    }

    /// The values that these fields have in `request`, as a number.
    pub(super) fn digest(&self, request: &HeaderMap) -> u64 {
        let mut hasher = DefaultHasher::new();
        for field in &self.0 {
            let value = request.contains_key(&field.name);
            (&field.name, value.then(|| normal::value(&field.name, request))).hash(&mut hasher);
        }
        hasher.finish()
    }

    /// Whether `request` has the same values, as far as the fields' meaning goes.
    pub(super) fn matches(&self, request: &HeaderMap) -> bool {
        self.0.iter().all(|field| field.matches(request))
    }
}

impl Field {
    fn matches(&self, request: &HeaderMap) -> bool {
        // RFC 9111 section 4.1: absent matches absent only.
        match &self.value {
            None => !request.contains_key(&self.name),
            Some(value) => {
                request.contains_key(&self.name)
                    && (only_line(request, &self.name)
                        .is_some_and(|line| !line.is_empty() && *line == *value.raw)
                        || normal::value(&self.name, request) == *value.normal)
            }
        }
    }
}

fn only_line<'r>(request: &'r HeaderMap, name: &HeaderName) -> Option<&'r [u8]> {
    let mut lines = request.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (Some(only), None) => Some(only.as_bytes()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
