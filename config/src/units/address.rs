//! Addresses with port, without port, and networks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;
use thiserror::Error;

use crate::Refusal;

/// Reads an address with its port; `usual_port` is the one that a remedy names.
pub fn address(text: &str, usual_port: u16) -> Result<SocketAddr, AddressError> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(address);
    }
    let owned = || text.to_owned();
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    if let Ok(ip) = bare.parse::<IpAddr>() {
        let remedy = SocketAddr::new(ip, usual_port);
        return Err(AddressError::NoPort { text: owned(), remedy });
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err(AddressError::Unreadable(owned(), usual_port));
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let ip = bare.parse::<IpAddr>();
    match (ip, port.parse::<u16>()) {
        (Ok(IpAddr::V6(ip)), Ok(port)) => {
            Err(AddressError::Brackets { text: owned(), remedy: SocketAddr::new(ip.into(), port) })
        }
        (Ok(_), _) => Err(AddressError::Port(port.to_owned())),
        (Err(_), Ok(port)) if host.is_empty() => Err(AddressError::NoAddress {
            text: owned(),
            remedy: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port),
        }),
        (Err(_), Ok(port)) if bare.bytes().any(|b| b.is_ascii_alphabetic()) => {
            Err(AddressError::Name {
                text: owned(),
                remedy: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port),
            })
        }
        _ => Err(AddressError::Unreadable(owned(), usual_port)),
    }
}

/// Reads an address that DNS may answer, without port.
pub fn ip(text: &str) -> Result<IpAddr, IpError> {
    let owned = || text.to_owned();
    let Ok(ip) = text.parse::<IpAddr>() else {
        return Err(match text.parse::<SocketAddr>() {
            Ok(address) => IpError::Port { text: owned(), remedy: address.ip() },
            Err(_) => IpError::Unreadable(owned()),
        });
    };
    // Clients would connect to themselves, or to nobody.
    let nobody = match ip {
        IpAddr::V4(ip) => ip.is_broadcast(),
        IpAddr::V6(ip) => ip.to_ipv4_mapped().is_some(),
    };
    if nobody || ip.is_unspecified() || ip.is_multicast() {
        return Err(IpError::NotAHost(ip));
    }
    Ok(ip)
}

/// Reads a network whose host bits are zero.
pub fn prefix(text: &str) -> Result<IpNet, PrefixError> {
    let owned = || text.to_owned();
    let Some((ip, length)) = text.split_once('/') else {
        return Err(match text.parse::<IpAddr>() {
            Ok(ip) => PrefixError::NoLength(IpNet::from(ip)),
            Err(_) => PrefixError::Unreadable(owned()),
        });
    };
    let ip = ip.parse::<IpAddr>().map_err(|_| PrefixError::Unreadable(owned()))?;
    let max = match ip {
        IpAddr::V4(_) => Ipv4Addr::BITS,
        IpAddr::V6(_) => Ipv6Addr::BITS,
    };
    let length_error = || PrefixError::Length { text: length.to_owned(), max };
    let length = length.parse::<u8>().map_err(|_| length_error())?;
    let net = IpNet::new(ip, length).map_err(|_| length_error())?;
    if net.trunc() == net {
        Ok(net)
    } else {
        Err(PrefixError::HostBits { text: owned(), remedy: net.trunc() })
    }
}

/// Whether one process can't listen on both: they are equal, or one of them is the family's
/// unspecified address, which takes all. Port 0 is a free port each time.
pub fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    one.port() != 0
        && one.port() == other.port()
        && one.is_ipv4() == other.is_ipv4()
        && (one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified())
}

/// Why a text is no address with port.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AddressError {
    /// An address without port.
    #[error("`{text}` has no port")]
    NoPort {
        /// The text.
        text: String,
        /// The same with a port.
        remedy: SocketAddr,
    },
    /// A port without address.
    #[error("`{text}` has no address")]
    NoAddress {
        /// The text.
        text: String,
        /// The same with an address.
        remedy: SocketAddr,
    },
    /// An IPv6 address without brackets.
    #[error("`{text}` has an IPv6 address without brackets")]
    Brackets {
        /// The text.
        text: String,
        /// The same with brackets.
        remedy: SocketAddr,
    },
    /// A name.
    #[error("`{text}` has a name where an address is wanted")]
    Name {
        /// The text.
        text: String,
        /// An example with the same port.
        remedy: SocketAddr,
    },
    /// A port that isn't one.
    #[error("`{0}` is no port")]
    Port(String),
    /// Something else.
    #[error("`{0}` is no address with port")]
    Unreadable(String, u16),
}

/// Why a text is no address that DNS may answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IpError {
    /// An address with port.
    #[error("`{text}` has a port: DNS answers addresses alone")]
    Port {
        /// The text.
        text: String,
        /// The same without port.
        remedy: IpAddr,
    },
    /// An address that no client can connect to.
    #[error("`{0}` is no address that clients can connect to")]
    NotAHost(IpAddr),
    /// Something else.
    #[error("`{0}` is no IP address")]
    Unreadable(String),
}

/// Why a text is no network.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PrefixError {
    /// An address without the prefix's length.
    #[error("`{}` has no prefix length", .0.addr())]
    NoLength(IpNet),
    /// A length that isn't one.
    #[error("`/{text}` is no prefix length")]
    Length {
        /// What stands behind the slash.
        text: String,
        /// The greatest length.
        max: u32,
    },
    /// Bits behind the prefix are set.
    #[error("`{text}` has bits set behind its prefix")]
    HostBits {
        /// The text.
        text: String,
        /// The network that it lies in.
        remedy: IpNet,
    },
    /// Something else.
    #[error("`{0}` is no network")]
    Unreadable(String),
}

impl Refusal for AddressError {
    fn help(&self) -> String {
        match self {
            Self::NoPort { remedy, .. } | Self::Brackets { remedy, .. } => {
                format!("write `{remedy}`")
            }
            Self::NoAddress { remedy, .. } => {
                let port = remedy.port();
                format!("write `{remedy}`, or `0.0.0.0:{port}` for every address")
            }
            Self::Name { remedy, .. } => format!("write the address itself, such as `{remedy}`"),
            Self::Port(_) => "a port goes from 0 to 65535".to_owned(),
            Self::Unreadable(_, port) => {
                format!("write `127.0.0.1:{port}` or `[::1]:{port}`")
            }
        }
    }
}

impl Refusal for IpError {
    fn help(&self) -> String {
        match self {
            Self::Port { remedy, .. } => format!("write `{remedy}`"),
            Self::NotAHost(_) => "write the address that clients reach it at".to_owned(),
            Self::Unreadable(_) => "write `192.0.2.1` or `2001:db8::1`".to_owned(),
        }
    }
}

impl Refusal for PrefixError {
    fn help(&self) -> String {
        match self {
            Self::NoLength(net) => format!("write `{net}` for this address alone"),
            Self::Length { max, .. } => format!("the length goes from 0 to {max}"),
            Self::HostBits { remedy, .. } => format!("write `{remedy}`"),
            Self::Unreadable(_) => "write `192.0.2.0/24` or `2001:db8::/32`".to_owned(),
        }
    }
}
