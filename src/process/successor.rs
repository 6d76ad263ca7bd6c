//! This program started anew, to hand over to: what is in its file by now runs from then on.
//!
//! It isn't our child, but of whoever adopts orphans: of a service manager that is to keep it when we
//! are gone. One that isn't the manager's own child by the time that it becomes the service is killed
//! by systemd where it should be stopped. So a process in between starts it, and ends at once.

use std::env;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::Stdio;

use anyhow::Context as _;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{ChildStdout, Command};
use tracing::{error, info, warn};

use crate::failure::Failure;

/// The name of the command that the process in between runs.
const START: &str = "start-successor";

/// The process that takes over from this one, if any was started. It lives on when this is dropped.
#[derive(Debug, Default)]
pub(super) struct Successor(Option<Running>);

#[derive(Debug)]
struct Running {
    id: u32,
    /// Its standard output, on which it says nothing: the end is its end.
    output: BufReader<ChildStdout>,
}

impl Successor {
    /// Starts one, by the command line of this process. It takes over when it is ready.
    pub(super) async fn start(&mut self) {
        if let Some(id) = self.id() {
            return warn!(process = id, "a successor is starting already");
        }
        if std::process::id() == 1 {
            return warn!(
                "no upgrade: the container ends with this process; start another container with \
                 --hand-over"
            );
        }
        match start().await {
            Ok(running) => {
                info!(process = running.id, "starting a successor");
                self.0 = Some(running);
            }
            Err(error) => error!("no upgrade: the program can't be started: {error:#}"),
        }
    }

    /// Waits until it has ended instead of taking over, and says so. For ever where there is none.
    pub(super) async fn fails(&mut self) {
        match &mut self.0 {
            Some(running) => while running.output.read_u8().await.is_ok() {},
            None => std::future::pending().await,
        }
        self.0 = None;
        error!("no upgrade: the successor ended, this process goes on");
    }

    /// Its process id, while it runs.
    pub(super) fn id(&self) -> Option<u32> {
        self.0.as_ref().map(|running| running.id)
    }
}

async fn start() -> anyhow::Result<Running> {
    // Not `/proc/self/exe`: that is the old program, even if its file has been replaced.
    let mut line = env::args_os();
    let program = line.next().context("this process doesn't know its program")?;
    let mut between = Command::new(program)
        .arg(START)
        .arg("--")
        .args(line)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut output = BufReader::new(between.stdout.take().context("no standard output")?);
    let mut said = String::new();
    output.read_line(&mut said).await?;
    let status = between.wait().await?;
    let id = said.trim().parse().with_context(|| status.to_string())?;
    Ok(Running { id, output })
}

/// The process in between: starts this program with `line` and says its process id.
pub(crate) fn start_for_another(line: &[OsString]) -> Result<(), Failure> {
    let program = env::args_os().next().context("this process doesn't know its program")?;
    let child = std::process::Command::new(program)
        .args(line)
        .stdin(Stdio::null())
        .spawn()
        .context("the program can't be started")?;
    writeln!(io::stdout(), "{}", child.id()).context("nobody listens")?;
    Ok(())
}
