//! What each thread counts of requests for itself, added up when somebody asks.
//!
//! Each of the threads that serve clients has counters of its own ([`crate::lane`]): a number goes
//! up by a load and a store, and no core waits for another one's cache line. What is exported is
//! exact at any time, since nothing is kept back.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, Counter, Histogram, LabelPair, Metric, MetricFamily, MetricType};

use crate::cache_status::Cache;
use crate::lane;

const KINDS: usize = Cache::ALL.len();
/// From 0.1 ms on, each two and a half times the one before.
const BOUNDS: usize = 14;
const FIRST_BOUND_SECONDS: f64 = 0.000_1;
const BOUND_FACTOR: f64 = 2.5;

/// Numbers that only go up, a set for each thread.
pub(crate) struct Lanes<const N: usize>(Box<[Lane<N>]>);

/// Those of one thread, in cache lines that no other one writes to.
#[repr(align(128))]
struct Lane<const N: usize>([AtomicU64; N]);

impl<const N: usize> Lanes<N> {
    fn new() -> Self {
        let lane = || Lane(std::array::from_fn(|_| AtomicU64::new(0)));
        Self((0..=lane::threads()).map(|_| lane()).collect())
    }

    /// Raises some of this thread's numbers.
    #[inline]
    fn add(&self, changes: impl IntoIterator<Item = (usize, u64)>) {
        let here = lane::here();
        let (lane, alone) = match self.0.get(here) {
            Some(lane) => (lane, here > 0),
            None => (&self.0[0], false),
        };
        for (at, by) in changes {
            let number = &lane.0[at];
            if alone {
                number.store(number.load(Relaxed).wrapping_add(by), Relaxed);
            } else {
                number.fetch_add(by, Relaxed);
            }
        }
    }

    /// The sum of all threads' numbers at this place.
    fn sum(&self, at: usize) -> u64 {
        self.0.iter().map(|lane| lane.0[at].load(Relaxed)).fold(0, u64::wrapping_add)
    }
}

/// What is counted of one site's requests: by [`Cache::index`] how many, and then their bytes.
pub(crate) struct SiteTally(Lanes<{ 2 * KINDS }>);

impl SiteTally {
    /// Requests answered, of one kind.
    pub(crate) fn requests(&self, cache: Cache) -> u64 {
        self.0.sum(cache.index())
    }

    /// Body bytes sent, of one kind.
    pub(crate) fn bytes(&self, cache: Cache) -> u64 {
        self.0.sum(KINDS + cache.index())
    }
}

/// How long requests of all sites took: by bound how many were within it and no lower one, those
/// above all bounds, and the sum of microseconds.
type Times = Lanes<{ BOUNDS + 2 }>;

/// What is counted of all requests.
#[derive(Clone)]
pub(crate) struct Tally(Arc<Counts>);

struct Counts {
    sites: Mutex<BTreeMap<String, Arc<SiteTally>>>,
    times: [Times; KINDS],
    bounds_micros: [u64; BOUNDS],
    requests: Desc,
    bytes: Desc,
    seconds: Desc,
}

impl Tally {
    pub(crate) fn new() -> Result<Self, prometheus::Error> {
        let desc = |name: &str, help: &str, labels: &[&str]| {
            let labels = labels.iter().map(|&label| label.to_owned()).collect();
            Desc::new(format!("kingcdn_edge_{name}"), help.to_owned(), labels, HashMap::new())
        };
        let by_site = &["site", "cache"];
        let counts = Counts {
            sites: Mutex::default(),
            times: std::array::from_fn(|_| Lanes::new()),
            bounds_micros: std::array::from_fn(|at| (bound_seconds(at) * 1e6).round() as u64),
            requests: desc("requests_total", "Requests answered.", by_site)?,
            bytes: desc("bytes_total", "Body bytes sent.", by_site)?,
            seconds: desc(
                "request_seconds",
                "Time from a request's arrival to the last byte of its answer handed over.",
                &["cache"],
            )?,
        };
        Ok(Self(Arc::new(counts)))
    }

    /// What is counted of a site's requests, from the process's start on.
    pub(crate) fn site(&self, name: &str) -> Arc<SiteTally> {
        let mut sites = self.0.sites.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(SiteTally(Lanes::new()));
        Arc::clone(sites.entry(name.to_owned()).or_insert_with(new))
    }

    /// Counts a request of `site` that has ended, the body bytes that it got, and how long it took.
    #[inline]
    pub(crate) fn request(&self, site: &SiteTally, cache: Cache, bytes: u64, micros: u64) {
        let index = cache.index();
        site.0.add([(index, 1), (KINDS + index, bytes)]);
        let within = self.0.bounds_micros.iter().take_while(|bound| micros > **bound).count();
        self.0.times[index].add([(within, 1), (BOUNDS + 1, micros)]);
    }

