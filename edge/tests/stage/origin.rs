//! The scripted origin.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kingcdn_config::clock::Clock;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// What the origin answers.
#[derive(Clone, Default)]
pub struct Answer {
    status: u16,
    fields: Vec<(String, String)>,
    steps: Vec<Step>,
    validator: Option<String>,
    head_gate: Option<Gate>,
    announced: Option<usize>,
    ranges: bool,
    breaks_after: Option<usize>,
}

#[derive(Clone)]
enum Step {
    Send(Bytes),
    Wait(Gate),
    Flush,
    Break,
}

/// Something that waits until the scenario lets it go on.
#[derive(Clone)]
pub struct Gate(Arc<Semaphore>);

impl Gate {
    pub fn new() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    /// Lets `times` go through.
    pub fn open(&self, times: usize) {
        self.0.add_permits(times);
    }

    async fn pass(&self) {
        self.0.acquire().await.unwrap().forget();
    }
}

impl Answer {
    pub fn new(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    /// 200, fresh for a minute.
    pub fn fresh(body: impl Into<Bytes>) -> Self {
        Self::new(200).field("cache-control", "max-age=60").send(body)
    }

    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The part of `whole` that these positions, the last one included, bound.
    pub fn part(whole: &str, first: usize, last: usize) -> Self {
        Self::new(206)
            .field("cache-control", "max-age=60")
            .field("content-range", &format!("bytes {first}-{last}/{}", whole.len()))
            .send(whole[first..=last].to_owned())
    }

    /// With an ETag; answers 304 to a request that has it.
    pub fn etag(mut self, etag: &str) -> Self {
        self.validator = Some(etag.to_owned());
        self.field("etag", etag)
    }

    pub fn send(mut self, body: impl Into<Bytes>) -> Self {
        self.steps.push(Step::Send(body.into()));
        self
    }

    /// Waits here, in the middle of the body.
    pub fn wait(mut self, gate: &Gate) -> Self {
        self.steps.push(Step::Wait(gate.clone()));
        self
    }

    /// Waits before the head.
    pub fn hold(mut self, gate: &Gate) -> Self {
        self.head_gate = Some(gate.clone());
        self
    }

    /// Breaks the connection here.
    pub fn break_off(mut self) -> Self {
        self.steps.push(Step::Break);
        self
    }

    /// Bytes of which each tells its place, so that none can take another's.
    pub fn content(bytes: usize, salt: u8) -> Bytes {
        (0..bytes).map(|at| (at * 31 + at / 251 * 7 + at / 65_521) as u8 ^ salt).collect()
    }

    /// Answers ranges, as long as `If-Range` names the ETag.
    pub fn ranges(mut self) -> Self {
        self.ranges = true;
        self
    }

    /// Breaks the connection off after so many bytes of a body, be it the whole or a part.
    pub fn breaks_after(mut self, bytes: usize) -> Self {
        self.breaks_after = Some(bytes);
        self
    }

    /// The part that a request's fields ask for.
    fn for_request(mut self, headers: &HeaderMap) -> Self {
        let field = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let named = field("if-range").is_none_or(|tag| self.validator.as_deref() == Some(tag));
        if !self.ranges && self.breaks_after.is_none() {
            return self;
        }
        let whole = self.whole();
        if let Some(range) = field("range").filter(|_| self.ranges && named) {
            let (first, last) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
            let (first, last) = match (first, last.parse::<usize>()) {
                ("", Ok(length)) => (whole.len().saturating_sub(length), whole.len() - 1),
                (first, last) => {
                    let last = last.unwrap_or(usize::MAX).min(whole.len().saturating_sub(1));
                    (first.parse().unwrap(), last)
                }
            };
            if first >= whole.len() {
                self.status = 416;
                self.steps = Vec::new();
                return self.field("content-range", &format!("bytes */{}", whole.len()));
            }
            self.status = 206;
            self.announced = Some(last - first + 1);
            self.steps.retain(|step| !matches!(step, Step::Send(_)));
            self.steps.push(Step::Send(whole.slice(first..=last)));
            let range = format!("bytes {first}-{last}/{}", whole.len());
            self = self.field("content-range", &range);
        }
        if let Some(limit) = self.breaks_after {
            let all = self.whole();
            if all.len() > limit {
                self.announced.get_or_insert(all.len());
                self.steps = vec![Step::Send(all.slice(..limit)), Step::Flush, Step::Break];
            }
        }
        self
    }

    fn whole(&self) -> Bytes {
        let mut pieces = self.steps.iter().filter_map(|step| match step {
            Step::Send(bytes) => Some(bytes),
            Step::Wait(_) | Step::Flush | Step::Break => None,
        });
        match (pieces.next(), pieces.next()) {
            (None, _) => Bytes::new(),
            (Some(only), None) => only.clone(),
            (Some(_), Some(_)) => panic!("a body in one piece"),
        }
    }

    /// Says that the body has this length.
    pub fn announce(mut self, bytes: usize) -> Self {
        self.announced = Some(bytes);
        self
    }
}

/// A request as the origin saw it.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: Method,
    pub target: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Seen {
    pub fn field(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// The scripted origin. Stops when dropped.
pub struct Origin {
    pub address: SocketAddr,
    script: Arc<Mutex<Script>>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct Script {
    answers: HashMap<String, Answer>,
    seen: Vec<Seen>,
}

type OriginBody = BoxBody<Bytes, std::io::Error>;

impl Origin {
    /// An origin whose answers have the date of `clock`.
    pub async fn start(clock: &Clock) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let script = Arc::<Mutex<Script>>::default();
        let task = tokio::spawn(serve(listener, Arc::clone(&script), clock.clone()));
        Self { address, script, task }
    }

    /// From now on `target` is answered so.
    pub fn on(&self, target: &str, answer: Answer) {
        self.script.lock().unwrap().answers.insert(target.to_owned(), answer);
    }

    /// All requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.script.lock().unwrap().seen.clone()
    }

    pub fn count(&self) -> usize {
        self.script.lock().unwrap().seen.len()
    }

    pub fn last(&self) -> Seen {
        self.seen().last().unwrap().clone()
    }

    /// Waits until so many requests have come.
    pub async fn wait_for(&self, count: usize) {
        while self.count() < count {
            tokio::task::yield_now().await;
        }
    }

    /// Stops listening and breaks every connection.
    pub async fn stop(&mut self) {
        self.task.abort();
        let _aborted = (&mut self.task).await;
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, script: Arc<Mutex<Script>>, clock: Clock) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (script, clock) = (Arc::clone(&script), clock.clone());
        connections.spawn(async move {
            let service = service_fn(|request| answer(request, Arc::clone(&script), &clock));
            let _client_gone = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    script: Arc<Mutex<Script>>,
    clock: &Clock,
) -> Result<Response<OriginBody>, Infallible> {
    let (parts, body) = request.into_parts();
    let target = parts.uri.to_string();
    let answer = {
        let mut script = script.lock().unwrap();
        let answer = script.answers.get(&target).cloned().unwrap_or_else(|| Answer::new(404));
        script.seen.push(Seen {
            method: parts.method.clone(),
            target,
            headers: parts.headers.clone(),
            body: Bytes::new(),
        });
        answer
    };
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    if !body.is_empty() {
        script.lock().unwrap().seen.last_mut().unwrap().body = body;
    }
    if let Some(gate) = &answer.head_gate {
        gate.pass().await;
    }
    let answer = answer.for_request(&parts.headers);
    let now = UNIX_EPOCH + Duration::from_millis(clock.now().as_millis().unsigned_abs());
    let mut response = Response::builder().status(answer.status);
    if !answer.fields.iter().any(|(name, _)| name == "date") {
        response = response.header("date", httpdate::fmt_http_date(now));
    }
    for (name, value) in &answer.fields {
        response = response.header(name, value);
    }
    let asked = parts.headers.get("if-none-match").and_then(|value| value.to_str().ok());
    if answer.validator.is_some() && asked == answer.validator.as_deref() {
        return Ok(response
            .status(304)
            .body(Full::default().map_err(|e| match e {}).boxed())
            .unwrap());
    }
    if let Some(length) = answer.announced {
        response = response.header("content-length", length);
    }
    Ok(response.body(body_of(answer.steps)).unwrap())
}

fn body_of(steps: Vec<Step>) -> OriginBody {
    if let [Step::Send(bytes)] = &steps[..] {
        return Full::new(bytes.clone()).map_err(|error| match error {}).boxed();
    }
    let frames = futures_util::stream::unfold(steps.into_iter(), |mut steps| async move {
        loop {
            match steps.next()? {
                Step::Send(bytes) => return Some((Ok(Frame::data(bytes)), steps)),
                Step::Wait(gate) => gate.pass().await,
                // What was sent before goes out meanwhile.
                Step::Flush => tokio::task::yield_now().await,
                Step::Break => return Some((Err(std::io::ErrorKind::Other.into()), steps)),
            }
        }
    });
    BodyExt::boxed(StreamBody::new(frames))
}
