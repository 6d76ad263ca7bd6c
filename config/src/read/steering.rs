//! What decides on the choice of edges beside where they are.

use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::{HOUR, plain};
use crate::check::Claims;
use crate::reader::{Fault, Reader};
use crate::values::{
    bit_rate, choice, continent, country, domain_name, flag, label, location, plain_text, quantity,
    rate, seconds, share,
};
use crate::{Capacity, NetworkTarget, Region, Rule, Shedding, SiteAllDown, SiteDns, SiteHttps};

/// The shortest and the longest time to live of steered answers.
pub(super) struct Ttls {
    pub(super) ttl: Duration,
    pub(super) min: Duration,
    pub(super) max: Duration,
}

/// `ttl`, `ttl_min` and `ttl_max` of `[dns]`.
pub(super) fn ttls(table: &mut Reader<'_>, claims: &mut Claims) -> Ttls {
    // A time to live is a number of seconds (RFC 1035 section 3.2.1).
    let read = seconds(Duration::from_secs(1)..=24 * HOUR);
    let ttl = table.get_or("ttl", Duration::from_secs(30), &read);
    let min = table.get_or("ttl_min", ttl.min(Duration::from_secs(10)), &read);
    let max = table.get_or("ttl_max", ttl.max(Duration::from_secs(300)), &read);
    let text = crate::units::format_duration;
    let outside = |key: &str, bound: Duration, is: &str| {
        let fault = Fault {
            message: format!("`{key}` of {} is {is} `ttl` of {}", text(bound), text(ttl)),
            help: "write them so that `ttl_min` ≤ `ttl` ≤ `ttl_max`".to_owned(),
        };
        table.fault(table.span_of(key), key, fault);
    };
    if min > ttl {
        outside("ttl_min", min, "longer than");
    }
    if max < ttl {
        outside("ttl_max", max, "shorter than");
    }
    claims.ttls = Some(min..=max);
    Ttls { ttl, min, max }
}

/// `[dns.shedding]`.
pub(super) fn shedding(table: &mut Reader<'_>) -> Shedding {
    let default = Shedding::default();
    let shedding = Shedding {
        soft: table.get_or("soft", default.soft, share(0.01..=10.0)),
        hard: table.get_or("hard", default.hard, share(0.01..=10.0)),
    };
    if shedding.soft >= shedding.hard {
        let key = if table.has("hard") { "hard" } else { "soft" };
        let percent = crate::units::format_percent;
        let fault = Fault {
            message: format!(
                "the hard limit of {} isn't above the soft one of {}",
                percent(shedding.hard),
                percent(shedding.soft)
            ),
            help: "make `soft` less than `hard`: `soft = \"80%\"`, `hard = \"100%\"`".to_owned(),
        };
        table.fault(table.span_of(key), key, fault);
    }
    shedding
}

/// `capacity` of `[[edge]]`.
pub(super) fn capacity(table: &mut Reader<'_>) -> Capacity {
    let requests = table.get("requests", rate(1..=1_000_000_000));
    let egress = table.get("egress", bit_rate(1000..=100_000_000_000_000));
    let cpu = table.get("cpu", share(0.01..=1.0));
    Capacity {
        requests_per_second: requests.map(Spanned::into_inner),
        egress_bits_per_second: egress.map(Spanned::into_inner),
        cpu_share: cpu.map(Spanned::into_inner),
    }
}

