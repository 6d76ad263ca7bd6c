//! Where the clients of the world's large cities are sent, while nothing of the operator's speaks
//! of their networks.

use std::net::IpAddr;

use serde::Serialize;

use crate::fleet::{CITIES, City};
use crate::health::Snapshot;
use crate::steering::{
    AllDown, Ask, Choice, EdgeIndex, Map, Standing, Unit, Verdict, choose, order,
};
use crate::world::World;

#[derive(Debug, Serialize)]
pub(super) struct Region<'w> {
    city: &'static str,
    country: &'static str,
    continent: &'static str,
    /// Latitude and longitude in degrees.
    location: [f64; 2],
    /// Where its clients are sent; none where nobody can take them.
    edge: Option<&'w str>,
    /// Kilometres to that edge.
    km: Option<u32>,
    /// `nearest`, `nearer ones can't`, `nearer ones shed`, `all down`, or `none`.
    why: &'static str,
    /// Nearer edges, and why it isn't they.
    passed_over: Vec<PassedOver<'w>>,
}

#[derive(Debug, Serialize)]
struct PassedOver<'w> {
    edge: &'w str,
    why: &'static str,
}

/// A client's address when only his city counts.
const SOMEBODY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);

pub(super) fn regions(world: &World) -> Vec<Region<'_>> {
    let fleet = world.monitor.fleet();
    CITIES.iter().map(|city| region(world, &fleet, city)).collect()
}

fn region<'w>(world: &'w World, fleet: &Snapshot, city: &City) -> Region<'w> {
    // Most clients ask for IPv4.
    let fleet = &fleet.v4.fleet;
    let list = Map::near(city.place, fleet.groups().places());
    let (client, scope) = (SOMEBODY, 0);
    let all_down = AllDown::Every;
    let ask = Ask { list: list[..].into(), client, scope, site: 0, answers: 1, all_down };
    let (edge, why) = match choose(&ask, fleet) {
        Choice::Edges(picks) => {
            let edge = picks.edges().first().copied();
            let nearest = list.first().map_or(&[][..], |group| fleet.groups().of(*group));
            match edge {
                Some(edge) if nearest.contains(&edge) => (Some(edge), "nearest"),
                edge if picks.shed => (edge, "nearer ones shed"),
                edge => (edge, "nearer ones can't"),
            }
        }
        Choice::Despite(picks) => (picks.edges().first().copied(), "all down"),
        Choice::AllDown => (None, "all down"),
        Choice::NoAddress => (None, "none"),
    };
    let unit = Unit::of(client, scope);
    let edges = order(&list, fleet.groups()).flat_map(|group| fleet.groups().of(group));
    let passed = edges.copied().take_while(|other| Some(*other) != edge).take(list.len());
    let passed_over =
        |other| PassedOver { edge: world.edge(other), why: word(fleet.verdict(other, unit)) };
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 to 20,016.
    let km = |edge: EdgeIndex| city.place.km(world.place(edge)).round() as u32;
    Region {
        city: city.name,
        country: city.country,
        continent: city.continent,
        location: [city.place.latitude, city.place.longitude],
        edge: edge.map(|edge| world.edge(edge)),
        km: edge.map(km),
        why,
        passed_over: passed.map(passed_over).collect(),
    }
}

/// Why an edge isn't answered.
pub(crate) fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Takes => "another of its place has this client",
        Verdict::Shed => "sheds load",
        Verdict::Stands(Standing::Absent) => "no address",
        Verdict::Stands(Standing::Down) => "down",
        Verdict::Stands(Standing::Drained) => "drained",
        Verdict::Stands(Standing::Unchecked) => "unchecked",
        Verdict::Stands(Standing::Up) => "up",
    }
}
