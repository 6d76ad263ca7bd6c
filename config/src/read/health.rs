//! `[dns.health]`: how name servers check edges.

use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::{HOUR, Scope, plain};
use crate::check::{Claims, File};
use crate::reader::{Fault, Reader};
use crate::values::{choice, count, domain_name, duration, path, plain_text};
use crate::{AllDown, HealthCheck, HealthPolicy, HttpCheck};

/// The longest path.
const PATH_BYTES: usize = 1024;

pub(super) fn health(dns: &mut Reader<'_>, claims: &mut Claims, scope: &Scope<'_>) -> HealthPolicy {
    dns.table("health", |table| policy(table, claims, scope)).unwrap_or_else(default)
}

fn default() -> HealthPolicy {
    HealthPolicy {
        check: HealthCheck::Http,
        port: None,
        http: HttpCheck::default(),
        interval: Duration::from_secs(1),
        timeout: Duration::from_secs(1),
        down_after: 3,
        up_after: 2,
        all_down: AllDown::Every,
    }
}

fn policy(table: &mut Reader<'_>, claims: &mut Claims, scope: &Scope<'_>) -> HealthPolicy {
    let default = default();
    let checks = [
        ("http", HealthCheck::Http),
        ("https", HealthCheck::Https),
        ("tcp", HealthCheck::Tcp),
        ("none", HealthCheck::None),
    ];
    let all_down = [("every", AllDown::Every), ("fail", AllDown::Fail)];
    let time = duration(Duration::from_millis(50)..=HOUR);
    let check = table.get_or("check", default.check, choice(&checks));
    let policy = HealthPolicy {
        check,
        #[allow(clippy::cast_possible_truncation)] // Within its bounds.
        port: table.get("port", count(1..=65_535)).map(|port| port.into_inner() as u16),
        http: http(table, check, claims, scope),
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

fn http(
    table: &mut Reader<'_>,
    check: HealthCheck,
    claims: &mut Claims,
    scope: &Scope<'_>,
) -> HttpCheck {
    let default = HttpCheck::default();
    for (key, fits, which) in [
        ("host", matches!(check, HealthCheck::Http | HealthCheck::Https), "`http` or `https`"),
        ("path", matches!(check, HealthCheck::Http | HealthCheck::Https), "`http` or `https`"),
        ("status", matches!(check, HealthCheck::Http | HealthCheck::Https), "`http` or `https`"),
        ("ca", check == HealthCheck::Https, "`https`"),
        ("port", check != HealthCheck::None, "one"),
    ] {
        if table.has(key) && !fits {
            let fault = Fault {
                message: format!("`{key}` means nothing to this check"),
                help: format!("make `check` {which}, or remove `{key}`"),
            };
            table.fault(table.span_of(key), key, fault);
        }
    }
    let ca = table.get("ca", path).map(|file| {
        let place = file.span();
        let file = scope.folder.join(file.into_inner());
        claims.files.push(File {
            path: Spanned::new(place, file.clone()),
            key: "dns.health.ca",
            what: "the CA's certificates",
            remedy: "put them there, in PEM, or remove the key: then no certificate is looked at",
        });
        file
    });
    #[allow(clippy::cast_possible_truncation)] // Within its bounds.
    let status = table
        .list("status", "200", count(100..=599))
        .map(|list| plain(list).into_iter().map(|status| status as u16).collect());
    HttpCheck {
        host: table.get("host", domain_name).map(Spanned::into_inner),
        path: table.get_or("path", default.path, target),
        status: status.unwrap_or(default.status),
        ca,
    }
}

/// A request's target (RFC 9112 section 3.2.1).
fn target(value: &DeValue<'_>) -> Result<String, Fault> {
    let text = plain_text(value, "a path", r#""/health""#)?;
    let plain = |octet: u8| octet.is_ascii_graphic() && !b"#\"<>\\^`{|}".contains(&octet);
    if text.starts_with('/') && text.len() <= PATH_BYTES && text.bytes().all(plain) {
        return Ok(text.to_owned());
    }
    Err(Fault {
        message: format!("`{}` is no path of a request", text.escape_debug()),
        help: r#"write something like `"/health"`"#.to_owned(),
    })
}
