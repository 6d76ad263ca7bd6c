//! Keeps every member running: says when one dies and what that means, and starts it again.

use std::time::Duration;

use kingcdn_config::clock::Stopwatch;
use kingcdn_config::units::format_duration;
use kingcdn_config::{Config, HealthCheck};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::member::{Member, Process};
use super::say;
use crate::role::Role;

/// The pause before a start grows at most to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(120);

/// Those who keep the members, one each.
pub(super) struct Keepers {
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
    processes: Vec<(String, u32)>,
}

impl Keepers {
    /// Starts every member; fails, and ends all of them, when one doesn't start.
    pub(super) async fn start(
        config: &Config,
        members: Vec<Member>,
        pause: Duration,
    ) -> anyhow::Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let mut keepers = Self { stop, tasks: JoinSet::new(), processes: Vec::new() };
        for member in members {
            let process = member.start().await?;
            keepers.processes.extend(process.id().map(|id| (member.name.clone(), id)));
            let meaning = meaning(member.role, config);
            keepers.tasks.spawn(keep(member, process, meaning, pause, stopped.clone()));
        }
        Ok(keepers)
    }

    /// The members' names and process ids.
    pub(super) fn processes(&self) -> &[(String, u32)] {
        &self.processes
    }

    /// Lets every member end.
    pub(super) async fn end(mut self) {
        self.stop.send_replace(true);
        while self.tasks.join_next().await.is_some() {}
    }
}

async fn keep(
    member: Member,
    process: Process,
    meaning: String,
    shortest: Duration,
    mut stopped: watch::Receiver<bool>,
) {
    let mut running = Some(process);
    let mut pause = shortest;
    loop {
        if let Some(mut process) = running.take() {
            let lived = Stopwatch::start();
            let how = tokio::select! {
                how = process.ended() => how,
                () = told(&mut stopped) => return process.stop().await,
            };
            if lived.elapsed() > LONGEST_PAUSE {
                pause = shortest;
            }
            say(&format!("{} died ({how}). {meaning}", member.name));
        }
        say(&format!("{} is started again in {}.", member.name, format_duration(pause)));
        tokio::select! {
            () = sleep(pause) => (),
            () = told(&mut stopped) => return,
        }
        pause = pause.saturating_mul(2).min(LONGEST_PAUSE.max(shortest));
        tokio::select! {
            started = member.start() => match started {
                Ok(process) => {
                    say(&format!("{} runs again (process {}).", member.name, process.id().unwrap_or(0)));
                    running = Some(process);
                }
                Err(error) => say(&format!("{error:#}")),
            },
            () = told(&mut stopped) => return,
        }
    }
}

async fn told(stopped: &mut watch::Receiver<bool>) {
    // An error means that whoever would tell is gone: the same as being told.
    let _ = stopped.wait_for(|stop| *stop).await;
}

/// What it means for the CDN that a member is gone.
fn meaning(role: Role, config: &Config) -> String {
    match (role, &config.dns) {
        (Role::Edge, Some(dns)) if dns.health.check != HealthCheck::None => format!(
            "DNS notices within {} and sends its clients to the next nearest edge.",
            format_duration(dns.health.notice())
        ),
        (Role::Edge, _) => "DNS doesn't check edges and goes on naming it.".to_owned(),
        (Role::Dns, _) => {
            "Nobody is told where an edge is until it is back; edges serve on.".to_owned()
        }
        (Role::Origin, _) => "Edges serve on what they hold.".to_owned(),
    }
}