    fn histogram(&self, cache: Cache) -> Metric {
        let times = &self.0.times[cache.index()];
        let mut count = 0;
        let buckets = (0..BOUNDS).map(|at| {
            count += times.sum(at);
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(bound_seconds(at));
            bucket.set_cumulative_count(count);
            bucket
        });
        let buckets = buckets.collect();
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets);
        histogram.set_sample_count(count + times.sum(BOUNDS));
        histogram.set_sample_sum(times.sum(BOUNDS + 1) as f64 / 1e6);
        let mut metric = Metric::from_label(vec![label("cache", cache.as_str())]);
        metric.set_histogram(histogram);
        metric
    }
}

impl Collector for Tally {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.0.requests, &self.0.bytes, &self.0.seconds]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let sites = self.0.sites.lock().unwrap_or_else(PoisonError::into_inner);
        let by_site = |of: fn(&SiteTally, Cache) -> u64| {
            let counter = |(site, tally): (&str, &SiteTally), cache: Cache| {
                let mut counter = Counter::default();
                counter.set_value(of(tally, cache) as f64);
                // In the order of their names, as every collector has them.
                let labels = vec![label("cache", cache.as_str()), label("site", site)];
                let mut metric = Metric::from_label(labels);
                metric.set_counter(counter);
                metric
            };
            let all = sites.iter().flat_map(|(site, tally)| {
                Cache::ALL.map(|cache| counter((site.as_str(), tally), cache))
            });
            all.collect::<Vec<_>>()
        };
        let (requests, bytes) = (by_site(SiteTally::requests), by_site(SiteTally::bytes));
        let seconds = Cache::ALL.map(|cache| self.histogram(cache)).into();
        let families = [
            family(&self.0.requests, MetricType::COUNTER, requests),
            family(&self.0.bytes, MetricType::COUNTER, bytes),
            family(&self.0.seconds, MetricType::HISTOGRAM, seconds),
        ];
        // A family without metrics can't be written.
        families.into_iter().filter(|it| !it.get_metric().is_empty()).collect()
    }
}

fn bound_seconds(at: usize) -> f64 {
    (0..at).fold(FIRST_BOUND_SECONDS, |bound, _| bound * BOUND_FACTOR)
}

fn family(desc: &Desc, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(desc.fq_name.clone());
    family.set_help(desc.help.clone());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

fn label(name: &str, value: &str) -> LabelPair {
    let mut label = LabelPair::default();
    label.set_name(name.to_owned());
    label.set_value(value.to_owned());
    label
}

#[cfg(test)]
mod tests {
    use super::*;

    use prometheus::{Encoder, Registry, TextEncoder};

    fn exported(registry: &Registry) -> String {
        let mut text = Vec::new();
        TextEncoder::new().encode(&registry.gather(), &mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn what_any_thread_counts_is_exported_at_once() {
        let registry = Registry::new();
        let tally = Tally::new().unwrap();
        registry.register(Box::new(tally.clone())).unwrap();
        // Threads of clients, some that are none's, and one more than there is room for.
        let threads: Vec<_> = [1, 2, 0, 0, lane::threads() + 7]
            .into_iter()
            .map(|number| {
                let tally = tally.clone();
                std::thread::spawn(move || {
                    if number > 0 {
                        lane::enter(number - 1);
                    }
                    let site = tally.site("netcinema");
                    for micros in [50, 100, 101, 5_000_000] {
                        tally.request(&site, Cache::Hit, 10, micros);
                    }
                    tally.request(&site, Cache::Miss, 7, 1_000_000_000);
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let text = exported(&registry);
        for line in [
            "kingcdn_edge_requests_total{cache=\"hit\",site=\"netcinema\"} 20",
            "kingcdn_edge_requests_total{cache=\"stale\",site=\"netcinema\"} 0",
            "kingcdn_edge_bytes_total{cache=\"hit\",site=\"netcinema\"} 200",
            "kingcdn_edge_bytes_total{cache=\"miss\",site=\"netcinema\"} 35",
            "kingcdn_edge_request_seconds_bucket{cache=\"hit\",le=\"0.0001\"} 10",
            "kingcdn_edge_request_seconds_bucket{cache=\"hit\",le=\"0.00025\"} 15",
            "kingcdn_edge_request_seconds_bucket{cache=\"hit\",le=\"+Inf\"} 20",
            "kingcdn_edge_request_seconds_count{cache=\"hit\"} 20",
            "kingcdn_edge_request_seconds_sum{cache=\"hit\"} 25.001255",
            "kingcdn_edge_request_seconds_bucket{cache=\"miss\",le=\"+Inf\"} 5",
        ] {
            assert!(text.lines().any(|it| it == line), "{line} isn't in\n{text}");
        }
        let site = tally.site("netcinema");
        assert_eq!((site.requests(Cache::Hit), site.bytes(Cache::Miss)), (20, 35));
    }

    #[test]
    fn a_site_that_is_read_anew_goes_on_counting() {
        let tally = Tally::new().unwrap();
        tally.request(&tally.site("a"), Cache::Hit, 1, 1);
        tally.request(&tally.site("a"), Cache::Hit, 1, 1);
        assert_eq!(tally.site("a").requests(Cache::Hit), 2);
        assert_eq!(tally.site("b").requests(Cache::Hit), 0);
    }
}
