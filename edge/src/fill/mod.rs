//! A fill: an origin's answer on its way in.
//!
//! A fill belongs to no client. A task pulls the answer from the origin and
//! appends it here; any number of readers follow from any offset, each at its
//! own pace. The client that caused it may leave, a slow one slows nobody.
//!
//! While a fill is *kept* all of its frames stay, for the store and for readers
//! yet to come; their memory is reserved. A fill that can't be
//! kept (not storable, too large, no memory left) is a *window*: frames go as
//! soon as its readers have passed them, and the pull waits for the slowest.

mod reader;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use tokio::sync::Notify;

pub(crate) use self::reader::Reader;
use crate::budget::Reservation;
use crate::caching::Terms;
use crate::fetch::{FetchError, NotStored};
use crate::store::Object;

/// Bytes that a window holds for its slowest reader before the pull waits.
pub(crate) const WINDOW_BYTES: u64 = 1 << 20;
/// The same where memory is short.
pub(crate) const WINDOW_MIN_BYTES: u64 = 32 << 10;
/// What a frame costs beside its bytes.
const FRAME_OVERHEAD_BYTES: u64 = 64;

/// The head of an answer on its way in.
#[derive(Debug)]
pub(crate) struct Head {
    /// Its status.
    pub(crate) status: StatusCode,
    /// Its fields as the client gets them whose request caused the fetch; nothing hop-by-hop.
    pub(crate) headers: HeaderMap,
    /// Its fields as everybody else gets them.
    pub(crate) shared: HeaderMap,
    /// The length that it announced.
    pub(crate) length: Option<u64>,
    /// What it may be used for, or why nobody but the client that caused it may have it.
    pub(crate) terms: Result<Terms, NotStored>,
}

/// What became of a fill's head.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    /// The origin answers: its body follows.
    Answer(Arc<Head>),
    /// The origin says that the held object is still good; this is it, with its new fields.
    Validated(Arc<Object>),
    /// The origin answers with a large object, which is read slice by slice.
    Sliced(Arc<Object>, Arc<Head>),
    /// There is no answer.
    Failed(FetchError),
}

/// One answer on its way in, shared between the task that pulls it and its readers.
#[derive(Debug, Default)]
pub(crate) struct Fill {
    state: Mutex<State>,
    /// Rung for readers: the head came, a frame came, the end came.
    progress: Arc<Notify>,
    /// Rung for the pull: a reader moved on or left.
    consumed: Notify,
}

#[derive(Debug, Default)]
struct State {
    outcome: Option<Outcome>,
    /// What a window may hold, where that is less than usual.
    window_bytes: Option<u64>,
    /// What the frames take that are left when the pull has ended.
    memory: Option<Reservation>,
    frames: VecDeque<Bytes>,
    /// Frames that a window has let go, and the bytes in them.
    passed_frames: u64,
    passed_bytes: u64,
    /// Bytes received, let go or not.
    received_bytes: u64,
    window: bool,
    end: Option<End>,
    /// The next frame of each reader, by the reader's number.
    readers: HashMap<u64, u64>,
    readers_ever: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Complete,
    Broken,
}

/// Why a fill can't be read from its start any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gone;

/// Nobody reads a window any more: there is no point in pulling on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Abandoned;

impl Fill {
    // ---- for the task that pulls ----

    /// Tells everybody who waits what the head is. Without terms the fill is a window.
    pub(crate) fn announce(&self, outcome: Outcome) {
        let mut state = self.lock();
        if let Outcome::Answer(head) = &outcome {
            state.window = head.terms.is_err();
        }
        state.outcome = Some(outcome);
        drop(state);
        self.progress.notify_waiters();
    }

    /// Appends a frame.
    pub(crate) fn append(&self, frame: Bytes) {
        let mut state = self.lock();
        state.received_bytes += frame.len() as u64;
        state.frames.push_back(frame);
        drop(state);
        self.progress.notify_waiters();
    }

    /// Gives up keeping the frames, but for `bytes` of them.
    pub(crate) fn become_window(&self, bytes: u64) {
        let mut state = self.lock();
        state.window = true;
        state.window_bytes = Some(bytes);
        state.let_go();
    }

    /// How much of it is held at once, should it be a window.
    pub(crate) fn limit_window(&self, bytes: u64) {
        self.lock().window_bytes = Some(bytes);
    }

    /// The memory of the frames, which readers hold now.
    pub(crate) fn hold(&self, memory: Reservation) {
        self.lock().memory = Some(memory);
    }

    /// In a window, waits until its slowest reader is near enough for more.
    pub(crate) async fn room(&self) -> Result<(), Abandoned> {
        loop {
            let consumed = self.consumed.notified();
            {
                let state = self.lock();
                if !state.window || state.held_bytes() < state.window_bytes.unwrap_or(WINDOW_BYTES)
                {
                    return if state.is_abandoned() { Err(Abandoned) } else { Ok(()) };
                }
                if state.is_abandoned() {
                    return Err(Abandoned);
                }
            }
            consumed.await;
        }
    }

    /// Waits until this is a window that nobody reads. Never returns for a fill that stays kept.
    pub(crate) async fn abandoned(&self) {
        loop {
            let consumed = self.consumed.notified();
            if self.lock().is_abandoned() {
                return;
            }
            consumed.await;
        }
    }

    /// The whole body so far, of a fill that is kept.
    pub(crate) fn frames(&self) -> Vec<Bytes> {
        self.lock().frames.iter().cloned().collect()
    }

    /// The last frame has come.
    pub(crate) fn complete(&self) {
        self.finish(End::Complete);
    }

    /// No more frames will come, though some are missing. Readers that get this far end their
    /// clients' connections. Does nothing to a fill that has ended.
    pub(crate) fn abort(&self) {
        self.finish(End::Broken);
    }

    fn finish(&self, end: End) {
        let mut state = self.lock();
        state.end.get_or_insert(end);
        if state.outcome.is_none() {
            state.outcome = Some(Outcome::Failed(FetchError::Aborted));
        }
        drop(state);
        self.progress.notify_waiters();
    }

    // ---- for those who follow ----

    /// Follows the answer from its start. Not possible once a window has let frames go.
    pub(crate) fn read(self: &Arc<Self>) -> Result<Reader, Gone> {
        let mut state = self.lock();
        if state.passed_frames > 0 {
            return Err(Gone);
        }
        state.readers_ever += 1;
        let number = state.readers_ever;
        state.readers.insert(number, 0);
        drop(state);
        Ok(Reader::new(Arc::clone(self), number))
    }

    /// A panic elsewhere can't leave the state half changed: every change is complete when the
    /// lock is let go.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn held_bytes(&self) -> u64 {
        self.received_bytes - self.passed_bytes + self.frames.len() as u64 * FRAME_OVERHEAD_BYTES
    }

    fn is_abandoned(&self) -> bool {
        self.window && self.readers.is_empty()
    }

    /// Drops what every reader of a window has passed.
    fn let_go(&mut self) {
        if !self.window {
            return;
        }
        let slowest = self.readers.values().copied().min().unwrap_or(u64::MAX);
        while self.passed_frames < slowest {
            let Some(frame) = self.frames.pop_front() else {
                return;
            };
            self.passed_frames += 1;
            self.passed_bytes += frame.len() as u64;
        }
    }
}
