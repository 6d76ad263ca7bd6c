mod world;

use std::net::IpAddr;

use kingcdn_config::Geoip;
use proptest::prelude::*;

use super::fixture::Value::{self, Double, Map as Fields, Text, Uint16};
use super::fixture::mmdb;
use super::table::{Family, Place, Table};
use super::*;
use crate::steering::Source;

/// Nuuk, Cape Town, Tokyo: whatever is nearest to one of these is no accident.
const EDGES: [Point; 3] = [at(64.2, -51.7), at(-33.9, 18.4), at(35.7, 139.7)];

const fn at(latitude: f64, longitude: f64) -> Point {
    Point { latitude, longitude }
}

fn about(edition: &str) -> About {
    About { edition: edition.to_owned(), attribution: "whom to thank".to_owned() }
}

fn builder() -> MapBuilder {
    MapBuilder::new(&EDGES, []).unwrap()
}

/// Every range of a database that has a place: first address, last address, place.
fn ranges(octets: &[u8]) -> Result<Vec<(IpAddr, IpAddr, Place)>, FormatError> {
    let mut ranges = Vec::new();
    for part in Database::parse(octets)?.parts() {
        part.decode(&part.places()?, |first, last, place| {
            ranges.push((first, last, place));
            Ok::<_, FormatError>(())
        })?;
    }
    Ok(ranges)
}

fn texts(octets: &[u8]) -> Vec<String> {
    let ranges = ranges(octets).unwrap();
    let text = |(first, last, place): (_, _, Place)| {
        format!("{first}-{last} {} {}", place.latitude, place.longitude)
    };
    ranges.into_iter().map(text).collect()
}

#[test]
fn tables_become_databases() {
    let ipv4 = "1.0.0.0,-27.5,153.0\n1.0.1.0,26.1,119.3\n1.0.1.128,26.14,119.26\n10.0.0.0,,\n\
                11.0.0.0,26.1,119.3\n223.255.255.0,-90,-180";
    // Finer than a site's network: where its first address is.
    let ipv6 = "2001::,33.9,-118.4\n2001:0:1:8000::,1,1\n2001:0:1:8001::,33.9,-118.4\n\
                2001:0:3:1::,46.9,7.2\n";
    let octets = from_csv(ipv4.as_bytes(), ipv6.as_bytes(), &about("of today")).unwrap();
    let database = Database::parse(&octets).unwrap();
    assert_eq!((database.edition, database.attribution), ("of today", "whom to thank"));
    let expected = [
        "1.0.0.0-1.0.0.255 -275 1530",
        "1.0.1.0-9.255.255.255 261 1193",
        "11.0.0.0-223.255.254.255 261 1193",
        // No network of the Internet's lies behind.
        "223.255.255.0-223.255.255.255 -900 -1800",
        "2001::-2001:0:3:ffff:ffff:ffff:ffff:ffff 339 -1184",
        "2001:0:4::-3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 469 72",
    ];
    assert_eq!(texts(&octets), expected);
}

#[test]
fn bad_tables_are_refused() {
    let long = "1".repeat(300);
    let cases = [
        (
            "1.0.0.0,1,2\n1.0.0.0,3,4",
            "line 2: `1.0.0.0` isn't above the address of the line before",
        ),
        ("1.0.0.0,1,2\n\n", "line 2: `` isn't `first address,latitude,longitude` of this family"),
        ("1.0.0.0,1", "line 1: `1.0.0.0,1` isn't"),
        ("1.0.0.0,1,2,3", "line 1: `1.0.0.0,1,2,3` isn't"),
        ("1.0.0.0,1,", "line 1: `1.0.0.0,1,` isn't"),
        ("1.0.0,1,2", "line 1: `1.0.0,1,2` isn't"),
        ("2001::,1,2", "line 1: `2001::,1,2` isn't"),
        ("1.0.0.0,91,181", "line 1: there is no latitude 91"),
        ("1.0.0.0,NaN,0", "line 1: there is no latitude NaN"),
        (&*long, "line 1: it is longer than 256 octets"),
        ("1.0.0.0,,\n", "nothing in it has a place"),
        ("", "nothing in it has a place"),
    ];
    for (table, expected) in cases {
        let error = from_csv(table.as_bytes(), &b""[..], &about("")).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    let much = from_csv(&b"1.0.0.0,1,2\n"[..], &b""[..], &about(&"x".repeat(256)));
    assert_eq!(much.unwrap_err().to_string(), "edition and attribution may have 255 octets each");
}

fn city(country: &str, city: &str, latitude: f64, longitude: f64, radius: u16) -> Value<'static> {
    let named = |name: &str| Text(name.to_owned().leak());
    let mut fields = vec![
        ("country", Fields(vec![("iso_code", named(country))])),
        (
            "location",
            Fields(vec![
                ("accuracy_radius", Uint16(radius)),
                ("latitude", Double(latitude)),
                ("longitude", Double(longitude)),
            ]),
        ),
    ];
    if !city.is_empty() {
        fields.push(("city", Fields(vec![("names", Fields(vec![("en", named(city))]))])));
    }
    Fields(fields)
}

