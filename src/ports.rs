//! Who holds a port, as far as the system tells.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

/// The state of a listening TCP socket in `/proc/net/tcp`.
const TCP_LISTEN: &str = "0A";

/// " by NAME (process ID)" for whoever listens at `address`; empty where the system doesn't tell.
pub(crate) fn held_by(address: SocketAddr) -> String {
    sockets_at(address)
        .iter()
        .find_map(|inode| owner(inode))
        .map(|owner| format!(" by {owner}"))
        .unwrap_or_default()
}

/// The inodes of the sockets that keep others from listening at `address`.
fn sockets_at(address: SocketAddr) -> Vec<String> {
    let mut inodes = Vec::new();
    for (table, is_tcp) in [("tcp", true), ("tcp6", true), ("udp", false), ("udp6", false)] {
        let Ok(text) = fs::read_to_string(format!("/proc/net/{table}")) else {
            continue;
        };
        for line in text.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let &[_, local, _, state, _, _, _, _, _, inode, ..] = fields.as_slice() else {
                continue;
            };
            let listens = !is_tcp || state == TCP_LISTEN;
            if listens && socket_address(local).is_some_and(|held| collide(held, address)) {
                inodes.push(inode.to_owned());
            }
        }
    }
    inodes
}

/// `0100007F:1F40`: the address as the kernel keeps it, in words of 32 bits, and the port.
fn socket_address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let mut bytes = Vec::with_capacity(16);
    for at in (0..address.len()).step_by(8) {
        let word = u32::from_str_radix(address.get(at..at + 8)?, 16).ok()?;
        bytes.extend(word.to_ne_bytes());
    }
    let address = match bytes.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?),
        16 => IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?).to_canonical(),
        _ => return None,
    };
    Some(SocketAddr::new(address, port))
}

/// Whether two sockets can't both listen.
fn collide(held: SocketAddr, wanted: SocketAddr) -> bool {
    held.port() == wanted.port()
        && (held.ip() == wanted.ip() || held.ip().is_unspecified() || wanted.ip().is_unspecified())
}

/// The name and id of the process that has a socket open, of those that we may look into.
fn owner(inode: &str) -> Option<String> {
    let socket = format!("socket:[{inode}]");
    let mut processes = fs::read_dir("/proc").ok()?.flatten();
    processes.find_map(|process| {
        let process = process.path();
        let id = process.file_name()?.to_str()?;
        id.parse::<u32>().ok()?;
        has_open(&process, &socket).then(|| {
            let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
            format!("{} (process {id})", name.trim())
        })
    })
}

fn has_open(process: &Path, socket: &str) -> bool {
    fs::read_dir(process.join("fd")).is_ok_and(|open| {
        open.flatten()
            .filter_map(|file| fs::read_link(file.path()).ok())
            .any(|target| target.as_os_str() == socket)
    })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::{held_by, socket_address};

    #[test]
    fn a_listener_is_found_with_its_process() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let holder = held_by(address);
        let id = format!("(process {})", std::process::id());
        assert!(holder.starts_with(" by ") && holder.ends_with(&id), "{holder:?}");
        drop(listener);
        assert_eq!(held_by(address), "");
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn the_kernels_addresses_are_read() {
        for (text, expected) in [
            ("0100007F:1F40", Some("127.0.0.1:8000")),
            ("00000000000000000000000001000000:0035", Some("[::1]:53")),
            ("0000000000000000FFFF00000100007F:1F40", Some("127.0.0.1:8000")),
            ("0100007F", None),
            ("01:1F40", None),
            ("", None),
        ] {
            let expected = expected.map(|it| it.parse().expect(text));
            assert_eq!(socket_address(text), expected, "{text}");
        }
    }
}
