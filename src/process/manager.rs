//! What the service manager is told (systemd, `sd_notify(3)`); nothing where there is none.

use sd_notify::{NotifyState, notify};
use tracing::warn;

/// This process serves.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// This process wants to end.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Another process is the service from now on, where this one has started it. The word must come
/// from this one: the other isn't believed before.
pub(super) fn succeeded_by(id: Option<u32>) {
    if let Some(id) = id {
        tell(&[NotifyState::MainPid(id)]);
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = notify(states) {
        warn!(%error, "the service manager can't be told");
    }
}
