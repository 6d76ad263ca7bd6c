//! Logs: written to standard error by a thread of their own, through a bounded
//! queue. When whoever reads them falls behind, lines are lost and counted; the
//! node never waits.

use std::io::{self, IsTerminal as _};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounter, Registry};
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::cli::{LogFormat, LogOptions};
use crate::failure::Failure;

/// Lines that wait to be written, at most.
const QUEUE_LINES: usize = 8192;

/// What other people's libraries may say, unless the operator asks for more by name.
const LIBRARIES: &str = "hickory_proto=warn,hickory_server=warn,hyper=warn,hyper_util=warn";

/// The log's writer; ends, with everything written, when dropped.
pub(crate) struct Logs {
    _writer: WorkerGuard,
    lost: ErrorCounter,
}

/// Starts the process's log.
pub(crate) fn start(options: &LogOptions) -> Result<Logs, Failure> {
    let filter = filter(&options.log)?;
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(QUEUE_LINES)
        .lossy(true)
        .thread_name("log")
        .finish(io::stderr());
    let lost = writer.error_counter();
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    let started = match options.log_format {
        LogFormat::Text => lines.with_ansi(wants_colour()).finish().try_init(),
        LogFormat::Json => lines.json().flatten_event(true).finish().try_init(),
    };
    started.map_err(|error| Failure::Running(error.into()))?;
    Ok(Logs { _writer: guard, lost })
}

impl Logs {
    /// Lines lost so far.
    pub(crate) fn lost(&self) -> u64 {
        u64::try_from(self.lost.dropped_lines()).unwrap_or(u64::MAX)
    }

    /// Makes the lines lost a metric.
    pub(crate) fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        let count = IntCounter::new(
            "kingcdn_log_lines_lost_total",
            "Log lines dropped because whoever reads them fell behind.",
        )?;
        registry.register(Box::new(LostLines { count, lost: self.lost.clone() }))
    }
}

/// Brings the metric up to date whenever somebody looks.
struct LostLines {
    count: IntCounter,
    lost: ErrorCounter,
}

impl Collector for LostLines {
    fn desc(&self) -> Vec<&Desc> {
        self.count.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let lost = u64::try_from(self.lost.dropped_lines()).unwrap_or(u64::MAX);
        self.count.reset();
        self.count.inc_by(lost);
        self.count.collect()
    }
}

fn filter(wanted: &str) -> Result<EnvFilter, Failure> {
    EnvFilter::try_new(format!("{LIBRARIES},{wanted}")).map_err(|error| {
        Failure::Usage(format!(
            "--log \"{wanted}\" isn't a filter: {error}; write a level (info) or levels by module \
             (info,kingcdn_edge=debug)"
        ))
    })
}

/// Colour is for terminals, and for those who haven't declined it (<https://no-color.org>).
pub(crate) fn wants_colour() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|it| it.is_empty())
}

#[cfg(test)]
mod tests {
    use super::filter;

    #[test]
    fn libraries_stay_quiet_until_asked_by_name() {
        for (wanted, expected) in [
            ("info", "hickory_server=warn"),
            ("debug", "hickory_server=warn"),
            ("info,hickory_server=debug", "hickory_server=debug"),
        ] {
            let filter = filter(wanted).expect(wanted).to_string();
            let found = filter.split(',').find(|directive| directive.starts_with("hickory_server"));
            assert_eq!(found, Some(expected), "{wanted}");
        }
        assert!(filter("kingcdn=loud").is_err());
    }
}
