//! Every edge, as this name server sees it.

use serde::Serialize;

use crate::fleet::{Figures, Wish};
use crate::health::{Health, Machine, Target};
use crate::record::Metrics;
use crate::steering::EdgeIndex;
use crate::world::World;

#[derive(Debug, Serialize)]
pub(super) struct EdgeState<'w> {
    name: &'w str,
    /// Latitude and longitude in degrees.
    location: [f64; 2],
    /// `up`, `drained`, `unchecked` or `down`: the best of its addresses, and what is wanted of it.
    state: &'static str,
    /// Why it isn't up.
    reason: Option<String>,
    /// Unix time in seconds.
    since: Option<i64>,
    /// What the operator wants: `auto`, `drain` or `down`.
    operator: &'static str,
    /// How much of its capacity it has to do, 0 to 1 or more; none while that isn't known.
    load: Option<f64>,
    /// The share of its networks that it gives up, 0 to 1.
    shed: f64,
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
    let monitor = &world.monitor;
    let (known, now) = (monitor.known().clone(), monitor.now());
    let answers = metrics.answers_by_edge();
    let checked: Vec<(&Target, &Machine)> = monitor.targets().iter().zip(&known.machines).collect();
    let state = |(name, index): (&'w str, EdgeIndex)| {
        let edge = usize::from(index);
        let own = || checked.iter().filter(|(target, _)| target.edge == index);
        let best = own().map(|(_, machine)| *machine).max_by_key(|machine| machine.health());
        let health = best.map_or(Health::Unchecked, Machine::health);
        let wish = known.wishes.get(edge).copied().unwrap_or_default();
        let drains = known.drains(edge, now);
        let place = world.place(index);
        let (state, reason) = match (wish, health) {
            (Wish::Down, _) => ("down", Some("the operator set it down".to_owned())),
            (_, Health::Down) => ("down", best.and_then(reason)),
            (Wish::Drain, _) => ("drained", Some("the operator drains it".to_owned())),
            _ if drains => ("drained", Some("it drains itself".to_owned())),
            (_, Health::Unchecked) => {
                ("unchecked", Some("no check has brought a result".to_owned()))
            }
            (_, Health::Up) => ("up", None),
        };
        let figures = known.figures(edge, now);
        let report = known.reports.get(edge);
        EdgeState {
            name,
            location: [place.latitude, place.longitude],
            state,
            reason,
            since: best.map(|machine| machine.since().as_secs()),
            operator: wish.as_str(),
            load: known.load(edge, monitor.terms(), now),
            shed: known.sheds.get(edge).map_or(0.0, |shed| shed.share),
            answers: answers.get(name).copied().unwrap_or(0),
            addresses: own().map(|(target, machine)| address(target, machine)).collect(),
            figures: figures
                .map(|(at, figures)| FiguresState { at: at.as_secs(), figures: figures.clone() }),
            figures_error: report.and_then(|report| report.error).map(|error| error.to_string()),
        }
    };
    world.edges().iter().map(|name| &**name).zip(0..).map(state).collect()
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
