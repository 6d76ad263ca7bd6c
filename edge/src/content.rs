//! The content of a response to a client, wherever it comes from.

use std::collections::VecDeque;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::budget::Reservation;
use crate::caching::ETag;
use crate::fill::Reader;
use crate::sliced::Reading;
use crate::store::{SLICE_BYTES, Sliced, slices_of};
use crate::upstream::AnswerBody;

/// The content of a response.
pub(crate) enum Content {
    /// None, or none left.
    Empty,
    /// A text of ours, or a part of a small stored body.
    Bytes(Bytes),
    /// Several of them.
    Several(VecDeque<Bytes>),
    /// Pieces of a large body, which nobody reads yet.
    Ordered(Order),
    /// Pieces of a large body.
    Sliced(Box<Reading>),
    /// An answer on its way in, from byte `skip` on, at most `left` bytes of it.
    Fill {
        /// Where it comes from.
        reader: Reader,
        /// Bytes of it to leave out.
        skip: u64,
        /// Bytes of it to send after that, all where there is no number.
        left: Option<u64>,
    },
    /// An answer that passes through.
    Pass {
        /// It.
        body: AnswerBody,
        /// What its buffers take.
        _memory: Reservation,
    },
}

/// What is to be read of a large body.
#[derive(Debug)]
pub(crate) struct Order {
    /// The body.
    pub(crate) sliced: Sliced,
    /// The strong validator that it is known by, if it has one.
    pub(crate) etag: Option<ETag>,
    /// In this order.
    pub(crate) pieces: VecDeque<Piece>,
}

/// A piece of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// A delimiter and a part's fields.
    Text(Bytes),
    /// Bytes of the stored body.
    Range(Range<u64>),
}

/// Why a response ended before its end. Its connection ends with it, so that no client takes the
/// short content for the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the origin's answer ended early")]
pub(crate) struct EndedEarly;

type PolledFrame = Poll<Option<Result<Frame<Bytes>, EndedEarly>>>;

impl Content {
    /// The next frame.
    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> PolledFrame {
        match self {
            Self::Empty => Poll::Ready(None),
            Self::Bytes(bytes) => {
                let bytes = std::mem::take(bytes);
                *self = Self::Empty;
                data(bytes)
            }
            Self::Several(pieces) => data(pieces.pop_front().unwrap_or_default()),
            Self::Ordered(_) => Poll::Ready(Some(Err(EndedEarly))),
            Self::Sliced(reading) => match ready!(reading.poll_next(cx)) {
                Some(bytes) => Poll::Ready(Some(bytes.map(Frame::data))),
                None => Poll::Ready(None),
            },
            Self::Fill { reader, skip, left } => poll_fill(reader, skip, left, cx),
            Self::Pass { body, .. } => match ready!(Pin::new(body).poll_frame(cx)) {
                Some(Ok(frame)) => Poll::Ready(Some(Ok(frame))),
                Some(Err(error)) => {
                    tracing::warn!(%error, "the origin's answer ended early");
                    Poll::Ready(Some(Err(EndedEarly)))
                }
                None => Poll::Ready(None),
            },
        }
    }

    /// Whether nothing is left, as far as that is known without asking.
    pub(crate) fn is_end(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Bytes(bytes) => bytes.is_empty(),
            Self::Several(pieces) => pieces.is_empty(),
            Self::Ordered(order) => order.pieces.is_empty(),
            Self::Sliced(reading) => reading.pieces().is_empty(),
            Self::Fill { left, .. } => *left == Some(0),
            Self::Pass { body, .. } => body.is_end_stream(),
        }
    }

    /// How much is left, as far as that is known.
    pub(crate) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Bytes(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Several(pieces) => {
                SizeHint::with_exact(pieces.iter().map(|piece| piece.len() as u64).sum())
            }
            Self::Ordered(order) => SizeHint::with_exact(len_bytes(&order.pieces)),
            Self::Sliced(reading) => SizeHint::with_exact(len_bytes(reading.pieces())),
            Self::Fill { left: Some(left), .. } => SizeHint::with_exact(*left),
            Self::Fill { left: None, .. } => SizeHint::default(),
            Self::Pass { body, .. } => body.size_hint(),
        }
    }
}

