//! `kingcdn status`: what a name server's page shows, as text.

mod table;

use std::fmt::Write as _;
use std::io::{self, Write as _};

use anyhow::{Context as _, anyhow};
use kingcdn_config::clock::Clock;
use kingcdn_config::{Files, units};
use serde::Deserialize;

use crate::cli::{StatusFormat, StatusOptions};
use crate::failure::Failure;
use crate::health;
use crate::node;
use table::Table;

/// The port of a name server's admin address.
const PORT: u16 = 9153;
/// A longer document isn't ours.
const DOCUMENT_BYTES: u64 = 16 << 20;

/// The part of a name server's `/status` that is shown.
#[derive(Debug, Deserialize)]
struct Status {
    version: String,
    edges: Vec<Edge>,
    changes: Vec<Change>,
    regions: Vec<Region>,
}

#[derive(Debug, Deserialize)]
struct Edge {
    name: String,
    state: String,
    reason: Option<String>,
    since: Option<i64>,
    load: Option<f64>,
    shed: f64,
    answers: u64,
    figures: Option<Figures>,
    figures_error: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Figures {
    draining: bool,
    connections: u64,
    requests_per_second: f64,
    egress_bits_per_second: f64,
    cpu_share: Option<f64>,
    cache_bytes: u64,
    cache_capacity_bytes: u64,
    hit_ratio: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct Change {
    at: i64,
    edge: String,
    address: Option<String>,
    what: String,
    reason: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Region {
    city: String,
    country: String,
    edge: Option<String>,
    km: Option<u32>,
    why: String,
    passed_over: Vec<PassedOver>,
}

#[derive(Debug, Deserialize)]
struct PassedOver {
    edge: String,
    why: String,
}

/// Asks a name server, and writes what it says.
pub(crate) fn run(options: &StatusOptions) -> Result<(), Failure> {
    let address = match (&options.admin, &options.config) {
        (Some(admin), _) => units::address(admin, PORT)
            .map_err(|error| Failure::Usage(format!("--admin {admin}: {error}")))?,
        (None, Some(config)) => {
            let dns = node::read(config, Files::Unchecked)?.dns;
            let absent = || Failure::Usage(format!("{}: there is no [dns]", config.display()));
            dns.ok_or_else(absent)?.admin
        }
        (None, None) => ([127, 0, 0, 1], PORT).into(),
    };
    let document = health::get(address, "/status", DOCUMENT_BYTES)?;
    let text = match options.format {
        StatusFormat::Json => document,
        StatusFormat::Text => {
            let value: serde_json::Value = serde_json::from_str(&document)
                .with_context(|| format!("what {address} says isn't JSON"))?;
            if value.get("regions").is_none() {
                let what = "is no name server; --format json shows what it says of itself";
                return Err(anyhow!("{address} {what}").into());
            }
            let status: Status = serde_json::from_value(value)
                .with_context(|| format!("{address} has another version"))?;
            shown(&status, Clock::system().now().as_secs())
        }
    };
    let said = io::stdout().lock().write_all(text.as_bytes());
    said.map_err(|error| Failure::Running(error.into()))
}

/// The whole, as it is at `now`, a Unix time in seconds.
fn shown(status: &Status, now: i64) -> String {
    let mut text = summary(status);
    text.push('\n');
    let _ = writeln!(text, "{}", edges(&status.edges, now));
    let _ = writeln!(text, "{}", regions(&status.regions));
    text.push_str("RECENT CHANGES\n");
    if status.changes.is_empty() {
        text.push_str("none since the name server started\n");
    }
    for change in &status.changes {
        let Change { at, edge, what, .. } = change;
        let mut line = format!("{:>7} ago  {edge} {what}", ago(now - at));
        let _ = change.address.as_ref().map(|address| write!(line, " ({address})"));
        let _ = change.reason.as_ref().map(|reason| write!(line, ": {reason}"));
        text.push_str(&table::plain(&line));
        text.push('\n');
    }
    text
}

fn summary(status: &Status) -> String {
    let up = status.edges.iter().filter(|edge| edge.state == "up").count();
    let figures = || status.edges.iter().filter_map(Edge::current);
    let requests: f64 = figures().map(|it| it.requests_per_second).sum();
    let bits: f64 = figures().map(|it| it.egress_bits_per_second).sum();
    // By what is asked now; while nothing is, each edge counts alike.
    let weight = |it: &Figures| if requests > 0.0 { it.requests_per_second } else { 1.0 };
    let weighed = || figures().filter_map(|it| Some((weight(it), it.hit_ratio?)));
    let weights: f64 = weighed().map(|(weight, _)| weight).sum();
    let hits: f64 = weighed().map(|(weight, ratio)| weight * ratio).sum();
    let hits = if weights > 0.0 { percent(hits / weights) } else { "no".to_owned() };
    format!(
        "KingCDN {}: {up} of {} edges up, {}/s, {}, {hits} hits\n",
        status.version,
        status.edges.len(),
        count(requests),
        bit_rate(bits),
    )
}

fn edges(edges: &[Edge], now: i64) -> Table {
    let mut table = Table::new(&[
        "EDGE",
        "STATE",
        ">SINCE",
        ">HIT RATIO",
        ">REQUESTS",
        ">TRAFFIC",
        ">CONNECTIONS",
        ">LOAD",
        ">CACHE",
        ">DNS ANSWERS",
        "WHY",
    ]);
    for edge in edges {
        let figures = edge.current();
        let say = |words: &dyn Fn(&Figures) -> Option<String>| {
            figures.and_then(words).unwrap_or_else(|| "-".to_owned())
        };
        table.row([
            edge.name.clone(),
            edge.state().to_owned(),
            edge.since.map_or_else(|| "-".to_owned(), |since| ago(now - since)),
            say(&|it| it.hit_ratio.map(percent)),
            say(&|it| Some(format!("{}/s", count(it.requests_per_second)))),
            say(&|it| Some(bit_rate(it.egress_bits_per_second))),
            say(&|it| Some(it.connections.to_string())),
            say(&|it| edge.load.or(it.cpu_share).map(percent)),
            say(&|it| it.filled().map(percent)),
            edge.answers.to_string(),
            edge.why().unwrap_or_default(),
        ]);
    }
    table
}

fn regions(regions: &[Region]) -> Table {
    let mut table = Table::new(&["CLIENTS IN", "", "GO TO", ">DISTANCE", "WHY"]);
    for region in regions {
        let passed = region.passed_over.iter().map(|it| format!("{} is {}", it.edge, it.why));
        let why: Vec<_> = [region.why.clone()].into_iter().chain(passed).collect();
        table.row([
            region.city.clone(),
            region.country.clone(),
            region.edge.clone().unwrap_or_else(|| "nobody".to_owned()),
            region.km.map_or_else(String::new, |km| format!("{km} km")),
            if region.why == "nearest" { String::new() } else { why.join("; ") },
        ]);
    }
    table
}

impl Edge {
    /// What it says of itself, while it can be believed.
    fn current(&self) -> Option<&Figures> {
        self.figures.as_ref().filter(|_| self.state != "down")
    }

    /// Why it isn't up, or not for all whom it is nearest to.
    fn why(&self) -> Option<String> {
        let shed = || format!("gives up {} of its clients", percent(self.shed));
        let shed = (self.shed > 0.0).then(shed);
        self.reason.clone().or(shed).or_else(|| self.figures_error.clone())
    }

    fn state(&self) -> &str {
        if self.state == "up" && self.figures.as_ref().is_some_and(|it| it.draining) {
            "draining"
        } else {
            &self.state
        }
    }
}

impl Figures {
    #[allow(clippy::cast_precision_loss)] // Shown in percent.
    fn filled(&self) -> Option<f64> {
        let capacity = self.cache_capacity_bytes;
        (capacity > 0).then(|| self.cache_bytes as f64 / capacity as f64)
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn count(number: f64) -> String {
    if number < 10.0 {
        format!("{number:.1}")
    } else if number < 10_000.0 {
        format!("{number:.0}")
    } else if number < 1e6 {
        format!("{:.0} k", number / 1e3)
    } else if number < 1e9 {
        format!("{:.1} M", number / 1e6)
    } else {
        format!("{:.1} G", number / 1e9)
    }
}

fn bit_rate(bits_per_second: f64) -> String {
    let number = count(bits_per_second);
    let space = if number.contains(' ') { "" } else { " " };
    format!("{number}{space}bit/s")
}

fn ago(seconds: i64) -> String {
    if seconds < 120 {
        format!("{} s", seconds.max(0))
    } else if seconds < 7200 {
        format!("{} min", seconds / 60)
    } else if seconds < 172_800 {
        format!("{} h", seconds / 3600)
    } else {
        format!("{} days", seconds / 86_400)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_text_says_what_the_page_shows() {
        let status = json!({
            "version": "1.2.3",
            "edges": [
                {
                    "name": "seoul", "state": "up", "reason": null, "since": 1000, "answers": 42,
                    "load": 0.25, "shed": 0.0,
                    "figures": {
                        "draining": false, "connections": 3, "requests_per_second": 12_345.0,
                        "egress_bits_per_second": 1.5e9, "cpu_share": 0.25, "cache_bytes": 1,
                        "cache_capacity_bytes": 4, "hit_ratio": 0.987,
                    },
                    "figures_error": null,
                },
                {
                    "name": "tokyo", "state": "down", "reason": "no answer in time", "since": 1090,
                    "load": null, "shed": 0.0, "answers": 0, "figures": null, "figures_error": "no answer",
                },
            ],
            "changes": [{
                "at": 1090, "edge": "tokyo", "address": "192.0.2.2:80", "what": "down",
                "reason": "no answer in time",
            }],
            "regions": [{
                "city": "Tokyo", "country": "JP", "edge": "seoul", "km": 1152,
                "why": "nearer ones can't", "passed_over": [{ "edge": "tokyo", "why": "down" }],
            }],
        });
        let status = serde_json::from_value(status).expect("a status");
        let expected = "\
KingCDN 1.2.3: 1 of 2 edges up, 12 k/s, 1.5 Gbit/s, 98.7 % hits

EDGE   STATE  SINCE  HIT RATIO  REQUESTS     TRAFFIC  CONNECTIONS    LOAD   CACHE  DNS ANSWERS  WHY
seoul  up     100 s     98.7 %    12 k/s  1.5 Gbit/s            3  25.0 %  25.0 %           42
tokyo  down    10 s          -         -           -            -       -       -            0  no answer in time

CLIENTS IN      GO TO  DISTANCE  WHY
Tokyo       JP  seoul   1152 km  nearer ones can't; tokyo is down

RECENT CHANGES
   10 s ago  tokyo down (192.0.2.2:80): no answer in time
";
        assert_eq!(shown(&status, 1100), expected);
    }
}
