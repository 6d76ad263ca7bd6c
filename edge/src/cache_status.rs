//! The `Cache-Status` field (RFC 9211): what the cache did with a request, and why.

use http::{HeaderValue, StatusCode};

use crate::caching::Forward;
use crate::decimal::Decimal;

/// What the cache did, as the access log and the metrics' label `cache` say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Cache {
    /// Served from the store, fresh.
    Hit,
    /// Served from the store, stale: the site or the answer permits it now.
    Stale,
    /// Served from the store after the origin confirmed it.
    Revalidated,
    /// Served from the origin, through the cache.
    Miss,
    /// Served from the origin, past the cache.
    Bypass,
    /// Not served: the request was refused, or no origin answered.
    Error,
}

impl Cache {
    /// All of them, in the order of [`Cache::index`].
    pub(crate) const ALL: [Self; 6] =
        [Self::Hit, Self::Stale, Self::Revalidated, Self::Miss, Self::Bypass, Self::Error];

    /// Its place in [`Cache::ALL`].
    pub(crate) const fn index(self) -> usize {
        self as usize
    }

    /// The label's value.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Stale => "stale",
            Self::Revalidated => "revalidated",
            Self::Miss => "miss",
            Self::Bypass => "bypass",
            Self::Error => "error",
        }
    }
}

/// The parameters of one `Cache-Status` member (RFC 9211 section 2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct CacheStatus {
    /// Why the request went forward; nothing means that it didn't: a hit.
    pub(crate) fwd: Option<Forward>,
    /// What the next hop answered.
    pub(crate) fwd_status: Option<StatusCode>,
    /// Whether the answer is being stored.
    pub(crate) stored: bool,
    /// Whether the request shared another one's fetch.
    pub(crate) collapsed: bool,
    /// Seconds of freshness left, negative when stale.
    pub(crate) ttl: Option<i64>,
    /// Our own reason.
    pub(crate) detail: Option<&'static str>,
    /// Nothing of the above: the edge answered by itself.
    pub(crate) own_answer: bool,
}

impl CacheStatus {
    /// The field's value, as said by `node`; with the site and target of a key, if it is to be said.
    pub(crate) fn to_header_value(self, node: &str, key: Option<(&str, &str)>) -> HeaderValue {
        let mut text = String::with_capacity(64);
        text.push_str(node);
        self.write_parameters(&mut text);
        if let Some((site, target)) = key {
            push_key(&mut text, site, target);
        }
        HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("kingcdn"))
    }

    fn write_parameters(self, text: &mut String) {
        match self.fwd {
            Some(reason) => push(text, "; fwd=", reason.as_str()),
            None if self.own_answer => {}
            None => text.push_str("; hit"),
        }
        if let Some(status) = self.fwd_status {
            push(text, "; fwd-status=", status.as_str());
        }
        if self.stored {
            text.push_str("; stored");
        }
        if self.collapsed {
            text.push_str("; collapsed");
        }
        if let Some(ttl) = self.ttl {
            text.push_str("; ttl=");
            push_number(text, ttl);
        }
        if let Some(detail) = self.detail {
            push(text, "; detail=", detail);
        }
    }
}

/// As a String (RFC 9651 section 3.3.3); what can't be one isn't said.
fn push_key(text: &mut String, site: &str, target: &str) {
    if !target.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return;
    }
    push(text, "; key=\"", site);
    text.push(' ');
    for character in target.chars() {
        if matches!(character, '"' | '\\') {
            text.push('\\');
        }
        text.push(character);
    }
    text.push('"');
}

fn push(text: &mut String, name: &str, value: &str) {
    text.push_str(name);
    text.push_str(value);
}

fn push_number(text: &mut String, number: i64) {
    if number < 0 {
        text.push('-');
    }
    text.push_str(Decimal::new(number.unsigned_abs()).as_str());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_answer_says_what_happened() {
        let hit = CacheStatus { ttl: Some(29), ..CacheStatus::default() };
        let miss = CacheStatus {
            fwd: Some(Forward::UriMiss),
            fwd_status: Some(StatusCode::OK),
            stored: true,
            collapsed: true,
            ..CacheStatus::default()
        };
        let stale = CacheStatus {
            fwd: Some(Forward::Stale),
            ttl: Some(-3),
            detail: Some("origin-unreachable"),
            ..CacheStatus::default()
        };
        let own = CacheStatus { own_answer: true, detail: Some("x"), ..CacheStatus::default() };
        for (status, expected) in [
            (hit, "seoul; hit; ttl=29"),
            (miss, "seoul; fwd=uri-miss; fwd-status=200; stored; collapsed"),
            (stale, "seoul; fwd=stale; ttl=-3; detail=origin-unreachable"),
            (own, "seoul; detail=x"),
        ] {
            assert_eq!(status.to_header_value("seoul", None), expected);
        }
    }

    #[test]
    fn a_key_is_said_as_a_string() {
        let hit = CacheStatus { ttl: Some(1), ..CacheStatus::default() };
        for (target, expected) in [
            ("/a?b=1", "seoul; hit; ttl=1; key=\"site /a?b=1\""),
            ("/\"\\", "seoul; hit; ttl=1; key=\"site /\\\"\\\\\""),
            ("/\u{e9}", "seoul; hit; ttl=1"),
        ] {
            assert_eq!(hit.to_header_value("seoul", Some(("site", target))), expected);
        }
    }

    #[test]
    fn any_number_of_seconds_is_said() {
        for ttl in [0, 7, -7, 10, 86_400, -31_536_000, i64::MAX, i64::MIN] {
            let status = CacheStatus { ttl: Some(ttl), ..CacheStatus::default() };
            assert_eq!(status.to_header_value("a", None), format!("a; hit; ttl={ttl}"));
        }
    }

    #[test]
    fn a_label_stands_where_its_index_says() {
        for cache in Cache::ALL {
            assert_eq!(Cache::ALL[cache.index()], cache);
        }
    }
}
