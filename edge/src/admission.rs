//! Whether a request is one that the edge answers at all.
//!
//! Pure. hyper takes requests that RFC 9112 wants refused; what is ambiguous is
//! refused here, because the origin might read it otherwise.

use http::header::{CONTENT_LENGTH, HOST, HeaderValue, TRANSFER_ENCODING};
use http::{HeaderMap, Method, StatusCode, Uri, Version};

use crate::heads::Flaw;

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Refusal {
    /// No `Host`, which HTTP/1.1 requires and without which there is no site.
    MissingHost,
    /// More than one `Host`.
    SeveralHosts,
    /// A `Host` that isn't a host name or address with an optional port.
    BadHost,
    /// The request line names another host than `Host`.
    HostMismatch,
    /// More than one Content-Length.
    SeveralLengths,
    /// Content-Length beside Transfer-Encoding.
    LengthAndCoding,
    /// A line that ends without a carriage return.
    BareLineFeed,
    /// The request line is longer than three quarters of what a head may be.
    TargetTooLong,
    /// The body has a coding that isn't understood.
    UnknownCoding,
    /// HTTP/1.0 knows no transfer codings.
    ChunkedInOldVersion,
    /// CONNECT: this is no tunnel.
    Connect,
    /// TRACE would show a script what it may not see.
    Trace,
    /// The target isn't a path.
    BadTarget,
    /// No site has this host.
    UnknownHost,
    /// The request has been here before.
    Loop,
    /// The body is longer than permitted.
    BodyTooLong,
    /// As many connections as permitted have switched to another protocol.
    TooManyTunnels,
    /// No connection switches to another protocol any more: the edge stops.
    Stopping,
}

impl Refusal {
    /// All of them, for the metric.
    pub(crate) const ALL: [Self; 18] = [
        Self::MissingHost,
        Self::SeveralHosts,
        Self::BadHost,
        Self::HostMismatch,
        Self::SeveralLengths,
        Self::LengthAndCoding,
        Self::BareLineFeed,
        Self::TargetTooLong,
        Self::UnknownCoding,
        Self::ChunkedInOldVersion,
        Self::Connect,
        Self::Trace,
        Self::BadTarget,
        Self::UnknownHost,
        Self::Loop,
        Self::BodyTooLong,
        Self::TooManyTunnels,
        Self::Stopping,
    ];

    /// Status, reason and what the client is told.
    pub(crate) const fn describe(self) -> (StatusCode, &'static str, &'static str) {
        const BAD: StatusCode = StatusCode::BAD_REQUEST;
        match self {
            Self::MissingHost => (BAD, "missing-host", "The request names no host.\n"),
            Self::SeveralHosts => (BAD, "several-hosts", "The request names several hosts.\n"),
            Self::BadHost => (BAD, "bad-host", "The request's Host is not a host.\n"),
            Self::HostMismatch => (BAD, "host-mismatch", "The request names two hosts.\n"),
            Self::SeveralLengths => {
                (BAD, "several-lengths", "The request's body has several lengths.\n")
            }
            Self::LengthAndCoding => {
                (BAD, "length-and-coding", "The request's body has a length and a coding.\n")
            }
            Self::BareLineFeed => {
                (BAD, "bare-line-feed", "A line of the request ends with a line feed alone.\n")
            }
            Self::TargetTooLong => {
                (StatusCode::URI_TOO_LONG, "target-too-long", "The request's target is too long.\n")
            }
            // RFC 9112 section 6.1
            Self::UnknownCoding => (
                StatusCode::NOT_IMPLEMENTED,
                "unknown-coding",
                "No transfer coding but chunked is understood.\n",
            ),
            Self::ChunkedInOldVersion => {
                (BAD, "chunked-in-old-version", "HTTP/1.0 has no chunked bodies.\n")
            }
            Self::Connect => (StatusCode::METHOD_NOT_ALLOWED, "connect", "This is not a tunnel.\n"),
            Self::Trace => (StatusCode::METHOD_NOT_ALLOWED, "trace", "TRACE is not answered.\n"),
            Self::BadTarget => (BAD, "bad-target", "The request's target is not a path.\n"),
            // RFC 9110 section 15.5.20
            Self::UnknownHost => (
                StatusCode::MISDIRECTED_REQUEST,
                "unknown-host",
                "No site of this name is served here.\n",
            ),
            // RFC 8586 section 2
            Self::Loop => {
                (StatusCode::LOOP_DETECTED, "loop", "The request has been here before.\n")
            }
            Self::BodyTooLong => {
                (StatusCode::PAYLOAD_TOO_LARGE, "body-too-long", "The body is too long.\n")
            }
            Self::TooManyTunnels => (
                StatusCode::SERVICE_UNAVAILABLE,
                "too-many-tunnels",
                "Too many connections have switched to another protocol.\n",
            ),
            Self::Stopping => {
                (StatusCode::SERVICE_UNAVAILABLE, "stopping", "This server is about to stop.\n")
            }
        }
    }

