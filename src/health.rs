//! `kingcdn health`: asks a node on this machine how it is, for the health checks of containers,
//! whose images hold no other program to ask with.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::unix::ffi::OsStrExt as _;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use clap::Parser as _;

use crate::cli::{Cli, Command, HealthOptions, Selection};
use crate::failure::Failure;
use crate::node::Node;
use crate::role::Role;

/// Time for each step of asking.
const TIMEOUT: Duration = Duration::from_secs(2);
/// An answer is short; what is longer isn't ours.
const ANSWER_BYTES: u64 = 4096;

/// Succeeds when the node says that it is well.
pub(crate) fn run(options: &HealthOptions) -> Result<(), Failure> {
    let (role, selection) = match options.role {
        Some(role) => (role, options.selection.clone()),
        None => container()?,
    };
    let (node, _) = Node::find(role, &selection)?;
    ask(node.admin()).map_err(|error| error.context(node.name().to_owned()).into())
}

/// The node that process 1 is, by its command line. What stands in the environment is the same for
/// us, whom the container's engine starts beside it.
fn container() -> Result<(Role, Selection), Failure> {
    let line = fs::read("/proc/1/cmdline").context("/proc/1/cmdline")?;
    node_of(&line).ok_or_else(|| {
        Failure::Usage("process 1 is no node: say which, dns, edge or origin".to_owned())
    })
}

/// The node that a command line runs; its arguments end in zero bytes.
fn node_of(line: &[u8]) -> Option<(Role, Selection)> {
    let arguments = line.strip_suffix(b"\0").unwrap_or(line).split(|byte| *byte == 0);
    match Cli::try_parse_from(arguments.map(OsStr::from_bytes)).ok()?.command {
        Command::Dns(options) => Some((Role::Dns, options.selection?)),
        Command::Edge(options) => Some((Role::Edge, options.selection?)),
        Command::Origin(options) => Some((Role::Origin, options.selection)),
        _ => None,
    }
}

/// Succeeds when the node with this admin address says that it is well.
pub(crate) fn ask(admin: SocketAddr) -> anyhow::Result<()> {
    get(admin, "/healthz", ANSWER_BYTES).map(drop)
}

/// What the node with this admin address answers at `path`, of `limit` bytes at most; its words as
/// an error when the answer isn't 200.
pub(crate) fn get(admin: SocketAddr, path: &str, limit: u64) -> anyhow::Result<String> {
    request(admin, &format!("GET {path} HTTP/1.0\r\n\r\n"), limit)
}

/// The same for a POST without a body, with a field that is there.
pub(crate) fn post(
    admin: SocketAddr,
    path: &str,
    field: &str,
    limit: u64,
) -> anyhow::Result<String> {
    let head = format!("POST {path} HTTP/1.0\r\n{field}: 1\r\nContent-Length: 0\r\n\r\n");
    request(admin, &head, limit)
}

/// Whether anybody answers there.
pub(crate) fn answers(admin: SocketAddr) -> bool {
    TcpStream::connect_timeout(&reachable(admin), TIMEOUT).is_ok()
}

fn request(admin: SocketAddr, head: &str, limit: u64) -> anyhow::Result<String> {
    let address = reachable(admin);
    let answer = exchange(address, head, limit).map_err(|error| {
        anyhow!("no answer from {address}: {error:#}; does it run, and is that its admin address?")
    })?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    match head.split(' ').nth(1) {
        Some("200") => Ok(body.to_owned()),
        Some(_) => bail!("{}", body.trim()),
        None => bail!("what answers at {address} isn't HTTP"),
    }
}

fn exchange(address: SocketAddr, head: &str, limit: u64) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    stream.write_all(head.as_bytes())?;
    let mut answer = String::new();
    match stream.take(limit).read_to_string(&mut answer) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => bail!("it took too long"),
        done => done?,
    };
    Ok(answer)
}

/// A node that listens on every address is asked at the loopback one.
fn reachable(admin: SocketAddr) -> SocketAddr {
    let address: IpAddr = match admin.ip() {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    };
    SocketAddr::new(address, admin.port())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::node_of;
    use crate::role::Role;

    #[test]
    fn a_container_is_what_its_first_process_was_started_as() {
        let line = b"/kingcdn\0edge\0--config\0/etc/kingcdn/kingcdn.toml\0--node\0seoul\0";
        let (role, selection) = node_of(line).expect("a node");
        assert_eq!(role, Role::Edge);
        assert_eq!(selection.config, Path::new("/etc/kingcdn/kingcdn.toml"));
        assert_eq!(selection.node.as_deref(), Some("seoul"));
        for other in ["/sbin/init\0", "/kingcdn\0check\0kingcdn.toml\0", ""] {
            assert!(node_of(other.as_bytes()).is_none(), "{other:?}");
        }
    }
}
