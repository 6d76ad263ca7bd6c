//! The database in the program.

use std::collections::HashMap;

use super::*;
use crate::steering::EdgeIndex;

/// Some lines of the tables that the database in the program was made of.
#[test]
fn the_database_in_the_program_says_what_its_source_says() {
    let mut known = [
        ("1.0.0.1", Some((-275, 1530))),
        ("18.0.0.1", Some((424, -711))),
        ("141.1.1.1", Some((501, 87))),
        ("193.0.6.139", Some((523, 48))),
        ("200.160.2.3", Some((-236, -466))),
        ("202.12.27.33", Some((357, 1397))),
        ("203.250.0.1", Some((365, 1274))),
        ("10.1.1.1", None),
        ("127.0.0.1", None),
        ("192.0.2.1", None),
        ("224.0.0.1", None),
        ("2001:200::1", Some((357, 1398))),
        ("2001:638::1", Some((525, 134))),
        ("2001:67c:2e8::1", Some((524, 49))),
        ("2600:1f18::1", Some((390, -774))),
        ("2804::1", Some((-301, -512))),
        ("2001:db8::1", None),
        ("fd00::1", None),
    ]
    .map(|(client, place)| (client, client.parse::<IpAddr>().unwrap(), place, None));
    let all = ranges(EMBEDDED).unwrap();
    for (first, last, place) in &all {
        for (_, client, _, found) in &mut known {
            if client.is_ipv4() == first.is_ipv4() && (first..=last).contains(&&*client) {
                *found = Some((place.latitude, place.longitude));
            }
        }
    }
    for (client, _, place, found) in known {
        assert_eq!(found, place, "{client}");
    }
    assert!(EMBEDDED.len() < 8 << 20);
}

/// The edges by great circle, the plain way.
fn nearest(place: Place) -> [EdgeIndex; 3] {
    let place = Point::from(place);
    let distance = |edge: EdgeIndex| {
        let edge = EDGES[usize::from(edge)];
        let half = |a: f64, b: f64| ((a - b).to_radians() / 2.0).sin().powi(2);
        let both = place.latitude.to_radians().cos() * edge.latitude.to_radians().cos();
        let hav =
            half(place.latitude, edge.latitude) + both * half(place.longitude, edge.longitude);
        hav.sqrt().asin()
    };
    let mut order = [0, 1, 2];
    order.sort_by(|a, b| distance(*a).total_cmp(&distance(*b)));
    order
}

/// Where the list of edges changes: the first address of each run, by address.
fn changes(all: &[(IpAddr, IpAddr, Place)], ipv4: bool) -> Vec<(IpAddr, [EdgeIndex; 3])> {
    let mut known = HashMap::new();
    let zero = if ipv4 { Family::V4.first(0) } else { Family::V6.first(0) };
    let mut changes = vec![(zero, [0, 1, 2])];
    for (first, last, place) in all.iter().filter(|(first, ..)| first.is_ipv4() == ipv4) {
        let list = *known.entry(*place).or_insert_with(|| nearest(*place));
        changes.pop_if(|(end, _)| end == first);
        changes.push((*first, list));
        changes.extend(build::next(*last).map(|end| (end, [0, 1, 2])));
    }
    changes.dedup_by_key(|(_, list)| *list);
    changes
}

/// Over a sample of the world: all of a scope has the answer's list, and of no larger network.
#[test]
fn scopes_are_true_and_maximal_over_the_world() {
    let mut map = builder();
    let (origin, _) = fill(&Geoip::Embedded, &Rules::new(), &mut map).unwrap();
    let map = map.build();
    let all = ranges(EMBEDDED).unwrap();
    assert_eq!((origin.source, origin.entries), ("embedded", all.len()));
    assert!(origin.attribution.contains("IP Geolocation by DB-IP (https://db-ip.com)"));
    for (ipv4, length) in [(true, 32), (false, 128)] {
        let changes = changes(&all, ipv4);
        let at = |address: IpAddr| changes.partition_point(|(first, _)| *first <= address) - 1;
        let family: Vec<_> = all.iter().filter(|(first, ..)| first.is_ipv4() == ipv4).collect();
        let mut scopes = 0;
        for sample in 0..5000 {
            let (first, last, _) = family[sample * 2_654_435_761 % family.len()];
            for client in [*first, *last] {
                let located = map.locate(client, length);
                assert_eq!(*located.list, changes[at(client)].1[..], "{client}");
                let alike = |length: u8| {
                    let network = ipnet::IpNet::new(client, length).unwrap();
                    at(network.network()) == at(network.broadcast())
                };
                assert!(alike(located.scope), "{client}/{} is too large", located.scope);
                // Networks beyond 2000::/3 hold the mapped addresses.
                if located.scope > if ipv4 { 0 } else { 3 } {
                    assert!(
                        !alike(located.scope - 1),
                        "{client}/{} is true too",
                        located.scope - 1
                    );
                }
                scopes += usize::from(located.scope);
            }
        }
        // The test would mean little if all networks were of one address, or all of one size.
        let mean = scopes / 10_000;
        assert!((8..=usize::from(length) * 3 / 4).contains(&mean), "{mean}");
    }
}