    /// For the log and the metric's label.
    pub(crate) const fn as_str(self) -> &'static str {
        self.describe().1
    }

    /// Whether the connection can't be used after it: what follows on it may be part of this
    /// request's body, or the start of the next.
    pub(crate) const fn ends_connection(self) -> bool {
        matches!(
            self,
            Self::SeveralLengths
                | Self::LengthAndCoding
                | Self::BareLineFeed
                | Self::TargetTooLong
                | Self::UnknownCoding
                | Self::ChunkedInOldVersion
                | Self::Connect
        )
    }
}

impl From<Flaw> for Refusal {
    fn from(flaw: Flaw) -> Self {
        match flaw {
            Flaw::LengthAndCoding => Self::LengthAndCoding,
            Flaw::SeveralLengths => Self::SeveralLengths,
            Flaw::BareLineFeed => Self::BareLineFeed,
            Flaw::TargetTooLong => Self::TargetTooLong,
        }
    }
}

/// The host that a request is for, as the client wrote it, port included.
pub(crate) fn host(
    method: &Method,
    uri: &Uri,
    version: Version,
    headers: &HeaderMap,
) -> Result<HeaderValue, Refusal> {
    framing(version, headers)?;
    match *method {
        Method::CONNECT => return Err(Refusal::Connect),
        Method::TRACE => return Err(Refusal::Trace),
        _ => {}
    }
    // RFC 9112 section 3.2: asterisk-form belongs to OPTIONS alone.
    let asterisk = uri.path() == "*" && *method == Method::OPTIONS;
    if !uri.path().starts_with('/') && !asterisk {
        return Err(Refusal::BadTarget);
    }
    let mut hosts = headers.get_all(HOST).iter();
    let named = match (hosts.next(), hosts.next()) {
        (_, Some(_)) => return Err(Refusal::SeveralHosts),
        (named, None) => named,
    };
    match (uri.authority(), named) {
        (None, None) => Err(Refusal::MissingHost),
        (None, Some(named)) => Ok(named.clone()),
        // RFC 9112 section 3.2.2 lets the target win; two that differ are an attack.
        (Some(target), named) => {
            if let Some(named) = named
                && !named.as_bytes().eq_ignore_ascii_case(target.as_str().as_bytes())
            {
                return Err(Refusal::HostMismatch);
            }
            HeaderValue::from_str(target.as_str()).map_err(|_| Refusal::BadHost)
        }
    }
}

/// RFC 9112 sections 6.3 and 11.2: what could be read in two ways is refused. What hyper hides of it
/// is found in [`crate::heads`].
fn framing(version: Version, headers: &HeaderMap) -> Result<(), Refusal> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let coding = codings.next();
    if headers.get_all(CONTENT_LENGTH).iter().count() > 1 {
        return Err(Refusal::SeveralLengths);
    }
    let Some(coding) = coding else { return Ok(()) };
    if version < Version::HTTP_11 {
        return Err(Refusal::ChunkedInOldVersion);
    }
    // hyper takes any list that ends so, and removes the last coding alone.
    let chunked = coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked");
    if chunked && codings.next().is_none() { Ok(()) } else { Err(Refusal::UnknownCoding) }
}

