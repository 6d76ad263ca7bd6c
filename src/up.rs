//! `kingcdn up`: the whole CDN on this machine, each role a process of its own.

mod folder;
mod guide;
mod keep;
mod member;
mod places;

use std::io::{self, Write as _};

use kingcdn_config::{Config, Files};

use crate::cli::{LogOptions, UpOptions};
use crate::failure::Failure;
use crate::node;
use crate::process;
use crate::process::signals::Signals;
use folder::Folder;
use keep::Keepers;
use member::Member;

/// Runs until told to end.
pub(crate) fn run(options: &UpOptions, logs: &LogOptions) -> Result<(), Failure> {
    let folder = Folder::prepare(options.dir.as_deref())?;
    let config = node::read(&folder.config(), Files::Checked)?;
    places::check(&config)?;
    let members = Member::all(&config, &folder, logs)?;
    let runtime = process::runtime()?;
    let ended = runtime.block_on(live(&config, &folder, members, options));
    runtime.shutdown_background();
    ended
}

async fn live(
    config: &Config,
    folder: &Folder,
    members: Vec<Member>,
    options: &UpOptions,
) -> Result<(), Failure> {
    let mut signals = Signals::listen(false)?;
    let starting = Keepers::start(config, members, options.restart_after);
    // Dropped half-way, every process that was started is killed.
    let keepers = tokio::select! {
        started = starting => started?,
        _ = signals.next() => return Ok(()),
    };
    say(&guide::text(config, folder, keepers.processes(), options.restart_after));
    // A terminal that closes (SIGHUP) ends the CDN like everything else that we are told.
    let _ = signals.next().await;
    say("\nending …");
    tokio::select! {
        () = keepers.end() => (),
        _ = signals.next() => (), // Impatience: what is left is killed.
    }
    Ok(())
}

/// Tells people on standard output. When nobody listens, the CDN runs all the same.
fn say(text: &str) {
    let _ = writeln!(io::stdout().lock(), "{text}");
}
