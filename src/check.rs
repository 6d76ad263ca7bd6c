//! `kingcdn check`: is this configuration right?

use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr};

use kingcdn_config::{Config, Files};

use crate::cli::CheckOptions;
use crate::failure::Failure;
use crate::node;
use crate::role::Role;

/// Tells what is in a right file, or every error of a wrong one.
pub(crate) fn run(options: &CheckOptions) -> Result<(), Failure> {
    let files = options.role.map_or(Files::Checked, Role::files);
    let config = node::read(&options.file, files)?;
    let mut doubts = doubts(&config);
    if files == Files::Checked {
        let doubt = kingcdn_dns::check(&config).map_err(|errors| {
            let lines: Vec<String> = errors.iter().map(|error| format!("error: {error}")).collect();
            Failure::Config(lines.join("\n"))
        })?;
        doubts.extend(doubt.map(|doubt| doubt.to_string()));
    }
    for doubt in doubts {
        // Nobody is left to tell when standard error is closed.
        let _ = writeln!(io::stderr().lock(), "warning: {doubt}");
    }
    let mut out = io::stdout().lock();
    let said = writeln!(
        out,
        "{} is right: {} edge{}, {} site{}{}",
        options.file.display(),
        config.edges.len(),
        plural(config.edges.len()),
        config.sites.len(),
        plural(config.sites.len()),
        config.cdn.as_ref().map(|cdn| format!(", zone {}", cdn.zone)).unwrap_or_default(),
    );
    said.map_err(|error| Failure::Running(error.into()))
}

/// What is right, but may not be meant: admin addresses tell everything, and ask nobody who he is.
fn doubts(config: &Config) -> Vec<String> {
    let edges = config.edges.iter().map(|it| (format!("edge {}", it.name), it.admin));
    let dns = config.dns.iter().map(|it| ("[dns]".to_owned(), it.admin));
    let origin = config.origin.iter().map(|it| ("[origin]".to_owned(), it.admin));
    let doubt = |(who, admin): (String, SocketAddr)| {
        let what = match admin.ip() {
            ip if ip.is_unspecified() => "every address of the machine",
            ip if !is_private(ip) => "a public address",
            _ => return None,
        };
        let remedy = "name one of a private network, or let nobody but Prometheus through";
        Some(format!("{who}: `admin` {admin} is {what}: {remedy}"))
    };
    dns.chain(edges).chain(origin).filter_map(doubt).collect()
}

/// Whether the Internet doesn't lead there (RFC 1918, RFC 3927, RFC 4193, RFC 6598).
fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            ip.is_loopback() || ip.is_private() || ip.is_link_local() || (a == 100 && b & 192 == 64)
        }
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

#[cfg(test)]
mod tests {
    use super::is_private;

    #[test]
    fn addresses_that_the_internet_leads_to() {
        for (ip, private) in [
            ("127.0.0.1", true),
            ("10.1.2.3", true),
            ("172.16.0.1", true),
            ("192.168.1.1", true),
            ("100.64.0.1", true),
            ("169.254.1.1", true),
            ("::1", true),
            ("fd00::1", true),
            ("fe80::1", true),
            ("::ffff:10.0.0.1", true),
            ("100.128.0.1", false),
            ("172.32.0.1", false),
            ("203.0.113.1", false),
            ("2001:db8::1", false),
        ] {
            assert_eq!(is_private(ip.parse().expect(ip)), private, "{ip}");
        }
    }
}
