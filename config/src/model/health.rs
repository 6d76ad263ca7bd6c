//! How name servers check edges, as the file says.

use std::path::PathBuf;
use std::time::Duration;

use crate::DomainName;
use crate::status::HEALTH_PATH;

/// `[dns.health]`: how a name server checks every edge.
#[derive(Debug, Clone, PartialEq)]
pub struct HealthPolicy {
    /// What a check is.
    pub check: HealthCheck,
    /// The port that is checked; none is that of the edge's first listener.
    pub port: Option<u16>,
    /// What is asked over HTTP and HTTPS.
    pub http: HttpCheck,
    /// Time from the start of one check of an edge to the start of the next.
    pub interval: Duration,
    /// A check without an answer by then has failed.
    pub timeout: Duration,
    /// Failures in a row that take an edge out.
    pub down_after: u32,
    /// Successes in a row that bring an edge back.
    pub up_after: u32,
    /// What is answered while no edge is up.
    pub all_down: AllDown,
}

impl HealthPolicy {
    /// The longest that it takes to notice that an edge is gone.
    pub fn notice(&self) -> Duration {
        self.interval.saturating_mul(self.down_after).saturating_add(self.timeout)
    }

    /// Whether an edge is asked how it is, so that it can say that it goes.
    pub fn asks(&self) -> bool {
        let http = matches!(self.check, HealthCheck::Http | HealthCheck::Https);
        http && self.http.path == HEALTH_PATH
    }
}

/// What a health check does, at each address of an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthCheck {
    /// A request over HTTP, answered as wished.
    Http,
    /// The same over TLS.
    Https,
    /// A TCP connection.
    Tcp,
    /// No check: every edge counts as up.
    None,
}

/// The request of a health check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpCheck {
    /// For `Host`, and over HTTPS for SNI. Without it HTTP names the address, and HTTPS the first
    /// host of the first site.
    pub host: Option<DomainName>,
    /// The path, and what stands behind it: begins with `/`.
    pub path: String,
    /// Statuses with which an edge is up.
    pub status: Vec<u16>,
    /// Certificates, in PEM, one of which must stand behind an edge's over HTTPS. Without it no
    /// certificate is looked at.
    pub ca: Option<PathBuf>,
}

impl Default for HttpCheck {
    fn default() -> Self {
        Self { host: None, path: HEALTH_PATH.to_owned(), status: vec![200], ca: None }
    }
}

/// What DNS answers while every edge is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AllDown {
    /// As if every edge were up: a check may be wrong, no answer surely fails.
    Every,
    /// SERVFAIL, so that resolvers try another name server or use stale data.
    Fail,
}
