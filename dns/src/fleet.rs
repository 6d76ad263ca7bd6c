//! What edges say of themselves, what happened to them, and where the world's
//! clients are sent: what people want to see of a fleet.

mod cities;
mod fetch;
mod history;
mod wishes;

#[cfg(test)]
mod tests;

pub(crate) use cities::{CITIES, City};
pub(crate) use fetch::{FetchError, fetch};
pub(crate) use history::{Change, History, What};
pub(crate) use wishes::{Wish, Wishes, fits};

use kingcdn_config::Location;
use kingcdn_config::clock::Timestamp;
use kingcdn_config::status::EdgeStatus;
use serde::Serialize;

use crate::locate;

/// The continent of the large city that is nearest to a place: what monitoring sums edges up by.
pub fn region(place: Location) -> &'static str {
    let place = locate::point(place);
    let nearest =
        CITIES.iter().min_by(|one, other| place.km(one.place).total_cmp(&place.km(other.place)));
    match nearest.map_or("", |city| city.continent) {
        "AF" => "africa",
        "AS" => "asia",
        "EU" => "europe",
        "NA" => "north-america",
        "OC" => "oceania",
        "SA" => "south-america",
        _ => "nowhere",
    }
}

/// What is known of an edge by its own words.
#[derive(Debug, Clone, Default)]
pub(crate) struct Report {
    /// Its last document, and when it came.
    pub(crate) last: Option<(Timestamp, Figures)>,
    /// Why the latest attempt brought none.
    pub(crate) error: Option<FetchError>,
}

/// The part of an edge's `/status` that is kept.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Figures {
    pub(crate) version: String,
    pub(crate) uptime_seconds: u64,
    pub(crate) draining: bool,
    pub(crate) connections: u64,
    pub(crate) requests_per_second: f64,
    pub(crate) egress_bits_per_second: f64,
    pub(crate) cpu_share: Option<f64>,
    pub(crate) fills: u64,
    pub(crate) cache_bytes: u64,
    pub(crate) cache_capacity_bytes: u64,
    pub(crate) cache_objects: u64,
    /// Of all sites since its start, 0 to 1.
    pub(crate) hit_ratio: Option<f64>,
}

impl From<EdgeStatus> for Figures {
    #[allow(clippy::cast_precision_loss)] // Fewer requests than 2^52.
    fn from(status: EdgeStatus) -> Self {
        let asked: u64 = status.sites.iter().map(|site| site.requests).sum();
        let hit = |site: &kingcdn_config::status::SiteStatus| {
            site.hit_ratio.unwrap_or(0.0) * site.requests as f64
        };
        let hits: f64 = status.sites.iter().map(hit).sum();
        Self {
            version: status.version.chars().take(64).collect(),
            uptime_seconds: status.uptime_seconds,
            draining: status.draining,
            connections: status.load.connections,
            requests_per_second: status.load.requests_per_second,
            egress_bits_per_second: status.load.bytes_per_second * 8.0,
            cpu_share: status.load.cpu_share,
            fills: status.load.fills,
            cache_bytes: status.cache.memory_bytes,
            cache_capacity_bytes: status.cache.memory_capacity_bytes,
            cache_objects: status.cache.objects,
            hit_ratio: (asked > 0).then(|| hits / asked as f64),
        }
    }
}
