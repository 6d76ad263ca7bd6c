mod checks;
mod wishes;

use kingcdn_config::clock::Timestamp;
use kingcdn_config::{Config, HealthCheck};
use proptest::prelude::*;
use tokio::time::sleep;

use super::*;
use crate::testing;

const FAILED: CheckError = CheckError::Timeout;

/// Results as characters: `+` a success, `-` a failure. Health as characters too.
fn history(results: &str, thresholds: Thresholds) -> String {
    let mut machine = Machine::new(Timestamp::default());
    let letter = |health| match health {
        Health::Up => 'U',
        Health::Down => 'D',
        Health::Unchecked => '?',
    };
    let step = |result| {
        let result = if result == '+' { Ok(()) } else { Err(FAILED) };
        machine.observe(result, Timestamp::default(), thresholds);
        letter(machine.health())
    };
    results.chars().map(step).collect()
}

#[test]
fn results_turn_an_edge() {
    let patient = Thresholds { down_after: 3, up_after: 2 };
    let hasty = Thresholds { down_after: 1, up_after: 1 };
    let cases = [
        // The first success is believed, a first failure isn't.
        (patient, "+", "U"),
        (patient, "-", "?"),
        (patient, "--+", "??U"),
        (patient, "---", "??D"),
        // A lost check, or two, turn nothing; nor do lost ones now and then.
        (patient, "+-+-+--+--+", "UUUUUUUUUUU"),
        (patient, "+---", "UUUD"),
        (patient, "+---+", "UUUDD"),
        (patient, "+---++", "UUUDDU"),
        (patient, "+---+-+-++", "UUUDDDDDDU"),
        (hasty, "+-+-", "UDUD"),
        (hasty, "-+", "DU"),
    ];
    for (thresholds, results, expected) in cases {
        assert_eq!(history(results, thresholds), expected, "{results}");
    }
}

proptest! {
    #[test]
    fn one_lost_check_turns_nothing(results in "[+-]{0,40}", down_after in 2_u32..5, up_after in 1_u32..5) {
        let healths = history(&results, Thresholds { down_after, up_after });
        let pairs = healths.as_bytes().windows(2).zip(results.as_bytes().windows(2));
        for (health, result) in pairs {
            if health == b"UD" {
                prop_assert_eq!(result, b"--");
            }
        }
    }
}

fn monitor(config: &Config, check: HealthCheck, before: Option<&Monitor>) -> Arc<Monitor> {
    let mut dns = config.dns.clone().unwrap();
    dns.health.check = check;
    let metrics = Metrics::new(&prometheus::Registry::new()).unwrap();
    let clock = before.map_or_else(|| Clock::manual(Timestamp::default()), |b| b.clock.clone());
    let with = (groups(config).into(), Prober::new(config, &dns).unwrap());
    Arc::new(Monitor::new(config, &dns, with, clock, metrics, before))
}

/// How every edge stands for IPv4 and IPv6, as letters.
fn fleet(monitor: &Monitor) -> String {
    let fleet = monitor.fleet();
    let letter = |family: &Family, edge| match family.fleet.standing(edge) {
        Standing::Absent => ' ',
        Standing::Down => 'D',
        Standing::Drained => 'd',
        Standing::Unchecked => '?',
        Standing::Up => 'U',
    };
    (0..3).flat_map(|edge| [letter(&fleet.v4, edge), letter(&fleet.v6, edge)]).collect()
}

#[test]
fn an_edge_is_up_for_a_family_while_one_address_is() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = testing::config(folder.path(), &[]);
    config.edges[0].addresses =
        ["192.0.2.1", "192.0.2.2", "2001:db8::1"].map(|a| a.parse().unwrap()).to_vec();
    let monitor = monitor(&config, HealthCheck::Http, None);
    let answered = |edge| {
        let fleet = monitor.fleet();
        let addresses = fleet.v4.addresses(edge).iter().map(ToString::to_string);
        addresses.collect::<Vec<_>>().join(" ")
    };
    let observe = |index, times, result: Result<(), CheckError>| {
        (0..times).for_each(|_| monitor.observe(index, result));
    };
    assert_eq!(fleet(&monitor), "??? ? ");
    assert_eq!(answered(0), "192.0.2.1 192.0.2.2");
    observe(1, 1, Ok(()));
    assert_eq!(fleet(&monitor), "U?? ? ");
    assert_eq!(answered(0), "192.0.2.2");
    observe(0, 1, Ok(()));
    assert_eq!(answered(0), "192.0.2.1 192.0.2.2");
    observe(1, 3, Err(FAILED));
    observe(2, 3, Err(FAILED));
    assert_eq!(fleet(&monitor), "UD? ? ");
    assert_eq!(answered(0), "192.0.2.1");
    observe(0, 3, Err(FAILED));
    assert_eq!(fleet(&monitor), "DD? ? ");
    // All down alike: who answers in spite of it has all addresses.
    assert_eq!(answered(0), "192.0.2.1 192.0.2.2");
}

