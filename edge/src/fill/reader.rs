//! One reader of a fill.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::sync::futures::OwnedNotified;

use super::{End, Fill, Outcome};

/// Follows a fill from its start, frame by frame.
#[derive(Debug)]
pub(crate) struct Reader {
    fill: Arc<Fill>,
    number: u64,
    next_frame: u64,
    waiting: Option<Pin<Box<OwnedNotified>>>,
}

/// The answer ended before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the origin's answer ended early")]
pub(crate) struct Broken;

enum Next {
    Frame(Bytes),
    End(End),
    NotYet,
}

impl Reader {
    pub(super) fn new(fill: Arc<Fill>, number: u64) -> Self {
        Self { fill, number, next_frame: 0, waiting: None }
    }

    /// Waits for the head.
    pub(crate) async fn outcome(&self) -> Outcome {
        loop {
            let progress = self.fill.progress.notified();
            if let Some(outcome) = self.fill.lock().outcome.clone() {
                return outcome;
            }
            progress.await;
        }
    }

    /// The next frame, none at the end.
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Broken>>> {
        loop {
            match self.next() {
                Next::Frame(frame) => return Poll::Ready(Some(Ok(frame))),
                Next::End(End::Complete) => return Poll::Ready(None),
                Next::End(End::Broken) => return Poll::Ready(Some(Err(Broken))),
                Next::NotYet => {}
            }
            match &mut self.waiting {
                // Registered first, looked again after: a frame in between isn't missed.
                None => {
                    let mut notified = Box::pin(Arc::clone(&self.fill.progress).notified_owned());
                    notified.as_mut().enable();
                    self.waiting = Some(notified);
                }
                Some(notified) => {
                    std::task::ready!(notified.as_mut().poll(cx));
                    self.waiting = None;
                }
            }
        }
    }

    fn next(&mut self) -> Next {
        let mut state = self.fill.lock();
        let index = self.next_frame.saturating_sub(state.passed_frames);
        let frame = usize::try_from(index).ok().and_then(|index| state.frames.get(index)).cloned();
        match (frame, state.end) {
            (Some(frame), _) => {
                self.next_frame += 1;
                state.readers.insert(self.number, self.next_frame);
                if state.window {
                    state.let_go();
                    drop(state);
                    self.fill.consumed.notify_one();
                }
                Next::Frame(frame)
            }
            (None, Some(end)) => Next::End(end),
            (None, None) => Next::NotYet,
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.fill.lock();
        state.readers.remove(&self.number);
        if state.window {
            state.let_go();
        }
        drop(state);
        self.fill.consumed.notify_one();
    }
}
