//! Reading past the store: where there is no memory to keep slices, a reader gets its bytes from
//! the origin by a request of its own, as fast as its client takes them.

use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::Body as _;

use crate::arrivals::Arrival;
use crate::budget::Reservation;
use crate::fetch::{Passing, Supply};
use crate::upstream::AnswerBody;

/// A request past the store, and its answer.
pub(super) enum Past {
    /// Asked for.
    Asked(Pin<Box<dyn Future<Output = Option<Passing>> + Send + Sync>>),
    /// On its way.
    Coming {
        body: AnswerBody,
        /// Bytes to leave out, and to take after that.
        skip: u64,
        left: u64,
        _memory: Reservation,
    },
}

/// It broke off, or never came.
pub(super) struct Broken;

impl Past {
    /// Asks for these `bytes`, for the `attempt`th time from 0 on.
    pub(super) fn ask(
        supply: &Arc<Supply>,
        arrival: &Arc<Arrival>,
        bytes: Range<u64>,
        attempt: u32,
    ) -> Self {
        Self::Asked(Box::pin(Arc::clone(supply).pass(Arc::clone(arrival), bytes, attempt)))
    }

    /// The next bytes, none where all have come.
    pub(super) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, Broken>> {
        loop {
            match self {
                Self::Asked(answer) => {
                    let Some(passing) = ready!(answer.as_mut().poll(cx)) else {
                        return Poll::Ready(Err(Broken));
                    };
                    let Passing { body, skip, left, memory } = passing;
                    *self = Self::Coming { body, skip, left, _memory: memory };
                }
                Self::Coming { left: 0, .. } => return Poll::Ready(Ok(None)),
                Self::Coming { body, skip, left, .. } => {
                    let frame = match ready!(Pin::new(body).poll_frame(cx)) {
                        Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
                        Some(Err(_)) | None => return Poll::Ready(Err(Broken)),
                    };
                    let bytes = take(frame, skip, left);
                    if !bytes.is_empty() {
                        return Poll::Ready(Ok(Some(bytes)));
                    }
                }
            }
        }
    }
}

/// What of `frame` lies behind the bytes to `skip` and in those that are `left`.
fn take(mut frame: Bytes, skip: &mut u64, left: &mut u64) -> Bytes {
    let within = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    let before = frame.len().min(within(*skip));
    *skip -= before as u64;
    let mut frame = frame.split_off(before);
    frame.truncate(within(*left));
    *left -= frame.len() as u64;
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_is_cut_out_wherever_frames_end() {
        for (size, from, count) in [(1, 0, 10), (3, 2, 5), (4, 4, 4), (10, 3, 7), (7, 9, 1)] {
            let all = Bytes::from_static(b"0123456789");
            let (mut skip, mut left) = (from, count);
            let mut got = Vec::new();
            for frame in all.chunks(size) {
                got.extend(take(Bytes::copy_from_slice(frame), &mut skip, &mut left));
            }
            let from = from as usize;
            assert_eq!(got, all[from..from + count as usize], "by {size} from {from}");
            assert_eq!((skip, left), (0, 0));
        }
    }
}
