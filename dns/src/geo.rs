//! Location databases: which network is where.
//!
//! One is in the program, so that clients are placed without any preparation;
//! a file in the configuration takes its place. Files are of our own form
//! ([`from_csv`] and [`from_mmdb`] make them) or of MaxMind's.

mod build;
mod coder;
#[cfg(test)]
pub(crate) mod fixture;
mod format;
mod mmdb;
mod model;
mod table;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;
use std::time::SystemTime;
use std::{fs, io};

use kingcdn_config::{Geoip, Region};
use serde::Serialize;
use thiserror::Error;
use tracing::warn;

pub use build::{About, BuildError, LineFault, from_csv, from_mmdb};
pub use format::{FormatError, WriteError};

use format::Database;
pub(crate) use mmdb::Countries;
use mmdb::{Mmdb, Regions};

use crate::steering::{List, MapBuilder, MapError, Placement, Point};

/// The database in the program. `dns/geo/README.md` says what it is made of, and how.
static EMBEDDED: &[u8] = include_bytes!("../geo/locations.kgeo");

/// A database's own words about itself, and how much is in it: part of `/status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Origin {
    /// `embedded`, `file` or `none`.
    pub(crate) source: &'static str,
    /// What it is, and of when.
    pub(crate) edition: String,
    /// What its licence wants to be said.
    pub(crate) attribution: String,
    /// Ranges or networks that have a place.
    pub(crate) entries: usize,
    /// Those of them of which no more than the country is known.
    pub(crate) country_entries: usize,
}

impl Origin {
    /// The day that the edition names at last, as `2026-06` or `2026-06-01`.
    pub(crate) fn issued(&self) -> Option<SystemTime> {
        let day = self.edition.split_whitespace().next_back()?;
        let first = if day.len() == "2026-06".len() { "-01" } else { "" };
        humantime::parse_rfc3339(&format!("{day}{first}T00:00:00Z")).ok()
    }
}

