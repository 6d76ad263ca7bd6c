//! What the file says, table by table: keys, defaults and bounds.

mod dns;
mod edge;
mod health;
mod key;
mod protocol;
mod site;
mod steering;
mod tls;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use toml::Spanned;

use crate::check::{Claims, Node};
use crate::reader::Reader;
use crate::values::{address, cache_control, collector_url, domain_name, mailbox, path, share};
use crate::{Cdn, Config, DomainName, Mailbox, Origin, Telemetry};

/// The longest time that any time-out or interval may be.
const HOUR: Duration = Duration::from_secs(3600);
/// The longest time that an answer may be kept: a year of 365.25 days, as durations count it.
const YEAR: Duration = Duration::from_secs(31_557_600);

/// What tables need to know of the file around them.
struct Scope<'a> {
    /// The file's folder, where relative paths begin.
    folder: &'a Path,
    /// `[cdn] zone`.
    zone: Option<DomainName>,
    /// Whether there is `[cdn]`, be its zone right or not.
    has_cdn: bool,
}

/// Reads the whole file. Whatever is wrong stands on the reader's list of problems; what the parts
/// say about each other is gathered in `claims`.
pub(crate) fn config(file: &mut Reader<'_>, claims: &mut Claims, folder: &Path) -> Config {
    let cdn = file.table("cdn", |table| cdn(table, claims)).flatten();
    let scope =
        Scope { folder, zone: cdn.as_ref().map(|cdn| cdn.zone.clone()), has_cdn: file.has("cdn") };
    claims.has_cdn = scope.has_cdn;
    let dns = file.table("dns", |table| dns::dns(table, claims, &scope));
    let cache = file
        .table("cache", |table| edge::cache(table, &scope, None))
        .unwrap_or_else(edge::default_cache);
    let limits = file
        .table("limits", |table| edge::limits(table, None))
        .unwrap_or_else(edge::default_limits);
    let defaults = edge::Defaults { cache, limits };
    let edges = file.tables("edge", |table| edge::edge(table, claims, &scope, &defaults));
    let sites = file.tables("site", |table| site::site(table, claims, &scope));
    let origin = file.table("origin", |table| origin(table, claims, &scope));
    claims.has_edge = file.has("edge");
    claims.has_site = file.has("site");
    claims.has_origin = file.has("origin");
    let telemetry = file.table("telemetry", telemetry).flatten();
    Config { cdn, dns, edges, sites, origin: origin.flatten(), telemetry }
}

fn telemetry(table: &mut Reader<'_>) -> Option<Telemetry> {
    let otlp = table.require("otlp", r#""http://127.0.0.1:4318""#, collector_url);
    let sampling = table.get_or("sampling", 0.01, share(0.0..=1.0));
    Some(Telemetry { otlp: otlp?.into_inner(), sampling })
}

fn cdn(table: &mut Reader<'_>, claims: &mut Claims) -> Option<Cdn> {
    let zone = table.require("zone", r#""cdn.example.net""#, domain_name);
    let contact = table.get("contact", mailbox);
    let zone = zone?;
    claims.zone = Some(zone.clone());
    let zone = zone.into_inner();
    let contact = contact.map_or_else(
        || Mailbox {
            // RFC 2142 section 7.
            user: "hostmaster".to_owned(),
            host: zone.clone(),
        },
        Spanned::into_inner,
    );
    Some(Cdn { zone, contact })
}

fn origin(table: &mut Reader<'_>, claims: &mut Claims, scope: &Scope<'_>) -> Option<Origin> {
    let default = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 8000);
    let listen = table
        .list("listen", &format!(r#""{default}""#), address(8000))
        .unwrap_or_else(|| vec![Spanned::new(table.span(), default)]);
    let admin = admin(table, 9101);
    claims.nodes.push(Node::new("origin", "the origin", &listen, &admin));
    let root = table.require("root", r#""some/folder""#, path);
    let cache_control = table.table("cache_control", |table| table.entries(cache_control));
    Some(Origin {
        listen: plain(listen),
        admin: admin.into_inner(),
        // Whether the folder is there isn't asked here: every node reads the same file, and only
        // one of them has it. The origin asks when it starts.
        root: scope.folder.join(root?.into_inner()),
        cache_control: cache_control.unwrap_or_default().into_iter().collect(),
    })
}

/// `admin`, on loopback where the file doesn't say: it tells everything and asks nobody who he is.
fn admin(table: &mut Reader<'_>, port: u16) -> Spanned<SocketAddr> {
    table.get("admin", address(port)).unwrap_or_else(|| {
        let default = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port);
        Spanned::new(table.span(), default)
    })
}

/// Every address of the families that `addresses` belong to, IPv4 where there are none.
fn any_address(
    addresses: &[Spanned<IpAddr>],
    port: u16,
    span: Range<usize>,
) -> Vec<Spanned<SocketAddr>> {
    let v6 = addresses.iter().any(|address| address.get_ref().is_ipv6());
    let v4 = addresses.iter().any(|address| address.get_ref().is_ipv4()) || !v6;
    let any_v4 = v4.then_some(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let any_v6 = v6.then_some(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
    any_v4
        .into_iter()
        .chain(any_v6)
        .map(|ip| Spanned::new(span.clone(), SocketAddr::new(ip, port)))
        .collect()
}

fn plain<T>(values: Vec<Spanned<T>>) -> Vec<T> {
    values.into_iter().map(Spanned::into_inner).collect()
}
