use http::header::HOST;
use http::{Method, Request, StatusCode};

use super::{Subject, answer};

struct Node {
    well: bool,
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
        (Method::GET, "/", true, 404),
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
