//! Keeps what may be asked for signed: at the start before the first query, then whenever edges come
//! and go or the map changes, and before signatures end.

use std::sync::Arc;
use std::time::Duration;

use kingcdn_config::clock::Timestamp;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval};

use crate::dnssec::sign_ahead;
use crate::health::Snapshot;
use crate::journey::Journey;
use crate::locate::Geography;

/// How often it is looked whether the fleet or the map is another.
const TICK: Duration = Duration::from_millis(250);
/// How often signatures are looked through that may end.
const ROUND: Duration = Duration::from_secs(3600);

/// What was seen in the last round.
struct Seen {
    geography: Arc<Geography>,
    fleet: Arc<Snapshot>,
    at: Timestamp,
}

/// Signs all there is, then keeps it so. The task ends with the set.
pub(crate) async fn start(journey: &Journey) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let seen = round(journey.clone()).await;
    tasks.spawn(keep(journey.clone(), seen));
    tasks
}

async fn keep(journey: Journey, mut seen: Option<Seen>) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        journey.signed_late();
        let world = journey.world.load_full();
        let due = |seen: &Seen| {
            !Arc::ptr_eq(&seen.fleet, &world.monitor.fleet())
                || !Arc::ptr_eq(&seen.geography, &world.geography())
                || journey.clock.now().since(seen.at) >= ROUND
        };
        if world.zones.signed() && seen.as_ref().is_none_or(due) {
            seen = round(journey.clone()).await;
        }
    }
}

async fn round(journey: Journey) -> Option<Seen> {
    let work = move || {
        let world = journey.world.load_full();
        let seen = Seen {
            geography: Arc::clone(&world.geography()),
            fleet: Arc::clone(&world.monitor.fleet()),
            at: journey.clock.now(),
        };
        sign_ahead(&world, &seen.fleet, &journey.memo, seen.at);
        seen
    };
    // Cancelled as the process ends.
    spawn_blocking(work).await.ok()
}
