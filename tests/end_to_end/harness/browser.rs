//! A browser, told what to do through its DevTools protocol: JSON messages over two pipes.

use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::PATIENCE;

/// A headless Chromium with one page. It is killed when dropped.
pub(crate) struct Browser {
    _child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    session: Option<String>,
    calls: u64,
    events: Vec<Value>,
}

impl Browser {
    /// Starts it, with an empty page that records what it asks for and complains of.
    pub(crate) async fn start(folder: &Path) -> Self {
        // It reads from descriptor 3 and writes to 4.
        let mut child = Command::new("sh")
            .args(["-c", "exec chromium \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1", "sh"])
            // What runs in a sandbox can't make one.
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"])
            .arg(format!("--user-data-dir={}", folder.join("browser").display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("a shell");
        let to = child.stdin.take().expect("a pipe");
        let from = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut browser =
            Self { _child: child, to, from, session: None, calls: 0, events: Vec::new() };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" })).await;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = browser.call("Target.attachToTarget", attach).await;
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network", "Accessibility"] {
            browser.call(&format!("{domain}.enable"), json!({})).await;
        }
        browser
    }

    /// Calls a method of the protocol; panics with what the browser says against it.
    pub(crate) async fn call(&mut self, method: &str, params: Value) -> Value {
        self.calls += 1;
        let mut message = json!({ "id": self.calls, "method": method, "params": params });
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        let answer = async {
            self.to.write_all(&bytes).await.expect("chromium runs; tests/run installs it");
            loop {
                let message = self.message().await;
                if message["id"] == self.calls {
                    return message;
                }
                self.events.push(message);
            }
        };
        let answer = tokio::time::timeout(3 * PATIENCE, answer).await.expect("chromium answers");
        assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
        answer["result"].clone()
    }

    async fn message(&mut self) -> Value {
        let mut bytes = Vec::new();
        self.from.read_until(0, &mut bytes).await.expect("a pipe");
        assert_eq!(bytes.pop(), Some(0), "chromium doesn't run; tests/run installs it");
        serde_json::from_slice(&bytes).expect("JSON")
    }

    /// The value of an expression in the page.
    pub(crate) async fn value(&mut self, expression: &str) -> Value {
        let params =
            json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let result = self.call("Runtime.evaluate", params).await;
        assert!(result["exceptionDetails"].is_null(), "{expression}: {result}");
        result["result"]["value"].clone()
    }

    /// Waits until an expression is true in the page.
    pub(crate) async fn until(&mut self, expression: &str) {
        let looking = async {
            while self.value(expression).await != true {
                tokio::time::sleep(super::GLANCE).await;
            }
        };
        if tokio::time::timeout(3 * PATIENCE, looking).await.is_err() {
            let text = self.value("document.body.innerText").await;
            panic!("never true in the page: {expression}\n{}", text.as_str().unwrap_or_default());
        }
    }

    /// What the page complained of so far, in its console or otherwise.
    pub(crate) fn complaints(&self) -> Vec<&Value> {
        let complains = |event: &&Value| {
            matches!(
                event["method"].as_str(),
                Some("Runtime.exceptionThrown" | "Runtime.consoleAPICalled" | "Log.entryAdded")
            )
        };
        self.events.iter().filter(complains).collect()
    }

    /// The addresses of all that was asked for so far.
    pub(crate) fn asked(&self) -> Vec<&str> {
        let asked = self.events.iter().filter(|it| it["method"] == "Network.requestWillBeSent");
        asked.filter_map(|event| event["params"]["request"]["url"].as_str()).collect()
    }

    /// What a screen reader is told: the nodes of the accessibility tree that it isn't kept from.
    pub(crate) async fn told(&mut self) -> Vec<Told> {
        let tree = self.call("Accessibility.getFullAXTree", json!({})).await;
        let nodes = tree["nodes"].as_array().expect("nodes").iter();
        nodes.filter(|node| node["ignored"] == false).map(Told::from).collect()
    }
}

/// A node of the accessibility tree.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) role: String,
    pub(crate) name: String,
    pub(crate) description: String,
    properties: Value,
}

impl From<&Value> for Told {
    fn from(node: &Value) -> Self {
        let text = |key: &str| node[key]["value"].as_str().unwrap_or_default().to_owned();
        Self {
            role: text("role"),
            name: text("name"),
            description: text("description"),
            properties: node["properties"].clone(),
        }
    }
}

impl Told {
    /// A property of it, as "level" of a heading.
    pub(crate) fn property(&self, name: &str) -> Option<&Value> {
        let properties = self.properties.as_array()?;
        properties.iter().find(|it| it["name"] == name).map(|it| &it["value"]["value"])
    }
}
