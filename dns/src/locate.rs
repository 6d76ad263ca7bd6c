//! Where clients are: the steering map from the operator's networks and a
//! location database.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::path::Path;

use ipnet::IpNet;
use kingcdn_config::{Config, Dns, Geoip, Label, Location, NetworkTarget};
use maxminddb::{MaxMindDbError, Reader, WithinOptions};
use serde::de::Visitor;
use serde::{Deserialize, Deserializer};

use crate::decode::Subnet;
use crate::steering::{Map, MapBuilder, MapError, Placement, Point};
use crate::zone::{Fault, ZoneError};

/// Whose place counts, and how many bits of the address are known: the client's, where the resolver
/// says for whom it asks; else the resolver's, as also for a client that doesn't want to be known
/// (RFC 7871 section 7.1.2: what servers use "in lieu of an option").
pub(crate) fn client(subnet: Option<&Subnet>, resolver: IpAddr) -> (IpAddr, u8) {
    match subnet {
        Some(subnet) if subnet.source > 0 => (subnet.address, subnet.source),
        _ => match resolver.to_canonical() {
            address @ IpAddr::V4(_) => (address, 32),
            address @ IpAddr::V6(_) => (address, 128),
        },
    }
}

/// Compiles the map of a configuration. Reads the whole database.
pub(crate) fn compile(config: &Config, dns: &Dns) -> Result<Map, ZoneError> {
    let edges: Vec<Point> = config.edges.iter().map(|edge| point(edge.location)).collect();
    let networks =
        dns.networks.iter().map(|network| (network.prefix, placement(config, &network.target)));
    // Where no database is to blame, the configuration is.
    let file = match &dns.geoip {
        Geoip::File(file) => file,
        Geoip::Embedded | Geoip::None => Path::new("[[edge]]"),
    };
    let fault = |fault| ZoneError { file: file.to_owned(), line: None, fault };
    let bad_map = |error: MapError| fault(Fault::Database(error.to_string()));
    let mut map = MapBuilder::new(&edges, networks).map_err(bad_map)?;
    if let Geoip::File(file) = &dns.geoip {
        database(file, &mut map).map_err(fault)?;
    }
    Ok(map.build())
}

fn placement(config: &Config, target: &NetworkTarget) -> Placement {
    match target {
        NetworkTarget::Location(place) => Placement::Near(point(*place)),
        NetworkTarget::Edges(names) => {
            // The configuration knows every name that it names.
            let index = |name: &Label| config.edges.iter().position(|edge| edge.name == *name);
            let indices = names.iter().filter_map(index);
            Placement::Order(indices.filter_map(|index| index.try_into().ok()).collect())
        }
    }
}

fn point(place: Location) -> Point {
    Point { latitude: place.latitude, longitude: place.longitude }
}

/// A record of a city database: MaxMind keeps the degrees in `location`, DB-IP beside it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct City {
    location: Place,
    latitude: Option<Degrees>,
    longitude: Option<Degrees>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Place {
    latitude: Option<Degrees>,
    longitude: Option<Degrees>,
}

/// A number of either precision: some databases have floats where MaxMind's have doubles.
#[derive(Debug, Clone, Copy)]
struct Degrees(f64);

impl<'de> Deserialize<'de> for Degrees {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyFloat).map(Self)
    }
}

struct AnyFloat;

impl Visitor<'_> for AnyFloat {
    type Value = f64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("degrees")
    }

    fn visit_f32<E>(self, degrees: f32) -> Result<f64, E> {
        Ok(degrees.into())
    }

    fn visit_f64<E>(self, degrees: f64) -> Result<f64, E> {
        Ok(degrees)
    }
}

impl City {
    /// Its place, where it has one that is on Earth.
    fn point(&self) -> Option<Point> {
        let latitude = self.location.latitude.or(self.latitude)?;
        let longitude = self.location.longitude.or(self.longitude)?;
        Location::new(latitude.0, longitude.0).ok().map(point)
    }
}

/// Gives the map every network of the database that has a place.
fn database(file: &Path, map: &mut MapBuilder) -> Result<(), Fault> {
    let reader = Reader::open_readfile(file).map_err(unreadable)?;
    // Many networks share a record.
    let mut places: HashMap<usize, Option<Point>> = HashMap::new();
    let mut placed = false;
    let networks = reader.networks(WithinOptions::default()).map_err(unreadable)?;
    for found in networks {
        let found = found.map_err(unreadable)?;
        let Some(offset) = found.offset() else { continue };
        let known = places.get(&offset).copied();
        let place = match known {
            Some(place) => place,
            None => {
                let city: Option<City> = found.decode().map_err(unreadable)?;
                let place = city.and_then(|city| city.point());
                places.insert(offset, place);
                place
            }
        };
        let network = found.network().map_err(unreadable)?;
        let prefix = IpNet::new(network.ip(), network.prefix());
        if let (Some(place), Ok(prefix)) = (place, prefix) {
            let list = map.near(place);
            map.push(prefix.network(), prefix.broadcast(), list)
                .map_err(|error| Fault::Database(error.to_string()))?;
            placed = true;
        }
    }
    if placed { Ok(()) } else { Err(Fault::Database("no network in it has a place".to_owned())) }
}

fn unreadable(error: MaxMindDbError) -> Fault {
    match error {
        MaxMindDbError::Io(error) => Fault::Unreadable(error.to_string()),
        error => Fault::Database(error.to_string()),
    }
}
