//! `[[edge]]`, `[cache]` and `[limits]`.

use std::time::Duration;

use toml::Spanned;

use super::{HOUR, Scope, admin, any_address, plain, steering};
use crate::check::{Claims, Node};
use crate::reader::{Fault, Reader};
use crate::values::{address, choice, duration, ip, label, location, memory_size, path, quantity};
use crate::values::{count, size};
use crate::{CachePolicy, Disk, Edge, Eviction, Limits};

const KIB: u32 = 1 << 10;
const MIB: u64 = 1 << 20;
const TIB: u64 = 1 << 40;

/// What holds for every edge that doesn't say otherwise.
pub(super) struct Defaults {
    pub(super) cache: CachePolicy,
    pub(super) limits: Limits,
}

pub(super) fn edge(
    table: &mut Reader<'_>,
    claims: &mut Claims,
    scope: &Scope<'_>,
    defaults: &Defaults,
) -> Option<Edge> {
    let name = table.require("name", r#""seoul""#, label);
    let location = table.require("location", "[37.57, 126.98]", location);
    let addresses = table.list("addresses", r#""192.0.2.1""#, ip);
    if claims.dns.is_some() && addresses.is_none() {
        let fault = Fault {
            message: "`[[edge]]` has no `addresses`, so DNS can't answer with it".to_owned(),
            help: "add `addresses = [\"192.0.2.1\"]`".to_owned(),
        };
        table.fault(table.span(), "addresses", fault);
    }
    let addresses = addresses.unwrap_or_default();
    let listen = table
        .list("listen", r#""0.0.0.0:80""#, address(80))
        .unwrap_or_else(|| any_address(&addresses, 80, table.span()));
    let admin = admin(table, 9180);
    let node = match &name {
        Some(name) => format!("edge `{}`", name.get_ref()),
        None => "an edge".to_owned(),
    };
    claims.nodes.push(Node::new("edge", &node, &listen, &admin));
    claims.edges.extend(name.clone());
    let cache = table.table("cache", |table| cache(table, scope, Some(&defaults.cache)));
    let limits = table.table("limits", |table| limits(table, Some(&defaults.limits)));
    let weight = table.get_or("weight", 1, count(1..=1000));
    let capacity = table.table("capacity", steering::capacity).unwrap_or_default();
    Some(Edge {
        name: name?.into_inner(),
        location: location?.into_inner(),
        addresses: plain(addresses),
        weight,
        capacity,
        listen: plain(listen),
        admin: admin.into_inner(),
        cache: cache.unwrap_or_else(|| defaults.cache.clone()),
        limits: limits.unwrap_or_else(|| defaults.limits.clone()),
    })
}

pub(super) fn default_cache() -> CachePolicy {
    CachePolicy { memory_bytes: 256 * MIB, disk: None, eviction: Eviction::Lfu }
}

/// Reads a table over what holds without it.
pub(super) fn cache(
    table: &mut Reader<'_>,
    scope: &Scope<'_>,
    default: Option<&CachePolicy>,
) -> CachePolicy {
    let default = default.cloned().unwrap_or_else(default_cache);
    let eviction = [("lfu", Eviction::Lfu), ("lru", Eviction::Lru)];
    let disk = table.table("disk", |table| disk(table, scope)).flatten();
    CachePolicy {
        memory_bytes: table.get_or("memory", default.memory_bytes, size(MIB..=16 * TIB)),
        disk: disk.or(default.disk),
        eviction: table.get_or("eviction", default.eviction, choice(&eviction)),
    }
}

fn disk(table: &mut Reader<'_>, scope: &Scope<'_>) -> Option<Disk> {
    let folder = table.require("path", r#""/var/cache/kingcdn""#, path);
    let size = table.require("size", r#""50 GiB""#, size(64 * MIB..=1024 * TIB));
    let mount = table.get("mount", path);
    let path = scope.folder.join(folder?.into_inner());
    let mount = mount.map(|it| scope.folder.join(it.into_inner()));
    if let Some(mount) = mount.as_ref().filter(|mount| !path.starts_with(mount)) {
        let fault = Fault {
            message: format!("`{}` isn't below `{}`", path.display(), mount.display()),
            help: "name the mount point that `path` is on".to_owned(),
        };
        table.fault(table.span_of("mount"), "mount", fault);
    }
    Some(Disk { path, size_bytes: size?.into_inner(), mount })
}

pub(super) fn default_limits() -> Limits {
    Limits {
        connections: 20_000,
        header_bytes: 16 << 10,
        header_count: 100,
        header_timeout: Duration::from_secs(15),
        body_timeout: Duration::from_secs(60),
        request_body_bytes: 1 << 30,
        tunnels: 1000,
        tunnel_timeout: Duration::from_secs(120),
        drain_timeout: Duration::from_secs(30),
        lame_duck: None,
    }
}

/// Reads a table over what holds without it.
pub(super) fn limits(table: &mut Reader<'_>, default: Option<&Limits>) -> Limits {
    let default = default.cloned().unwrap_or_else(default_limits);
    let time = duration(Duration::from_millis(100)..=HOUR);
    Limits {
        connections: table.get_or("connections", default.connections, quantity(1..=1_000_000)),
        // hyper's buffer for a header section isn't smaller.
        header_bytes: table.get_or(
            "header_bytes",
            default.header_bytes,
            memory_size(8 * KIB..=1024 * KIB),
        ),
        header_count: table.get_or("header_count", default.header_count, quantity(8..=1000)),
        header_timeout: table.get_or("header_timeout", default.header_timeout, &time),
        body_timeout: table.get_or("body_timeout", default.body_timeout, &time),
        request_body_bytes: table.get_or(
            "request_body",
            default.request_body_bytes,
            size(0..=16 * TIB),
        ),
        tunnels: table.get_or("tunnels", default.tunnels, quantity(0..=1_000_000)),
        tunnel_timeout: table.get_or("tunnel_timeout", default.tunnel_timeout, &time),
        drain_timeout: table.get_or(
            "drain_timeout",
            default.drain_timeout,
            duration(Duration::ZERO..=HOUR),
        ),
        lame_duck: table
            .get("lame_duck", duration(Duration::ZERO..=HOUR))
            .map(Spanned::into_inner)
            .or(default.lame_duck),
    }
}