#[test]
fn a_reload_keeps_what_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = testing::config(folder.path(), &[]);
    let first = monitor(&config, HealthCheck::Http, None);
    first.observe(0, Ok(()));
    (0..3).for_each(|_| first.observe(1, Err(FAILED)));
    first.observe(2, Ok(()));
    assert_eq!(fleet(&first), "U D U ");
    // The order doesn't matter, a new address and another way to check do.
    config.edges.swap(0, 1);
    config.edges[2].addresses = vec!["192.0.2.9".parse().unwrap()];
    let second = monitor(&config, HealthCheck::Http, Some(&first));
    assert_eq!(fleet(&second), "D U ? ");
    assert_eq!(fleet(&monitor(&config, HealthCheck::Tcp, Some(&first))), "? ? ? ");
    assert_eq!(fleet(&monitor(&config, HealthCheck::None, Some(&first))), "U U U ");
}

/// With what the defaults are, in time that runs as fast as it can.
#[tokio::test(start_paused = true)]
async fn a_dead_edge_is_out_within_five_seconds() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = testing::config(folder.path(), &[]);
    // Nobody listens at the first, and the second swallows all packets (RFC 5737).
    config.edges[0].listen = vec!["127.0.0.11:1".parse().unwrap()];
    config.edges[1].addresses = vec!["192.0.2.1".parse().unwrap()];
    config.edges.truncate(2);
    let monitor = monitor(&config, HealthCheck::Http, None);
    let _tasks = monitor.watch();
    // Both were up a moment ago.
    monitor.observe(0, Ok(()));
    monitor.observe(1, Ok(()));
    sleep(Duration::from_secs(5)).await;
    assert!(fleet(&monitor).starts_with("D D "), "{}", fleet(&monitor));
}

/// Nobody is told twice, and nobody of what is no news.
#[test]
fn changes_are_logged_once_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let config = testing::config(folder.path(), &[]);
    let registry = prometheus::Registry::new();
    let mut dns = config.dns.clone().unwrap();
    dns.health.check = HealthCheck::Http;
    let with = (groups(&config).into(), Prober::new(&config, &dns).unwrap());
    let (clock, metrics) = (Clock::manual(Timestamp::default()), Metrics::new(&registry).unwrap());
    let monitor = Monitor::new(&config, &dns, with, clock, metrics, None);
    let log = testing::Log::default();
    tracing::subscriber::with_default(log.clone(), || {
        for result in "+++-+---------+-++++".chars() {
            let result = if result == '+' { Ok(()) } else { Err(FAILED) };
            monitor.observe(0, result);
        }
    });
    let address = "edge=seoul address=127.0.0.11:8080";
    let up = format!("INFO edge is up {address}");
    let down = format!("WARN edge is down {address} reason=\"no answer in time\"");
    assert_eq!(log.lines(), [up.clone(), down, up]);
    let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    for line in [
        "kingcdn_dns_health_changes_total 3\n",
        "kingcdn_dns_health_checks_total{result=\"ok\"} 9\n",
        "kingcdn_dns_health_checks_total{result=\"failed\"} 11\n",
        "kingcdn_edge_up{edge=\"seoul\"} 1\n",
    ] {
        assert!(text.contains(line), "no {line} in {text}");
    }
    let changes = monitor.history().changes();
    let told: Vec<_> = changes.iter().map(|it| (it.what.as_str(), it.reason.as_deref())).collect();
    assert_eq!(told, [("up", None), ("down", Some("no answer in time")), ("up", None)]);
}

/// Checks don't fall into step: each is put off by up to a tenth of the interval.
#[test]
fn checks_are_spread() {
    let folder = tempfile::tempdir().unwrap();
    let monitor = monitor(&testing::config(folder.path(), &[]), HealthCheck::Http, None);
    let second = Duration::from_secs(1);
    let mut tenths = [0_u32; 10];
    for (index, round) in (0..50).flat_map(|index| (0..20).map(move |round| (index, round))) {
        let put_off = monitor.jitter(second, index, round);
        assert!(put_off <= second / 10, "{put_off:?}");
        tenths[usize::try_from(put_off.as_millis() / 10).unwrap().min(9)] += 1;
    }
    assert!(tenths.iter().all(|count| (50..200).contains(count)), "{tenths:?}");
}
