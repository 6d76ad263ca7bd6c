//! One member of the CDN: a role, run by this same program in a process of its own.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::ValueEnum as _;
use kingcdn_config::Config;
use tokio::fs::{self, File, OpenOptions};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStderr, ChildStdin, Command};
use tokio::time::{sleep, timeout};

use super::folder::Folder;
use crate::cli::LogOptions;
use crate::health;
use crate::role::Role;

/// Time for a member to become well.
const START: Duration = Duration::from_secs(20);
/// How often it is asked until then.
const ASK: Duration = Duration::from_millis(50);
/// Time for it to end by itself.
const END: Duration = Duration::from_secs(3);
/// A log is set aside when it has grown to this; one older part is kept.
const LOG_BYTES: u64 = 16 << 20;
/// Lines of its log that are shown when it doesn't start.
const LAST_LINES: usize = 12;

/// What would make a child something else than its command line says.
const OVERRIDES: [&str; 7] = [
    "KINGCDN_CONFIG",
    "KINGCDN_NODE",
    "KINGCDN_LISTEN",
    "KINGCDN_ADMIN",
    "KINGCDN_CACHE_PATH",
    "KINGCDN_HAND_OVER",
    // What it would tell the service manager is of the parent.
    "NOTIFY_SOCKET",
];

/// A member, running or not.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) role: Role,
    pub(super) name: String,
    admin: SocketAddr,
    program: PathBuf,
    arguments: Vec<OsString>,
    log: PathBuf,
}

/// A member that runs. Killed when dropped.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    /// Closed, it tells the child to end. Held apart from the child, whose `wait` would close it.
    stdin: Option<ChildStdin>,
}

impl Member {
    /// Everybody, in the order of their start: nobody is asked before he is there.
    pub(super) fn all(
        config: &Config,
        folder: &Folder,
        logs: &LogOptions,
    ) -> anyhow::Result<Vec<Self>> {
        let program = std::env::current_exe().context("can't find this program's own file")?;
        let member = |role: Role, name: &str, admin| Self {
            role,
            name: name.to_owned(),
            admin,
            program: program.clone(),
            arguments: arguments(role, name, &folder.config(), logs),
            log: folder.log(name),
        };
        let origin = config.origin.iter().map(|it| member(Role::Origin, "origin", it.admin));
        let edges = config.edges.iter().map(|it| member(Role::Edge, it.name.as_str(), it.admin));
        let dns = config.dns.iter().map(|it| member(Role::Dns, "dns", it.admin));
        Ok(origin.chain(edges).chain(dns).collect())
    }

    /// Starts it, and returns when it is well.
    pub(super) async fn start(&self) -> anyhow::Result<Process> {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0) // Ctrl-C at the terminal is for us alone.
            .kill_on_drop(true);
        for variable in OVERRIDES {
            command.env_remove(variable);
        }
        let mut child = command.spawn().with_context(|| format!("can't start {}", self.name))?;
        let log = File::options().create(true).append(true).open(&self.log).await;
        let log = log.with_context(|| format!("can't write {}", self.log.display()))?;
        if let Some(lines) = child.stderr.take() {
            tokio::spawn(keep_log(lines, log, self.log.clone()));
        }
        let mut process = Process { stdin: child.stdin.take(), child };
        tokio::select! {
            how = process.ended() => bail!("{} ended at once ({how}):\n{}", self.name, self.last_lines().await),
            well = timeout(START, self.well()) => match well {
                Ok(()) => Ok(process),
                Err(_) => bail!("{} isn't well after {START:?}:\n{}", self.name, self.last_lines().await),
            },
        }
    }

    async fn well(&self) {
        let admin = self.admin;
        loop {
            let asked = tokio::task::spawn_blocking(move || health::ask(admin)).await;
            if matches!(asked, Ok(Ok(()))) {
                return;
            }
            sleep(ASK).await;
        }
    }

    async fn last_lines(&self) -> String {
        // The log's last words may still be on their way.
        sleep(ASK).await;
        let text = fs::read(&self.log).await.unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.trim_end().lines().collect();
        let first = lines.len().saturating_sub(LAST_LINES);
        lines[first..].join("\n")
    }
}

impl Process {
    pub(super) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits for its end; says how it came.
    pub(super) async fn ended(&mut self) -> String {
        match self.child.wait().await {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        }
    }

    /// Lets it end; kills it when it doesn't.
    pub(super) async fn stop(mut self) {
        drop(self.stdin.take());
        let _ = timeout(END, self.child.wait()).await;
    }
}

fn arguments(role: Role, name: &str, config: &Path, logs: &LogOptions) -> Vec<OsString> {
    let format = logs.log_format.to_possible_value();
    let mut arguments: Vec<OsString> = vec![
        role.as_str().into(),
        "--until-stdin-ends".into(),
        "--config".into(),
        config.into(),
        "--log".into(),
        logs.log.clone().into(),
        "--log-format".into(),
        format.map_or("text".into(), |format| format.get_name().into()),
    ];
    if role == Role::Edge {
        arguments.extend(["--node".into(), name.into()]);
    }
    arguments
}

/// Writes what a member says to its log, which never grows beyond its bound.
async fn keep_log(mut lines: ChildStderr, mut log: File, path: PathBuf) -> std::io::Result<()> {
    let mut size = log.metadata().await?.len();
    let mut piece = vec![0; 64 << 10];
    loop {
        let length = lines.read(&mut piece).await?;
        if length == 0 {
            return log.flush().await;
        }
        if size >= LOG_BYTES {
            log.flush().await?;
            fs::rename(&path, path.with_extension("log.old")).await?;
            log = OpenOptions::new().create(true).append(true).open(&path).await?;
            size = 0;
        }
        log.write_all(piece.get(..length).unwrap_or_default()).await?;
        log.flush().await?;
        size += length as u64;
    }
}
