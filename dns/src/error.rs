//! Why a name server doesn't do what it is told.

use std::io;
use std::net::SocketAddr;

use thiserror::Error;

use crate::explain::ExplainError;
use crate::zone::ZoneError;

/// Why a name server can't start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The configuration has no `[cdn]` or no `[dns]`.
    #[error("the configuration has no `[cdn]` or no `[dns]`: a name server needs both")]
    NoDns,
    /// Zones or the location database can't be served: see each.
    #[error("{}", list(.0))]
    Zones(Vec<ZoneError>),
    /// An address can't be listened on.
    #[error("can't listen on {address} for DNS: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The system has no threads or no sockets left.
    #[error("can't answer DNS: {0}")]
    Threads(#[source] io::Error),
    /// The registry has metrics of these names already.
    #[error(transparent)]
    Metrics(#[from] prometheus::Error),
    /// Reading the zones ended in a panic.
    #[error("reading the zones failed: {0}")]
    Reading(#[from] tokio::task::JoinError),
}

/// Why a configuration isn't taken over. The one before stays.
#[derive(Debug, Error)]
pub enum ReloadError {
    /// The configuration has no `[cdn]` or no `[dns]`.
    #[error("the configuration has no `[cdn]` or no `[dns]`: a name server needs both")]
    NoDns,
    /// Zones or the location database can't be served: see each.
    #[error("{}", list(.0))]
    Zones(Vec<ZoneError>),
}

/// Why what the operator wants isn't done, or not for long.
#[derive(Debug, Error)]
pub enum WishError {
    /// Nothing that can be wanted.
    #[error("`{0}` is nothing that an edge can be: say `drain`, `down` or `auto`")]
    Unknown(String),
    /// No edge has such a name.
    #[error("no edge is called `{0}`")]
    NoEdge(String),
    /// It holds, but only until a restart.
    #[error("{} set, but only until the next start: the state file can't be written: {source}", .names.join(", "))]
    Unwritten {
        /// The edges.
        names: Vec<String>,
        /// Why.
        source: io::Error,
    },
}

/// Why a configuration's answer can't be explained.
#[derive(Debug, Error)]
pub enum FileExplainError {
    /// What is asked is wrong.
    #[error(transparent)]
    Question(#[from] ExplainError),
    /// It can't be served.
    #[error(transparent)]
    Start(#[from] StartError),
}

fn list(errors: &[ZoneError]) -> String {
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    lines.join("\n")
}
