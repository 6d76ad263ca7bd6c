use std::net::IpAddr;

use kingcdn_config::{Config, Geoip, Region};

use super::*;
use crate::geo::fixture::Value::{self, Double, Float, Map as Table, Text};
use crate::geo::fixture::mmdb;
use crate::steering::Source;
use crate::testing;

fn nested(latitude: f64, longitude: f64) -> Value<'static> {
    let place = Table(vec![("latitude", Double(latitude)), ("longitude", Double(longitude))]);
    let names = Table(vec![("en", Text("Somewhere"))]);
    Table(vec![("city", Table(vec![("names", names)])), ("location", place)])
}

fn flat(latitude: f32, longitude: f32) -> Value<'static> {
    Table(vec![
        ("city", Text("Somewhere")),
        ("latitude", Float(latitude)),
        ("longitude", Float(longitude)),
    ])
}

fn config(folder: &Path, database: &[u8]) -> Config {
    let mut config = testing::config(folder, &[]);
    let file = folder.join("city.mmdb");
    std::fs::write(&file, database).unwrap();
    config.dns.as_mut().unwrap().geoip = Geoip::File(file);
    config
}

fn located(config: &Config) -> Result<Geography, ZoneError> {
    let edges: Vec<Box<str>> = config.edges.iter().map(|edge| edge.name.as_str().into()).collect();
    compile(&edges, config.dns.as_ref().unwrap(), &crate::health::groups(config))
}

fn compiled(database: &[u8]) -> Result<Map, ZoneError> {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), database);
    located(&config).map(|geography| geography.map)
}

#[test]
fn both_schemas_place_clients() {
    let nested = [
        ("10.1.2.0/24", nested(35.7, 139.7)),
        ("192.0.2.0/24", nested(48.9, 2.4)),
        ("192.0.2.128/25", nested(40.7, -74.0)),
        ("198.51.100.0/24", Table(vec![("city", Table(Vec::new()))])),
        ("203.0.113.0/24", nested(540.0, 0.0)),
        ("2001:db8::/32", nested(48.9, 2.4)),
    ];
    let flat = [
        ("10.1.2.0/24", flat(35.7, 139.7)),
        ("192.0.2.0/25", flat(48.9, 2.4)),
        ("192.0.2.128/25", flat(40.7, -74.0)),
        ("203.0.113.0/24", flat(540.0, 0.0)),
        ("2001:db8::/32", flat(48.9, 2.4)),
    ];
    let cases = [
        // The operator's network hides the database's.
        ("10.1.2.3", 1, Source::Operator),
        ("192.0.2.3", 1, Source::Database),
        ("192.0.2.200", 2, Source::Database),
        ("::ffff:192.0.2.200", 2, Source::Database),
        ("2001:db8::1", 1, Source::Database),
        // Without a place, or with one that isn't on Earth.
        ("198.51.100.1", 0, Source::Default),
        ("203.0.113.1", 0, Source::Default),
        ("2001:db9::1", 0, Source::Default),
    ];
    // A tree has no network within another: the larger one stands for its other half.
    let nested = nested.into_iter().map(|(network, value)| match network {
        "192.0.2.0/24" => ("192.0.2.0/25", value),
        network => (network, value),
    });
    for database in [mmdb(&nested.collect::<Vec<_>>()), mmdb(&flat)] {
        let map = compiled(&database).unwrap();
        for (client, first, source) in cases {
            let located = map.locate(client.parse().unwrap(), 128);
            assert_eq!((located.list[0], located.source), (first, source), "{client}");
        }
        assert_eq!(map.locate("192.0.2.200".parse().unwrap(), 32).scope, 25);
    }
}

