//! An origin that does what a test tells it: answers slowly, counts, dies.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

type Script = dyn Fn(&Request<Incoming>) -> Answer + Send + Sync;

/// What the origin answers.
pub(crate) struct Answer {
    status: u16,
    fields: Vec<(&'static str, String)>,
    /// Time until the header section.
    think: Duration,
    pieces: Vec<Bytes>,
    /// Time before each piece of the body.
    pause: Duration,
}

impl Answer {
    pub(crate) fn new(status: u16, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            fields: Vec::new(),
            think: Duration::ZERO,
            pieces: vec![body.into()],
            pause: Duration::ZERO,
        }
    }

    pub(crate) fn field(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    pub(crate) fn after(mut self, think: Duration) -> Self {
        self.think = think;
        self
    }

    /// Sends the body in pieces of `size`, each after a pause.
    pub(crate) fn slowly(mut self, size: usize, pause: Duration) -> Self {
        let whole: Vec<u8> = self.pieces.concat();
        self.pieces = whole.chunks(size).map(Bytes::copy_from_slice).collect();
        self.pause = pause;
        self
    }

    async fn into_response(self) -> Response<UnsyncBoxBody<Bytes, Infallible>> {
        tokio::time::sleep(self.think).await;
        let length: usize = self.pieces.iter().map(Bytes::len).sum();
        let pause = self.pause;
        let pieces = stream::unfold(self.pieces.into_iter(), move |mut pieces| async move {
            let piece = pieces.next()?;
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            Some((Ok::<_, Infallible>(Frame::data(piece)), pieces))
        });
        let mut response = Response::builder().status(self.status).header("content-length", length);
        for (name, value) in self.fields {
            response = response.header(name, value);
        }
        response.body(StreamBody::new(pieces).boxed_unsync()).expect("a response")
    }
}

/// A running origin. It dies, with every connection, when dropped.
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Origin {
    /// Answers every request at `address` as `script` says.
    pub(crate) async fn start(
        address: SocketAddr,
        script: impl Fn(&Request<Incoming>) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).await.expect("a free port");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let task = tokio::spawn(serve(listener, Arc::new(script), Arc::clone(&seen)));
        Self { address, seen, task }
    }

    /// How many requests for this path and query it saw.
    pub(crate) fn requests(&self, path: &str) -> usize {
        let seen = self.seen.lock().expect("no test panicked here");
        seen.iter().filter(|it| *it == path).count()
    }

    /// How many requests it saw.
    pub(crate) fn all_requests(&self) -> usize {
        self.seen.lock().expect("no test panicked here").len()
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, script: Arc<Script>, seen: Arc<Mutex<Vec<String>>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (script, seen) = (Arc::clone(&script), Arc::clone(&seen));
        let service = service_fn(move |request: Request<Incoming>| {
            let path = request.uri().path_and_query().map(ToString::to_string);
            seen.lock().expect("no test panicked here").extend(path);
            let answer = script(&request);
            async { Ok::<_, Infallible>(answer.into_response().await) }
        });
        connections.spawn(async move {
            // A connection that breaks is the test's doing.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
