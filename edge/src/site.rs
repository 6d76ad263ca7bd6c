//! Sites: whose request this is, and what its owner wants.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use http::{HeaderName, HeaderValue};
use kingcdn_config::clock::Timestamp;
use kingcdn_config::{self as config, Config};

use crate::caching::{CDN_CACHE_CONTROL, Cookies, Policy};
use crate::hash::Seeded;
use crate::key::KeyRules;
use crate::metrics::{Metrics, SiteMetrics};
use crate::upstream::{Outbound, Upstream};

/// One site.
pub(crate) struct Site {
    pub(crate) name: String,
    /// Protocols to which its clients may switch.
    pub(crate) upgrade: Vec<config::UpgradeProtocol>,
    /// Which of its requests mean the same object.
    pub(crate) key: KeyRules,
    /// What may be done with its answers.
    pub(crate) policy: Policy,
    /// The host that its origins are asked for in every fetch, whichever of its hosts the client
    /// named: host and port aren't part of the key, so they may not make a difference.
    pub(crate) fetch_host: HeaderValue,
    /// Its origins.
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) metrics: SiteMetrics,
    /// Whether clients' wishes for a fresh copy may reach the origin.
    pub(crate) client_refreshes: ClientRefreshes,
    /// Whether its answers say under which key they are stored.
    pub(crate) shows_key: bool,
}

/// All sites, by host.
pub(crate) struct Sites {
    by_host: HashMap<String, Arc<Site>, Seeded>,
    all: Vec<Arc<Site>>,
}

impl Sites {
    /// The sites of `config`. Those that talk to the same origins as one of `former`, in the
    /// same way, go on using its connections.
    pub(crate) fn new(
        config: &Config,
        metrics: &Metrics,
        outbound: &Outbound,
        former: Option<&Self>,
    ) -> Self {
        let mut by_host = HashMap::with_hasher(Seeded::new());
        let mut all = Vec::with_capacity(config.sites.len());
        for site in &config.sites {
            let built = Arc::new(Site::new(site, metrics, outbound, former));
            for host in &site.hosts {
                by_host.insert(host.as_str().to_owned(), Arc::clone(&built));
            }
            all.push(built);
        }
        Self { by_host, all }
    }

    /// The site that has this host, in upper or lower case.
    pub(crate) fn find(&self, host: &str) -> Option<&Arc<Site>> {
        self.by_host.get(host).or_else(|| self.by_host.get(&host.to_ascii_lowercase()))
    }

    /// All of them, in the configuration's order.
    pub(crate) fn all(&self) -> &[Arc<Site>] {
        &self.all
    }
}

impl Site {
    fn new(
        site: &config::Site,
        metrics: &Metrics,
        outbound: &Outbound,
        former: Option<&Sites>,
    ) -> Self {
        let name = site.name.as_str();
        let metrics = metrics.site(name);
        let fetch_host = site.upstream.host.as_ref().or(site.hosts.first());
        let fetch_host = fetch_host.and_then(|host| HeaderValue::from_str(host.as_str()).ok());
        let kept = former
            .and_then(|sites| sites.all.iter().find(|former| former.name == name))
            .filter(|former| former.upstream.is(&site.origins, &site.upstream))
            .map(|former| Arc::clone(&former.upstream));
        let upstream = kept.unwrap_or_else(|| {
            let origins = metrics.origins.clone();
            let upstream = Upstream::new(&site.origins, &site.upstream, outbound, origins);
            Arc::new(upstream)
        });
        Self {
            name: name.to_owned(),
            upgrade: site.upgrade.clone(),
            key: KeyRules::new(&site.key),
            policy: policy(&site.cache),
            fetch_host: fetch_host.unwrap_or_else(|| HeaderValue::from_static("")),
            upstream,
            metrics,
            client_refreshes: ClientRefreshes::new(site.cache.client_refresh),
            shows_key: site.cache.show_key,
        }
    }
}

fn policy(cache: &config::SiteCache) -> Policy {
    Policy {
        default_ttl: cache.default_ttl,
        stale_if_error: cache.stale_if_error,
        stale_while_revalidate: cache.stale_while_revalidate,
        heuristic: cache.heuristic,
        heuristic_max: cache.heuristic_max,
        negative_ttl: cache
            .negative_ttl
            .iter()
            .map(|negative| (negative.statuses.clone(), negative.ttl))
            .collect(),
        cookies: match cache.cookies {
            config::Cookies::Pass => Cookies::Pass,
            config::Cookies::Store => Cookies::Store,
            config::Cookies::Strip => Cookies::Strip,
        },
        targets: targets(&cache.targets),
    }
}

/// RFC 9213 section 2.2: the site's own target fields, and then the one that is every CDN's.
fn targets(own: &[config::FieldName]) -> Vec<HeaderName> {
    let own = own.iter().filter_map(|name| name.as_str().parse().ok());
    own.chain([CDN_CACHE_CONTROL]).collect()
}

/// Whether clients that insist on a fresh copy (`Cache-Control: no-cache` and the like) get one.
pub(crate) enum ClientRefreshes {
    /// So often per site: a person who presses reload gets what he wants, a crowd can't reach the
    /// origin.
    Limited(RateLimit),
    /// Always.
    Obey,
    /// Never.
    Ignore,
}

impl ClientRefreshes {
    /// Under [`ClientRefreshes::Limited`] one is permitted in this time.
    const EVERY_MS: i64 = 1000;
    /// So many may come at once.
    const BURST: i64 = 10;

    const fn new(said: config::ClientRefresh) -> Self {
        match said {
            config::ClientRefresh::Limited => {
                Self::Limited(RateLimit::new(Self::EVERY_MS, Self::BURST))
            }
            config::ClientRefresh::Obey => Self::Obey,
            config::ClientRefresh::Ignore => Self::Ignore,
        }
    }

    /// Whether one more is permitted now; if so, it has happened.
    pub(crate) fn permits(&self, now: Timestamp) -> bool {
        match self {
            Self::Limited(limit) => limit.permits(now),
            Self::Obey => true,
            Self::Ignore => false,
        }
    }
}

/// So many events in a time, a few more in a burst (the generic cell rate algorithm).
pub(crate) struct RateLimit {
    every_ms: i64,
    burst: i64,
    /// When the next event would be due if all had kept their distance.
    due_ms: AtomicI64,
}

impl RateLimit {
    const fn new(every_ms: i64, burst: i64) -> Self {
        Self { every_ms, burst, due_ms: AtomicI64::new(i64::MIN) }
    }

    /// Whether one more event is permitted now; if so, it has happened.
    fn permits(&self, now: Timestamp) -> bool {
        let now = now.as_millis();
        let ahead = self.every_ms * self.burst;
        self.due_ms
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |due| {
                let due = due.max(now).saturating_add(self.every_ms);
                (due <= now.saturating_add(ahead)).then_some(due)
            })
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_permitted_and_then_one_at_a_time() {
        let limit = RateLimit::new(1000, 3);
        let permitted = |secs| limit.permits(Timestamp::from_secs(secs));
        assert_eq!(
            [permitted(9), permitted(9), permitted(9), permitted(9)],
            [true, true, true, false]
        );
        assert_eq!([permitted(10), permitted(10)], [true, false]);
        assert_eq!(
            [permitted(99), permitted(99), permitted(99), permitted(99)],
            [true, true, true, false]
        );
    }
}
