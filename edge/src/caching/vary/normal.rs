//! One form for all values of a field that mean the same (RFC 9111 section 4.1).

use http::header::{
    ACCEPT_ENCODING, ACCEPT_LANGUAGE, AUTHORIZATION, COOKIE, FROM, HOST, IF_MODIFIED_SINCE,
    IF_UNMODIFIED_SINCE, ORIGIN, REFERER, USER_AGENT,
};
use http::{HeaderMap, HeaderName};

use crate::caching::fields::{members, trim};

/// The normal form of a field of a request that has it.
pub(super) fn value(name: &HeaderName, request: &HeaderMap) -> Vec<u8> {
    if *name == ACCEPT_ENCODING {
        preferences(name, request, coding)
    } else if *name == ACCEPT_LANGUAGE {
        preferences(name, request, <[u8]>::to_ascii_lowercase)
    } else if is_one_value(name) {
        lines(name, request).collect::<Vec<_>>().join(&b", "[..])
    } else {
        list(name, request)
    }
}

/// Fields whose values aren't lists: a comma in them is just a comma.
fn is_one_value(name: &HeaderName) -> bool {
    [
        AUTHORIZATION,
        COOKIE,
        FROM,
        HOST,
        IF_MODIFIED_SINCE,
        IF_UNMODIFIED_SINCE,
        ORIGIN,
        REFERER,
        USER_AGENT,
    ]
    .contains(name)
}

fn lines<'r>(name: &HeaderName, request: &'r HeaderMap) -> impl Iterator<Item = &'r [u8]> {
    let lines = request.get_all(name).into_iter();
    lines.map(|line| trim(line.as_bytes()))
}

/// Lines combined, and white space as it usually is; order and case may mean something.
fn list(name: &HeaderName, request: &HeaderMap) -> Vec<u8> {
    let members: Vec<&[u8]> = lines(name, request).flat_map(members).collect();
    members.join(&b", "[..])
}

/// A field whose members are names with weights, in any order (RFC 9110 sections 12.4.2, 12.5.3
/// and 12.5.4). One member that can't be read leaves the whole as a list.
fn preferences(
    name: &HeaderName,
    request: &HeaderMap,
    name_of: impl Fn(&[u8]) -> Vec<u8>,
) -> Vec<u8> {
    let read: Option<Vec<(Vec<u8>, u16)>> = lines(name, request)
        .flat_map(|line| line.split(|byte| *byte == b','))
        .map(trim)
        .filter(|member| !member.is_empty())
        .map(|member| {
            let (choice, weight) = split_weight(member)?;
            Some((name_of(choice), weight))
        })
        .collect();
    let Some(mut choices) = read else {
        return list(name, request);
    };
    choices.sort();
    choices.dedup();
    let mut normal = Vec::new();
    for (choice, weight) in choices {
        if !normal.is_empty() {
            normal.push(b',');
        }
        normal.extend_from_slice(&choice);
        // No weight is a weight of 1.
        if weight != 1000 {
            normal
                .extend_from_slice(format!(";q={}.{:03}", weight / 1000, weight % 1000).as_bytes());
        }
    }
    normal
}

/// Codings are case-insensitive, and some have a second name (RFC 9110 sections 8.4.1 and
/// 8.4.1.3).
fn coding(name: &[u8]) -> Vec<u8> {
    let name = name.to_ascii_lowercase();
    match name.strip_prefix(b"x-") {
        Some(known @ (b"gzip" | b"compress")) => known.to_vec(),
        _ => name,
    }
}

/// A choice and its weight in thousandths; `None` if it isn't a token with at most a weight.
fn split_weight(member: &[u8]) -> Option<(&[u8], u16)> {
    let Some(semicolon) = member.iter().position(|byte| *byte == b';') else {
        return is_token(member).then_some((member, 1000));
    };
    let choice = trim(&member[..semicolon]);
    let [b'q' | b'Q', b'=', weight @ ..] = trim(&member[semicolon + 1..]) else {
        return None;
    };
    is_token(choice).then_some((choice, thousandths(weight)?))
}

fn is_token(text: &[u8]) -> bool {
    !text.is_empty()
        && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

/// A qvalue (RFC 9110 section 12.4.2).
fn thousandths(weight: &[u8]) -> Option<u16> {
    let (whole, fraction) = match weight {
        [whole] | [whole, b'.'] => (*whole, &[][..]),
        [whole, b'.', fraction @ ..] if fraction.len() <= 3 => (*whole, fraction),
        _ => return None,
    };
    let mut thousandths = match whole {
        b'0' => 0,
        b'1' => 1000,
        _ => return None,
    };
    for (digit, unit) in fraction.iter().zip([100, 10, 1]) {
        if !digit.is_ascii_digit() {
            return None;
        }
        thousandths += u16::from(digit - b'0') * unit;
    }
    (thousandths <= 1000).then_some(thousandths)
}
