//! Which part of the one configuration this process is.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use kingcdn_config::{
    Config, Files, FixedDifference, Label, Overrides, Refusal, Report, RoleError,
};

use crate::cli::Selection;
use crate::failure::Failure;
use crate::ports;
use crate::process::logs;
use crate::role::Role;

/// Time for the open work of a role whose configuration gives no limit.
const DRAIN: Duration = Duration::from_secs(5);

/// One node of the CDN, and where its configuration is.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    part: Part,
    admin: SocketAddr,
    lame_duck: Duration,
    drain_limit: Duration,
    /// The CDN's own domain: the names in it are the operator's.
    zone: Option<String>,
    selection: Selection,
}

/// What a process needs to know of its part.
struct Operation {
    admin: SocketAddr,
    lame_duck: Duration,
    drain_limit: Duration,
}

/// The part of the configuration that a node is.
#[derive(Debug, Clone)]
enum Part {
    Dns,
    Edge(Label),
    Origin,
}

impl Node {
    /// Reads the file and finds out who we are in it.
    pub(crate) fn find(role: Role, selection: &Selection) -> Result<(Self, Config), Failure> {
        let config = read(&selection.config, role.files())?;
        let part = match role {
            Role::Dns => Part::Dns,
            Role::Origin => Part::Origin,
            Role::Edge => {
                let edge = config.node(selection.node.as_deref());
                Part::Edge(edge.map_err(|error| unfit(&error, selection))?.name.clone())
            }
        };
        let config = part.overridden(config, selection)?;
        let absent = RoleError::Absent(role.table());
        let Some(operation) = part.operation(&config) else {
            return Err(unfit(&absent, selection));
        };
        let Operation { admin, lame_duck, drain_limit } = operation;
        let node = Self {
            part,
            admin,
            lame_duck,
            drain_limit,
            zone: config.cdn.as_ref().map(|cdn| cdn.zone.to_string()),
            selection: selection.clone(),
        };
        Ok((node, config))
    }

    /// Reads the file again.
    pub(crate) fn read_again(&self) -> Result<Config, Failure> {
        let config = read(&self.selection.config, self.role().files())?;
        if self.part.operation(&config).is_none() {
            // The file no longer knows this node, which goes on until it is stopped.
            return Ok(config);
        }
        self.part.overridden(config, &self.selection)
    }

    /// What this node, started with `old`, can't take over from `new`.
    pub(crate) fn fixed_differences(&self, old: &Config, new: &Config) -> Vec<FixedDifference> {
        kingcdn_config::fixed_differences(old, new, self.part.as_config_role())
    }

    pub(crate) fn role(&self) -> Role {
        match &self.part {
            Part::Dns => Role::Dns,
            Part::Edge(_) => Role::Edge,
            Part::Origin => Role::Origin,
        }
    }

    /// An edge's name; of the other roles the role itself.
    pub(crate) fn name(&self) -> &str {
        match &self.part {
            Part::Edge(name) => name.as_str(),
            Part::Dns | Part::Origin => self.role().as_str(),
        }
    }

    /// Where it answers `/metrics`, `/healthz` and `/status`.
    pub(crate) fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// How long it serves on when it is told to stop, for those who are still sent to it.
    pub(crate) fn lame_duck(&self) -> Duration {
        self.lame_duck
    }

    /// Time for open work when it is told to stop.
    pub(crate) fn drain_limit(&self) -> Duration {
        self.drain_limit
    }

    /// Whether a host, in lower case and without port, is in the CDN's own domain.
    pub(crate) fn is_called(&self, host: &str) -> bool {
        let rest = self.zone.as_deref().and_then(|zone| host.strip_suffix(zone));
        rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }

    /// What to tell whoever started us when `address`, of the key `key` in our part, can't be had.
    pub(crate) fn no_listener(&self, key: &str, address: SocketAddr, error: &io::Error) -> Failure {
        let table = self.role().table();
        Failure::Running(match error.kind() {
            io::ErrorKind::AddrInUse => anyhow::anyhow!(
                "{address} is in use{}: stop the other program, or change `{key}` in {table}",
                ports::held_by(address)
            ),
            io::ErrorKind::AddrNotAvailable => anyhow::anyhow!(
                "{address} is no address of this machine: change `{key}` in {table}"
            ),
            io::ErrorKind::PermissionDenied => anyhow::anyhow!(
                "this user may not listen on {address}: grant it CAP_NET_BIND_SERVICE, or change \
                 `{key}` in {table}"
            ),
            _ => anyhow::anyhow!("can't listen on {address}, `{key}` in {table}: {error}"),
        })
    }
}

impl Part {
    fn as_config_role(&self) -> kingcdn_config::Role<'_> {
        match self {
            Self::Dns => kingcdn_config::Role::Dns,
            Self::Edge(name) => kingcdn_config::Role::Edge(name),
            Self::Origin => kingcdn_config::Role::Origin,
        }
    }

    /// How it is run, where the configuration knows this part.
    fn operation(&self, config: &Config) -> Option<Operation> {
        let (admin, lame_duck, drain_limit) = match self {
            // Resolvers ask another name server, at once.
            Self::Dns => (config.dns.as_ref()?.admin, Duration::ZERO, DRAIN),
            Self::Origin => (config.origin.as_ref()?.admin, Duration::ZERO, DRAIN),
            Self::Edge(name) => {
                let edge = config.edge(name.as_str())?;
                (edge.admin, config.lame_duck(edge), edge.limits.drain_timeout)
            }
        };
        Some(Operation { admin, lame_duck, drain_limit })
    }

    /// What the command line and the environment say goes over what the file says.
    fn overridden(&self, config: Config, selection: &Selection) -> Result<Config, Failure> {
        let overrides = Overrides {
            listen: selection.listen.clone(),
            admin: selection.admin.clone(),
            cache_path: selection.cache_path.clone(),
        };
        config
            .with_overrides(self.as_config_role(), &overrides)
            .map_err(|error| unfit(&error, selection))
    }
}

/// Reads a configuration file; says what is doubtful in it on standard error.
pub(crate) fn read(path: &Path, files: Files) -> Result<Config, Failure> {
    let loaded =
        Config::load_with(path, files).map_err(|report| Failure::Config(shown(&report)))?;
    if !loaded.warnings.is_empty() {
        // Nobody is left to tell when standard error is closed.
        let _ = writeln!(io::stderr().lock(), "{}\n", shown(&loaded.warnings));
    }
    Ok(loaded.config)
}

/// With colour for a terminal.
fn shown(report: &Report) -> String {
    if logs::wants_colour() { report.styled() } else { report.to_string() }
}

/// The command line and the file don't fit each other.
fn unfit(error: &RoleError, selection: &Selection) -> Failure {
    let file = selection.config.display();
    Failure::Usage(format!("{file}: {error}; {}", error.help()))
}
