//! Whatever the text: no panic, and places that exist.

use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;

use crate::{Config, DomainName, Files, Label, Location, OriginUrl, Report, units};

const FULL: &str = include_str!("../../full.toml");
const DEMO: &str = include_str!("../../demo.toml");

/// Reads `text` and looks at everything that comes of it.
fn read(text: &str) {
    let path = Path::new("kingcdn.toml");
    match Config::parse_with(text, path, Files::Unchecked) {
        Ok(loaded) => check(&loaded.warnings, text),
        Err(report) => {
            assert!(report.errors().count() > 0);
            check(&report, text);
        }
    }
}

fn check(report: &Report, text: &str) {
    let rendered = report.to_string();
    let lines = text.split('\n').count();
    let mut last = (0, 0);
    for problem in report.problems() {
        assert!(problem.line <= lines);
        assert!(last <= (problem.line, problem.column), "in order");
        assert!(!problem.message.is_empty() && !problem.help.is_empty());
        last = (problem.line, problem.column);
    }
    assert_eq!(rendered.is_empty(), report.is_empty());
}

/// Pieces that a file is made of, to be put together wrongly.
fn piece() -> impl Strategy<Value = String> {
    let regex = |regex: &str| {
        let key = "(cdn|dns|edge|site|cache|limits|origin|zone|listen|name|hosts|location|disk)";
        prop::string::string_regex(&regex.replace("KEY", key)).expect("a regex")
    };
    prop_oneof![
        regex("\\PC{0,8}"),
        regex("\\[?\\[KEY(\\.KEY)?\\]\\]?\n"),
        regex("KEY(\\.KEY)? ?= ?"),
        regex("\"[^\"\n]{0,12}\"|[0-9.e-]{1,6}|[\\[\\]{},]|true|nan|1979-05-27|\n"),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_text_is_too_odd(text in "\\PC{0,200}") {
        read(&text);
    }

    #[test]
    fn no_composition_is_too_odd(pieces in prop::collection::vec(piece(), 0..40)) {
        read(&pieces.concat());
    }

    #[test]
    fn no_mutation_is_too_odd(
        demo in any::<bool>(),
        at in any::<prop::sample::Index>(),
        remove in 0..30_usize,
        insert in piece(),
    ) {
        let text = if demo { DEMO } else { FULL };
        let mut chars: Vec<char> = text.chars().collect();
        let at = at.index(chars.len());
        let end = (at + remove).min(chars.len());
        chars.splice(at..end, insert.chars());
        read(&chars.into_iter().collect::<String>());
    }

    #[test]
    fn durations_round_trip(secs in 0..u64::from(u32::MAX), millis in 0..1000_u64) {
        let duration = Duration::from_secs(secs) + Duration::from_millis(millis);
        let text = units::format_duration(duration);
        prop_assert_eq!(units::duration(&text), Ok(duration));
    }

    #[test]
    fn sizes_round_trip(bytes in any::<u64>(), shift in 0..64_u32) {
        let bytes = bytes >> shift << (shift / 2);
        let text = units::format_size(bytes);
        prop_assert_eq!(units::size(&text), Ok(bytes), "{}", text);
    }

    #[test]
    fn names_are_lower_case_and_read_again(text in "[A-Za-z0-9_.-]{0,70}") {
        if let Ok(name) = DomainName::parse(&text) {
            prop_assert_eq!(name.as_str(), text.trim_end_matches('.').to_lowercase());
            prop_assert_eq!(DomainName::parse(name.as_str()), Ok(name));
        }
        if let Ok(label) = Label::parse(&text) {
            prop_assert!(label.as_str().len() <= 63);
            prop_assert_eq!(Label::parse(label.as_str()), Ok(label));
        }
    }

    #[test]
    fn origins_read_what_they_write(text in "http://[a-z0-9.:\\[\\]@/-]{0,30}") {
        if let Ok(url) = OriginUrl::parse(&text) {
            prop_assert_eq!(OriginUrl::parse(&url.to_string()), Ok(url));
        }
    }

    #[test]
    fn places_are_on_earth(latitude in any::<f64>(), longitude in any::<f64>()) {
        if let Ok(place) = Location::new(latitude, longitude) {
            prop_assert!(place.latitude.abs() <= 90.0 && place.longitude.abs() <= 180.0);
        }
    }

    #[test]
    fn networks_say_the_right_prefix(bits in any::<u32>(), length in 0..=32_u8) {
        let ip = std::net::Ipv4Addr::from(bits);
        match units::prefix(&format!("{ip}/{length}")) {
            Ok(net) => prop_assert_eq!(net.trunc(), net),
            Err(units::PrefixError::HostBits { remedy, .. }) => {
                prop_assert_eq!(units::prefix(&remedy.to_string()), Ok(remedy));
            }
            Err(other) => prop_assert!(false, "{}", other),
        }
    }
}

#[test]
fn deep_nesting_is_refused() {
    for (open, close) in [("[", "]"), ("{a=", "}")] {
        read(&format!("a = {}1{}", open.repeat(20_000), close.repeat(20_000)));
    }
    read(&format!("{}a = 1", "a.".repeat(20_000)));
    read(&format!("[{}a]\nb = 1", "a.".repeat(20_000)));
}

#[test]
fn a_flood_of_errors_is_cut_off() {
    let text: String = (0..5000).map(|n| format!("key{n} = {n}\n")).collect();
    let report = super::parse(&text).expect_err("unknown keys");
    assert_eq!(report.problems().len(), 100);
    assert!(report.to_string().ends_with("and 4901 more"), "the file has nothing to run, too");
}
