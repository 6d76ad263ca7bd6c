//! What is counted of connections: over TCP, and with a certificate.

use std::sync::{Arc, OnceLock};

use kingcdn_config::clock::Timestamp;
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use super::{Transport, registered};

/// What became of a handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handshake {
    Done,
    Failed,
    Late,
}

/// Metrics of DNS over TLS and HTTPS.
pub(crate) struct Encrypted {
    registry: Registry,
    expiry: IntGauge,
    /// Where there is no certificate there is no time either.
    shown: OnceLock<()>,
    reloads: [IntCounter; 2],
    connections: IntGaugeVec,
    refused: IntCounter,
    handshakes: [IntCounter; 3],
}

impl Encrypted {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counters = |name: &str, help: &str| {
            registered(registry, IntCounterVec::new(Opts::new(name, help), &["result"])?)
        };
        let handshakes = counters(
            "kingcdn_dns_tls_handshakes_total",
            "TLS handshakes: done, failed, or late (too slow)",
        )?;
        let reloads = counters(
            "kingcdn_dns_certificate_reloads_total",
            "Changed certificates: accepted, or refused and the old one kept",
        )?;
        let connections = Opts::new(
            "kingcdn_dns_tls_connections",
            "Encrypted connections open, by transport: tls or https",
        );
        let refused = IntCounter::new(
            "kingcdn_dns_tls_refused_total",
            "Encrypted connections closed at once, because their client had too many",
        )?;
        Ok(Self {
            registry: registry.clone(),
            expiry: IntGauge::new(
                "kingcdn_dns_certificate_expiry_seconds",
                "When the certificate in force expires, in Unix time; absent without [dns.tls]",
            )?,
            shown: OnceLock::new(),
            reloads: ["accepted", "refused"].map(|result| reloads.with_label_values(&[result])),
            connections: registered(registry, IntGaugeVec::new(connections, &["transport"])?)?,
            refused: registered(registry, refused)?,
            handshakes: ["done", "failed", "late"]
                .map(|result| handshakes.with_label_values(&[result])),
        })
    }

    /// Shows until when the certificate in force is valid.
    pub(crate) fn expires(&self, at: Timestamp) {
        self.expiry.set(at.as_millis() / 1000);
        self.shown.get_or_init(|| {
            // Nothing else has its name.
            let _registered = self.registry.register(Box::new(self.expiry.clone()));
        });
    }

    /// Counts a changed certificate.
    pub(crate) fn reloaded(&self, accepted: bool) {
        self.reloads[usize::from(!accepted)].inc();
    }

    pub(crate) fn shook_hands(&self, how: Handshake) {
        self.handshakes[how as usize].inc();
    }
}

/// An open connection, counted.
pub(crate) struct OpenConnection(IntGauge);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl super::Metrics {
    /// Counts a connection for as long as the guard lives.
    pub(crate) fn connection(self: &Arc<Self>, transport: Transport) -> OpenConnection {
        let open = match transport {
            Transport::Udp | Transport::Tcp => self.connections.clone(),
            Transport::Tls => self.encrypted.connections.with_label_values(&["tls"]),
            Transport::Https => self.encrypted.connections.with_label_values(&["https"]),
        };
        open.inc();
        OpenConnection(open)
    }

    /// Counts a connection that may not stay.
    pub(crate) fn refused_connection(&self, transport: Transport) {
        match transport.is_encrypted() {
            true => self.encrypted.refused.inc(),
            false => self.refused_connections.inc(),
        }
    }
}
