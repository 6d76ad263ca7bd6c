//! Which node of the CDN this process is, and what is said to it alone.

use std::net::SocketAddr;
use std::path::PathBuf;

use thiserror::Error;

use crate::reader::did_you_mean;
use crate::units::{self, AddressError};
use crate::{Config, Edge, Label, Refusal};

/// What a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role<'a> {
    /// The name server.
    Dns,
    /// The edge of this name.
    Edge(&'a Label),
    /// The reference origin.
    Origin,
}

/// What flags or the environment say instead of the file, for one node. Unread texts, so that an
/// error can name the flag that it came with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--listen`: addresses with ports, instead of the node's `listen`. None leaves the file's.
    pub listen: Vec<String>,
    /// `--admin`: an address with port, instead of the node's `admin`.
    pub admin: Option<String>,
    /// `--cache-path`: the folder of the edge's disk tier, relative to the working directory.
    pub cache_path: Option<PathBuf>,
}

impl Config {
    /// The edge that `node` names; without a name the only one there is.
    pub fn node(&self, node: Option<&str>) -> Result<&Edge, RoleError> {
        let names = || self.edges.iter().map(|edge| edge.name.as_str());
        match (node, self.edges.as_slice()) {
            (_, []) => Err(RoleError::Absent("[[edge]]")),
            (None, [only]) => Ok(only),
            (None, _) => Err(RoleError::NodeWanted(names().collect::<Vec<_>>().join(", "))),
            (Some(node), edges) => {
                let same = |edge: &&Edge| edge.name.as_str().eq_ignore_ascii_case(node);
                edges.iter().find(same).ok_or_else(|| RoleError::NoSuchNode {
                    node: node.to_owned(),
                    help: did_you_mean(node, names()).unwrap_or_else(|| {
                        format!("the edges are {}", names().collect::<Vec<_>>().join(", "))
                    }),
                })
            }
        }
    }

    /// This configuration with `overrides` for the node of `role`. Only that node's own addresses
    /// and folder change.
    pub fn with_overrides(
        mut self,
        role: Role<'_>,
        overrides: &Overrides,
    ) -> Result<Self, RoleError> {
        let port = if role == Role::Dns { 53 } else { 80 };
        let parse = |flag, text: &str| {
            let parsed = units::address(text, port);
            parsed.map_err(|reason| RoleError::Address { flag, reason })
        };
        let texts = overrides.listen.iter();
        let new_listen: Vec<_> =
            texts.map(|text| parse("--listen", text)).collect::<Result<_, _>>()?;
        let admin_text = overrides.admin.as_deref();
        let new_admin = admin_text.map(|text| parse("--admin", text)).transpose()?;
        if overrides.cache_path.is_some() {
            self.move_cache(role, overrides)?;
        }
        let (listen, admin) = self.addresses_mut(role)?;
        if !new_listen.is_empty() {
            *listen = new_listen;
        }
        if let Some(new_admin) = new_admin {
            *admin = new_admin;
        }
        let mut all = listen.clone();
        all.push(*admin);
        match twice(&all) {
            Some(address) => Err(RoleError::Twice(address)),
            None => Ok(self),
        }
    }

    fn move_cache(&mut self, role: Role<'_>, overrides: &Overrides) -> Result<(), RoleError> {
        let Role::Edge(name) = role else {
            return Err(RoleError::NoCache);
        };
        let edge = self.edges.iter_mut().find(|edge| edge.name == *name);
        let disk = edge.and_then(|edge| edge.cache.disk.as_mut());
        let (Some(disk), Some(path)) = (disk, &overrides.cache_path) else {
            return Err(RoleError::NoDisk);
        };
        disk.path.clone_from(path);
        // The file speaks of where its own path is.
        disk.mount = None;
        Ok(())
    }

    fn addresses_mut(
        &mut self,
        role: Role<'_>,
    ) -> Result<(&mut Vec<SocketAddr>, &mut SocketAddr), RoleError> {
        match role {
            Role::Dns => {
                let dns = self.dns.as_mut().ok_or(RoleError::Absent("[dns]"))?;
                Ok((&mut dns.listen, &mut dns.admin))
            }
            Role::Edge(name) => {
                let edge = self.edges.iter_mut().find(|edge| edge.name == *name);
                let edge = edge.ok_or(RoleError::Absent("[[edge]]"))?;
                Ok((&mut edge.listen, &mut edge.admin))
            }
            Role::Origin => {
                let origin = self.origin.as_mut();
                let origin = origin.ok_or(RoleError::Absent("[origin]"))?;
                Ok((&mut origin.listen, &mut origin.admin))
            }
        }
    }
}

/// The first address that can't be listened on because of one before it.
fn twice(addresses: &[SocketAddr]) -> Option<SocketAddr> {
    let taken = |index: usize| {
        let before = &addresses[..index];
        before.iter().any(|earlier| units::overlap(*earlier, addresses[index]))
    };
    (0..addresses.len()).find(|index| taken(*index)).map(|index| addresses[index])
}

/// Why a node can't be what it is told to be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RoleError {
    /// The file describes no such role.
    #[error("the configuration has no `{0}`")]
    Absent(&'static str),
    /// There are several edges and no word of which.
    #[error("the configuration has several edges: {0}")]
    NodeWanted(String),
    /// There is no edge of this name.
    #[error("the configuration has no edge `{node}` (--node)")]
    NoSuchNode {
        /// The name asked for.
        node: String,
        /// What to write instead.
        help: String,
    },
    /// A flag's text is no address with port.
    #[error("{flag}: {reason}")]
    Address {
        /// The flag.
        flag: &'static str,
        /// What is wrong with it.
        reason: AddressError,
    },
    /// One address is to be listened on twice.
    #[error("--listen, --admin: `{0}` would be listened on twice")]
    Twice(SocketAddr),
    /// A folder for the cache of a node that has none.
    #[error("--cache-path: only edges have a cache")]
    NoCache,
    /// A folder for a disk tier whose size nobody said.
    #[error("--cache-path: this edge has no disk tier")]
    NoDisk,
}

impl Refusal for RoleError {
    fn help(&self) -> String {
        match self {
            Self::Absent(table) => format!("add `{table}` to it, or name another file"),
            Self::NodeWanted(_) => "say which one with `--node NAME`".to_owned(),
            Self::NoSuchNode { help, .. } => help.clone(),
            Self::Address { reason, .. } => reason.help(),
            Self::Twice(_) => "change the address or the port of one of them".to_owned(),
            Self::NoCache => "leave the flag out".to_owned(),
            Self::NoDisk => "add `disk = { path = …, size = … }` below `[edge.cache]`".to_owned(),
        }
    }
}
