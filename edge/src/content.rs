//! The content of a response to a client, wherever it comes from.

use std::collections::VecDeque;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::fill::Reader;
use crate::store::Slices;
use crate::upstream::AnswerBody;

/// The content of a response.
#[derive(Debug)]
pub(crate) enum Content {
    /// None, or none left.
    Empty,
    /// A text of ours.
    Text(Bytes),
    /// A part of a stored body.
    Stored(Slices, Range<u64>),
    /// Several parts of a stored body with texts of ours between them.
    Parts(Slices, VecDeque<Part>),
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
    Pass(AnswerBody),
}

/// A piece of a multipart response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// A delimiter and the part's fields.
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
            Self::Text(text) => {
                let text = std::mem::take(text);
                *self = Self::Empty;
                data(text)
            }
            Self::Stored(slices, range) => {
                let piece = slices.piece(range);
                range.start += piece.len() as u64;
                data(piece)
            }
            Self::Parts(slices, parts) => {
                let piece = next_piece(slices, parts);
                data(piece)
            }
            Self::Fill { reader, skip, left } => poll_fill(reader, skip, left, cx),
            Self::Pass(body) => match ready!(Pin::new(body).poll_frame(cx)) {
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
            Self::Text(text) => text.is_empty(),
            Self::Stored(_, range) => range.is_empty(),
            Self::Parts(_, parts) => parts.is_empty(),
            Self::Fill { left, .. } => *left == Some(0),
            Self::Pass(body) => body.is_end_stream(),
        }
    }

    /// How much is left, as far as that is known.
    pub(crate) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Text(text) => SizeHint::with_exact(text.len() as u64),
            Self::Stored(_, range) => SizeHint::with_exact(range.end - range.start),
            Self::Parts(_, parts) => SizeHint::with_exact(parts.iter().map(Part::len_bytes).sum()),
            Self::Fill { left: Some(left), .. } => SizeHint::with_exact(*left),
            Self::Fill { left: None, .. } => SizeHint::default(),
            Self::Pass(body) => body.size_hint(),
        }
    }
}

impl Part {
    fn len_bytes(&self) -> u64 {
        match self {
            Self::Text(text) => text.len() as u64,
            Self::Range(range) => range.end - range.start,
        }
    }
}

fn data(piece: Bytes) -> PolledFrame {
    Poll::Ready(if piece.is_empty() { None } else { Some(Ok(Frame::data(piece))) })
}

fn next_piece(slices: &Slices, parts: &mut VecDeque<Part>) -> Bytes {
    loop {
        match parts.front_mut() {
            None => return Bytes::new(),
            Some(Part::Text(text)) => {
                let text = std::mem::take(text);
                parts.pop_front();
                return text;
            }
            Some(Part::Range(range)) => {
                let piece = slices.piece(range);
                range.start += piece.len() as u64;
                if range.is_empty() || piece.is_empty() {
                    parts.pop_front();
                }
                if !piece.is_empty() {
                    return piece;
                }
            }
        }
    }
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
    use crate::store::Slices;

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
    fn stored_parts_come_in_order_between_their_texts() {
        let slices = Slices::gather([Bytes::from_static(b"0123456789")], 10);
        let parts = [
            Part::Text("<a>".into()),
            Part::Range(2..4),
            Part::Text("<b>".into()),
            Part::Range(9..10),
            Part::Text("</>".into()),
        ];
        assert_eq!(drain(Content::Parts(slices.clone(), parts.into())).unwrap(), b"<a>23<b>9</>");
        assert_eq!(drain(Content::Stored(slices, 3..7)).unwrap(), b"3456");
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
