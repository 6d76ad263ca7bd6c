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

use std::net::IpAddr;
use std::path::Path;
use std::{fs, io};

use kingcdn_config::Geoip;
use serde::Serialize;
use thiserror::Error;

pub use build::{About, BuildError, LineFault, from_csv, from_mmdb};
pub use format::{FormatError, WriteError};

use format::Database;
use mmdb::Mmdb;

use crate::steering::{List, MapBuilder, MapError, Point};

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
}

/// Gives the map every range that has a place.
pub(crate) fn fill(geoip: &Geoip, map: &mut MapBuilder) -> Result<Origin, GeoError> {
    let origin = match geoip {
        Geoip::Embedded => decode("embedded", EMBEDDED, map)?,
        Geoip::File(file) => read(file, map)?,
        Geoip::None => return Ok(Origin::none()),
    };
    if origin.entries == 0 { Err(GeoError::Placeless) } else { Ok(origin) }
}

fn read(file: &Path, map: &mut MapBuilder) -> Result<Origin, GeoError> {
    let octets = fs::read(file)?;
    if format::is_database(&octets) {
        return decode("file", &octets, map);
    }
    let database = Mmdb::survey(octets)?;
    let mut origin = Origin {
        source: "file",
        edition: database.edition(),
        country_entries: database.country_networks(),
        ..Origin::none()
    };
    database.each(|first, last, place| {
        origin.entries += 1;
        let list = map.near(place);
        map.push(first, last, list).map_err(GeoError::from)
    })?;
    Ok(origin)
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
