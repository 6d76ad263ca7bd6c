//! Where the clients of the world's large cities are sent, while nothing of the operator's speaks
//! of their networks.

use serde::Serialize;

use crate::fleet::{CITIES, City};
use crate::steering::{Choice, EdgeIndex, Map, Standing, choose};
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
    /// `nearest`, `nearer ones can't`, `all down`, or `none`.
    why: &'static str,
    /// Nearer edges, and why it isn't they.
    passed_over: Vec<PassedOver<'w>>,
}

#[derive(Debug, Serialize)]
struct PassedOver<'w> {
    edge: &'w str,
    why: &'static str,
}

pub(super) fn regions(world: &World) -> Vec<Region<'_>> {
    CITIES.iter().map(|city| region(world, city)).collect()
}

fn region<'w>(world: &'w World, city: &City) -> Region<'w> {
    let list = Map::near(city.place, world.places());
    let fleet = world.monitor.fleet();
    // Most clients ask for IPv4.
    let fleet = &fleet.v4.fleet;
    let choice = choose(&list, fleet, world.all_down);
    let (edge, why) = match choice {
        Choice::Edge(edge) if list.first() == Some(&edge) => (Some(edge), "nearest"),
        Choice::Edge(edge) => (Some(edge), "nearer ones can't"),
        Choice::Despite(edge) => (Some(edge), "all down"),
        Choice::AllDown => (None, "all down"),
        Choice::NoAddress => (None, "none"),
    };
    let passed = list.iter().copied().take_while(|other| Some(*other) != edge);
    let passed_over = |other: EdgeIndex| PassedOver {
        edge: world.edge(other),
        why: match fleet.standing(other) {
            Standing::Absent => "no address",
            Standing::Down => "down",
            Standing::Unchecked => "unchecked",
            Standing::Up => "up",
        },
    };
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 to 20,016.
    let km = |edge| city.place.km(world.place(edge)).round() as u32;
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
