//! The three roles, behind the few things that a process does with any of them.

use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use clap::ValueEnum;
use kingcdn_config::clock::Clock;
use kingcdn_config::{Config, Files};
use kingcdn_dns::Dns;
use kingcdn_edge::{Edge, Surroundings};
use kingcdn_origin::Origin;
use prometheus::Registry;
use serde_json::Value;

use crate::admin::Operation;
use crate::failure::Failure;
use crate::node::Node;
use crate::process::hand_over::Sockets;
use crate::process::logs::Logs;

/// What a node does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// A name server.
    Dns,
    /// An edge.
    Edge,
    /// The reference origin.
    Origin,
}

impl Role {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Edge => "edge",
            Self::Origin => "origin",
        }
    }

    /// Its table in the configuration.
    pub(crate) fn table(self) -> &'static str {
        match self {
            Self::Dns => "[dns]",
            Self::Edge => "[[edge]]",
            Self::Origin => "[origin]",
        }
    }

    /// Whether it reads the files that the configuration names.
    pub(crate) fn files(self) -> Files {
        match self {
            Self::Dns => Files::Checked,
            Self::Edge | Self::Origin => Files::Unchecked,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A role at work.
pub(crate) enum Running {
    Dns(Dns),
    Edge(Edge),
    Origin(Origin),
}

impl Running {
    /// Starts the role, with a predecessor's sockets where they are the right ones; it serves when
    /// this returns.
    pub(crate) async fn start(
        sockets: Sockets,
        node: &Node,
        config: &Arc<Config>,
        logs: &Logs,
        registry: &Registry,
    ) -> Result<Self, Failure> {
        let clock = Clock::system();
        match node.role() {
            Role::Dns => {
                let started =
                    Dns::start_on((sockets.udp, sockets.tcp), Arc::clone(config), clock, registry);
                let started = started.await;
                started.map(Self::Dns).map_err(|error| match error {
                    kingcdn_dns::StartError::Listen { address, source } => {
                        node.no_listener("listen", address, &source)
                    }
                    error @ kingcdn_dns::StartError::Zones(_) => Failure::Config(error.to_string()),
                    other => anyhow::Error::from(other).into(),
                })
            }
            Role::Edge => {
                let (config, name) = (Arc::clone(config), node.name());
                let surroundings =
                    Surroundings { listeners: sockets.tcp, access_log: logs.access() };
                let started = Edge::start_on(surroundings, config, name, clock, registry).await;
                started.map(Self::Edge).map_err(|error| match error {
                    kingcdn_edge::StartError::Listen { address, source } => {
                        node.no_listener("listen", address, &source)
                    }
                    other => anyhow::Error::from(other).into(),
                })
            }
            Role::Origin => {
                let Some(origin) = &config.origin else {
                    return Err(anyhow!("the configuration has no [origin]").into());
                };
                let started = Origin::start(origin, clock, registry).await;
                started.map(Self::Origin).map_err(|error| match error {
                    kingcdn_origin::StartError::Listen { address, source } => {
                        node.no_listener("listen", address, &source)
                    }
                    other => anyhow::Error::from(other).into(),
                })
            }
        }
    }

    /// Takes over what can be taken over of a new configuration, or nothing.
    /// Reads files: call it where blocking is allowed, on a runtime.
    pub(crate) fn reload(&self, config: &Config) -> Result<(), Failure> {
        match self {
            Self::Dns(dns) => {
                dns.reload(config).map_err(|error| Failure::Config(error.to_string()))
            }
            Self::Edge(edge) => {
                edge.reload(config);
                Ok(())
            }
            Self::Origin(_) => Ok(()),
        }
    }

    /// Whether it is well; else what is wrong.
    pub(crate) fn health(&self) -> Result<(), &'static str> {
        let well = match self {
            Self::Dns(dns) => dns.healthy(),
            Self::Edge(edge) => edge.is_healthy(),
            Self::Origin(_) => true,
        };
        if well { Ok(()) } else { Err("not ready") }
    }

    /// The `/status` document.
    pub(crate) fn status(&self) -> Value {
        match self {
            Self::Dns(dns) => dns.status(),
            Self::Edge(edge) => serde_json::to_value(edge.status()).unwrap_or_default(),
            Self::Origin(origin) => origin.status(),
        }
    }

    /// Its listening sockets once more, for a successor, or to be dropped; of the reference origin
    /// none.
    pub(crate) fn take_sockets(&self) -> Vec<OwnedFd> {
        match self {
            Self::Dns(dns) => dns.take_sockets(),
            Self::Edge(edge) => edge.take_listeners().into_iter().map(OwnedFd::from).collect(),
            Self::Origin(_) => Vec::new(),
        }
    }

    /// Says that it wants no new clients, and serves on.
    pub(crate) fn begin_drain(&self) {
        if let Self::Edge(edge) = self {
            edge.begin_drain();
        }
    }

    /// What becomes of something that an operator asks of a name server. It may wait for a disk.
    pub(crate) fn operate(&self, operation: &Operation) -> Option<Result<String, String>> {
        let Self::Dns(dns) = self else { return None };
        Some(match operation {
            Operation::Explain { name, rtype, client } => dns
                .explain(name, rtype.as_deref(), client.as_deref())
                .map_err(|error| format!("{error}\n"))
                .map(|explanation| {
                    let document = serde_json::to_value(explanation).unwrap_or_default();
                    format!("{document:#}\n")
                }),
            Operation::Wish { edges, wish } => dns
                .wish(edges, wish)
                .map_err(|error| format!("{error}\n"))
                .map(|names| names.iter().map(|name| format!("{name}: {wish}\n")).collect()),
        })
    }

    /// Takes nothing new and lets open work finish, for at most `limit`.
    pub(crate) async fn drain(&self, limit: Duration) {
        match self {
            Self::Dns(dns) => dns.drain(limit).await,
            Self::Edge(edge) => {
                if !edge.drain(limit).await {
                    tracing::warn!("requests were still under way when time was up");
                }
            }
            Self::Origin(origin) => origin.drain(limit).await,
        }
    }
}
