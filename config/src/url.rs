//! Where an origin is.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use thiserror::Error;

use crate::{DomainName, NameError, Refusal};

/// An origin: `http://host[:port]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OriginUrl {
    /// A name or an address.
    pub host: OriginHost,
    /// Its port, 80 where the URL says none.
    pub port: u16,
}

/// The host of an [`OriginUrl`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum OriginHost {
    /// A name, looked up when a connection is opened.
    Name(DomainName),
    /// An address.
    Address(IpAddr),
}

impl OriginUrl {
    /// Reads `http://host[:port]`, a lone final slash permitted.
    pub fn parse(text: &str) -> Result<Self, OriginUrlError> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(OriginUrlError::NoScheme(text.to_owned()));
        };
        match scheme.to_ascii_lowercase().as_str() {
            "http" => {}
            "https" => return Err(OriginUrlError::Https(rest.to_owned())),
            _ => return Err(OriginUrlError::Scheme(scheme.to_owned())),
        }
        // RFC 3986 section 3.2: the authority ends at the first slash, question mark or hash.
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, after) = rest.split_at(end);
        if let Some((_, host)) = authority.rsplit_once('@') {
            return Err(OriginUrlError::UserInfo(host.to_owned()));
        }
        if !matches!(after, "" | "/") {
            return Err(match after.as_bytes().first() {
                Some(b'?') => OriginUrlError::Query(authority.to_owned()),
                Some(b'#') => OriginUrlError::Fragment(authority.to_owned()),
                _ => OriginUrlError::Path(authority.to_owned()),
            });
        }
        let (host, port) = split_port(authority)?;
        Ok(Self { host: OriginHost::parse(host)?, port })
    }
}

impl OriginHost {
    fn parse(text: &str) -> Result<Self, OriginUrlError> {
        if let Some(inner) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
            return match inner.parse::<Ipv6Addr>() {
                Ok(address) => Ok(Self::Address(address.into())),
                Err(_) => Err(OriginUrlError::Ipv6(text.to_owned())),
            };
        }
        match text.parse::<IpAddr>() {
            Ok(address) => Ok(Self::Address(address)),
            Err(_) => Ok(Self::Name(DomainName::parse(text).map_err(OriginUrlError::Host)?)),
        }
    }
}

/// Parts `host[:port]`; the colons inside brackets are the address's own.
fn split_port(authority: &str) -> Result<(&str, u16), OriginUrlError> {
    let after_host = authority.rfind(']').map_or(0, |bracket| bracket + 1);
    let Some(colon) = authority[after_host..].find(':') else {
        return Ok((authority, 80));
    };
    let (host, port) = authority.split_at(after_host + colon);
    if port[1..].contains(':') {
        return Err(OriginUrlError::Ipv6(authority.to_owned()));
    }
    match port[1..].parse::<u16>() {
        Ok(port) if port > 0 => Ok((host, port)),
        _ => Err(OriginUrlError::Port(port[1..].to_owned())),
    }
}

/// Why a text is no [`OriginUrl`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OriginUrlError {
    /// Nothing like `http://` stands in front.
    #[error("`{0}` has no `http://` in front")]
    NoScheme(String),
    /// TLS to origins isn't there yet.
    #[error("`https://` to an origin isn't supported yet")]
    Https(String),
    /// Another scheme.
    #[error("`{0}://` isn't supported")]
    Scheme(String),
    /// A user in front of the host.
    #[error("an origin's URL has no user and no password")]
    UserInfo(String),
    /// A path behind the host.
    #[error("an origin's URL has no path")]
    Path(String),
    /// A query behind the host.
    #[error("an origin's URL has no query")]
    Query(String),
    /// A fragment behind the host.
    #[error("an origin's URL has no fragment")]
    Fragment(String),
    /// A port that isn't one.
    #[error("`{0}` is no port")]
    Port(String),
    /// Something with colons or brackets that is no IPv6 address.
    #[error("`{0}` is no host: an IPv6 address stands in brackets")]
    Ipv6(String),
    /// The host is no name.
    #[error(transparent)]
    Host(NameError),
}

impl Refusal for OriginUrlError {
    fn help(&self) -> String {
        match self {
            Self::NoScheme(text) => format!("write `http://{text}`"),
            Self::Https(rest) => {
                let host = rest.split(['/', ':', '?', '#']).next().unwrap_or_default();
                format!("write `http://{host}` if the origin answers without TLS")
            }
            Self::Scheme(_) => "write `http://host:port`".to_owned(),
            Self::UserInfo(host) => format!("write `http://{host}`"),
            Self::Path(authority) | Self::Query(authority) | Self::Fragment(authority) => {
                format!("write `http://{authority}`: the client's path and query are passed on")
            }
            Self::Port(_) => "a port goes from 1 to 65535".to_owned(),
            Self::Ipv6(_) => "write `http://[2001:db8::1]:8000`".to_owned(),
            Self::Host(error) => error.help(),
        }
    }
}

impl fmt::Display for OriginUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            OriginHost::Name(name) => write!(f, "http://{name}:{}", self.port),
            OriginHost::Address(IpAddr::V6(address)) => {
                write!(f, "http://[{address}]:{}", self.port)
            }
            OriginHost::Address(address) => write!(f, "http://{address}:{}", self.port),
        }
    }
}