/// The host's name without port and final dot. Upper case stays.
pub(crate) fn name(host: &HeaderValue) -> Result<&str, Refusal> {
    let host = host.to_str().map_err(|_| Refusal::BadHost)?;
    let name = if host.starts_with('[') {
        // An IPv6 address (RFC 3986 section 3.2.2).
        let end = host.find(']').ok_or(Refusal::BadHost)?;
        port(&host[end + 1..])?;
        &host[1..end]
    } else {
        let (name, rest) = host.split_at(host.find(':').unwrap_or(host.len()));
        port(rest)?;
        name.strip_suffix('.').unwrap_or(name)
    };
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
    if name.is_empty() || !name.bytes().all(good) { Err(Refusal::BadHost) } else { Ok(name) }
}

fn port(text: &str) -> Result<(), Refusal> {
    match text.strip_prefix(':') {
        None if text.is_empty() => Ok(()),
        Some(digits) if digits.len() <= 5 && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Ok(())
        }
        Some(_) | None => Err(Refusal::BadHost),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(method: &str, target: &str, fields: &[(&'static str, &str)]) -> Result<String, Refusal> {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let uri = target.parse().unwrap();
        let mut headers = HeaderMap::new();
        for &(name, value) in fields {
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        let host = host(&method, &uri, Version::HTTP_11, &headers)?;
        name(&host).map(str::to_owned)
    }

    #[test]
    fn the_host_is_found_wherever_it_may_stand() {
        for (target, fields, expected) in [
            ("/", vec![("host", "a.test")], "a.test"),
            ("/", vec![("host", "a.test:8080")], "a.test"),
            ("/", vec![("host", "A.test.")], "A.test"),
            ("/", vec![("host", "192.0.2.1:80")], "192.0.2.1"),
            ("/", vec![("host", "[2001:db8::1]:80")], "2001:db8::1"),
            ("http://a.test/x", vec![("host", "A.TEST")], "a.test"),
            ("http://a.test:81/x", vec![], "a.test"),
        ] {
            assert_eq!(ask("GET", target, &fields).as_deref(), Ok(expected), "{target} {fields:?}");
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        let host = ("host", "a.test");
        for (method, target, fields, expected) in [
            ("GET", "/", vec![], Refusal::MissingHost),
            ("GET", "/", vec![host, host], Refusal::SeveralHosts),
            ("GET", "/", vec![("host", "")], Refusal::BadHost),
            ("GET", "/", vec![("host", "a.test:x")], Refusal::BadHost),
            ("GET", "/", vec![("host", "a.test:123456")], Refusal::BadHost),
            ("GET", "/", vec![("host", "user@a.test")], Refusal::BadHost),
            ("GET", "/", vec![("host", "a.test/b")], Refusal::BadHost),
            ("GET", "/", vec![("host", "[::1")], Refusal::BadHost),
            ("GET", "http://b.test/", vec![host], Refusal::HostMismatch),
            ("GET", "http://u@a.test/", vec![], Refusal::BadHost),
            ("GET", "*", vec![host], Refusal::BadTarget),
            ("CONNECT", "a.test:443", vec![host], Refusal::Connect),
            ("TRACE", "/", vec![host], Refusal::Trace),
            (
                "POST",
                "/",
                vec![host, ("content-length", "1"), ("content-length", "1")],
                Refusal::SeveralLengths,
            ),
        ] {
            assert_eq!(ask(method, target, &fields), Err(expected), "{method} {target} {fields:?}");
        }
        assert_eq!(ask("OPTIONS", "*", &[host]).as_deref(), Ok("a.test"));
    }

    #[test]
    fn old_versions_have_no_chunks() {
        let mut headers = HeaderMap::new();
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        assert_eq!(framing(Version::HTTP_10, &headers), Err(Refusal::ChunkedInOldVersion));
        assert_eq!(framing(Version::HTTP_11, &headers), Ok(()));
    }

    #[test]
    fn every_refusal_has_a_reason_of_its_own() {
        let reasons: std::collections::HashSet<_> =
            Refusal::ALL.iter().map(|refusal| refusal.as_str()).collect();
        assert_eq!(reasons.len(), Refusal::ALL.len());
    }
}
