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
use crate::store::{Gathering, SLICE_BYTES, stored_bytes};
use crate::upstream::{AnswerBody, read_bytes};

/// How long a run that is as far ahead as it may be waits for its readers before it lets the
/// origin's connection go. They fetch the rest when they come to it.
const READERS_PATIENCE: Duration = Duration::from_secs(2);

/// One answer of an origin, cut into slices as it comes.
pub(super) struct Run {
    pub(super) node: Arc<Node>,
    pub(super) claim: Claim,
    /// Whether the slices go to the store.
    pub(super) keeps: bool,
    /// Whether it goes on though nobody reads.
    pub(super) free: bool,
    pub(super) room: RunRoom,
    /// Keeps the place of the readers to come, until the first is there.
    pub(super) usher: Option<Seat>,
}

/// Memory for a run.
pub(crate) struct RunRoom {
    /// For what is being read, and what has been and waits.
    _buffers: Reservation,
    /// For the first slice.
    first: Option<Reservation>,
}

/// Why a run ends before its end.
enum Ended {
    /// Nobody wants more of it.
    Unwanted,
    /// There is no memory to keep more of it.
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
            if matches!(ended, Ended::Broken) {
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
        let mut slice = if ours { Some(self.slice(number, left).await?) } else { None };
        while left > 0 {
            let frame = source.next(left).await?;
            left -= frame.len() as u64;
            if let Some((memory, gathering)) = &mut slice {
                let piece = gathering.push(compact(frame));
                // Whoever has the last byte of a slice finds all of it in the store.
                if left > 0 {
                    self.claim.append(number, memory.cover(piece));
                }
            }
        }
        if let Some((memory, gathering)) = slice {
            let slice = memory.cover(gathering.finish());
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

    /// A place for slice `number`, of `bytes`. Where memory is short, what nobody waits for right
    /// now gets none.
    async fn slice(
        &mut self,
        number: u64,
        bytes: u64,
    ) -> Result<(Arc<Reservation>, Gathering), Ended> {
        let arrival = Arc::clone(self.claim.arrival());
        let store = &self.node.store;
        let (taken, len) = (stored_bytes(bytes), usize::try_from(bytes).unwrap_or(usize::MAX));
        let place = |memory| (Arc::new(memory), Gathering::new(len));
        if let Some(memory) = self.room.first.take() {
            return Ok(place(memory));
        }
        if let Some(memory) = store.budget().reserve(taken, Need::Ahead) {
            return Ok(place(memory));
        }
        self.free = false;
        if timeout(READERS_PATIENCE, arrival.wanted(number, true)).await.is_err() {
            return Err(Ended::Unwanted);
        }
        store.room(taken, Need::Slice).map(place).ok_or(Ended::NoMemory)
    }
}

impl RunRoom {
    /// Memory for a run, where there is some.
    pub(crate) fn take(node: &Node) -> Option<Self> {
        let buffers = 2 * read_bytes(node.store.budget()) as u64;
        let slice = stored_bytes(SLICE_BYTES);
        let mut memory = node.store.room(buffers + slice, Need::Slice)?;
        let first = memory.split(slice);
        Some(Self { _buffers: memory, first: Some(first) })
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
