//! What every story needs: nodes as processes, addresses of one's own, clients, a scriptable origin.

mod browser;
mod client;
mod network;
mod node;
mod origin;
pub(crate) mod tables;

pub(crate) use browser::Browser;
pub(crate) use client::{Client, raw, run};
pub(crate) use network::Network;
pub(crate) use node::{Cdn, KINGCDN, Node, sum};
pub(crate) use origin::{Answer, Origin};

use std::future::Future;
use std::time::Duration;

pub(crate) use kingcdn_config::clock::Stopwatch;

/// The longest that anything in a test is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// How often something that is waited for is looked at.
const GLANCE: Duration = Duration::from_millis(20);

/// Looks until `found` finds something; panics with `what` when it takes too long.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut found: impl FnMut() -> F,
) -> T {
    let looking = async {
        loop {
            if let Some(it) = found().await {
                return it;
            }
            tokio::time::sleep(GLANCE).await;
        }
    };
    match tokio::time::timeout(PATIENCE, looking).await {
        Ok(it) => it,
        Err(_) => panic!("not within {PATIENCE:?}: {what}"),
    }
}
