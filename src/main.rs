//! KingCDN: a self-hosted pull-through CDN in one program.
//!
//! This package is the house around the roles: the command line, logs,
//! signals, the admin listener, and `kingcdn up`, which runs a whole CDN on
//! one machine. It knows nothing of caching or of steering.

mod admin;
mod check;
mod cli;
mod failure;
mod geo;
mod health;
mod keys;
mod node;
mod operate;
mod ports;
mod process;
mod role;
mod simulate;
mod status;
mod targets;
mod up;

use std::process::ExitCode;

use clap::Parser as _;

use cli::{Cli, Command, DnsCommand, DnsOptions, EdgeOptions, NodeOptions};
use failure::Failure;
use role::Role;

/// What is allocated and freed by many threads in many sizes leaves few holes with it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let Cli { command, logs } = Cli::parse();
    let done = match command {
        Command::Up(options) => up::run(&options, &logs),
        Command::Dns(DnsOptions { command: Some(DnsCommand::Keys(options)), .. }) => {
            keys::run(&options)
        }
        Command::Dns(DnsOptions { command: None, selection: Some(selection), run }) => {
            process::run(Role::Dns, &NodeOptions { selection, run }, &logs)
        }
        Command::Dns(_) => Err(Failure::Usage("dns: --config FILE says which".to_owned())),
        Command::Edge(EdgeOptions { wish: Some(wish), .. }) => operate::wish(&wish),
        Command::Edge(EdgeOptions { wish: None, selection: Some(selection), run }) => {
            process::run(Role::Edge, &NodeOptions { selection, run }, &logs)
        }
        Command::Edge(_) => Err(Failure::Usage("edge: --config FILE says which".to_owned())),
        Command::Explain(command) => operate::explain(&command),
        Command::Origin(options) => process::run(Role::Origin, &options, &logs),
        Command::Check(options) => check::run(&options),
        Command::Geo(command) => geo::run(&command),
        Command::Status(options) => status::run(&options),
        Command::PrometheusTargets(options) => targets::run(&options),
        Command::Simulate(command) => simulate::run(&command),
        Command::Health(options) => health::run(&options),
        Command::StartSuccessor { line } => process::successor::start_for_another(&line),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
