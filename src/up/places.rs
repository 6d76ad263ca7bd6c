//! Before anything starts: is every address that the CDN wants free?

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, UdpSocket};

use kingcdn_config::Config;

use crate::failure::Failure;
use crate::ports;

/// Succeeds when every address is free; else names all that aren't.
pub(super) fn check(config: &Config) -> Result<(), Failure> {
    let mut troubles: Vec<String> = addresses(config)
        .filter_map(|(whose, address, is_udp)| {
            let error = bind(address, is_udp).err()?;
            Some(format!("  {address} ({whose}): {}", reason(address, &error)))
        })
        .collect();
    troubles.dedup();
    if troubles.is_empty() {
        return Ok(());
    }
    Err(Failure::Running(anyhow::anyhow!(
        "these addresses can't be had:\n{}\nStop what uses them, or run with --dir DIR once, change \
         the addresses in DIR/demo.toml, and run again.",
        troubles.join("\n")
    )))
}

/// Whose, which, and whether it is UDP's too.
fn addresses(config: &Config) -> impl Iterator<Item = (String, SocketAddr, bool)> {
    let dns = config.dns.iter().flat_map(|dns| {
        let listens = dns
            .listen
            .iter()
            .flat_map(|address| [true, false].map(|is_udp| ("dns".to_owned(), *address, is_udp)));
        listens.chain([("dns's admin".to_owned(), dns.admin, false)])
    });
    let edges = config.edges.iter().flat_map(|edge| {
        let listens = edge.listen.iter().map(|address| (edge.name.to_string(), *address, false));
        listens.chain([(format!("{}'s admin", edge.name), edge.admin, false)])
    });
    let origin = config.origin.iter().flat_map(|origin| {
        let listens = origin.listen.iter().map(|address| ("origin".to_owned(), *address, false));
        listens.chain([("origin's admin".to_owned(), origin.admin, false)])
    });
    dns.chain(edges).chain(origin)
}

fn bind(address: SocketAddr, is_udp: bool) -> io::Result<()> {
    if is_udp { UdpSocket::bind(address).map(drop) } else { TcpListener::bind(address).map(drop) }
}

fn reason(address: SocketAddr, error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::AddrInUse => format!("in use{}", ports::held_by(address)),
        ErrorKind::AddrNotAvailable if address.ip().is_loopback() => format!(
            "no address of this machine; where the loopback network isn't whole (macOS): \
             sudo ifconfig lo0 alias {}",
            address.ip()
        ),
        _ => error.to_string(),
    }
}
