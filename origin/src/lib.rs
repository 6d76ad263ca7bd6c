//! netcinema: the reference origin, a small video site.
//!
//! It serves the files of one folder as RFC 9110 says: strong validators, conditional requests,
//! ranges; with the media types and the freshness that streamed video needs. The way of a request
//! is `journey`; what is decided on it is in pure modules (`path`, `rules`, `plan` with
//! `conditions` and `ranges`), what touches files in `root`, `stamps` and `body`.
//!
//! Absent on purpose: anything that writes, lists folders, compresses, or speaks TLS.

mod body;
mod conditions;
mod journey;
mod path;
mod plan;
mod ranges;
mod record;
mod root;
mod rules;
pub mod sample;
mod server;
mod stall;
mod stamps;
mod tag;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kingcdn_config::clock::{Clock, Timestamp};
use prometheus::Registry;

use crate::journey::Site;
use crate::record::Metrics;
use crate::root::Root;
use crate::rules::CacheRules;
use crate::server::Server;
use crate::stamps::Tags;

/// An origin that serves. Dropped, it stops at once; see [`Origin::drain`].
#[derive(Debug)]
pub struct Origin {
    server: Server,
    metrics: Arc<Metrics>,
    clock: Clock,
    started: Timestamp,
}

/// Why an origin can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The folder to serve is missing, no folder, or may not be read.
    #[error("can't open the folder {}: {source}", root.display())]
    Root {
        /// As configured.
        root: PathBuf,
        /// What opening it came to.
        source: io::Error,
    },
    /// Without openat2 nothing keeps a symbolic link from leading out of the folder.
    #[error(
        "this system has no openat2, which keeps look-ups inside the folder: \
         Linux 5.6 or newer is needed, and a sandbox that allows the call"
    )]
    NoOpenat2,
    /// A `cache_control` rule that no header field can carry.
    #[error("the Cache-Control for {ending:?} can't be sent in a header field: {value:?}")]
    CacheControl {
        /// The file name ending of the rule.
        ending: String,
        /// Its value.
        value: String,
    },
    /// An address to serve on is taken or isn't ours.
    #[error("can't listen on {address}: {source}")]
    Listen {
        /// As configured.
        address: SocketAddr,
        /// What binding it came to.
        source: io::Error,
    },
    /// The registry holds an origin's metrics already.
    #[error("can't register metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

impl Origin {
    /// Binds every listen of `config` and serves its root on the current tokio runtime.
    ///
    /// # Errors
    /// [`StartError`]; then nothing is left running.
    pub async fn start(
        config: &kingcdn_config::Origin,
        clock: Clock,
        registry: &Registry,
    ) -> Result<Self, StartError> {
        let root = Root::open(&config.root).map_err(|source| match source.kind() {
            io::ErrorKind::Unsupported => StartError::NoOpenat2,
            _ => StartError::Root { root: config.root.clone(), source },
        })?;
        let rules = CacheRules::new(&config.cache_control)
            .map_err(|rule| StartError::CacheControl { ending: rule.ending, value: rule.value })?;
        let listeners = server::bind(&config.listen)
            .await
            .map_err(|(address, source)| StartError::Listen { address, source })?;
        let metrics = Arc::new(Metrics::register(registry)?);
        let site = Site {
            root: Arc::new(root),
            tags: Tags::new(),
            rules,
            metrics: Arc::clone(&metrics),
            clock: clock.clone(),
        };
        Ok(Self {
            server: Server::start(listeners, Arc::new(site)),
            metrics,
            started: clock.now(),
            clock,
        })
    }

    /// Where it serves, in the configuration's order; with the real port where that was 0.
    pub fn addresses(&self) -> &[SocketAddr] {
        self.server.addresses()
    }

    /// `/status`: version, uptime in seconds, connections open now, requests and body bytes since
    /// the start, and whether it is draining.
    pub fn status(&self) -> serde_json::Value {
        serde_json::json!({
            "version": env!("CARGO_PKG_VERSION"),
            "uptime_seconds": self.clock.now().since(self.started).as_secs(),
            "draining": self.server.is_draining(),
            "connections": self.metrics.connections.get(),
            "requests": self.metrics.requests(),
            "bytes": self.metrics.bytes(),
        })
    }

    /// Stops accepting, lets open requests finish, and ends what is left after `limit`.
    pub async fn drain(&self, limit: Duration) {
        self.server.drain(limit).await;
    }
}
