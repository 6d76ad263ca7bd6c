//! `kingcdn health`: asks a node on this machine how it is, for the health checks of containers,
//! whose images hold no other program to ask with.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::cli::HealthOptions;
use crate::failure::Failure;
use crate::node::Node;

/// Time for each step of asking.
const TIMEOUT: Duration = Duration::from_secs(2);
/// An answer is short; what is longer isn't ours.
const ANSWER_BYTES: u64 = 4096;

/// Succeeds when the node says that it is well.
pub(crate) fn run(options: &HealthOptions) -> Result<(), Failure> {
    let (node, _) = Node::find(options.role, &options.selection)?;
    ask(node.admin()).map_err(|error| error.context(node.name().to_owned()).into())
}

/// Succeeds when the node with this admin address says that it is well.
pub(crate) fn ask(admin: SocketAddr) -> anyhow::Result<()> {
    let address = reachable(admin);
    let answer = exchange(address).with_context(|| format!("no answer from {address}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    match head.split(' ').nth(1) {
        Some("200") => Ok(()),
        Some(_) => bail!("{}", body.trim()),
        None => bail!("what answers at {address} isn't HTTP"),
    }
}

fn exchange(address: SocketAddr) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    match stream.take(ANSWER_BYTES).read_to_string(&mut answer) {
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
