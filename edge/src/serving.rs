//! An answer, at hand or on its way.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::header::{CONNECTION, HeaderValue};
use http::{Response, StatusCode};

use crate::node::Node;
use crate::record::Recorded;

/// An answer, at hand or on its way. hyper moves this about: it is small, whatever may happen on
/// the way.
#[allow(clippy::large_enum_variant)] // The large one is the usual one, and needs no allocation.
pub(crate) enum Serving {
    /// Taken when it is handed over.
    AtHand(Option<Response<Recorded>>),
    /// It has to wait for something.
    OnItsWay(Arc<Node>, Pin<Box<dyn Future<Output = Response<Recorded>> + Send>>),
}

impl Serving {
    pub(crate) fn at_once(node: &Node, response: Response<Recorded>) -> Self {
        Self::AtHand(Some(closing(node, response)))
    }

    pub(crate) fn later(
        node: Arc<Node>,
        response: impl Future<Output = Response<Recorded>> + Send + 'static,
    ) -> Self {
        Self::OnItsWay(node, Box::pin(response))
    }
}

impl Future for Serving {
    type Output = Result<Response<Recorded>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            // Nobody asks again who has had the answer.
            Self::AtHand(response) => {
                response.take().map_or(Poll::Pending, |it| Poll::Ready(Ok(it)))
            }
            Self::OnItsWay(node, coming) => {
                let response = ready!(coming.as_mut().poll(cx));
                Poll::Ready(Ok(closing(node, response)))
            }
        }
    }
}

/// Asks the client to close its connection while the node is about to go.
fn closing(node: &Node, mut response: Response<Recorded>) -> Response<Recorded> {
    if node.is_draining() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        // RFC 9112 section 9.6.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