fn country_database() -> Vec<u8> {
    mmdb(&[
        ("1.0.0.0/24", city("US", "Ashburn", 39.0, -77.5, 20)),
        ("1.0.1.0/24", city("US", "Boston", 42.4, -71.1, 20)),
        // The country's middle, without more names and with them.
        ("1.0.2.0/23", city("US", "", 37.75, -97.8, 1000)),
        ("1.0.4.0/24", city("US", "Cheney Reservoir", 37.78, -97.82, 20)),
        // Nobody knows better, however far away it may be.
        ("1.0.5.0/24", city("US", "Anchorage", 61.2, -149.9, 1000)),
        // Nothing else is known of this one.
        ("1.0.6.0/24", city("AQ", "", -77.8, 166.7, 1000)),
        ("2001:200::/32", city("US", "Boston", 42.4, -71.1, 20)),
    ])
}

#[test]
fn who_is_only_known_to_be_in_a_country_is_put_amid_its_networks() {
    let octets = from_mmdb(country_database(), &about("")).unwrap();
    assert_eq!(Database::parse(&octets).unwrap().edition, "City 1970-01-01");
    let expected = [
        "1.0.0.0-1.0.0.255 390 -775",
        "1.0.1.0-1.0.1.255 424 -711",
        // Two in Boston, one in Ashburn, one in Anchorage.
        "1.0.2.0-1.0.4.255 498 -845",
        "1.0.5.0-1.0.5.255 612 -1499",
        "1.0.6.0-1.0.6.255 -778 1667",
        "2001:200::-2001:200:ffff:ffff:ffff:ffff:ffff:ffff 424 -711",
    ];
    assert_eq!(texts(&octets), expected);
}

#[test]
fn a_database_is_as_old_as_its_edition_says() {
    let issued = |edition: &str| {
        let origin = Origin { edition: edition.to_owned(), ..Origin::none() };
        origin.issued().map(|at| humantime::format_rfc3339_seconds(at).to_string())
    };
    for (edition, expected) in [
        ("DB-IP City Lite 2026-06", Some("2026-06-01T00:00:00Z")),
        ("GeoLite2-City 2026-06-17", Some("2026-06-17T00:00:00Z")),
        ("2026-13", None),
        ("2026-06 of mine", None),
        ("", None),
    ] {
        assert_eq!(issued(edition).as_deref(), expected, "{edition}");
    }
    let mut map = builder();
    let (embedded, _) = fill(&Geoip::Embedded, &Rules::new(), &mut map).unwrap();
    assert!(embedded.issued().is_some(), "{}", embedded.edition);
}

#[test]
fn files_of_both_forms_place_clients() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, octets: &[u8]| {
        let file = folder.path().join(name);
        std::fs::write(&file, octets).unwrap();
        Geoip::File(file)
    };
    let own = from_mmdb(country_database(), &about("mine")).unwrap();
    let (mmdb, own) = (file("city.mmdb", &country_database()), file("city.kgeo", &own));
    let mut places = Vec::new();
    for (geoip, edition, attribution, entries, country_entries) in
        [(mmdb, "City 1970-01-01", "", 7, 3), (own, "mine", "whom to thank", 6, 0)]
    {
        let mut map = builder();
        let (origin, countries) = fill(&geoip, &Rules::new(), &mut map).unwrap();
        let (edition, attribution) = (edition.to_owned(), attribution.to_owned());
        let expected = Origin { source: "file", edition, attribution, entries, country_entries };
        assert_eq!(origin, expected);
        let map = map.build();
        for (client, first, source) in [
            ("1.0.0.7", 0, Source::Database),
            ("1.0.4.7", 0, Source::Database),
            ("1.0.6.7", 1, Source::Database),
            ("1.0.7.7", 0, Source::Default),
            ("2001:200::7", 0, Source::Database),
        ] {
            let located = map.locate(client.parse().unwrap(), 128);
            assert_eq!((located.list[0], located.source), (first, source), "{client}");
        }
        let tenths = |degrees: f64| (degrees * 10.0).round();
        let place = |client: &str| place(&geoip, &countries, client.parse().unwrap());
        let place = |client| place(client).map(|at| (tenths(at.latitude), tenths(at.longitude)));
        places.push(["1.0.0.7", "1.0.4.7", "1.0.6.7", "1.0.7.7", "2001:200::7"].map(place));
    }
    // Also of a country that has but a middle.
    assert_eq!(places[0], places[1]);
    assert_eq!(places[0].map(|place| place.is_some()), [true, true, true, false, true]);
}

