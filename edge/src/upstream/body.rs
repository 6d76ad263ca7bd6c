//! Bodies on their way to and from an origin.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use prometheus::IntCounter;
use tokio::sync::oneshot;
use tokio::time::Sleep;

/// The body of a request to an origin.
#[derive(Debug)]
pub(crate) enum RequestBody {
    /// None.
    Empty,
    /// The client's, as it arrives.
    Client(ClientBody),
}

/// A client's body: bounded in length, and in the time that it may stand still.
#[derive(Debug)]
pub(crate) struct ClientBody {
    body: Incoming,
    left_bytes: u64,
    idle: IdleTimer,
    /// Dropped with the body: somebody waits for its end.
    end: Option<oneshot::Sender<()>>,
}

/// Why a client's body ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientBodyError {
    /// It was longer than the limit.
    #[error(transparent)]
    TooLong(#[from] TooLong),
    /// Nothing came for too long.
    #[error("the client sent nothing for too long")]
    Stalled,
    /// The connection failed, or the framing was wrong.
    #[error("the client's body: {0}")]
    Http(#[from] hyper::Error),
}

/// A request's body is longer than the edge's limit.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the request's body is longer than the limit")]
pub(crate) struct TooLong;

impl RequestBody {
    /// The body of a client's request.
    pub(crate) fn client(
        body: Incoming,
        limit_bytes: u64,
        idle_timeout: Duration,
    ) -> Result<Self, TooLong> {
        if body.is_end_stream() {
            return Ok(Self::Empty);
        }
        if body.size_hint().lower() > limit_bytes {
            return Err(TooLong);
        }
        let idle = IdleTimer::new(idle_timeout);
        Ok(Self::Client(ClientBody { body, left_bytes: limit_bytes, idle, end: None }))
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }

    /// Resolves once the body has been read to its end, or dropped.
    pub(super) fn ended(&mut self) -> impl Future<Output = ()> + use<> {
        let receiver = match self {
            Self::Empty => None,
            Self::Client(client) => {
                let (sender, receiver) = oneshot::channel();
                client.end = Some(sender);
                Some(receiver)
            }
        };
        async {
            if let Some(receiver) = receiver {
                // The sender only ever goes away; there is nothing to receive.
                let _gone = receiver.await;
            }
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = ClientBodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ClientBodyError>>> {
        let Self::Client(client) = self.get_mut() else {
            return Poll::Ready(None);
        };
        let Poll::Ready(frame) = Pin::new(&mut client.body).poll_frame(cx) else {
            ready!(client.idle.poll_expired(cx));
            return Poll::Ready(Some(Err(ClientBodyError::Stalled)));
        };
        client.idle.rewind();
        let Some(frame) = frame.transpose()? else {
            client.end = None;
            return Poll::Ready(None);
        };
        let length = frame.data_ref().map_or(0, |data| data.len() as u64);
        match client.left_bytes.checked_sub(length) {
            Some(left) => client.left_bytes = left,
            None => return Poll::Ready(Some(Err(TooLong.into()))),
        }
        if client.body.is_end_stream() {
            client.end = None;
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Client(client) => client.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Client(client) => client.body.size_hint(),
        }
    }
}

/// The body of an origin's answer; an error when nothing comes for too long.
#[derive(Debug)]
pub(crate) struct AnswerBody {
    body: Incoming,
    idle: IdleTimer,
    /// Received, of all bodies of the site.
    bytes: IntCounter,
}

/// Why an origin's body ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AnswerBodyError {
    /// Nothing came for too long.
    #[error("the origin sent nothing for too long")]
    Stalled,
    /// The connection failed, or the framing was wrong.
    #[error("the origin's body: {0}")]
    Http(#[from] hyper::Error),
}

impl AnswerBody {
    pub(super) fn new(body: Incoming, idle_timeout: Duration, bytes: IntCounter) -> Self {
        Self { body, idle: IdleTimer::new(idle_timeout), bytes }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = AnswerBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, AnswerBodyError>>> {
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(frame) => {
                self.idle.rewind();
                if let Some(Ok(frame)) = &frame {
                    self.bytes.inc_by(frame.data_ref().map_or(0, |data| data.len() as u64));
                }
                Poll::Ready(frame.map(|frame| frame.map_err(AnswerBodyError::from)))
            }
            Poll::Pending => {
                ready!(self.idle.poll_expired(cx));
                Poll::Ready(Some(Err(AnswerBodyError::Stalled)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Runs while a body stands still.
#[derive(Debug)]
struct IdleTimer {
    limit: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl IdleTimer {
    fn new(limit: Duration) -> Self {
        Self { limit, sleep: None }
    }

    fn rewind(&mut self) {
        self.sleep = None;
    }

    fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let limit = self.limit;
        self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit))).as_mut().poll(cx)
    }
}
