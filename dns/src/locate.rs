//! Where clients are: the steering map from the operator's networks and a
//! location database.

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::path::Path;

use kingcdn_config::{Config, Dns, Geoip, Label, Location, NetworkTarget};

use crate::decode::Subnet;
use crate::geo::{self, GeoError, Origin, Rules};
use crate::steering::{Groups, Map, MapBuilder, Placement, Point};
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

/// Compiles the map of a configuration, and says whose locations are in it. Reads the whole
/// database.
pub(crate) fn compile(
    config: &Config,
    dns: &Dns,
    groups: &Groups,
) -> Result<(Map, Origin), ZoneError> {
    let placement = |target| placement(config, groups, target);
    let networks = dns.networks.iter().map(|network| (network.prefix, placement(&network.target)));
    let rules: Rules = dns
        .rules
        .iter()
        .flat_map(|rule| rule.regions.iter().map(|region| (*region, placement(&rule.target))))
        .collect();
    // Where no database is to blame, the configuration is.
    let file = match &dns.geoip {
        Geoip::File(file) => file,
        Geoip::Embedded | Geoip::None => Path::new("[[edge]]"),
    };
    let fault = |error| ZoneError { file: file.to_owned(), line: None, fault: fault(error) };
    let mut map =
        MapBuilder::new(groups.places(), networks).map_err(|error| fault(error.into()))?;
    let origin = geo::fill(&dns.geoip, &rules, &mut map).map_err(fault)?;
    Ok((map.build(), origin))
}

fn fault(error: GeoError) -> Fault {
    match error {
        GeoError::Unreadable(error) => Fault::Unreadable(error.to_string()),
        error => Fault::Database(error.to_string()),
    }
}

fn placement(config: &Config, groups: &Groups, target: &NetworkTarget) -> Placement {
    match target {
        NetworkTarget::Location(place) => Placement::Near(point(*place)),
        NetworkTarget::Edges(names) => {
            // The configuration knows every name that it names.
            let index = |name: &Label| config.edges.iter().position(|edge| edge.name == *name);
            let indices = names.iter().filter_map(index);
            let single = |index: usize| groups.single(index.try_into().ok()?);
            Placement::Order(indices.filter_map(single).collect())
        }
    }
}

pub(crate) fn point(place: Location) -> Point {
    Point { latitude: place.latitude, longitude: place.longitude }
}