#[test]
fn cells_are_at_their_mean() {
    let place = |latitude, longitude| city("FR", "Paris", latitude, longitude, 1);
    let octets = mmdb(&[
        ("1.0.0.0/24", place(48.1, 2.1)),
        ("1.0.1.0/24", place(48.9, 2.1)),
        ("1.0.2.0/23", place(48.9, 2.5)),
        ("1.0.5.0/24", place(48.9, 3.0)),
        ("1.0.6.0/24", place(-0.5, -0.5)),
    ]);
    let expected =
        ["1.0.0.0-1.0.3.255 487 23", "1.0.5.0-1.0.5.255 489 30", "1.0.6.0-1.0.6.255 -5 -5"];
    assert_eq!(texts(&from_mmdb(octets, &about("")).unwrap()), expected);
}

fn table(family: Family) -> impl Strategy<Value = Table> {
    // Near and far, few places and many.
    let begin = (0_u32..48, 1_u64..1 << 20, prop::option::of((-900_i16..900, 0_i16..3)));
    prop::collection::vec(begin, 0..200).prop_map(move |begins| {
        let mut table = Table::new(family);
        let mut unit = 0;
        for (shift, gap, place) in begins {
            unit += gap << shift >> 20;
            if unit < family.units() {
                let place = place.map(|(latitude, longitude)| Place { latitude, longitude });
                table.begin(family.first(unit), place);
            }
        }
        table.finish()
    })
}

fn tables() -> impl Strategy<Value = [Table; 2]> {
    (table(Family::V4), table(Family::V6)).prop_map(|(v4, v6)| [v4, v6])
}

/// A database of this body, whatever it is, with the right checksum.
fn sealed(body: &[u8]) -> Vec<u8> {
    [b"KingGeo\x01".as_slice(), blake3::hash(body).as_bytes(), body].concat()
}

proptest! {
    #[test]
    fn what_is_written_is_read(tables in tables()) {
        let octets = format::write(&tables, "edition", "attribution").unwrap();
        let mut meant = Vec::new();
        for table in &tables {
            let ends = table.begins().iter().skip(1).map(|(unit, _)| *unit);
            let ends = ends.chain([table.family().units()]);
            for ((unit, place), end) in table.begins().iter().zip(ends) {
                let (first, last) = (table.family().first(*unit), table.family().last(end - 1));
                meant.extend(place.map(|place| (first, last, place)));
            }
        }
        prop_assert_eq!(ranges(&octets).unwrap(), meant);
    }

    #[test]
    fn damage_is_noticed(tables in tables(), at: prop::sample::Index, bit in 0_u32..8) {
        let mut octets = format::write(&tables, "edition", "attribution").unwrap();
        let at = at.index(octets.len());
        octets[at] ^= 1 << bit;
        prop_assert!(ranges(&octets).is_err());
        prop_assert!(ranges(&octets[..at]).is_err());
    }

    /// Whoever forges the checksum gets an error or a map, and neither a panic nor a long wait.
    #[test]
    fn forged_databases_are_harmless(
        tables in tables(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut: prop::sample::Index,
    ) {
        let mut octets = format::write(&tables, "e", "a").unwrap();
        let body = &mut octets[40..];
        for (at, octet) in damage {
            // Not the counts of ranges: they may be large, and the test is to be short.
            let at = at.index(body.len());
            if !(6..10).contains(&at) {
                body[at] = octet;
            }
        }
        let cut = cut.index(body.len());
        for body in [&body[..], &body[..cut]] {
            let octets = sealed(body);
            let mut map = builder();
            if decode("file", &octets, &mut map).is_ok() {
                map.build();
            }
        }
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let one = from_csv(&b"1.0.0.0,1,2\n"[..], &b""[..], &about("")).unwrap();
    let body = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut body = one[40..].to_vec();
        change(&mut body);
        sealed(&body)
    };
    // Edition, attribution, number of places, of ranges, octets of code, places.
    let places = 1 + 1 + "whom to thank".len();
    let numbers = [places, places + 2, places + 6, places + 10];
    let [places, ranges_at, code, place] = numbers;
    let cases: [(Vec<u8>, &str); 12] = [
        (b"PK".to_vec(), "it doesn't begin as one"),
        (b"KingGeo\x02".to_vec(), "it is of version 2, and only version 1 is known here"),
        (one[..one.len() - 1].to_vec(), "its checksum is wrong: it is damaged"),
        (sealed(b""), "it makes no sense: it ends too early"),
        (body(&|body| body.push(0)), "it makes no sense: there is more than belongs to it"),
        (body(&|body| body[2] = 0xff), "it makes no sense: a text isn't UTF-8"),
        (body(&|body| body[places] = 9), "it makes no sense: it ends too early"),
        (body(&|body| body[ranges_at] -= 1), "it makes no sense: the ranges don't end"),
        (body(&|body| body[ranges_at] += 1), "it makes no sense: a r"),
        (body(&|body| body[ranges_at + 3] = 2), "it makes no sense: it has more ranges than"),
        (body(&|body| body[code + 3] = 1), "it makes no sense: it ends too early"),
        (body(&|body| body[place + 1] = 0x7f), "it makes no sense: a place isn't on Earth"),
    ];
    for (octets, expected) in cases {
        let error = ranges(&octets).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}, not {expected}");
    }
}
