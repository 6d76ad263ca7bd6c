//! Where clients are: the steering map from the operator's networks and a
//! location database.

#[cfg(test)]
mod tests;
mod watch;

use std::net::IpAddr;
use std::path::Path;

use kingcdn_config::{Dns, Geoip, Location, NetworkTarget};

use crate::decode::Subnet;
use crate::geo::{self, Countries, GeoError, Origin, Rules};
use crate::stamp::Stamp;
use crate::steering::{Groups, Map, MapBuilder, Placement, Point};
use crate::zone::{Fault, ZoneError};
pub(crate) use watch::watch;

/// Where clients are.
#[derive(Debug)]
pub(crate) struct Geography {
    pub(crate) map: Map,
    /// Whose locations are in it.
    pub(crate) origin: Origin,
    /// What is learnt of the database's countries.
    pub(crate) countries: Countries,
    /// The database's file, as it was before it was read.
    stamp: Option<Stamp>,
}

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

/// Compiles the map of a configuration, whose edges have these names. Reads the whole database.
pub(crate) fn compile(
    edges: &[Box<str>],
    dns: &Dns,
    groups: &Groups,
) -> Result<Geography, ZoneError> {
    let placement = |target| placement(edges, groups, target);
    let networks = dns.networks.iter().map(|network| (network.prefix, placement(&network.target)));
    let rules: Rules = dns
        .rules
        .iter()
        .flat_map(|rule| rule.regions.iter().map(|region| (*region, placement(&rule.target))))
        .collect();
    // Where no database is to blame, the configuration is.
    let file = file(&dns.geoip).unwrap_or(Path::new("[[edge]]"));
    let stamp = Stamp::of(file);
    let fault = |error| ZoneError { file: file.to_owned(), line: None, fault: fault(error) };
    let mut map =
        MapBuilder::new(groups.places(), networks).map_err(|error| fault(error.into()))?;
    let (origin, countries) = geo::fill(&dns.geoip, &rules, &mut map).map_err(fault)?;
    Ok(Geography { map: map.build(), origin, countries, stamp })
}

/// Where the database is, if it isn't in the program.
fn file(geoip: &Geoip) -> Option<&Path> {
    match geoip {
        Geoip::File(file) => Some(file),
        Geoip::Embedded | Geoip::None => None,
    }
}

fn fault(error: GeoError) -> Fault {
    match error {
        GeoError::Unreadable(error) => Fault::Unreadable(error.to_string()),
        error => Fault::Database(error.to_string()),
    }
}

fn placement(edges: &[Box<str>], groups: &Groups, target: &NetworkTarget) -> Placement {
    match target {
        NetworkTarget::Location(place) => Placement::Near(point(*place)),
        NetworkTarget::Edges(names) => {
            // The configuration knows every name that it names.
            let index = |name: &str| edges.iter().position(|edge| **edge == *name);
            let indices = names.iter().filter_map(|name| index(name.as_str()));
            let single = |index: usize| groups.single(index.try_into().ok()?);
            Placement::Order(indices.filter_map(single).collect())
        }
    }
}

pub(crate) fn point(place: Location) -> Point {
    Point { latitude: place.latitude, longitude: place.longitude }
}
