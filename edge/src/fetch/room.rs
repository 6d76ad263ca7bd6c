//! Memory for what is to be fetched, or none.

use std::time::Duration;

use tokio::time::timeout;

use super::FetchError;
use crate::budget::{Need, Reservation};
use crate::node::Node;

/// What a fetch takes before anything of its content has come.
pub(crate) const FETCH_BYTES: u64 = 24 << 10;

/// What buffers take while an answer passes from an origin to a client that is slower: what is
/// being read of it, what waits, and what the client's connection has.
pub(crate) const PASS_BYTES: u64 = 96 << 10;

/// How long a request waits for memory before it is refused.
const PATIENCE: Duration = Duration::from_secs(1);

/// Memory for what somebody waits for. Where there is none, the store gives some up; then others
/// are waited for.
pub(crate) async fn room(node: &Node, bytes: u64, need: Need) -> Result<Reservation, FetchError> {
    room_within(node, bytes, need, PATIENCE).await.inspect_err(|_| node.metrics.shed.inc())
}

/// The same, for as long as there is `patience`.
pub(crate) async fn room_within(
    node: &Node,
    bytes: u64,
    need: Need,
    patience: Duration,
) -> Result<Reservation, FetchError> {
    if let Some(memory) = node.store.room(bytes, need) {
        return Ok(memory);
    }
    let budget = node.store.budget();
    let wait = budget.wait(|| budget.reserve(bytes, need));
    timeout(patience, wait).await.map_err(|_| FetchError::NoMemory)
}
