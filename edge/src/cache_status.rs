//! The `Cache-Status` field (RFC 9211): what the cache did with a request, and why.

use http::{HeaderValue, StatusCode};

use crate::caching::Forward;

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
    /// The field's value, as said by `node`.
    pub(crate) fn to_header_value(self, node: &str) -> HeaderValue {
        let mut text = String::with_capacity(64);
        text.push_str(node);
        self.write_parameters(&mut text);
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

fn push(text: &mut String, name: &str, value: &str) {
    text.push_str(name);
    text.push_str(value);
}

/// In decimal. Every hit says a number: this takes a third of the time of the formatter's way.
fn push_number(text: &mut String, number: i64) {
    if number < 0 {
        text.push('-');
    }
    let (mut left, mut digits) = (number.unsigned_abs(), [0_u8; 20]);
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    text.extend(digits[first..].iter().map(|digit| char::from(b'0' + digit)));
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
            assert_eq!(status.to_header_value("seoul"), expected);
        }
    }

    #[test]
    fn any_number_of_seconds_is_said() {
        for ttl in [0, 7, -7, 10, 86_400, -31_536_000, i64::MAX, i64::MIN] {
            let status = CacheStatus { ttl: Some(ttl), ..CacheStatus::default() };
            assert_eq!(status.to_header_value("a"), format!("a; hit; ttl={ttl}"));
        }
    }

    #[test]
    fn a_label_stands_where_its_index_says() {
        for cache in Cache::ALL {
            assert_eq!(Cache::ALL[cache.index()], cache);
        }
    }
}
