//! Logs: written to standard error by a thread of their own, through bounded
//! buffers. When whoever reads them falls behind, lines are lost and counted; the
//! node never waits.

mod access;
mod queue;

use std::io::{self, IsTerminal as _};

use kingcdn_edge::access::AccessLog;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounter, Registry};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt as _;

use self::access::{AccessLines, Form};
use crate::cli::{LogFormat, LogOptions};
use crate::failure::Failure;

/// What other people's libraries may say, unless the operator asks for more by name.
const LIBRARIES: &str = "hickory_proto=warn,hickory_server=warn,hyper=warn,hyper_util=warn";

/// The log's writer; ends, with everything written, when dropped.
pub(crate) struct Logs {
    _writer: queue::Writer,
    lines: queue::Lines,
    form: Form,
}

/// Starts the process's log.
pub(crate) fn start(options: &LogOptions) -> Result<Logs, Failure> {
    let filter = filter(&options.log)?;
    let (lines, writer) =
        queue::start(io::stderr()).map_err(|error| Failure::Running(error.into()))?;
    let form = match options.log_format {
        LogFormat::Text => Form::Text { coloured: wants_colour() },
        LogFormat::Json => Form::Json,
    };
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(lines.clone());
    let started = match options.log_format {
        LogFormat::Text => log
            .with_ansi(wants_colour())
            .map_event_format(|others| AccessLines { form, others })
            .finish()
            .try_init(),
        LogFormat::Json => log
            .json()
            .flatten_event(true)
            .map_event_format(|others| AccessLines { form, others })
            .finish()
            .try_init(),
    };
    started.map_err(|error| Failure::Running(error.into()))?;
    Ok(Logs { _writer: writer, lines, form })
}

impl Logs {
    /// Lines lost so far.
    pub(crate) fn lost(&self) -> u64 {
        self.lines.lost()
    }

    /// Where an edge's access log goes; nowhere, where it isn't wanted.
    pub(crate) fn access(&self) -> Option<AccessLog> {
        access::of_edge(self.form, self.lines.clone())
    }

    /// Makes the lines lost a metric.
    pub(crate) fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        let count = IntCounter::new(
            "kingcdn_log_lines_lost_total",
            "Log lines dropped because whoever reads them fell behind.",
        )?;
        registry.register(Box::new(LostLines { count, lines: self.lines.clone() }))
    }
}

/// Brings the metric up to date whenever somebody looks.
struct LostLines {
    count: IntCounter,
    lines: queue::Lines,
}

impl Collector for LostLines {
    fn desc(&self) -> Vec<&Desc> {
        self.count.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.count.reset();
        self.count.inc_by(self.lines.lost());
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
