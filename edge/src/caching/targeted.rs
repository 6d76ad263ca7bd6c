//! Targeted cache control (RFC 9213): fields that speak to this cache alone.

use http::{HeaderMap, HeaderName};
use sfv::{BareItem, Dictionary, ListEntry, Parser};

use super::Policy;
use super::control::{Argument, ResponseControl};
use super::fields;

/// An answer's directives for this cache, and whether they came from a targeted field, so that
/// Cache-Control and Expires don't count.
pub(super) fn effective(headers: &HeaderMap, policy: &Policy) -> (ResponseControl, bool) {
    // RFC 9213 section 2.2: the first of the target list that is there and valid.
    match policy.targets.iter().find_map(|target| parse(headers, target)) {
        Some(control) => (control, true),
        None => (ResponseControl::parse(headers), false),
    }
}

/// An answer's directives for this cache.
pub(super) fn control(headers: &HeaderMap, policy: &Policy) -> ResponseControl {
    effective(headers, policy).0
}

/// The directives of one targeted field; `None` where it is absent, empty or invalid: then it is
/// as if it weren't there (RFC 9213 section 2.1).
fn parse(headers: &HeaderMap, target: &HeaderName) -> Option<ResponseControl> {
    // RFC 9651 section 4.2: the lines are combined before they are parsed.
    let lines: Vec<&[u8]> = headers
        .get_all(target)
        .iter()
        .map(|line| fields::trim(line.as_bytes()))
        .filter(|line| !line.is_empty())
        .collect();
    let dictionary: Dictionary = Parser::new(&lines.join(&b", "[..])).parse().ok()?;
    if dictionary.is_empty() {
        return None;
    }
    let mut control = ResponseControl::default();
    for (key, entry) in &dictionary {
        match argument(key.as_str(), entry) {
            Directive::On(argument) => control.add(key.as_str().as_bytes(), &argument),
            Directive::Off => {}
            Directive::WrongType => return None,
        }
    }
    Some(control)
}

/// What a member of the dictionary says.
enum Directive {
    On(Argument),
    /// Nothing: it is false, or not a directive that this cache knows.
    Off,
    /// It isn't of the type that this directive has.
    WrongType,
}

/// Reads one member. Its parameters are ignored (RFC 9213 section 2.1).
fn argument(name: &str, entry: &ListEntry) -> Directive {
    let value = match entry {
        ListEntry::Item(item) => Some(&item.bare_item),
        ListEntry::InnerList(_) => None,
    };
    match name {
        "max-age" | "s-maxage" | "stale-while-revalidate" | "stale-if-error" => match value {
            // A negative one isn't a number of seconds: the reader of directives makes it stale.
            Some(BareItem::Integer(secs)) => {
                Directive::On(Argument::Text(secs.to_string().into_bytes()))
            }
            _ => Directive::WrongType,
        },
        "no-store" | "public" | "must-revalidate" | "proxy-revalidate" | "must-understand"
        | "immutable" | "no-transform" => match value {
            Some(BareItem::Boolean(true)) => Directive::On(Argument::None),
            Some(BareItem::Boolean(false)) => Directive::Off,
            _ => Directive::WrongType,
        },
        "private" | "no-cache" => match value {
            Some(BareItem::Boolean(true)) => Directive::On(Argument::None),
            Some(BareItem::Boolean(false)) => Directive::Off,
            Some(BareItem::String(names)) => {
                Directive::On(Argument::Text(names.as_str().as_bytes().to_vec()))
            }
            _ => Directive::WrongType,
        },
        _ => Directive::Off,
    }
}

#[cfg(test)]
mod tests;
