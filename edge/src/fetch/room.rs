//! Memory for what is to be fetched, or none.

use std::time::Duration;

use tokio::time::timeout;

use super::FetchError;
use crate::budget::{Need, Reservation};
use crate::node::Node;

/// What a fetch takes before anything of its content has come.
pub(crate) const FETCH_BYTES: u64 = 16 << 10;

/// What buffers take while an answer passes from an origin to its client.
pub(crate) const PASS_BYTES: u64 = 64 << 10;

/// How long a request waits for memory before it is refused.
const PATIENCE: Duration = Duration::from_secs(1);

/// Memory for what somebody waits for. Where there is none, what is beyond the store's capacity
/// goes first; then others are waited for.
pub(crate) async fn room(node: &Node, bytes: u64) -> Result<Reservation, FetchError> {
    let budget = node.store.budget();
    let attempt = || budget.reserve(bytes, Need::Now);
    if let Some(memory) = attempt() {
        return Ok(memory);
    }
    node.store.maintain();
    timeout(PATIENCE, budget.wait(attempt)).await.map_err(|_| {
        node.metrics.shed.inc();
        FetchError::NoMemory
    })
}
