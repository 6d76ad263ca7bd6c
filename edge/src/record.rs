//! One record a request: counters, and a line in the access log.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Method, StatusCode, Uri};
use http_body::{Body, Frame, SizeHint};
use kingcdn_config::clock::Stopwatch;

use crate::access;
use crate::cache_status::Cache;
use crate::content::{Content, EndedEarly};
use crate::node::Node;
use crate::site::Site;
use crate::trace::Traced;

/// What happened to one request. Counted and logged when it is dropped: when the answer has been
/// handed over, or can't be any more.
pub(crate) struct Record {
    node: Arc<Node>,
    site: Arc<Site>,
    cache: Cache,
    started: Stopwatch,
    bytes: u64,
    complete: bool,
    /// For the few that somebody wants to know more of: most records stay small.
    more: Option<Box<More>>,
}

#[derive(Default)]
struct More {
    line: Option<Line>,
    trace: Option<Traced>,
}

/// What only the access log wants to know.
struct Line {
    client: IpAddr,
    method: Method,
    uri: Uri,
    status: StatusCode,
    reason: &'static str,
}

impl Record {
    pub(crate) fn new(node: Arc<Node>, site: Arc<Site>, cache: Cache, started: Stopwatch) -> Self {
        Self { node, site, cache, started, bytes: 0, complete: false, more: None }
    }

    /// Adds the span of the request, where it is traced.
    pub(crate) fn with_span(mut self, trace: Option<Traced>) -> Self {
        if trace.is_some() {
            self.more.get_or_insert_default().trace = trace;
        }
        self
    }

    /// Adds what the access log wants to know, where there is one.
    pub(crate) fn with_line(
        mut self,
        client: IpAddr,
        (method, uri): (&Method, &Uri),
        status: StatusCode,
        reason: &'static str,
    ) -> Self {
        if self.node.access_log.is_some() {
            let (method, uri) = (method.clone(), uri.clone());
            let line = Line { client, method, uri, status, reason };
            self.more.get_or_insert_default().line = Some(line);
        }
        self
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let micros = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        let (counted, site) = (&self.node.metrics.tally, &self.site.metrics.tally);
        counted.request(site, self.cache, self.bytes, micros);
        let Some(more) = self.more.take() else { return };
        if let Some(traced) = more.trace {
            traced.end(self.bytes, self.complete);
        }
        let (Some(line), Some(write)) = (more.line, &self.node.access_log) else { return };
        write(&access::Line {
            site: &self.site.name,
            client: line.client,
            method: line.method.as_str(),
            uri: &line.uri,
            status: line.status.as_u16(),
            cache: self.cache.as_str(),
            reason: line.reason,
            bytes: self.bytes,
            micros,
            complete: self.complete,
        });
    }
}

/// The body of an answer, with the record that it fills in on its way out.
pub(crate) struct Recorded {
    content: Content,
    /// None for what isn't counted by site.
    record: Option<Record>,
}

impl Recorded {
    pub(crate) fn new(content: Content, mut record: Option<Record>) -> Self {
        if let Some(record) = &mut record {
            record.complete = content.is_end();
        }
        Self { content, record }
    }
}

impl Body for Recorded {
    type Data = Bytes;
    type Error = EndedEarly;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, EndedEarly>>> {
        let this = &mut *self;
        let polled = this.content.poll_frame(cx);
        if let Some(record) = &mut this.record {
            match &polled {
                Poll::Ready(Some(Ok(frame))) => {
                    record.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                    record.complete = this.content.is_end();
                }
                Poll::Ready(None) => record.complete = true,
                Poll::Ready(Some(Err(_))) | Poll::Pending => {}
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_end()
    }

    fn size_hint(&self) -> SizeHint {
        self.content.size_hint()
    }
}
