//! `[dns]` and what stands below it.

use std::time::Duration;

use toml::Spanned;

use super::{HOUR, Scope, admin, any_address, plain, steering};
use crate::Zone;
use crate::check::{Claims, File, Node};
use crate::reader::{Fault, Reader};
use crate::values::{address, choice, count, domain_name, duration, ip, label, path, prefix};
use crate::{AllDown, Dns, Geoip, HealthCheck, HealthPolicy, NameServer, Network, Secondary};

/// The usual port of name servers.
const PORT: u16 = 53;

pub(super) fn dns(table: &mut Reader<'_>, claims: &mut Claims, scope: &Scope<'_>) -> Dns {
    claims.dns = Some(table.span());
    let nameservers = table.tables("nameserver", |table| nameserver(table, claims));
    let addresses: Vec<_> = nameservers
        .iter()
        .flat_map(|nameserver| &nameserver.addresses)
        .map(|address| Spanned::new(table.span(), *address))
        .collect();
    let listen = table
        .list("listen", r#""127.0.0.1:53""#, address(PORT))
        .unwrap_or_else(|| any_address(&addresses, PORT, table.span()));
    let admin = admin(table, 9153);
    claims.nodes.push(Node::new("dns", "the name server", &listen, &admin));
    claims.has_nameserver = table.has("nameserver");
    let ttls = steering::ttls(table, claims);
    let rules = table.tables("rule", |table| steering::rule(table, claims));
    let geoip = geoip(table, claims, scope);
    claims.rules_need = match &geoip {
        Geoip::File(_) => None,
        Geoip::Embedded => Some("the database in the program knows places, and no countries"),
        Geoip::None => Some("`geoip = \"none\"` knows no countries"),
    };
    let state = table.get("state", path);
    Dns {
        listen: plain(listen),
        admin: admin.into_inner(),
        ttl: ttls.ttl,
        ttl_min: ttls.min,
        ttl_max: ttls.max,
        state: state.map(|file| scope.folder.join(file.into_inner())),
        shedding: table.table("shedding", steering::shedding).unwrap_or_default(),
        geoip,
        health: table.table("health", health).unwrap_or_else(default_health),
        nameservers,
        networks: table.tables("network", |table| network(table, claims)),
        rules,
        zones: table.tables("zone", |table| zone(table, claims, scope)),
        secondaries: table.tables("secondary", |table| secondary(table, claims, scope)),
        protocol: super::protocol::protocol(table, scope),
    }
}

fn geoip(table: &mut Reader<'_>, claims: &mut Claims, scope: &Scope<'_>) -> Geoip {
    let Some(file) = table.get("geoip", path) else { return Geoip::Embedded };
    if file.get_ref().as_os_str() == "none" {
        return Geoip::None;
    }
    let place = file.span();
    let file = scope.folder.join(file.into_inner());
    claims.files.push(File {
        path: Spanned::new(place, file.clone()),
        key: "dns.geoip",
        what: "the city database",
        remedy: "put a database in MaxMind's format there, or remove the key for the one in the \
                 program",
    });
    Geoip::File(file)
}

fn default_health() -> HealthPolicy {
    HealthPolicy {
        check: HealthCheck::Http,
        interval: Duration::from_secs(1),
        timeout: Duration::from_secs(1),
        down_after: 3,
        up_after: 2,
        all_down: AllDown::Every,
    }
}

fn health(table: &mut Reader<'_>) -> HealthPolicy {
    let default = default_health();
    let checks =
        [("http", HealthCheck::Http), ("tcp", HealthCheck::Tcp), ("none", HealthCheck::None)];
    let all_down = [("every", AllDown::Every), ("fail", AllDown::Fail)];
    let time = duration(Duration::from_millis(50)..=HOUR);
    let policy = HealthPolicy {
        check: table.get_or("check", default.check, choice(&checks)),
        interval: table.get_or("interval", default.interval, &time),
        timeout: table.get_or("timeout", default.timeout, &time),
        down_after: table.get_or("down_after", default.down_after, count(1..=100)),
        up_after: table.get_or("up_after", default.up_after, count(1..=100)),
        all_down: table.get_or("all_down", default.all_down, choice(&all_down)),
    };
    // Checks of one edge never overlap.
    if policy.timeout > policy.interval {
        let key = if table.has("timeout") { "timeout" } else { "interval" };
        let interval = crate::units::format_duration(policy.interval);
        let fault = Fault {
            message: format!("a check may take longer than the interval of {interval}"),
            help: format!("make `timeout` at most `{interval}`, or `interval` longer"),
        };
        table.fault(table.span_of(key), key, fault);
    }
    policy
}

fn nameserver(table: &mut Reader<'_>, claims: &mut Claims) -> Option<NameServer> {
    let name = table.require("name", r#""ns1""#, label);
    let addresses = table.require_list("addresses", r#""192.0.2.53""#, ip);
    claims.nameservers.extend(name.clone());
    Some(NameServer { name: name?.into_inner(), addresses: plain(addresses) })
}

fn network(table: &mut Reader<'_>, claims: &mut Claims) -> Option<Network> {
    let prefix = table.require("prefix", r#""192.0.2.0/24""#, prefix);
    claims.networks.extend(prefix.clone());
    let target = steering::target(table, claims, "[[dns.network]]")?;
    Some(Network { prefix: prefix?.into_inner(), target })
}

fn zone(table: &mut Reader<'_>, claims: &mut Claims, scope: &Scope<'_>) -> Option<Zone> {
    let name = table.require("name", r#""example.net""#, domain_name);
    let file = table.require("file", r#""example.net.zone""#, path);
    claims.zones.extend(name.clone());
    let file = file.map(|file| {
        let place = file.span();
        let path = scope.folder.join(file.into_inner());
        claims.files.push(File {
            path: Spanned::new(place, path.clone()),
            key: "dns.zone.file",
            what: "the zone file",
            remedy: "put a master file (RFC 1035 section 5) there, or mend the path; a relative \
                     one begins at this file's folder",
        });
        path
    });
    Some(Zone { name: name?.into_inner(), file: file? })
}

fn secondary(table: &mut Reader<'_>, claims: &mut Claims, scope: &Scope<'_>) -> Option<Secondary> {
    let name = table.require("name", r#""backup""#, label);
    let addresses = table.require_list("addresses", r#""192.0.2.54""#, address(PORT));
    let key = table.require("key", r#""backup.key""#, path);
    claims.secondaries.extend(name.clone());
    let key = key.map(|key| {
        let place = key.span();
        let path = scope.folder.join(key.into_inner());
        claims.files.push(File {
            path: Spanned::new(place, path.clone()),
            key: "dns.secondary.key",
            what: "the secondary's secret",
            remedy: "make one with `tsig-keygen -a hmac-sha256 NAME`, and give the secondary the \
                     same",
        });
        path
    });
    Some(Secondary { name: name?.into_inner(), addresses: plain(addresses), key: key? })
}
