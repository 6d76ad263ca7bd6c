//! What a running node can't take over from a new configuration.

use std::fmt::Display;
use std::net::SocketAddr;

use thiserror::Error;

use crate::{CachePolicy, Config, Dns, Eviction, Role, units};

/// Something that stays as it is until the node is started again. `Display` says it to the
/// operator.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FixedDifference {
    /// The value of one key.
    #[error("`{key}` stays {old}: a restart is needed for {new}")]
    Value {
        /// The key.
        key: &'static str,
        /// What the node runs with.
        old: String,
        /// What the new file says.
        new: String,
    },
    /// The new file doesn't know this node. It has nothing to say to it.
    #[error("{0} isn't in the new configuration and goes on with the old one until it is stopped")]
    Gone(String),
}

/// What a running node of `role`, started with `old`, can't take over from `new`: the addresses
/// that it listens on, the cache's memory, eviction and folder, where traces go. Both are to have the node's
/// overrides applied.
pub fn fixed_differences(old: &Config, new: &Config, role: Role<'_>) -> Vec<FixedDifference> {
    let mut found = Differences(Vec::new());
    match role {
        Role::Dns => match (&old.dns, &new.dns) {
            (Some(old), Some(new)) => {
                found.listens("dns.listen", &old.listen, &new.listen);
                let encrypted = |dns: &Dns, https: bool| match &dns.tls {
                    Some(tls) if https => tls.https.clone(),
                    Some(tls) => tls.listen.clone(),
                    None => Vec::new(),
                };
                for (key, https) in [("dns.tls.listen", false), ("dns.tls.https", true)] {
                    found.listens(key, &encrypted(old, https), &encrypted(new, https));
                }
                found.value("dns.admin", old.admin, new.admin);
            }
            (Some(_), None) => found.gone("the name server".to_owned()),
            (None, _) => {}
        },
        Role::Origin => match (&old.origin, &new.origin) {
            (Some(old), Some(new)) => {
                found.listens("origin.listen", &old.listen, &new.listen);
                found.value("origin.admin", old.admin, new.admin);
            }
            (Some(_), None) => found.gone("the origin".to_owned()),
            (None, _) => {}
        },
        Role::Edge(name) => match (old.edge(name.as_str()), new.edge(name.as_str())) {
            (Some(old), Some(new)) => {
                found.listens("edge.listen", &old.listen, &new.listen);
                found.value("edge.admin", old.admin, new.admin);
                found.cache(&old.cache, &new.cache);
            }
            (Some(_), None) => found.gone(format!("edge `{name}`")),
            (None, _) => {}
        },
    }
    if matches!(role, Role::Edge(_)) {
        let say = |config: &Config| match &config.telemetry {
            None => "none".to_owned(),
            Some(telemetry) => format!("{} of {}", telemetry.sampling, telemetry.otlp),
        };
        found.value("telemetry", say(old), say(new));
    }
    found.0
}

struct Differences(Vec<FixedDifference>);

impl Differences {
    fn gone(&mut self, node: String) {
        self.0.push(FixedDifference::Gone(node));
    }

    fn value<T: PartialEq + Display>(&mut self, key: &'static str, old: T, new: T) {
        if old != new {
            self.0.push(FixedDifference::Value { key, old: old.to_string(), new: new.to_string() });
        }
    }

    /// The order of addresses says nothing.
    fn listens(&mut self, key: &'static str, old: &[SocketAddr], new: &[SocketAddr]) {
        let text = |addresses: &[SocketAddr]| {
            let mut texts: Vec<_> = addresses.iter().map(ToString::to_string).collect();
            texts.sort_unstable();
            if texts.is_empty() { "none".to_owned() } else { texts.join(", ") }
        };
        self.value(key, text(old), text(new));
    }

    fn cache(&mut self, old: &CachePolicy, new: &CachePolicy) {
        let memory = |cache: &CachePolicy| units::format_size(cache.memory_bytes);
        self.value("edge.cache.memory", memory(old), memory(new));
        let eviction = |cache: &CachePolicy| match cache.eviction {
            Eviction::Lfu => "lfu",
            Eviction::Lru => "lru",
        };
        self.value("edge.cache.eviction", eviction(old), eviction(new));
        let disk = |cache: &CachePolicy| match &cache.disk {
            None => "none".to_owned(),
            Some(disk) => {
                let size = units::format_size(disk.size_bytes);
                let mount = disk.mount.as_ref();
                let mount = mount.map(|it| format!(" mounted at {}", it.display()));
                format!("{} of {size}{}", disk.path.display(), mount.unwrap_or_default())
            }
        };
        self.value("edge.cache.disk", disk(old), disk(new));
    }
}
