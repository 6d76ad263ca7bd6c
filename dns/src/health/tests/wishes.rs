//! What the operator and the load do to a fleet.

use kingcdn_config::Capacity;

use super::*;
use crate::fleet::{FetchError, Wish};

fn figures(requests_per_second: f64) -> Figures {
    Figures {
        version: "0.1.0".to_owned(),
        uptime_seconds: 1,
        draining: false,
        connections: 0,
        requests_per_second,
        egress_bits_per_second: 0.0,
        cpu_share: None,
        fills: 0,
        cache_bytes: 0,
        cache_capacity_bytes: 0,
        cache_objects: 0,
        hit_ratio: None,
    }
}

fn whats(monitor: &Monitor) -> Vec<String> {
    let changes = monitor.history().changes();
    changes.iter().map(|change| format!("{} {}", change.edge, change.what.as_str())).collect()
}

#[test]
fn wishes_go_over_checks_and_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = testing::config(folder.path(), &[]);
    let file = folder.path().join("edges.json");
    config.dns.as_mut().unwrap().state = Some(file.clone());
    let first = monitor(&config, HealthCheck::None, None);
    assert!(!first.fleet().degraded);
    assert_eq!(first.wish("s*", Wish::Drain).0, ["seoul"]);
    assert_eq!(first.wish("*burn", Wish::Down).0, ["ashburn"]);
    assert!(first.wish("nobody", Wish::Down).0.is_empty());
    assert_eq!(fleet(&first), "d U D ");
    assert!(first.fleet().degraded, "a change is fresh");
    // What is wanted is no trouble once it isn't fresh.
    first.clock.advance(Duration::from_secs(61));
    first.tick();
    assert!(!first.fleet().degraded);
    // A new process.
    let second = monitor(&config, HealthCheck::None, None);
    assert_eq!(fleet(&second), "d U D ");
    // A new configuration in the same process, without a file.
    config.dns.as_mut().unwrap().state = None;
    assert_eq!(fleet(&monitor(&config, HealthCheck::None, Some(&second))), "d U D ");
    let (names, written) = second.wish("*", Wish::Auto);
    assert_eq!((names.len(), written.is_ok()), (3, true));
    assert_eq!(fleet(&second), "U U U ");
    assert_eq!(whats(&second), ["ashburn set to auto", "seoul set to auto"]);
    config.dns.as_mut().unwrap().state = Some(file.clone());
    assert_eq!(fleet(&monitor(&config, HealthCheck::None, None)), "U U U ");
    // What can't be read is ignored.
    for bad in ["", "{", r#"{"edges":{"seoul":"gone"}}"#, r#"{"edges":{},"more":1}"#] {
        std::fs::write(&file, bad).unwrap();
        assert_eq!(fleet(&monitor(&config, HealthCheck::None, None)), "U U U ", "{bad}");
    }
    // What can't be written holds all the same.
    config.dns.as_mut().unwrap().state = Some(folder.path().join("nowhere/edges.json"));
    let third = monitor(&config, HealthCheck::None, None);
    assert!(third.wish("seoul", Wish::Down).1.is_err());
    assert_eq!(fleet(&third), "D U U ");
}

#[test]
fn an_edge_that_says_it_drains_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let config = testing::config(folder.path(), &[]);
    let monitor = monitor(&config, HealthCheck::None, None);
    monitor.told(0, Ok(Figures { draining: true, ..figures(0.0) }));
    monitor.tick();
    assert_eq!(fleet(&monitor), "d U U ");
    // It says no more; what it said becomes old.
    monitor.clock.advance(Duration::from_secs(31));
    monitor.told(0, Err(FetchError::Timeout));
    monitor.tick();
    assert_eq!(fleet(&monitor), "U U U ");
}

#[test]
fn load_moves_networks_and_brings_them_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = testing::config(folder.path(), &[]);
    config.edges[0].capacity = Capacity { requests_per_second: Some(1000), ..Capacity::default() };
    let monitor = monitor(&config, HealthCheck::None, None);
    let share = || monitor.fleet().v4.fleet.share(0);
    let at = |requests: f64| {
        monitor.told(0, Ok(figures(requests)));
        monitor.clock.advance(Duration::from_secs(1));
        monitor.tick();
    };
    at(700.0);
    assert_eq!(share(), Share(0));
    at(900.0);
    assert_eq!(share(), Share::of(0.5));
    assert!(monitor.fleet().degraded);
    at(1000.0);
    assert_eq!(share(), Share::ALL);
    // Nobody knows: it isn't shed.
    monitor.clock.advance(Duration::from_secs(40));
    monitor.tick();
    assert_eq!(share(), Share(0));
    at(2000.0);
    assert_eq!(share(), Share::ALL);
    for _ in 0..600 {
        at(0.0);
    }
    assert_eq!(share(), Share(0));
    assert!(!monitor.fleet().degraded);
    let seoul =
        ["sheds no load", "sheds all load", "sheds no load", "sheds all load", "sheds load"];
    assert_eq!(whats(&monitor), seoul.map(|what| format!("seoul {what}")));
    // Others have no limit.
    monitor.told(1, Ok(figures(1e9)));
    monitor.tick();
    assert_eq!(monitor.fleet().v4.fleet.share(1), Share(0));
}

#[test]
fn patterns_fit_names() {
    let cases = [
        ("seoul", "seoul", true),
        ("seoul", "seoul2", false),
        ("*", "", true),
        ("*", "x", true),
        ("eu-*", "eu-west-1", true),
        ("*-1", "eu-west-1", true),
        ("e*w*1", "eu-west-1", true),
        ("e*w*2", "eu-west-1", false),
        ("eu-????-1", "eu-west-1", true),
        ("eu-???-1", "eu-west-1", false),
        ("**a**", "banana", true),
        ("", "a", false),
    ];
    for (pattern, name, expected) in cases {
        assert_eq!(crate::fleet::fits(pattern, name), expected, "{pattern} {name}");
    }
}
