//! Every edge, as this name server sees it.

use serde::Serialize;

use crate::fleet::Figures;
use crate::health::{Health, Machine, Target};
use crate::record::Metrics;
use crate::world::World;

#[derive(Debug, Serialize)]
pub(super) struct EdgeState<'w> {
    name: &'w str,
    /// Latitude and longitude in degrees.
    location: [f64; 2],
    /// `up`, `down` or `unchecked`: the best of its addresses.
    state: &'static str,
    /// Why it isn't up.
    reason: Option<String>,
    /// Unix time in seconds.
    since: Option<i64>,
    /// Answers that named it, since the start.
    answers: u64,
    addresses: Vec<AddressState>,
    /// By its own words; none while it isn't known.
    figures: Option<FiguresState>,
    /// Why the latest look at its words brought none.
    figures_error: Option<String>,
}

#[derive(Debug, Serialize)]
struct AddressState {
    address: String,
    /// `up`, `down` or `unchecked`.
    health: &'static str,
    /// Unix time in seconds.
    since: i64,
    last_check: Option<CheckState>,
}

#[derive(Debug, Serialize)]
struct CheckState {
    /// Unix time in seconds.
    at: i64,
    ok: bool,
    /// Why it failed.
    reason: Option<String>,
}

#[derive(Debug, Serialize)]
struct FiguresState {
    /// When they came: Unix time in seconds.
    at: i64,
    #[serde(flatten)]
    figures: Figures,
}

pub(super) fn states<'w>(world: &'w World, metrics: &Metrics) -> Vec<EdgeState<'w>> {
    let machines = world.monitor.machines();
    let reports = world.monitor.reports();
    let answers = metrics.answers_by_edge();
    let checked: Vec<(&Target, &Machine)> = world.monitor.targets().iter().zip(&machines).collect();
    let edges = world.edges().zip(0..).zip(reports);
    let state = |((name, index), report): ((&'w str, u16), crate::fleet::Report)| {
        let own = || checked.iter().filter(|(target, _)| target.edge == index);
        let best = own().map(|(_, machine)| *machine).max_by_key(|machine| machine.health());
        let health = best.map_or(Health::Unchecked, Machine::health);
        let place = world.place(index);
        EdgeState {
            name,
            location: [place.latitude, place.longitude],
            state: word(health),
            reason: match health {
                Health::Up => None,
                Health::Unchecked => Some("no check has brought a result".to_owned()),
                Health::Down => best.and_then(reason),
            },
            since: best.map(|machine| machine.since().as_secs()),
            answers: answers.get(name).copied().unwrap_or(0),
            addresses: own().map(|(target, machine)| address(target, machine)).collect(),
            figures: report.last.map(|(at, figures)| FiguresState { at: at.as_secs(), figures }),
            figures_error: report.error.map(|error| error.to_string()),
        }
    };
    edges.map(state).collect()
}

fn address(target: &Target, machine: &Machine) -> AddressState {
    AddressState {
        address: target.service.to_string(),
        health: word(machine.health()),
        since: machine.since().as_secs(),
        last_check: machine.last().map(|(at, result)| CheckState {
            at: at.as_secs(),
            ok: result.is_ok(),
            reason: result.err().map(|error| error.to_string()),
        }),
    }
}

fn reason(machine: &Machine) -> Option<String> {
    let (_, result) = machine.last()?;
    result.err().map(|error| error.to_string())
}

fn word(health: Health) -> &'static str {
    match health {
        Health::Up => "up",
        Health::Down => "down",
        Health::Unchecked => "unchecked",
    }
}
