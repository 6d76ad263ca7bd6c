//! What the process is told from outside: stop, read the configuration again, or make place for a
//! newer program.

use std::io::{self, Read as _};
use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

/// Longest that a child of `kingcdn up` takes to end: whoever ran it waits at a terminal.
const CHILD_DRAIN: Duration = Duration::from_secs(1);

/// What the process is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// Read the configuration again (SIGHUP).
    Reload,
    /// Start the program anew, as it is on disk by now, and hand over to it (SIGUSR2).
    Upgrade,
    /// Let clients go elsewhere, finish what is open and end (SIGTERM).
    Stop,
    /// Finish what is open and end (SIGINT): somebody waits at a terminal.
    StopNow,
    /// A successor serves: finish what is open and end.
    Relieved,
    /// End soon: the process that started this one is gone, or wants to be.
    StopSoon,
}

impl Told {
    /// How long it serves on for those who are still sent here, of the `time` that the configuration
    /// gives.
    pub(crate) fn lame_duck(self, time: Duration) -> Duration {
        if self == Self::Stop { time } else { Duration::ZERO }
    }

    /// How long open work may take to finish, of the `limit` that the configuration gives.
    pub(crate) fn drain_limit(self, limit: Duration) -> Duration {
        match self {
            Self::StopSoon => limit.min(CHILD_DRAIN),
            Self::Stop | Self::StopNow | Self::Relieved | Self::Reload | Self::Upgrade => limit,
        }
    }
}

/// The ways in which the process is told something.
pub(crate) struct Signals {
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
    upgrade: Signal,
    stdin_end: Option<oneshot::Receiver<()>>,
}

impl Signals {
    /// Listens from now on; to the end of standard input only if `until_stdin_ends`.
    pub(crate) fn listen(until_stdin_ends: bool) -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("the system gives us no signals");
        Ok(Self {
            hangup: listen(SignalKind::hangup())?,
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            upgrade: listen(SignalKind::user_defined2())?,
            stdin_end: until_stdin_ends.then(watch_stdin),
        })
    }

    /// Waits until the process is told something.
    pub(crate) async fn next(&mut self) -> Told {
        let stdin_end = async {
            match &mut self.stdin_end {
                Some(end) => _ = end.await,
                None => std::future::pending().await,
            }
        };
        let told = tokio::select! {
            _ = self.hangup.recv() => Told::Reload,
            _ = self.interrupt.recv() => Told::StopNow,
            _ = self.terminate.recv() => Told::Stop,
            _ = self.upgrade.recv() => Told::Upgrade,
            () = stdin_end => Told::StopSoon,
        };
        if told == Told::StopSoon {
            self.stdin_end = None;
        }
        told
    }

    /// Waits until the process is told to stop; other words are ignored.
    pub(crate) async fn next_stop(&mut self) -> Told {
        loop {
            match self.next().await {
                Told::Reload | Told::Upgrade => (),
                stop => return stop,
            }
        }
    }
}

/// Reads standard input to its end, in a thread that may stay behind when the process ends.
fn watch_stdin() -> oneshot::Receiver<()> {
    let (ended, end) = oneshot::channel();
    std::thread::spawn(move || {
        let mut ignored = [0; 64];
        let mut stdin = io::stdin().lock();
        loop {
            match stdin.read(&mut ignored) {
                Ok(0) => break,
                Ok(_) => (),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                Err(_) => break,
            }
        }
        drop(ended);
    });
    end
}
