//! DNS over UDP: a thread that takes queries in batches, answers each, and sends the answers in one
//! go.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::Duration;

use kingcdn_config::clock::Stopwatch;
use nix::sys::socket::{SockaddrIn, SockaddrIn6};
use tokio::sync::watch;
use tracing::{error, warn};

use super::batch::{Batch, Peer, SLOTS, Waiting};
use crate::journey::Journey;
use crate::record::{Metrics, Transport};

/// How long a thread waits for queries before it looks whether it is to stop, and how long it waits
/// until the kernel has room for its answers.
const PATIENCE: Duration = Duration::from_millis(100);
/// A pause after an error for which there is no reason.
const BREATH: Duration = Duration::from_millis(10);

/// Queries of a batch from which on they come so fast that the next are let gather …
const MANY: usize = 4;
/// … for so long, and what the system adds: it wakes us once for all of them. Far less than the way
/// to any client.
const GATHERING: Duration = Duration::from_micros(50);

/// Batches that are still answered after the end has come.
const LAST_BATCHES: usize = 64;

/// Answers until `stop` turns true or is gone, and then what has come until then.
pub(super) fn serve(
    socket: UdpSocket,
    journey: &Journey,
    metrics: &Metrics,
    stop: &watch::Receiver<bool>,
) {
    match socket.local_addr() {
        Ok(SocketAddr::V4(_)) => answer::<SockaddrIn>(socket, journey, metrics, stop),
        Ok(SocketAddr::V6(_)) => answer::<SockaddrIn6>(socket, journey, metrics, stop),
        Err(error) => error!(%error, "no queries over UDP"),
    }
}

fn answer<P: Peer>(
    socket: UdpSocket,
    journey: &Journey,
    metrics: &Metrics,
    stop: &watch::Receiver<bool>,
) {
    let mut batch = match patient::<P>(socket) {
        Ok(batch) => batch,
        Err(error) => return error!(%error, "no queries over UDP"),
    };
    let mut tally = journey.tally();
    let mut next = |waiting| -> io::Result<usize> {
        let queries = batch.receive(waiting)?;
        let started = Stopwatch::start();
        let mut turn = journey.turn(Transport::Udp, &mut tally);
        batch.answer(|packet, from, out| {
            // A zone comes over TCP alone.
            let _none = turn.answer(packet, from, out);
        });
        turn.end(started.elapsed());
        metrics.unsent(batch.send());
        Ok(queries)
    };
    while stop.has_changed().is_ok() && !*stop.borrow() {
        match next(Waiting::Patient) {
            Ok(queries) if gathers(queries) => thread::sleep(GATHERING),
            Ok(_) => {}
            Err(error) if is_silence(&error) => {}
            Err(error) => {
                warn!(%error, "queries can't be received");
                thread::sleep(BREATH);
            }
        }
    }
    let _silence = (0..LAST_BATCHES).try_for_each(|_| next(Waiting::Not).map(drop));
}

fn patient<P: Peer>(socket: UdpSocket) -> io::Result<Batch<P>> {
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Batch::new(socket)
}

/// Whether more queries are let gather after a batch of so many: not where they come one by one, nor
/// where more are there already.
fn gathers(queries: usize) -> bool {
    (MANY..SLOTS).contains(&queries)
}

/// Nothing came, or a signal.
fn is_silence(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), Interrupted | TimedOut | WouldBlock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_gather_where_they_come_fast_and_none_is_left() {
        for (queries, expected) in [(1, false), (3, false), (4, true), (31, true), (32, false)] {
            assert_eq!(gathers(queries), expected, "{queries}");
        }
    }
}
