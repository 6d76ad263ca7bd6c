mod wishes;

use std::io::ErrorKind;

use kingcdn_config::clock::Timestamp;
use kingcdn_config::{Config, HealthCheck};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
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
    Arc::new(Monitor::new(config, &dns, groups(config).into(), clock, metrics, before))
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

/// An edge that answers every connection with this, or says nothing.
async fn edge(answer: Option<&'static str>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut silent = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let Some(answer) = answer else {
                silent.push(stream);
                continue;
            };
            let mut request = [0; 1024];
            let length = stream.read(&mut request).await.unwrap();
            let request = String::from_utf8_lossy(&request[..length]).to_ascii_lowercase();
            assert!(request.starts_with("get /.well-known/kingcdn/health http/1.1\r\n"));
            assert!(request.contains(&format!("\r\nhost: {address}\r\n")));
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    address
}

#[tokio::test]
async fn checks_see_what_is_there() {
    use HealthCheck::{Http, None as Nothing, Tcp};
    let ok = edge(Some("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")).await;
    let draining = edge(Some("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n")).await;
    let babbling = edge(Some("SSH-2.0-OpenSSH\r\n")).await;
    let closing = edge(Some("")).await;
    let silent = edge(None).await;
    let nobody = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let unavailable = http::StatusCode::SERVICE_UNAVAILABLE;
    let cases = [
        (Http, ok, Ok(())),
        (Http, draining, Err(CheckError::Status(unavailable))),
        (Http, babbling, Err(CheckError::Http)),
        (Http, closing, Err(CheckError::Http)),
        (Http, silent, Err(CheckError::Timeout)),
        (Http, nobody, Err(CheckError::Connect(ErrorKind::ConnectionRefused))),
        (Tcp, silent, Ok(())),
        (Tcp, nobody, Err(CheckError::Connect(ErrorKind::ConnectionRefused))),
        (Nothing, nobody, Ok(())),
    ];
    for (how, address, expected) in cases {
        let result = check::check(how, address, Duration::from_millis(200)).await;
        assert_eq!(result, expected, "{how:?}");
    }
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
