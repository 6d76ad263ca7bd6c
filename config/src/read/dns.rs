//! `[dns]` and what stands below it.

use toml::Spanned;

use super::{Scope, admin, any_address, health, plain, steering, tls};
use crate::Zone;
use crate::check::{Claims, File, Node};
use crate::reader::Reader;
use crate::values::{address, domain_name, flag, ip, label, path, prefix, service};
use crate::{Dns, Geoip, NameServer, Network, Secondary};

/// The usual port of name servers.
const PORT: u16 = 53;
/// The usual port of their admin addresses.
const ADMIN_PORT: u16 = 9153;

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
    let admin = admin(table, ADMIN_PORT);
    let node = Node::new("dns", "the name server", &listen, &admin);
    let (tls, node) = tls::tls(table, claims, scope, node);
    claims.nodes.push(node);
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
        tls,
        admin: admin.into_inner(),
        ttl: ttls.ttl,
        ttl_min: ttls.min,
        ttl_max: ttls.max,
        client_subnet: table.get_or("client_subnet", true, flag),
        state: state.map(|file| scope.folder.join(file.into_inner())),
        shedding: table.table("shedding", steering::shedding).unwrap_or_default(),
        geoip,
        health: health::health(table, claims, scope),
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

fn nameserver(table: &mut Reader<'_>, claims: &mut Claims) -> Option<NameServer> {
    let name = table.require("name", r#""ns1""#, label);
    let addresses = table.require_list("addresses", r#""192.0.2.53""#, ip);
    claims.nameservers.extend(name.clone());
    let admin = table.get("admin", address(ADMIN_PORT)).map(Spanned::into_inner);
    Some(NameServer { name: name?.into_inner(), addresses: plain(addresses), admin })
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
    let addresses = table.require_list("addresses", r#""192.0.2.54""#, service(PORT));
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