impl Piece {
    fn len_bytes(&self) -> u64 {
        match self {
            Self::Text(text) => text.len() as u64,
            Self::Range(range) => range.end - range.start,
        }
    }
}

/// Pieces of a body all of whose slices are at hand.
pub(crate) fn of_slices(all: &[Bytes], pieces: &VecDeque<Piece>) -> Content {
    let mut found = VecDeque::new();
    for piece in pieces {
        match piece {
            Piece::Text(text) => found.push_back(text.clone()),
            Piece::Range(range) => found.extend(slices_of(range).filter_map(|number| {
                let slice = all.get(usize::try_from(number).ok()?)?;
                let start = number * SLICE_BYTES;
                let first = usize::try_from(range.start.saturating_sub(start)).ok()?;
                let end = usize::try_from(range.end - start).ok()?.min(slice.len());
                Some(slice.slice(first..end))
            })),
        }
    }
    Content::Several(found)
}

/// How long all of these are.
pub(crate) fn len_bytes(pieces: &VecDeque<Piece>) -> u64 {
    pieces.iter().map(Piece::len_bytes).sum()
}

fn data(piece: Bytes) -> PolledFrame {
    Poll::Ready(if piece.is_empty() { None } else { Some(Ok(Frame::data(piece))) })
}

fn poll_fill(
    reader: &mut Reader,
    skip: &mut u64,
    left: &mut Option<u64>,
    cx: &mut Context<'_>,
) -> PolledFrame {
    loop {
        if *left == Some(0) {
            return Poll::Ready(None);
        }
        let Some(frame) = ready!(reader.poll_frame(cx)) else {
            return Poll::Ready(None);
        };
        let Ok(mut frame) = frame else {
            return Poll::Ready(Some(Err(EndedEarly)));
        };
        let skipped = usize::try_from(*skip).unwrap_or(usize::MAX).min(frame.len());
        *skip -= skipped as u64;
        let mut frame = frame.split_off(skipped);
        if let Some(left) = left {
            frame.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= frame.len() as u64;
        }
        if !frame.is_empty() {
            return data(frame);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use crate::fill::Fill;

    fn drain(mut content: Content) -> Result<Vec<u8>, EndedEarly> {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut all = Vec::new();
        let expected = content.size_hint().exact();
        while let Poll::Ready(Some(frame)) = content.poll_frame(&mut cx) {
            all.extend_from_slice(&frame?.into_data().unwrap());
        }
        if let Some(expected) = expected {
            assert_eq!(all.len() as u64, expected);
            assert!(content.is_end());
        }
        Ok(all)
    }

    #[test]
    fn several_pieces_come_in_order() {
        let pieces = ["<a>", "23", "<b>", "9", "</>"].map(Bytes::from);
        assert_eq!(drain(Content::Several(pieces.into())).unwrap(), b"<a>23<b>9</>");
        assert_eq!(drain(Content::Bytes("3456".into())).unwrap(), b"3456");
        assert_eq!(drain(Content::Empty).unwrap(), b"");
    }

    #[test]
    fn any_part_of_a_fill_can_be_followed_whatever_its_frames() {
        let fill = Arc::new(Fill::default());
        for frame in ["01", "2", "3456", "789"] {
            fill.append(Bytes::from_static(frame.as_bytes()));
        }
        fill.complete();
        for (skip, left, expected) in [
            (0, None, "0123456789"),
            (3, None, "3456789"),
            (2, Some(1), "2"),
            (1, Some(8), "12345678"),
            (10, None, ""),
            (0, Some(0), ""),
        ] {
            let reader = fill.read().unwrap();
            let content = Content::Fill { reader, skip, left };
            assert_eq!(drain(content).unwrap(), expected.as_bytes(), "{skip} {left:?}");
        }
    }

    #[test]
    fn a_fill_that_breaks_off_is_an_error_and_never_an_end() {
        let fill = Arc::new(Fill::default());
        fill.append(Bytes::from_static(b"01"));
        let reader = fill.read().unwrap();
        fill.abort();
        let content = Content::Fill { reader, skip: 0, left: None };
        assert_eq!(drain(content), Err(EndedEarly));
    }
}
