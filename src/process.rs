//! One role as a process: start, answer for itself, take over a new configuration, drain, end.

mod descriptors;
pub(crate) mod logs;
mod reload;
pub(crate) mod signals;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use kingcdn_config::Config;
use kingcdn_config::clock::Clock;
use prometheus::{Encoder as _, Registry, TextEncoder};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tracing::info;

use crate::admin;
use crate::cli::{LogOptions, NodeOptions};
use crate::failure::Failure;
use crate::node::Node;
use crate::role::{Role, Running};
use logs::Logs;
use reload::Reloads;
use signals::{Signals, Told};

/// Time for the runtime's last tasks to notice that it ends.
const SHUTDOWN: Duration = Duration::from_millis(100);

/// Runs one role until it is told to stop.
pub(crate) fn run(role: Role, options: &NodeOptions, logs: &LogOptions) -> Result<(), Failure> {
    let logs = logs::start(logs)?;
    let (node, config) = Node::find(role, &options.selection)?;
    descriptors::raise_limit();
    let runtime = runtime()?;
    let ended = runtime.block_on(async {
        let mut signals = Signals::listen(options.until_stdin_ends)?;
        let process = Process::start(node, config, logs).await?;
        let told = process.work(&mut signals).await;
        process.drain(told, &mut signals).await
    });
    runtime.shutdown_timeout(SHUTDOWN);
    ended
}

/// The threads that a process works with.
pub(crate) fn runtime() -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the system gives us no threads")
}

/// A role that runs, and what the process knows of it.
struct Process {
    node: Node,
    running: Running,
    /// As it was at the start: what can't be taken over later stays as this one says.
    config: Arc<Config>,
    reloads: Reloads,
    draining: AtomicBool,
    registry: Registry,
    logs: Logs,
}

impl Process {
    /// Starts the role, and answers for it from the moment that it is up.
    async fn start(node: Node, config: Config, logs: Logs) -> Result<Arc<Self>, Failure> {
        let admin_address = node.admin();
        let admin_listener = admin::bind(admin_address)
            .await
            .map_err(|error| node.no_listener("admin", admin_address, &error))?;
        let config = Arc::new(config);
        let registry = Registry::new();
        let reloads = Reloads::register(&registry)?;
        logs.register(&registry).map_err(anyhow::Error::from)?;
        let running = Running::start(&node, &config, Clock::system(), &registry).await?;
        let process = Arc::new(Self {
            node,
            running,
            config,
            reloads,
            draining: AtomicBool::new(false),
            registry,
            logs,
        });
        tokio::spawn(admin::serve(admin_listener, Arc::clone(&process)));
        info!(
            role = %process.node.role(),
            node = process.node.name(),
            admin = %admin_address,
            version = env!("CARGO_PKG_VERSION"),
            "started"
        );
        Ok(process)
    }

    /// Works until told to stop.
    async fn work(self: &Arc<Self>, signals: &mut Signals) -> Told {
        loop {
            match signals.next().await {
                Told::Reload => reload::reload(self).await,
                stop @ (Told::Stop | Told::StopSoon) => return stop,
            }
        }
    }

    /// Lets open work finish, for a while; told a second time to stop, cuts it off.
    async fn drain(&self, told: Told, signals: &mut Signals) -> Result<(), Failure> {
        self.draining.store(true, Ordering::Relaxed);
        let limit = told.drain_limit(self.node.drain_limit());
        info!(?limit, "draining");
        tokio::select! {
            () = self.running.drain(limit) => {
                info!("ended");
                Ok(())
            }
            _ = signals.next_stop() => {
                Err(anyhow::anyhow!("told twice to stop: open work is cut off").into())
            }
        }
    }
}

impl admin::Subject for Process {
    fn metrics(&self) -> anyhow::Result<String> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(String::from_utf8(text)?)
    }

    fn health(&self) -> Result<(), &'static str> {
        if self.draining.load(Ordering::Relaxed) {
            return Err("draining");
        }
        self.running.health()
    }

    fn status(&self) -> Value {
        let mut status = self.running.status();
        if let Value::Object(fields) = &mut status {
            fields.insert("config".to_owned(), self.reloads.status());
            fields.insert("log_lines_lost".to_owned(), json!(self.logs.lost()));
        }
        status
    }

    fn is_called(&self, host: &str) -> bool {
        self.node.is_called(host)
    }
}
