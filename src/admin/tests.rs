use http::header::HOST;
use http::{Method, Request, StatusCode};

use super::{Subject, answer};

pub(super) struct Node {
    pub(super) well: bool,
}

impl Subject for Node {
    fn metrics(&self) -> anyhow::Result<String> {
        Ok("up 1\n".to_owned())
    }

    fn health(&self) -> Result<(), &'static str> {
        if self.well { Ok(()) } else { Err("draining") }
    }

    fn status(&self) -> serde_json::Value {
        serde_json::json!({ "node": "seoul" })
    }

    fn has_page(&self) -> bool {
        self.well
    }

    fn is_called(&self, host: &str) -> bool {
        host == "seoul.kingcdn.test"
    }
}

fn status_of(method: &Method, path: &str, hosts: &[&str], well: bool) -> StatusCode {
    let mut request = Request::builder().method(method).uri(path);
    for host in hosts {
        request = request.header(HOST, *host);
    }
    let request = request.body(()).expect("a request");
    answer(&request, &Node { well }).status()
}

#[test]
fn each_path_has_its_answer() {
    for (method, path, well, expected) in [
        (Method::GET, "/metrics", true, 200),
        (Method::HEAD, "/metrics", true, 200),
        (Method::GET, "/healthz", true, 200),
        (Method::GET, "/healthz", false, 503),
        (Method::GET, "/status", false, 200),
        (Method::GET, "/status?pretty", true, 200),
        (Method::GET, "/", true, 200),
        (Method::GET, "/page.js", true, 200),
        (Method::GET, "/", false, 404),
        (Method::GET, "/page.css", false, 404),
        (Method::GET, "/page", true, 404),
        (Method::GET, "/metrics/", true, 404),
        (Method::POST, "/metrics", true, 405),
        (Method::OPTIONS, "/status", true, 405),
    ] {
        let status = status_of(&method, path, &["127.0.0.1:9180"], well);
        assert_eq!(status, expected, "{method} {path}");
    }
}

#[test]
fn only_our_own_names_are_answered() {
    for (hosts, expected) in [
        (&["127.0.0.1:9180"] as &[&str], 200),
        (&["[::1]:9180"], 200),
        (&["localhost:9180"], 200),
        (&["LOCALHOST"], 200),
        (&["kingcdn.localhost:9180"], 200),
        (&["seoul:9180"], 200),
        (&["Seoul.KingCDN.test:9180"], 200),
        (&["seoul.kingcdn.test.:9180"], 200),
        (&[], 200),
        (&["rebound.example:9180"], 421),
        (&["127.0.0.1.rebound.example"], 421),
        (&["rebound.example."], 421),
        (&["localhost.rebound.example"], 421),
        (&[""], 400),
        (&["a b"], 400),
        (&["127.0.0.1", "127.0.0.1"], 400),
    ] {
        let status = status_of(&Method::GET, "/metrics", hosts, true);
        assert_eq!(status, expected, "{hosts:?}");
    }
}

#[test]
fn other_sites_pages_are_refused_and_their_links_followed() {
    for (site, mode, expected) in [
        ("none", "navigate", 200),
        ("same-origin", "cors", 200),
        ("cross-site", "navigate", 200),
        ("cross-site", "no-cors", 403),
        ("cross-site", "cors", 403),
        // Another port of the same host is the same site, and may be anybody's.
        ("same-site", "no-cors", 403),
    ] {
        let request = Request::get("/status")
            .header(HOST, "127.0.0.1:9153")
            .header("sec-fetch-site", site)
            .header("sec-fetch-mode", mode)
            .body(())
            .expect("a request");
        assert_eq!(answer(&request, &Node { well: true }).status(), expected, "{site} {mode}");
    }
}

#[test]
fn no_answer_can_be_embedded_or_taken_for_something_else() {
    let request = Request::get("/").header(HOST, "localhost").body(()).expect("a request");
    let answer = answer(&request, &Node { well: true });
    let field = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok());
    assert_eq!(field("x-content-type-options"), Some("nosniff"));
    assert_eq!(field("cross-origin-resource-policy"), Some("same-origin"));
    let policy = field("content-security-policy").unwrap_or_default();
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
    assert!(field("access-control-allow-origin").is_none());
}
