//! One role as a process: start, answer for itself, take over a new configuration, drain, end.

mod descriptors;
pub(crate) mod hand_over;
pub(crate) mod logs;
mod manager;
mod reload;
pub(crate) mod signals;
pub(crate) mod successor;

use std::os::fd::AsFd as _;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use kingcdn_config::Config;
use prometheus::{Encoder as _, Registry, TextEncoder};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tracing::{info, warn};

use crate::admin;
use crate::cli::{LogOptions, NodeOptions};
use crate::failure::Failure;
use crate::node::Node;
use crate::role::{Role, Running};
use hand_over::{Offer, Predecessor, Sockets};
use logs::Logs;
use reload::Reloads;
use signals::{Signals, Told};
use successor::Successor;

/// Time for the runtime's last tasks to notice that it ends.
const SHUTDOWN: Duration = Duration::from_millis(100);

/// Runs one role until it is told to stop.
pub(crate) fn run(role: Role, options: &NodeOptions, logs: &LogOptions) -> Result<(), Failure> {
    let logs = logs::start(logs)?;
    let (node, config) = Node::find(role, &options.selection)?;
    descriptors::raise_limit();
    let runtime = runtime()?;
    let ended = runtime.block_on(async {
        let mut signals = Signals::listen(options.run.until_stdin_ends)?;
        let hand_over = options.run.hand_over.as_deref();
        let (process, hand_over) = Process::start(node, config, logs, hand_over).await?;
        let told = process.work(&mut signals, hand_over).await;
        process.end(told, &mut signals).await
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

/// What a process hands over, and when.
struct HandOver {
    /// Answers at the admin address.
    admin: AbortHandle,
    /// The listeners, and the word that a successor serves on them.
    offered: Option<(Offer, oneshot::Receiver<()>)>,
}

impl Process {
    /// Starts the role, and answers for it from the moment that it is up. Where there is a
    /// predecessor, it has its listeners, and lets it end.
    async fn start(
        node: Node,
        config: Config,
        logs: Logs,
        hand_over: Option<&Path>,
    ) -> Result<(Arc<Self>, HandOver), Failure> {
        let (mut sockets, predecessor) = predecessor(hand_over)?;
        let admin_address = node.admin();
        let admin_listener = match sockets.take_listener(admin_address) {
            Some(listener) => TcpListener::from_std(listener),
            None => admin::bind(admin_address).await,
        };
        let admin_listener =
            admin_listener.map_err(|error| node.no_listener("admin", admin_address, &error))?;
        let again = admin_listener.as_fd().try_clone_to_owned().context("the admin listener")?;
        let config = Arc::new(config);
        let registry = Registry::new();
        let reloads = Reloads::register(&registry)?;
        logs.register(&registry).map_err(anyhow::Error::from)?;
        let running = Running::start(sockets, &node, &config, &logs, &registry).await?;
        let process = Arc::new(Self {
            node,
            running,
            config,
            reloads,
            draining: AtomicBool::new(false),
            registry,
            logs,
        });
        let admin = tokio::spawn(admin::serve(admin_listener, Arc::clone(&process)));
        info!(
            role = %process.node.role(),
            node = process.node.name(),
            admin = %admin_address,
            version = env!("CARGO_PKG_VERSION"),
            "started"
        );
        let mut sockets = process.running.take_sockets();
        sockets.push(again);
        match predecessor {
            Some(predecessor) => {
                predecessor.relieve().context("the predecessor isn't relieved")?;
            }
            None => manager::ready(),
        }
        let offered = hand_over.map(|path| Offer::make(path, sockets).context("--hand-over"));
        let offered = offered.transpose()?;
        Ok((process, HandOver { admin: admin.abort_handle(), offered }))
    }

    /// Works until told to stop, or relieved.
    async fn work(self: &Arc<Self>, signals: &mut Signals, hand_over: HandOver) -> Told {
        let (offer, relieved) = hand_over.offered.unzip();
        let mut successor = Successor::default();
        let mut relieved = pin!(async {
            match relieved {
                Some(relieved) => _ = relieved.await,
                None => std::future::pending().await,
            }
        });
        let told = loop {
            let told = tokio::select! {
                told = signals.next() => told,
                () = &mut relieved => Told::Relieved,
                () = successor.fails() => continue,
            };
            match told {
                Told::Reload => reload::reload(self).await,
                Told::Upgrade if offer.is_some() => successor.start().await,
                Told::Upgrade => warn!("no upgrade: it takes --hand-over"),
                end => break end,
            }
        };
        if let Some(offer) = offer {
            offer.withdraw();
        }
        if told == Told::Relieved {
            info!("relieved by a successor");
            hand_over.admin.abort(); // It is the successor's.
            manager::succeeded_by(successor.id());
        } else {
            manager::stopping();
        }
        told
    }

    /// Lets clients go elsewhere, then lets open work finish; each for a while. Told once more to
    /// stop, it goes on to the next of these.
    async fn end(&self, told: Told, signals: &mut Signals) -> Result<(), Failure> {
        self.draining.store(true, Ordering::Relaxed);
        self.running.begin_drain();
        let lame_duck = told.lame_duck(self.node.lame_duck());
        if !lame_duck.is_zero() {
            info!(?lame_duck, "unhealthy from now on, and serving on while clients are sent here");
            tokio::select! {
                () = tokio::time::sleep(lame_duck) => (),
                _ = signals.next_stop() => info!("told twice to stop: not waiting for clients"),
            }
        }
        let limit = told.drain_limit(self.node.drain_limit());
        info!(?limit, "draining");
        tokio::select! {
            () = self.running.drain(limit) => {
                info!("ended");
                Ok(())
            }
            _ = signals.next_stop() => {
                Err(anyhow::anyhow!("told again to stop: open work is cut off").into())
            }
        }
    }
}

/// The sockets of the process that this one succeeds, where there is one.
fn predecessor(hand_over: Option<&Path>) -> anyhow::Result<(Sockets, Option<Predecessor>)> {
    let Some(path) = hand_over else {
        return Ok((Sockets::default(), None));
    };
    let taken = hand_over::take(path).with_context(|| format!("--hand-over {}", path.display()))?;
    let (sockets, predecessor) = taken.unzip();
    Ok((sockets.unwrap_or_default(), predecessor))
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

    fn has_page(&self) -> bool {
        self.node.role() == Role::Dns
    }

    fn is_called(&self, host: &str) -> bool {
        self.node.is_called(host)
    }

    fn operate(&self, operation: &admin::Operation) -> Option<Result<String, String>> {
        self.running.operate(operation)
    }
}
