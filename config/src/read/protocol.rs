//! `[dns.limits]`, `[dns.log]` and what else a name server says and bears.

use std::time::Duration;

use toml::de::DeValue;

use super::Scope;
use crate::reader::{Fault, Reader};
use crate::values::{count, duration, flag, path, plain_text, quantity};
use crate::{DnsLimits, IDENTITY_MAX, Identity, Protocol};

/// The keys of `[dns]` that say how it speaks.
pub(super) fn protocol(table: &mut Reader<'_>, scope: &Scope<'_>) -> Protocol {
    let keys = |table: &mut Reader<'_>| table.get("keys", path);
    Protocol {
        dnssec_keys: table
            .table("dnssec", keys)
            .flatten()
            .map(|folder| scope.folder.join(folder.into_inner())),
        identity: table.get("identity", identity).map(toml::Spanned::into_inner),
        version: table.get_or("version", false, flag),
        limits: table.table("limits", limits).unwrap_or_default(),
        log_one_in: table
            .table("log", |table| table.get_or("one_in", 0, count(0..=1_000_000)))
            .unwrap_or_default(),
    }
}

fn identity(value: &DeValue<'_>) -> Result<Identity, Fault> {
    let text = plain_text(value, "what the name server calls itself", r#""ns1""#)?;
    match text {
        "hostname" => Ok(Identity::Hostname),
        text if (1..=IDENTITY_MAX).contains(&text.len()) => Ok(Identity::Text(text.to_owned())),
        text => Err(Fault {
            message: format!("an identity has 1 to {IDENTITY_MAX} octets, not {}", text.len()),
            help: "write a shorter name, or `\"hostname\"` for the host's".to_owned(),
        }),
    }
}

fn limits(table: &mut Reader<'_>) -> DnsLimits {
    let default = DnsLimits::default();
    let connections = quantity(1..=65_536);
    let tcp_connections = table.get_or("tcp_connections", default.tcp_connections, &connections);
    let per_client = default.tcp_per_client.min(tcp_connections);
    let limits = DnsLimits {
        rate: table.get_or("rate", default.rate, count(0..=1_000_000)),
        slip: table.get_or("slip", default.slip, count(0..=10)),
        tcp_connections,
        tcp_per_client: table.get_or("tcp_per_client", per_client, &connections),
        tcp_idle: table.get_or(
            "tcp_idle",
            default.tcp_idle,
            // RFC 7828 section 3.1 counts tenths of a second in 16 bits.
            duration(Duration::from_secs(1)..=super::HOUR),
        ),
    };
    if limits.tcp_per_client > limits.tcp_connections {
        let fault = Fault {
            message: format!("there are only {} connections in all", limits.tcp_connections),
            help: "make `tcp_per_client` at most `tcp_connections`".to_owned(),
        };
        table.fault(table.span_of("tcp_per_client"), "tcp_per_client", fault);
    }
    limits
}
