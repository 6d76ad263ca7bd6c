//! `kingcdn up`, as the README's first screen tells it: every line that it prints is run as printed.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use kingcdn_config::{Config, Files};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::{Mutex, MutexGuard};

use crate::harness::{Client, KINGCDN, PATIENCE, eventually, run, sum, tables};

/// The demo has fixed addresses: one at a time.
static DEMO: Mutex<()> = Mutex::const_new(());
/// Whoever listens there, in whatever checkout of this repository, has the demo's addresses.
const LOCK: &str = "127.0.0.254:5300";
/// Others may run all of these tests before.
const TURN: Duration = Duration::from_secs(180);

/// The demo's addresses, for this test alone, and nobody listens there.
struct Demo {
    _here: MutexGuard<'static, ()>,
    _elsewhere: TcpListener,
}

impl Demo {
    async fn alone() -> Self {
        let here = DEMO.lock().await;
        let waiting = async {
            loop {
                match TcpListener::bind(LOCK) {
                    Ok(listener) => return listener,
                    Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                }
            }
        };
        let elsewhere = tokio::time::timeout(TURN, waiting).await;
        let elsewhere = elsewhere.unwrap_or_else(|_| panic!("somebody keeps {LOCK}"));
        // A test before this one may have left just now.
        is_over().await;
        Self { _here: here, _elsewhere: elsewhere }
    }
}

/// Waits until the demo's addresses are free, all of them: a process gives them up one by one.
async fn is_over() {
    for address in addresses() {
        eventually("the demo's addresses are free", || async move {
            let free = TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok();
            free.then_some(())
        })
        .await;
    }
}

fn addresses() -> Vec<SocketAddr> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/demo.toml");
    let config = Config::load_with(&path, Files::Unchecked).expect("the demo's file").config;
    let mut addresses: Vec<_> =
        config.edges.iter().map(|edge| (&edge.listen, edge.admin)).collect();
    addresses.extend(config.dns.iter().map(|dns| (&dns.listen, dns.admin)));
    addresses.extend(config.origin.iter().map(|origin| (&origin.listen, origin.admin)));
    addresses
        .into_iter()
        .flat_map(|(listen, admin)| listen.iter().copied().chain([admin]))
        .collect()
}

struct Up {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// What it printed until it was ready.
    guide: Vec<String>,
    /// Where it ran: an empty folder, which it leaves alone.
    folder: TempDir,
    _demo: Demo,
}

impl Up {
    async fn start() -> Self {
        let demo = Demo::alone().await;
        let folder = TempDir::new().expect("a temporary folder");
        let mut child = Command::new(KINGCDN)
            .args(["up", "--restart-after", "1s"])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("kingcdn runs");
        let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let mut up = Self { child, lines, guide: Vec::new(), folder, _demo: demo };
        loop {
            let line = up.line().await;
            up.guide.push(line);
            if up.guide.last().is_some_and(|line| line.contains("Ctrl-C")) {
                return up;
            }
        }
    }

    async fn line(&mut self) -> String {
        let line = tokio::time::timeout(PATIENCE, self.lines.next_line()).await;
        let line = line.expect("a line in time").expect("text");
        line.unwrap_or_else(|| panic!("it ended, and said why on standard error: {:?}", self.guide))
    }

    /// Reads on until a line contains this.
    async fn says(&mut self, part: &str) -> String {
        loop {
            let line = self.line().await;
            if line.contains(part) {
                return line;
            }
        }
    }

    /// The commands that it printed and that begin so.
    fn commands(&self, program: &str) -> Vec<String> {
        let lines = self.guide.iter().map(|line| line.trim().to_owned());
        lines.filter(|line| line.starts_with(program)).collect()
    }

    fn signal(&self, signal: &str) {
        let id = self.child.id().expect("it runs").to_string();
        let sent = std::process::Command::new("kill").args(["-s", signal, &id]).status();
        assert!(sent.expect("kill runs").success());
    }

    async fn ended(&mut self) -> Option<i32> {
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        ended.expect("it ends in time").expect("a child of ours").code()
    }
}

async fn shell(command: &str) -> String {
    run("sh", &["-c", command]).await
}

