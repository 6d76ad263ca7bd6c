//! `kingcdn simulate`: what a cache would do with a trace.

mod curve;
mod report;
mod svg;
mod trace;

use std::io::{self, Write as _};

use anyhow::Context as _;
use kingcdn_store::policy::Eviction;
use kingcdn_store::policy::log::TooSmall;
use kingcdn_store::replay::{Replay, Request, Sizes};

use self::trace::{LeftOut, Trace};
use crate::cli::{SimulateCacheOptions, SimulateCommand, SimulatedEviction};
use crate::failure::Failure;

/// Does what the command says.
pub(crate) fn run(command: &SimulateCommand) -> Result<(), Failure> {
    let SimulateCommand::Cache(options) = command;
    let sizes = Sizes { memory_bytes: options.memory, disk_bytes: options.disk };
    let eviction = match options.eviction {
        SimulatedEviction::Lfu => Eviction::Lfu,
        SimulatedEviction::Lru => Eviction::Lru,
    };
    if sizes.memory_bytes == 0 {
        return Err(Failure::Usage("--memory must be more than 0".to_owned()));
    }
    // Refused before a long trace is read.
    Replay::new(sizes, eviction).map_err(too_small)?;
    match options.curve {
        false => replay(options, sizes, eviction),
        true => curve(options, sizes, eviction),
    }
}

fn too_small(error: TooSmall) -> Failure {
    Failure::Usage(format!("--disk: {error}"))
}

/// One size, the trace read as it is replayed.
fn replay(options: &SimulateCacheOptions, sizes: Sizes, eviction: Eviction) -> Result<(), Failure> {
    let mut replay = Replay::new(sizes, eviction).map_err(too_small)?;
    let left_out = read(options, |request| replay.request(request))?;
    let text = report::of_one(&replay.counts(), left_out);
    Ok(say(&text)?)
}

/// Many sizes. The trace is held in memory: 16 bytes a request.
fn curve(options: &SimulateCacheOptions, sizes: Sizes, eviction: Eviction) -> Result<(), Failure> {
    let mut requests = Vec::new();
    let left_out = read(options, |request| requests.push(request))?;
    let curve = curve::of(&requests, sizes, eviction);
    say(&report::of_curve(&curve, left_out))?;
    if let Some(file) = &options.svg {
        let drawn = std::fs::write(file, svg::of(&curve));
        drawn.with_context(|| file.display().to_string())?;
    }
    Ok(())
}

fn read(options: &SimulateCacheOptions, mut each: impl FnMut(Request)) -> Result<LeftOut, Failure> {
    let file = &options.trace;
    let mut trace = Trace::open(file).with_context(|| file.display().to_string())?;
    while let Some(request) = trace.next().with_context(|| file.display().to_string())? {
        each(request);
    }
    Ok(trace.left_out())
}

fn say(text: &str) -> anyhow::Result<()> {
    Ok(io::stdout().lock().write_all(text.as_bytes())?)
}
