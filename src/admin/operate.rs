//! What an operator asks of a name server beyond looking: why a question is answered as it is, and
//! that an edge is drained.
//!
//! To change something takes a POST from this machine or a private network with a field that no
//! page in a browser can send: for another site's page the browser would have to ask us first, and
//! we don't permit it.

use std::net::IpAddr;

use http::header::ORIGIN;
use http::{HeaderName, Method, Request, StatusCode};

use super::{Host, Subject, admit, host, is_ours};

/// The field by which a request says that it is no web page's. Any value.
pub(crate) const OPERATOR: HeaderName = HeaderName::from_static("kingcdn-operator");

/// What is asked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Why a name is answered as it is.
    Explain {
        /// The name.
        name: String,
        /// `A` where it isn't said.
        rtype: Option<String>,
        /// An address or a network.
        client: Option<String>,
    },
    /// That edges are wanted so.
    Wish {
        /// Which, with `*` and `?`.
        edges: String,
        /// `drain`, `down` or `auto`.
        wish: String,
    },
}

/// What a request asks, if it is one of these; or why it may not.
pub(super) fn operation<B>(
    request: &Request<B>,
    peer: IpAddr,
    subject: &impl Subject,
) -> Option<Result<Operation, (StatusCode, &'static str)>> {
    let path = request.uri().path();
    let asked = |key: &str| {
        let pairs = request.uri().query()?.split('&');
        let value = pairs.filter_map(|pair| pair.split_once('=')).find(|(name, _)| *name == key);
        value.map(|(_, value)| value.to_owned())
    };
    if path == "/explain" && request.method() == Method::GET {
        let Some(name) = asked("name") else {
            return Some(Err((StatusCode::BAD_REQUEST, "ask /explain?name=NAME&client=NETWORK\n")));
        };
        let operation = Operation::Explain { name, rtype: asked("type"), client: asked("client") };
        return Some(admit(request, subject).map(|()| operation));
    }
    let wish = path.strip_prefix("/edges/")?;
    if request.method() != Method::POST {
        return Some(Err((StatusCode::METHOD_NOT_ALLOWED, "POST, please\n")));
    }
    let Some(edges) = asked("name") else {
        return Some(Err((StatusCode::BAD_REQUEST, "say which: ?name=EDGE\n")));
    };
    let operation = Operation::Wish { edges, wish: wish.to_owned() };
    Some(permit(request, peer, subject).map(|()| operation))
}

/// Whether somebody may change something.
fn permit<B>(
    request: &Request<B>,
    peer: IpAddr,
    subject: &impl Subject,
) -> Result<(), (StatusCode, &'static str)> {
    let no = |text| Err((StatusCode::FORBIDDEN, text));
    match host(request.headers()) {
        Host::Absent => (),
        Host::Named(name) if is_ours(&name, subject) => (),
        Host::Named(_) | Host::Bad => return no("this host is no name of this node\n"),
    }
    let browsers = |name: &HeaderName| name == ORIGIN || name.as_str().starts_with("sec-fetch-");
    if request.headers().keys().any(browsers) {
        return no("no web page may do this\n");
    }
    if !request.headers().contains_key(OPERATOR) {
        return no("this takes the field KingCDN-Operator: use `kingcdn edge`\n");
    }
    if !is_near(peer) {
        return no("this is for this machine and private networks\n");
    }
    Ok(())
}

/// Whether an address is of this machine or of a private network.
fn is_near(peer: IpAddr) -> bool {
    match peer.to_canonical() {
        IpAddr::V4(peer) => peer.is_loopback() || peer.is_private() || peer.is_link_local(),
        IpAddr::V6(peer) => {
            peer.is_loopback() || peer.is_unique_local() || peer.is_unicast_link_local()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Node;
    use super::*;

    fn asked(method: Method, target: &str, fields: &[(&str, &str)], peer: &str) -> u16 {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let request = request.body(()).expect("a request");
        let peer = peer.parse().expect("an address");
        match operation(&request, peer, &Node { well: true }) {
            None => 0,
            Some(Ok(_)) => 200,
            Some(Err((status, _))) => status.as_u16(),
        }
    }

    #[test]
    fn only_operators_change_something() {
        const DRAIN: &str = "/edges/drain?name=seoul";
        let (post, get) = (Method::POST, Method::GET);
        let ours = ("host", "127.0.0.1:9153");
        let operator = ("kingcdn-operator", "1");
        type Case<'a> = (&'a Method, &'a str, &'a [(&'a str, &'a str)], &'a str, u16);
        let cases: &[Case<'_>] = &[
            (&post, DRAIN, &[ours, operator], "127.0.0.1", 200),
            (&post, DRAIN, &[operator], "::ffff:10.1.2.3", 200),
            (&post, DRAIN, &[operator], "fd00::1", 200),
            (&post, DRAIN, &[ours], "127.0.0.1", 403),
            (&get, DRAIN, &[ours, operator], "127.0.0.1", 405),
            (&Method::OPTIONS, DRAIN, &[ours], "127.0.0.1", 405),
            (&post, "/edges/drain", &[ours, operator], "127.0.0.1", 400),
            (&post, DRAIN, &[ours, operator], "203.0.113.1", 403),
            (&post, DRAIN, &[ours, operator], "2001:db8::1", 403),
            (&post, DRAIN, &[("host", "rebound.example"), operator], "127.0.0.1", 403),
            (&post, DRAIN, &[operator, ("origin", "http://127.0.0.1:9153")], "127.0.0.1", 403),
            (&post, DRAIN, &[operator, ("sec-fetch-site", "same-origin")], "127.0.0.1", 403),
            (&get, "/explain?name=a.test&client=192.0.2.0/24", &[ours], "203.0.113.1", 200),
            (&get, "/explain", &[ours], "127.0.0.1", 400),
            (&get, "/explain?name=a.test", &[("host", "rebound.example")], "127.0.0.1", 421),
            (&post, "/explain?name=a.test", &[ours], "127.0.0.1", 0),
            (&get, "/status", &[ours], "127.0.0.1", 0),
        ];
        for (method, target, fields, peer, expected) in cases {
            let status = asked((*method).clone(), target, fields, peer);
            assert_eq!(status, *expected, "{method} {target} {fields:?} {peer}");
        }
    }
}
