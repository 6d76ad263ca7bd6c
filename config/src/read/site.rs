//! `[[site]]`.

use std::time::Duration;

use toml::Spanned;

use super::{HOUR, Scope, YEAR, key, plain, steering};
use crate::check::Claims;
use crate::reader::{Fault, Reader};
use crate::values::{choice, domain_name, duration, field_name, flag, label};
use crate::values::{negative_ttl, origin_url, quantity, upgrade_protocol};
use crate::{ClientRefresh, Cookies, DomainName, FieldName, Label, NegativeTtl, Refusal};
use crate::{Site, SiteCache, Upstream};

pub(super) fn site(table: &mut Reader<'_>, claims: &mut Claims, scope: &Scope<'_>) -> Option<Site> {
    let name = table.require("name", r#""netcinema""#, label);
    claims.sites.extend(name.clone());
    let hosts = hosts(table, claims, scope, name.as_ref());
    let origins = table.require_list("origin", r#""http://192.0.2.1:8000""#, origin_url);
    let upgrade = table.list("upgrade", r#""websocket""#, upgrade_protocol).unwrap_or_default();
    let dns = table.table("dns", |table| steering::site_dns(table, claims));
    let key = table.table("key", key::key);
    let cache = table.table("cache", cache);
    let upstream = table.table("upstream", upstream);
    Some(Site {
        name: name?.into_inner(),
        hosts,
        origins: plain(origins),
        upgrade: plain(upgrade),
        dns: dns.unwrap_or_default(),
        key: key.unwrap_or_default(),
        cache: cache.unwrap_or_default(),
        upstream: upstream.unwrap_or_else(default_upstream),
    })
}

/// The hosts that the file lists, and `<site>.<zone>` where it has a zone.
fn hosts(
    table: &mut Reader<'_>,
    claims: &mut Claims,
    scope: &Scope<'_>,
    site: Option<&Spanned<Label>>,
) -> Vec<DomainName> {
    let listed = table.list("hosts", r#""www.example.net""#, domain_name);
    if listed.is_none() && !scope.has_cdn {
        let fault = Fault {
            message: "`[[site]]` has no `hosts`".to_owned(),
            help: "add `hosts = [\"www.example.net\"]`, or `[cdn]` with a `zone`".to_owned(),
        };
        table.fault(table.span(), "hosts", fault);
    }
    let mut hosts = listed.unwrap_or_default();
    if let (Some(site), Some(zone)) = (site, &scope.zone) {
        match zone.below(site.get_ref()) {
            Ok(own) if hosts.iter().all(|host| *host.get_ref() != own) => {
                hosts.push(Spanned::new(site.span(), own));
            }
            Ok(_) => {}
            Err(error) => {
                let fault =
                    Fault { message: format!("below the CDN's zone, {error}"), help: error.help() };
                table.fault(site.span(), "name", fault);
            }
        }
    }
    claims.hosts.extend(hosts.iter().cloned());
    plain(hosts)
}

fn cache(table: &mut Reader<'_>) -> SiteCache {
    let default = SiteCache::default();
    let time = duration(Duration::ZERO..=YEAR);
    let cookies = [("pass", Cookies::Pass), ("store", Cookies::Store), ("strip", Cookies::Strip)];
    let refresh = [
        ("limited", ClientRefresh::Limited),
        ("obey", ClientRefresh::Obey),
        ("ignore", ClientRefresh::Ignore),
    ];
    SiteCache {
        default_ttl: table.get_or("default_ttl", default.default_ttl, &time),
        stale_if_error: table.get_or("stale_if_error", default.stale_if_error, &time),
        stale_while_revalidate: table.get_or(
            "stale_while_revalidate",
            default.stale_while_revalidate,
            &time,
        ),
        heuristic: table.get_or("heuristic", default.heuristic, flag),
        heuristic_max: table.get_or("heuristic_max", default.heuristic_max, &time),
        negative_ttl: negative_ttls(table),
        cookies: table.get_or("cookies", default.cookies, choice(&cookies)),
        targets: targets(table),
        client_refresh: table.get_or("client_refresh", default.client_refresh, choice(&refresh)),
        show_key: table.get_or("show_key", default.show_key, flag),
    }
}

/// Single statuses before classes, so that the first that has a status is the one that means it
/// most.
fn negative_ttls(table: &mut Reader<'_>) -> Vec<NegativeTtl> {
    let time = duration(Duration::ZERO..=YEAR);
    let read =
        |table: &mut Reader<'_>| table.entries(|status, ttl| negative_ttl(status, ttl, &time));
    let mut ttls: Vec<_> = table
        .table("negative_ttl", read)
        .unwrap_or_default()
        .into_iter()
        .map(|(_, ttl)| ttl)
        .collect();
    ttls.sort_by_key(|ttl| (ttl.statuses.end() - ttl.statuses.start(), *ttl.statuses.start()));
    ttls
}

/// Target fields other than the one that is always in the list.
fn targets(table: &mut Reader<'_>) -> Vec<FieldName> {
    let listed = table.list("targets", r#""Surrogate-Control""#, field_name).unwrap_or_default();
    for target in &listed {
        let (message, help) = match target.get_ref().as_str() {
            "cdn-cache-control" => (
                "`CDN-Cache-Control` is a target without being listed, after those that are",
                "remove it from the list",
            ),
            "cache-control" | "expires" | "pragma" => (
                "this field speaks to every cache: it counts where no target field does",
                "remove it from the list",
            ),
            _ => continue,
        };
        let fault = Fault { message: message.to_owned(), help: help.to_owned() };
        table.fault(target.span(), "targets", fault);
    }
    plain(listed)
}

fn default_upstream() -> Upstream {
    Upstream {
        connect_timeout: Duration::from_secs(3),
        first_byte_timeout: Duration::from_secs(30),
        idle_timeout: Duration::from_secs(30),
        connections: 256,
        host: None,
    }
}

fn upstream(table: &mut Reader<'_>) -> Upstream {
    let default = default_upstream();
    let time = duration(Duration::from_millis(10)..=HOUR);
    Upstream {
        connect_timeout: table.get_or("connect_timeout", default.connect_timeout, &time),
        first_byte_timeout: table.get_or("first_byte_timeout", default.first_byte_timeout, &time),
        idle_timeout: table.get_or("idle_timeout", default.idle_timeout, &time),
        connections: table.get_or("connections", default.connections, quantity(1..=65_535)),
        host: table.get("host", domain_name).map(Spanned::into_inner),
    }
}