/// `[[dns.rule]]`.
pub(super) fn rule(table: &mut Reader<'_>, claims: &mut Claims) -> Option<Rule> {
    let countries = table.list("countries", r#""KR""#, country);
    let continents = table.list("continents", r#""EU""#, continent);
    if countries.is_none() && continents.is_none() {
        let fault = Fault {
            message: "`[[dns.rule]]` says neither `countries` nor `continents`".to_owned(),
            help: "add `countries = [\"KR\"]` or `continents = [\"EU\"]`".to_owned(),
        };
        table.fault(table.span(), "countries", fault);
    }
    let regions: Vec<Spanned<Region>> =
        countries.into_iter().flatten().chain(continents.into_iter().flatten()).collect();
    claims.regions.extend(regions.iter().cloned());
    let target = target(table, claims, "[[dns.rule]]")?;
    Some(Rule { regions: plain(regions), target })
}

/// `location` or `edges` of a network or a rule.
pub(super) fn target(
    table: &mut Reader<'_>,
    claims: &mut Claims,
    heading: &str,
) -> Option<NetworkTarget> {
    let place = table.get("location", location);
    let edges = table.list("edges", r#""seoul""#, label);
    claims.edges_named.extend(edges.iter().flatten().cloned());
    match (table.has("location"), table.has("edges")) {
        (false, false) => {
            let fault = Fault {
                message: format!("`{heading}` says neither `location` nor `edges`"),
                help: "add `location = [37.57, 126.98]` or `edges = [\"seoul\"]`".to_owned(),
            };
            table.fault(table.span(), "location", fault);
        }
        (true, true) => {
            let fault = Fault {
                message: format!("`{heading}` says both `location` and `edges`"),
                help: "keep one of them".to_owned(),
            };
            let (first, second) = (table.span_of("location"), table.span_of("edges"));
            table.problem(second, "edges", fault, |p| p.related(first, "this is the other"));
        }
        _ => {}
    }
    match edges {
        Some(edges) => Some(NetworkTarget::Edges(plain(edges))),
        None => place.map(|place| NetworkTarget::Location(place.into_inner())),
    }
}

/// `[site.dns]`.
pub(super) fn site_dns(table: &mut Reader<'_>, claims: &mut Claims) -> SiteDns {
    let ttl = table.get("ttl", seconds(Duration::from_secs(1)..=24 * HOUR));
    claims.site_ttls.extend(ttl.clone());
    let all_down = table.get("all_down", all_down);
    if let Some(alias) = &all_down
        && let SiteAllDown::Alias(name) = alias.get_ref()
    {
        claims.fallbacks.push(Spanned::new(alias.span(), name.clone()));
    }
    SiteDns {
        ttl: ttl.map(Spanned::into_inner),
        answers: table.get_or("answers", 1, quantity(1..=4)),
        all_down: all_down.map(Spanned::into_inner),
        client_subnet: table.get("client_subnet", flag).map(Spanned::into_inner),
        https: table.table("https", https),
    }
}

/// Protocols that an HTTPS record names at most.
const PROTOCOLS: usize = 8;

/// `https` of `[site.dns]`.
fn https(table: &mut Reader<'_>) -> SiteHttps {
    let port = table.get("port", quantity(1..=65_535)).map(Spanned::into_inner);
    let alpn = table.list("alpn", r#""h2""#, alpn).unwrap_or_default();
    if let Some(beyond) = alpn.get(PROTOCOLS) {
        let message = format!("`alpn` names more than {PROTOCOLS} protocols");
        let help =
            "name those that the edges speak: the record has to fit into a packet".to_owned();
        table.fault(beyond.span(), "alpn", Fault { message, help });
    }
    SiteHttps { alpn: plain(alpn), port: port.and_then(|port| port.try_into().ok()) }
}

/// A protocol's id (RFC 7301 section 6).
fn alpn(value: &DeValue<'_>) -> Result<String, Fault> {
    let text = plain_text(value, "a protocol's ALPN id", r#""h2""#)?;
    let fits = (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    fits.then(|| text.to_owned()).ok_or_else(|| Fault {
        message: format!("`{text}` is no ALPN id"),
        help: "write the id of a protocol, as in `alpn = [\"h2\", \"h3\"]`".to_owned(),
    })
}

/// A word, or `{ cname = "…" }`.
fn all_down(value: &DeValue<'_>) -> Result<SiteAllDown, Fault> {
    let DeValue::Table(table) = value else {
        let words = [("every", true), ("fail", false)];
        return match choice(&words)(value) {
            Ok(true) => Ok(SiteAllDown::Every),
            Ok(false) => Ok(SiteAllDown::Fail),
            Err(fault) => Err(Fault {
                help: format!("{}, or `{{ cname = \"www.example.net\" }}`", fault.help),
                ..fault
            }),
        };
    };
    match table.get("cname") {
        Some(name) if table.len() == 1 => domain_name(name.get_ref()).map(SiteAllDown::Alias),
        _ => Err(Fault {
            message: "the table here has one key, `cname`".to_owned(),
            help: "write `all_down = { cname = \"www.example.net\" }`".to_owned(),
        }),
    }
}
