//! A run: one answer of an origin, cut into slices as it comes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use tokio::time::timeout;

use super::intake::compact;
use crate::arrivals::{Claim, Seat};
use crate::budget::{Need, Reservation};
use crate::node::Node;
use crate::store::{SLICE_BYTES, assemble, stored_bytes};
use crate::upstream::AnswerBody;

/// How long a run that is as far ahead as it may be waits for its readers before it lets the
/// origin's connection go. They fetch the rest when they come to it.
const READERS_PATIENCE: Duration = Duration::from_secs(2);
/// How long somebody waits for memory before the answer is given up.
const MEMORY_PATIENCE: Duration = Duration::from_secs(10);

/// One answer of an origin, cut into slices as it comes.
pub(super) struct Run {
    pub(super) node: Arc<Node>,
    pub(super) claim: Claim,
    /// Whether the slices go to the store.
    pub(super) keeps: bool,
    /// Whether it goes on though nobody reads.
    pub(super) free: bool,
    /// Keeps the place of the readers to come, until the first is there.
    pub(super) usher: Option<Seat>,
}

/// Why a run ends before its end.
enum Ended {
    /// Nobody wants more of it.
    Unwanted,
    /// There was no memory for it for too long.
    NoMemory,
    /// The origin broke off.
    Broken,
}

/// An origin's body, from some byte of the content on.
struct Source {
    body: AnswerBody,
    rest: Bytes,
}

impl Run {
    /// Brings the slices that lie in the bytes `from..end` of the content, which `body` are.
    pub(super) async fn feed(mut self, body: AnswerBody, from: u64, end: u64) {
        let mut source = Source { body, rest: Bytes::new() };
        if let Err(ended) = self.bring_all(&mut source, from, end).await {
            let reason = match ended {
                Ended::Unwanted => "unwanted",
                Ended::NoMemory => "no-memory",
                Ended::Broken => "origin-broke-off",
            };
            tracing::debug!(reason, "a part of a large object ended early");
            if !matches!(ended, Ended::Unwanted) {
                self.claim.fail();
            }
        }
        let arrival = Arc::clone(self.claim.arrival());
        drop(self.claim);
        if self.usher.is_some() {
            // Those who wait for the head have it in a moment.
            let _came = timeout(READERS_PATIENCE, arrival.reader()).await;
        }
    }

    async fn bring_all(&mut self, source: &mut Source, from: u64, end: u64) -> Result<(), Ended> {
        let sliced = *self.claim.arrival().sliced();
        let first = from.div_ceil(SLICE_BYTES);
        let last = if end < sliced.complete_bytes { end / SLICE_BYTES } else { sliced.count() };
        let mut skip = sliced.bytes_of(first).start.saturating_sub(from);
        while skip > 0 && first < last {
            skip -= source.next(skip).await?.len() as u64;
        }
        for number in first..last {
            self.bring(source, number, last).await?;
        }
        Ok(())
    }

    /// Brings one slice.
    async fn bring(&mut self, source: &mut Source, number: u64, end: u64) -> Result<(), Ended> {
        let arrival = Arc::clone(self.claim.arrival());
        let (content, mut left) = (arrival.sliced().content, arrival.sliced().len_of(number));
        if !self.free && timeout(READERS_PATIENCE, arrival.wanted(number, false)).await.is_err() {
            return Err(Ended::Unwanted);
        }
        let node = Arc::clone(&self.node);
        let ours = self.claim.begin(number, end, |other| node.store.has_slice(content, other));
        let memory = if ours { Some(self.memory(number, stored_bytes(left)).await?) } else { None };
        let mut last = Bytes::new();
        while left > 0 {
            let frame = source.next(left).await?;
            left -= frame.len() as u64;
            if left == 0 {
                last = frame;
            } else if ours {
                self.claim.append(number, compact(frame));
            }
        }
        if let Some(memory) = memory {
            // Whoever has the last byte of a slice finds all of it in the store.
            let mut frames = self.claim.frames(number);
            frames.push(last);
            let slice = memory.attach(assemble(&frames));
            if self.keeps {
                node.store.put_slice(arrival.sliced(), number, slice.clone());
            }
            self.claim.complete(number, slice, node.store.budget().is_ample());
        }
        if arrival.has_had_readers() {
            self.usher = None;
        }
        Ok(())
    }

    /// Memory for a slice. Where it is short, what nobody waits for right now gets none.
    async fn memory(&mut self, number: u64, bytes: u64) -> Result<Reservation, Ended> {
        let arrival = Arc::clone(self.claim.arrival());
        let budget = self.node.store.budget().clone();
        let mut now = arrival.is_wanted_now(number);
        loop {
            let need = if now { Need::Now } else { Need::Ahead };
            if let Some(memory) = budget.reserve(bytes, need) {
                return Ok(memory);
            }
            // What is over the store's capacity stays until somebody evicts it.
            self.node.store.maintain();
            if now {
                let wait = budget.wait(|| budget.reserve(bytes, need));
                return timeout(MEMORY_PATIENCE, wait).await.map_err(|_| Ended::NoMemory);
            }
            self.free = false;
            if timeout(READERS_PATIENCE, arrival.wanted(number, true)).await.is_err() {
                return Err(Ended::Unwanted);
            }
            now = true;
        }
    }
}

impl Source {
    /// The next bytes, at most `limit`.
    async fn next(&mut self, limit: u64) -> Result<Bytes, Ended> {
        while self.rest.is_empty() {
            match self.body.frame().await {
                Some(Ok(frame)) => self.rest = frame.into_data().unwrap_or_default(),
                Some(Err(_)) | None => return Err(Ended::Broken),
            }
        }
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(self.rest.split_to(limit.min(self.rest.len())))
    }
}
