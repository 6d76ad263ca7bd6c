//! Nodes: the real program in processes of its own.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use tempfile::TempDir;

use super::{Client, Network};

/// The program under test.
pub(crate) const KINGCDN: &str = env!("CARGO_BIN_EXE_kingcdn");

/// One CDN: a folder with its configuration, and a network.
pub(crate) struct Cdn {
    pub(crate) network: Network,
    folder: TempDir,
}

/// A running node. It is killed when dropped.
pub(crate) struct Node {
    name: String,
    child: Child,
    admin: SocketAddr,
    log: PathBuf,
}

impl Cdn {
    pub(crate) fn new() -> Self {
        Self { network: Network::new(), folder: TempDir::new().expect("a temporary folder") }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn config_file(&self) -> PathBuf {
        self.folder().join("cdn.toml")
    }

    /// Writes a file into the CDN's folder.
    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.folder().join(name), text).expect("a writable folder");
    }

    /// Writes the configuration.
    pub(crate) fn configure(&self, text: &str) {
        self.write("cdn.toml", text);
    }

    /// Starts an edge and waits until it is well.
    pub(crate) async fn edge(&self, name: &str, admin: SocketAddr) -> Node {
        self.start("edge", name, &["--node", name], admin).await
    }

    /// Starts the name server and waits until it is well.
    pub(crate) async fn dns(&self, admin: SocketAddr) -> Node {
        self.start("dns", "dns", &[], admin).await
    }

    /// Starts the reference origin and waits until it is well.
    pub(crate) async fn origin(&self, admin: SocketAddr) -> Node {
        self.start("origin", "origin", &[], admin).await
    }

    /// Starts an edge or the name server, which takes over from the one before where there is one.
    /// Whoever answers at its admin address is well when this returns.
    pub(crate) async fn successor(&self, role: &str, name: &str, admin: SocketAddr) -> Node {
        let path = self.folder().join(format!("{name}.sock"));
        let path = path.to_str().expect("a path in UTF-8");
        let more: &[&str] = match role {
            "edge" => &["--node", name, "--hand-over", path],
            _ => &["--hand-over", path],
        };
        self.start(role, name, more, admin).await
    }

    /// Where nodes tell the service manager what becomes of them.
    pub(crate) fn manager(&self) -> PathBuf {
        self.folder().join("manager.sock")
    }

    /// Starts a node with more arguments, and waits until it is well.
    pub(crate) async fn start(
        &self,
        role: &str,
        name: &str,
        more: &[&str],
        admin: SocketAddr,
    ) -> Node {
        let log = self.folder().join(format!("{name}.log"));
        let child = Command::new(KINGCDN)
            .arg(role)
            .arg("--config")
            .arg(self.config_file())
            .args(more)
            .args(["--log", "info"])
            .env("NOTIFY_SOCKET", self.manager())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).expect("a log file"))
            .spawn()
            .expect("kingcdn runs");
        let mut node = Node { name: name.to_owned(), child, admin, log };
        node.until_well().await;
        node
    }
}

impl Node {
    async fn until_well(&mut self) {
        let healthz = self.admin_client();
        let waiting = async {
            loop {
                if let Some(status) = self.child.try_wait().expect("a child of ours") {
                    panic!("{} ended: {status}", self.name);
                }
                let asked = healthz.try_send(http::Method::GET, "/healthz").await;
                if asked.is_ok_and(|reply| reply.status == 200) {
                    return;
                }
                tokio::time::sleep(super::GLANCE).await;
            }
        };
        tokio::time::timeout(super::PATIENCE, waiting).await.expect("it is well in time");
    }

    fn admin_client(&self) -> Client {
        Client::new(self.admin, "localhost")
    }

    /// What the node wrote to its log so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).expect("the node's log")
    }

    /// The sum of a counter over every set of labels that contains all of these.
    pub(crate) async fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let reply = self.admin_client().get("/metrics").await;
        sum(&reply.text(), name, labels)
    }

    /// The `/status` document.
    pub(crate) async fn status(&self) -> serde_json::Value {
        let reply = self.admin_client().get("/status").await;
        serde_json::from_slice(&reply.body).expect("JSON")
    }

    /// Bytes that the process takes beside its program's own pages: what it has allocated, and its
    /// memory files.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let process = format!("/proc/{}", self.child.id());
        let status = fs::read_to_string(format!("{process}/status")).expect("its status");
        let anonymous = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kib =
            anonymous.and_then(|it| it.trim().strip_suffix(" kB")).expect("what it allocated");
        let files = fs::read_dir(format!("{process}/fd")).expect("its descriptors").flatten();
        // One that is closed meanwhile takes nothing.
        let is_memory =
            |path: &Path| fs::read_link(path).is_ok_and(|name| name.starts_with("/memfd:kingcdn"));
        let files = files.map(|entry| entry.path()).filter(|path| is_memory(path));
        let in_files: u64 = files.filter_map(|path| Some(fs::metadata(path).ok()?.len())).sum();
        kib.parse::<u64>().expect("a number") * 1024 + in_files
    }

    /// Tells the process something, by a signal's name.
    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill")
            .args(["-s", signal, &self.child.id().to_string()])
            .status()
            .expect("kill runs");
        assert!(sent.success(), "{} is gone", self.name);
    }

    /// Ends the process as a crash does.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("a child of ours");
        self.child.wait().expect("a child of ours");
    }

    /// Waits for the process to end.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let waiting = async {
            loop {
                if let Some(status) = self.child.try_wait().expect("a child of ours") {
                    return status;
                }
                tokio::time::sleep(super::GLANCE).await;
            }
        };
        tokio::time::timeout(super::PATIENCE, waiting).await.expect("it ends in time")
    }
}

/// The sum of a metric, in Prometheus' text format, over every set of labels that contains these.
pub(crate) fn sum(metrics: &str, name: &str, labels: &[&str]) -> f64 {
    metrics
        .lines()
        .filter_map(|line| line.strip_prefix(name).filter(|rest| rest.starts_with(['{', ' '])))
        .filter(|rest| labels.iter().all(|label| rest.contains(label)))
        .filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("── log of {}\n{}", self.name, self.log());
        }
    }
}