#[tokio::test]
async fn the_first_screen_works_as_printed() {
    let mut up = Up::start().await;

    // Clients of three continents get their edges, with a scope.
    let asks = up.commands("dig");
    for (edge, address) in
        [("seoul", "127.0.0.11"), ("frankfurt", "127.0.0.12"), ("ashburn", "127.0.0.13")]
    {
        let ask = asks.iter().find(|ask| ask.contains(&format!("# {edge}")));
        let ask = ask.unwrap_or_else(|| panic!("no client of {edge} in {asks:?}"));
        let answer = shell(ask).await;
        let lines = || answer.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let has = |record: [&str; 3]| lines().any(|line| line.ends_with(&record));
        assert!(has(["IN", "CNAME", "netcinema.kingcdn.test."]), "{answer}");
        assert!(has(["IN", "A", address]), "{ask}\n{answer}");
        let subnet = answer.lines().find_map(|line| line.strip_prefix("; CLIENT-SUBNET: "));
        let scope = subnet.and_then(|subnet| subnet.rsplit('/').next()?.parse::<u8>().ok());
        assert!(scope.is_some_and(|scope| (1..=32).contains(&scope)), "{answer}");
    }

    // The first fetch is a miss, the second a hit, and the origin saw one of them.
    let origin = Client::new("127.0.0.1:9101".parse().expect("an address"), "localhost");
    let edge = Client::new("127.0.0.11:9180".parse().expect("an address"), "localhost");
    let fetch = &up.commands("curl")[0];
    let heads = [shell(fetch).await, shell(fetch).await].map(|head| head.to_lowercase());
    assert!(heads[0].contains("cache-status: seoul; fwd=uri-miss"), "{}", heads[0]);
    assert!(heads[1].contains("cache-status: seoul; hit"), "{}", heads[1]);
    assert!(heads[1].contains("\r\nage: "), "{}", heads[1]);
    let counted = edge.get("/metrics").await.text();
    for (cache, expected) in [("cache=\"miss\"", 1.0), ("cache=\"hit\"", 1.0)] {
        let labels = ["site=\"netcinema\"", cache];
        assert_eq!(sum(&counted, "kingcdn_edge_requests_total", &labels), expected, "{counted}");
    }
    let counted = origin.get("/metrics").await.text();
    assert_eq!(sum(&counted, "kingcdn_origin_requests_total", &[]), 1.0, "{counted}");

    // An edge that is killed is spoken of, and comes back.
    let kill = &up.commands("kill")[0];
    shell(kill).await;
    let line = up.says("seoul died").await;
    assert!(line.contains("next nearest"), "{line}");
    up.says("seoul runs again").await;
    let page = Client::new("127.0.0.11:8080".parse().expect("an address"), tables::HOST);
    assert_eq!(page.get("/").await.status, 200);

    // Ctrl-C ends everything and leaves nothing behind.
    let folder =
        up.guide.iter().find_map(|line| line.strip_prefix("Configuration and logs are in "));
    let folder = folder.and_then(|line| line.split(' ').next()).expect("the run folder").to_owned();
    assert!(std::path::Path::new(&folder).exists());
    up.signal("INT");
    assert_eq!(up.ended().await, Some(0));
    assert!(!std::path::Path::new(&folder).exists(), "{folder} is left behind");
    let left: Vec<_> = up.folder.path().read_dir().expect("a folder").collect();
    assert!(left.is_empty(), "{left:?}");
    is_over().await;
}

#[tokio::test]
async fn nobody_outlives_a_killed_parent() {
    let mut up = Up::start().await;
    up.signal("KILL");
    up.ended().await;
    is_over().await;
}

#[tokio::test]
async fn every_busy_port_is_named_at_once() {
    let _demo = Demo::alone().await;
    let _held = ["127.0.0.11:8080", "127.0.0.1:9153"].map(|address| {
        std::net::TcpListener::bind(address).unwrap_or_else(|error| panic!("{address}: {error}"))
    });
    let _udp = std::net::UdpSocket::bind("127.0.0.1:5300").expect("the demo's port");
    let mut command = Command::new(KINGCDN);
    command.arg("up").kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_secs(10), command.output()).await;
    let output = output.expect("it gives up").expect("kingcdn runs");
    assert_eq!(output.status.code(), Some(1));
    let complaints = String::from_utf8_lossy(&output.stderr);
    for address in ["127.0.0.11:8080", "127.0.0.1:9153", "127.0.0.1:5300"] {
        assert!(complaints.contains(address), "{address} isn't named: {complaints}");
    }
    assert!(complaints.contains(&format!("(process {})", std::process::id())), "{complaints}");
}