/// Why there are no locations.
#[derive(Debug, Error)]
pub(crate) enum GeoError {
    #[error(transparent)]
    Unreadable(#[from] io::Error),
    #[error(transparent)]
    Format(#[from] FormatError),
    #[error(transparent)]
    Mmdb(#[from] maxminddb::MaxMindDbError),
    #[error(transparent)]
    Map(#[from] MapError),
    #[error("no network in it has a place")]
    Placeless,
    #[error(
        "no network in it is in `{0}`, of which a `[[dns.rule]]` speaks: give a database in \
         MaxMind's format that names {kind}, or remove the rule",
        kind = match .0 { Region::Country(_) => "countries", Region::Continent(_) => "continents" }
    )]
    NoRegion(Region),
}

/// Where clients go by country and continent.
pub(crate) type Rules = HashMap<Region, Placement>;

/// The lists of rules, and what the database knows of.
struct RuleLists {
    lists: HashMap<Region, (List, bool)>,
    countries: bool,
    continents: bool,
}

impl RuleLists {
    fn new(rules: &Rules, map: &mut MapBuilder) -> Self {
        let lists = rules.iter().map(|(region, to)| (*region, (map.rule(to), false)));
        Self { lists: lists.collect(), countries: false, continents: false }
    }

    /// A country's, else its continent's.
    fn of(&mut self, regions: Regions) -> Option<List> {
        if self.lists.is_empty() {
            return None;
        }
        self.countries |= regions.country.is_some();
        self.continents |= regions.continent.is_some();
        let country = regions.country.map(Region::Country);
        let continent = regions.continent.map(Region::Continent);
        let mut list = None;
        for region in [country, continent].into_iter().flatten() {
            if let Some((found, used)) = self.lists.get_mut(&region) {
                *used = true;
                list = list.or(Some(*found));
            }
        }
        list
    }

    /// Whether rules can work: the database knows of countries, or of continents. That it has
    /// nobody in one of them is said.
    fn check(&self) -> Result<(), GeoError> {
        let unused = self.lists.iter().filter(|(_, (_, used))| !used).map(|(region, _)| *region);
        // By name, so that it is always the same.
        let mut unused: Vec<Region> = unused.collect();
        unused.sort_unstable();
        for region in unused {
            match region {
                Region::Country(_) if !self.countries => return Err(GeoError::NoRegion(region)),
                Region::Continent(_) if !self.continents => {
                    return Err(GeoError::NoRegion(region));
                }
                _ => warn!(%region, "the location database has no network there, of which a \
                                     rule speaks"),
            }
        }
        Ok(())
    }
}

/// Gives the map every range that has a place.
///
/// Rules need countries, which databases in MaxMind's format alone have.
pub(crate) fn fill(
    geoip: &Geoip,
    rules: &Rules,
    map: &mut MapBuilder,
) -> Result<(Origin, Countries), GeoError> {
    let mut rules = RuleLists::new(rules, map);
    let filled = match geoip {
        Geoip::Embedded => (decode("embedded", EMBEDDED, map)?, Countries::default()),
        Geoip::File(file) => read(file, &mut rules, map)?,
        Geoip::None => (Origin::none(), Countries::default()),
    };
    rules.check()?;
    let placeless = *geoip != Geoip::None && filled.0.entries == 0;
    if placeless { Err(GeoError::Placeless) } else { Ok(filled) }
}

fn read(
    file: &Path,
    rules: &mut RuleLists,
    map: &mut MapBuilder,
) -> Result<(Origin, Countries), GeoError> {
    let octets = fs::read(file)?;
    if format::is_database(&octets) {
        return Ok((decode("file", &octets, map)?, Countries::default()));
    }
    let database = Mmdb::survey(octets)?;
    let mut origin = Origin {
        source: "file",
        edition: database.edition(),
        country_entries: database.country_networks(),
        ..Origin::none()
    };
    database.each_known(|first, last, place, regions| {
        origin.entries += usize::from(place.is_some());
        let list = rules.of(regions).or_else(|| place.map(|place| map.near(place)));
        list.map_or(Ok(()), |list| map.push(first, last, list).map_err(GeoError::from))
    })?;
    Ok((origin, database.countries()))
}

/// Where a client is, by the database and what was learnt of its countries. Reads all of the file:
/// for people, not for queries.
pub(crate) fn place(geoip: &Geoip, countries: &Countries, client: IpAddr) -> Option<Point> {
    let octets = match geoip {
        Geoip::None => return None,
        Geoip::Embedded => Cow::Borrowed(EMBEDDED),
        Geoip::File(file) => Cow::Owned(fs::read(file).ok()?),
    };
    if !format::is_database(&octets) {
        return countries.locate(&octets, client);
    }
    let mut found = None;
    for part in Database::parse(&octets).ok()?.parts() {
        let places: Vec<Point> = part.places().ok()?.into_iter().map(Point::from).collect();
        let look = |first: IpAddr, last: IpAddr, place: Point| {
            if first <= client && client <= last {
                found = Some(place);
            }
            Ok::<_, GeoError>(())
        };
        part.decode(&places, look).ok()?;
    }
    found
}

fn decode(source: &'static str, octets: &[u8], map: &mut MapBuilder) -> Result<Origin, GeoError> {
    let database = Database::parse(octets)?;
    let mut origin = Origin {
        source,
        edition: database.edition.to_owned(),
        attribution: database.attribution.to_owned(),
        ..Origin::none()
    };
    for part in database.parts() {
        let lists: Vec<List> =
            part.places()?.into_iter().map(|place| map.near(place.into())).collect();
        part.decode(&lists, |first: IpAddr, last, list| {
            origin.entries += 1;
            map.push(first, last, list).map_err(GeoError::from)
        })?;
    }
    Ok(origin)
}

impl Origin {
    fn none() -> Self {
        Self {
            source: "none",
            edition: String::new(),
            attribution: String::new(),
            entries: 0,
            country_entries: 0,
        }
    }
}

impl From<table::Place> for Point {
    fn from(place: table::Place) -> Self {
        let degrees = |tenths: i16| f64::from(tenths) / 10.0;
        Self { latitude: degrees(place.latitude), longitude: degrees(place.longitude) }
    }
}