#[test]
fn what_is_no_database_is_refused() {
    let good = mmdb(&[("192.0.2.0/24", nested(48.9, 2.4))]);
    let placeless = mmdb(&[("192.0.2.0/24", Table(vec![("city", Table(Vec::new()))]))]);
    let mut cut = good.clone();
    cut.drain(200..400);
    let cases: [(&[u8], &str); 4] = [
        (b"", "isn't a location database"),
        (b"not a database", "isn't a location database"),
        (&placeless, "no network in it has a place"),
        (&cut, "isn't a location database"),
    ];
    for (database, expected) in cases {
        let error = compiled(database).unwrap_err().to_string();
        assert!(error.contains("city.mmdb: "), "{error}");
        assert!(error.contains(expected), "{error}");
        assert!(error.contains("; give a city database"), "{error}");
    }
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path(), &good);
    config.dns.as_mut().unwrap().geoip = Geoip::File("/nowhere.mmdb".into());
    let error = located(&config).unwrap_err().to_string();
    assert!(error.contains("/nowhere.mmdb: can't be read"), "{error}");
}

#[test]
fn the_client_or_the_resolver() {
    let resolver: IpAddr = "::ffff:192.0.2.1".parse().unwrap();
    let subnet = |address: &str, source| Subnet { address: address.parse().unwrap(), source };
    let cases = [
        (None, "192.0.2.1", 32),
        (Some(subnet("0.0.0.0", 0)), "192.0.2.1", 32),
        (Some(subnet("10.1.0.0", 16)), "10.1.0.0", 16),
        (Some(subnet("2001:db8::", 32)), "2001:db8::", 32),
    ];
    for (subnet, address, known) in cases {
        let expected = (address.parse().unwrap(), known);
        assert_eq!(client(subnet.as_ref(), resolver), expected);
    }
}

/// A country comes before its continent, and both before distance; networks before all.
#[test]
fn rules_place_countries_and_continents() {
    let coded = |latitude, longitude, country, continent| {
        let place = Table(vec![("latitude", Double(latitude)), ("longitude", Double(longitude))]);
        Table(vec![
            ("location", place),
            ("country", Table(vec![("iso_code", Text(country))])),
            ("continent", Table(vec![("code", Text(continent))])),
        ])
    };
    let database = mmdb(&[
        ("10.1.2.0/24", coded(48.9, 2.4, "FR", "EU")),
        ("192.0.2.0/25", coded(48.9, 2.4, "FR", "EU")),
        ("192.0.2.128/25", coded(50.1, 8.7, "DE", "EU")),
        ("198.51.100.0/24", coded(40.7, -74.0, "US", "NA")),
        ("203.0.113.0/24", Table(vec![("country", Table(vec![("iso_code", Text("FR"))]))])),
    ]);
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path(), &database);
    let rule = |region, edges: &[&str]| kingcdn_config::Rule {
        regions: vec![region],
        target: testing::network("0.0.0.0/0", edges).target,
    };
    let (europe, france) = (Region::Continent(*b"EU"), Region::Country(*b"FR"));
    config.dns.as_mut().unwrap().rules = vec![rule(europe, &["ashburn"]), rule(france, &["seoul"])];
    let map = located(&config).unwrap().map;
    let cases = [
        ("10.1.2.3", 1, Source::Operator),
        ("192.0.2.3", 0, Source::Rule),
        ("192.0.2.200", 2, Source::Rule),
        ("198.51.100.1", 2, Source::Database),
        // Of which the country is all that is known.
        ("203.0.113.1", 0, Source::Rule),
    ];
    for (client, first, source) in cases {
        let located = map.locate(client.parse().unwrap(), 32);
        assert_eq!((located.list[0], located.source), (first, source), "{client}");
    }
    // Nobody is there: that is no error.
    config.dns.as_mut().unwrap().rules = vec![rule(Region::Country(*b"KR"), &["seoul"])];
    assert!(located(&config).is_ok());
    // The database knows no countries, and so the rule is of no use.
    let places = mmdb(&[("192.0.2.0/24", nested(48.9, 2.4))]);
    let Geoip::File(file) = &config.dns.as_ref().unwrap().geoip else { panic!("a file") };
    std::fs::write(file, places).unwrap();
    let error = located(&config).unwrap_err().to_string();
    assert!(error.contains("no network in it is in `KR`"), "{error}");
    assert!(error.contains("names countries, or remove the rule"), "{error}");
}
