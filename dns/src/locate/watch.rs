//! A location database that is replaced on disk: it takes the old one's place by itself, unless it
//! can't be read.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use kingcdn_config::clock::Stopwatch;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use super::{compile, file};
use crate::record::Metrics;
use crate::stamp::Stamp;
use crate::world::World;

/// How often the file is looked at. What changed is read when it has stayed the same for as long,
/// since somebody may still be writing it.
const LOOK: Duration = Duration::from_secs(5);

/// What was seen of the file.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    last: Option<Stamp>,
    /// Not read again before it changes.
    refused: Option<Stamp>,
}

/// Looks at the file for ever; the task ends with the set.
pub(crate) fn watch(world: &Arc<ArcSwap<World>>, metrics: &Arc<Metrics>) -> JoinSet<()> {
    let (world, metrics) = (Arc::clone(world), Arc::clone(metrics));
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seen = Seen::default();
        loop {
            ticks.tick().await;
            let (world, metrics) = (world.load_full(), Arc::clone(&metrics));
            let looked = spawn_blocking(move || look(&world, &metrics, seen));
            seen = looked.await.unwrap_or_default();
        }
    });
    tasks
}

/// Looks at the file, and takes what has changed once it has stayed so since it was last seen. A
/// world of another configuration knows itself what it has read.
fn look(world: &World, metrics: &Metrics, seen: Seen) -> Seen {
    let Some(file) = file(&world.dns.geoip) else { return Seen::default() };
    // Where there is none any more, the one that was there stays.
    let Some(stamp) = Stamp::of(file) else { return Seen { last: None, ..seen } };
    let last = Some(stamp);
    if world.geography().stamp == last || seen.last != last || seen.refused == last {
        return Seen { last, ..seen };
    }
    let started = Stopwatch::start();
    match compile(world.edges(), &world.dns, world.monitor.fleet().v4.fleet.groups()) {
        Ok(geography) => {
            info!(file = %file.display(), edition = geography.origin.edition, "locations are taken over");
            metrics.geography(&geography, started.elapsed());
            world.take(geography);
            Seen { last, refused: None }
        }
        Err(error) => {
            warn!(%error, "locations are refused, the old ones stay");
            metrics.locations_refused();
            Seen { last, refused: last }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use hickory_proto::rr::RecordType;
    use kingcdn_config::Geoip;

    use super::*;
    use crate::geo::fixture::Value::{Double, Map, Text};
    use crate::geo::fixture::mmdb;
    use crate::journey::tests::harness::{Server, subnet};

    /// A database that has one network at this place.
    fn database(latitude: f64, longitude: f64) -> Vec<u8> {
        let place = Map(vec![("latitude", Double(latitude)), ("longitude", Double(longitude))]);
        let record = Map(vec![("city", Text("Somewhere")), ("location", place)]);
        mmdb(&[("198.51.100.0/24", record)])
    }

    fn replace(file: &Path, octets: &[u8]) {
        let new = file.with_extension("new");
        fs::write(&new, octets).unwrap();
        fs::rename(new, file).unwrap();
    }

    #[test]
    fn a_database_that_is_replaced_is_taken_over_and_a_broken_one_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("city.mmdb");
        replace(&file, &database(50.0, 8.0));
        let server = Server::new(|config| {
            config.dns.as_mut().unwrap().geoip = Geoip::File(file.clone());
        });
        let edge = || {
            let ask = subnet("netcinema.kingcdn.test.", RecordType::A, "198.51.100.0/24");
            server.ask(&ask).message.answers[0].data.to_string()
        };
        // Somebody asks all the time, and is always told something.
        let enough = AtomicBool::new(false);
        thread::scope(|scope| {
            let asking = scope.spawn(|| {
                let mut asked = 0_u64;
                while !enough.load(Ordering::Relaxed) {
                    assert!(edge().starts_with("127.0.0.1"));
                    asked += 1;
                }
                asked
            });
            replaced_again_and_again(&server, &file, &edge);
            enough.store(true, Ordering::Relaxed);
            assert!(asking.join().unwrap() > 0);
        });
    }

    fn replaced_again_and_again(server: &Server, file: &Path, edge: &impl Fn() -> String) {
        let metrics = Metrics::new(&prometheus::Registry::new()).unwrap();
        let mut seen = Seen::default();
        let mut looks = |times| {
            for _ in 0..times {
                seen = look(&server.journey.world.load(), &metrics, seen);
            }
            seen.refused.is_some()
        };
        assert!(!looks(3));
        assert_eq!(edge(), "127.0.0.12");
        // Only what has stayed the same for a while is whole.
        replace(file, &database(39.0, -77.5));
        assert!(!looks(1));
        assert_eq!(edge(), "127.0.0.12");
        assert!(!looks(1));
        assert_eq!(edge(), "127.0.0.13");
        for broken in [&b"no database"[..], &database(37.0, 127.0)[..200], b""] {
            replace(file, broken);
            assert!(looks(2));
            assert_eq!(edge(), "127.0.0.13");
        }
        fs::remove_file(file).unwrap();
        looks(3);
        assert_eq!(edge(), "127.0.0.13");
        replace(file, &database(37.0, 127.0));
        assert!(!looks(2));
        assert_eq!(edge(), "127.0.0.11");
    }
}
