//! What an edge says of itself: `/status`, and the gauges that somebody must set.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kingcdn_config::clock::Stopwatch;
use kingcdn_config::status::{CacheStatus, DiskStatus, EdgeStatus, Load, SiteStatus};
use kingcdn_store::disk;
use tokio::sync::watch;

use crate::accept::stopped;
use crate::cache_status::Cache;
use crate::metrics::SiteMetrics;
use crate::node::Node;
use crate::tally::SiteTally;

/// How often the store is maintained and the gauges are set.
const TICK: Duration = Duration::from_millis(100);
/// Rates are over so much time.
const WINDOW: Duration = Duration::from_secs(10);

/// What answers count as the cache's own.
const FROM_CACHE: [Cache; 3] = [Cache::Hit, Cache::Stale, Cache::Revalidated];

/// Looks at a node now and then.
pub(crate) struct Observer {
    node: Arc<Node>,
    started: Stopwatch,
    rates: Arc<Mutex<Rates>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Rates {
    requests_per_second: f64,
    bytes_per_second: f64,
    cpu_share: Option<f64>,
}

/// Requests and bytes since the start, at some moment.
#[derive(Debug, Clone, Copy, Default)]
struct Totals {
    requests: u64,
    bytes: u64,
}

impl Observer {
    /// Looks at `node` until `stop`.
    pub(crate) fn start(node: Arc<Node>, stop: watch::Receiver<bool>) -> Self {
        let started = Stopwatch::start();
        let rates = Arc::<Mutex<Rates>>::default();
        node.runtime.spawn(observe(Arc::clone(&node), Arc::clone(&rates), stop));
        Self { node, started, rates }
    }

    /// The `/status` document.
    pub(crate) fn status(&self) -> EdgeStatus {
        let node = &self.node;
        let rates = *self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        EdgeStatus {
            node: node.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_seconds: self.started.elapsed().as_secs(),
            draining: node.is_draining(),
            load: Load {
                connections: node.metrics.connections.get().try_into().unwrap_or(0),
                requests_per_second: rates.requests_per_second,
                bytes_per_second: rates.bytes_per_second,
                fills: node.metrics.fills.get().try_into().unwrap_or(0),
                cpu_share: rates.cpu_share,
            },
            cache: CacheStatus {
                memory_bytes: node.store.held_bytes(),
                memory_capacity_bytes: node.store.capacity_bytes(),
                objects: node.store.keys(),
                disks: node.store.disks().iter().map(disk_status).collect(),
            },
            sites: node
                .sites
                .load()
                .all()
                .iter()
                .map(|site| site_status(&site.name, &site.metrics))
                .collect(),
        }
    }
}

fn disk_status(disk: &disk::DiskStatus) -> DiskStatus {
    DiskStatus {
        path: disk.path.display().to_string(),
        state: disk.state.label().to_owned(),
        reason: disk.reason.as_ref().map(|(_, sentence)| sentence.clone()),
        capacity_bytes: disk.size_bytes,
        used_bytes: disk.used_bytes,
        records: disk.records,
        write_amplification: disk.write_amplification(),
    }
}

fn site_status(name: &str, metrics: &SiteMetrics) -> SiteStatus {
    let sum = |kinds: &[Cache], of: fn(&SiteTally, Cache) -> u64| -> u64 {
        kinds.iter().map(|&cache| of(&metrics.tally, cache)).sum()
    };
    let requests = sum(&Cache::ALL, SiteTally::requests);
    let bytes = sum(&Cache::ALL, SiteTally::bytes);
    SiteStatus {
        site: name.to_owned(),
        requests,
        hit_ratio: ratio(sum(&FROM_CACHE, SiteTally::requests), requests),
        byte_hit_ratio: ratio(sum(&FROM_CACHE, SiteTally::bytes), bytes),
        origin_requests: metrics.origins.requests.get(),
    }
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

async fn observe(node: Arc<Node>, rates: Arc<Mutex<Rates>>, stop: watch::Receiver<bool>) {
    let mut stopping = pin!(stopped(stop));
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut since = Stopwatch::start();
    let mut before = totals(&node);
    let mut cpu_before = cpu_seconds();
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = &mut stopping => return,
        }
        node.store.maintain();
        if !node.store.budget().is_ample() {
            node.arrivals.let_go();
        }
        set_gauges(&node);
        let elapsed = since.elapsed();
        if elapsed >= WINDOW {
            let now = totals(&node);
            let per_second =
                |now: u64, before: u64| now.saturating_sub(before) as f64 / elapsed.as_secs_f64();
            let cpu = cpu_seconds();
            *rates.lock().unwrap_or_else(PoisonError::into_inner) = Rates {
                requests_per_second: per_second(now.requests, before.requests),
                bytes_per_second: per_second(now.bytes, before.bytes),
                cpu_share: cpu
                    .zip(cpu_before)
                    .map(|(now, before)| (now - before) / elapsed.as_secs_f64() / processors()),
            };
            (since, before, cpu_before) = (Stopwatch::start(), now, cpu);
        }
    }
}

fn set_gauges(node: &Node) {
    let metrics = &node.metrics;
    let memory = &["memory"];
    metrics.cache_bytes.with_label_values(memory).set(node.store.held_bytes().cast_signed());
    metrics.cache_objects.with_label_values(memory).set(node.store.keys().cast_signed());
    metrics.slices.held.set(node.store.slices().cast_signed());
    metrics.content_bytes.set(node.store.budget().used_bytes().cast_signed());
}

/// Processors that this process may use.
fn processors() -> f64 {
    std::thread::available_parallelism().map_or(1.0, |count| count.get() as f64)
}

/// Seconds of processor time that this process has used, where Linux tells.
fn cpu_seconds() -> Option<f64> {
    cpu_seconds_in(&std::fs::read_to_string("/proc/self/stat").ok()?)
}

/// `utime` and `stime` of proc_pid_stat(5): in hundredths of a second for programs, whatever the
/// kernel's own clock is.
fn cpu_seconds_in(stat: &str) -> Option<f64> {
    // The program's name is in parentheses, and may hold spaces; it is the second field.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ').skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some((ticks()? + ticks()?) as f64 / 100.0)
}

fn totals(node: &Node) -> Totals {
    node.sites.load().all().iter().fold(Totals::default(), |mut sum, site| {
        for cache in Cache::ALL {
            sum.requests += site.metrics.tally.requests(cache);
            sum.bytes += site.metrics.tally.bytes(cache);
        }
        sum
    })
}

#[cfg(test)]
mod tests {
    use super::cpu_seconds_in;

    #[test]
    fn processor_time_is_found_behind_any_name() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 30 0 0 0 250 50 0 0 20 0 9 0 1 2 3";
        assert_eq!(cpu_seconds_in(stat), Some(3.0));
        assert_eq!(cpu_seconds_in("7 (a) S 1"), None);
        assert_eq!(cpu_seconds_in(""), None);
    }
}
