//! The certificate of DNS over TLS and HTTPS: read, checked, and read anew when its files change.

mod files;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use kingcdn_config::DnsTls;
use kingcdn_config::clock::{Clock, Timestamp};
use rustls::crypto::ring;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, ServerConfig};
use rustls::sign::CertifiedKey;
use thiserror::Error;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use files::Stamps;
pub(crate) use files::{Certificate, load};

use crate::record::Metrics;
use crate::zone::{Fault, ZoneError};

/// How often the files are looked at. What changed is read when it has stayed the same for as long,
/// since a certificate and its key are two files.
const LOOK: Duration = Duration::from_secs(5);

/// Why a certificate or its key can't be used.
#[derive(Debug, Error)]
pub enum TlsFault {
    /// A file is no PEM, or has nothing of what is wanted.
    #[error("has no {what} in PEM (`{key}`){}", .why.as_ref().map(|it| format!(": {it}")).unwrap_or_default())]
    Absent {
        /// What is wanted.
        what: &'static str,
        /// The key in the configuration.
        key: &'static str,
        /// What the reader says.
        why: Option<String>,
    },
    /// A file is larger than any certificate.
    #[error("has more than {0} KiB (`dns.tls`)")]
    TooLarge(u64),
    /// Everybody on this machine can read the key.
    #[error("can be read or written by others (`dns.tls.key`)")]
    Exposed,
    /// The certificate can't be read.
    #[error("isn't a certificate (`dns.tls.certificate`): {0}")]
    Certificate(String),
    /// A key of a kind that can't be used.
    #[error("is no key that can be used (`dns.tls.key`): {0}")]
    Key(String),
    /// Certificate and key are strangers.
    #[error("isn't the key of the certificate in `dns.tls.certificate`")]
    Mismatch,
    /// It isn't valid any more.
    #[error("has expired {0} ago (`dns.tls.certificate`)")]
    Expired(String),
    /// It isn't valid yet.
    #[error("is valid in {0} only (`dns.tls.certificate`)")]
    Early(String),
    /// TLS itself can't be set up.
    #[error("can't be used: {0}")]
    Unusable(#[from] rustls::Error),
}

impl TlsFault {
    /// What to do about it.
    pub(crate) fn remedy(&self) -> &'static str {
        match self {
            Self::Absent { .. } => "put it there in PEM (`-----BEGIN …-----`), the own one first",
            Self::TooLarge(_) => "name the file of one certificate and those behind it",
            Self::Exposed => "`chmod 640` it",
            Self::Certificate(_) => "put one of X.509 there, in PEM",
            Self::Key(_) => "make one of ECDSA P-256, of RSA with 2048 bits or more, or of Ed25519",
            Self::Mismatch => "put the two of one order there",
            Self::Expired(_) => "renew it",
            Self::Early(_) => "look at this machine's clock, or wait",
            Self::Unusable(_) => "make another",
        }
    }
}

impl From<TlsFault> for Fault {
    fn from(fault: TlsFault) -> Self {
        Self::Tls(fault)
    }
}

/// The certificate in force. Connections that are open keep theirs.
#[derive(Debug)]
struct Current(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

/// TLS of a name server.
pub(crate) struct Tls {
    current: Arc<Current>,
    /// Where the certificate is, and until when it is valid. Held while one takes another's place.
    known: Mutex<Known>,
    /// DNS over TLS, and over HTTPS.
    pub(crate) dns: Arc<ServerConfig>,
    pub(crate) https: Arc<ServerConfig>,
    metrics: Arc<Metrics>,
    clock: Clock,
}

struct Known {
    files: DnsTls,
    stamps: Stamps,
    not_after: Timestamp,
}

impl Tls {
    /// Reads the certificate. One that isn't valid, but could have been, serves all the same: names
    /// are answered over UDP as well, and most resolvers don't ask for its name.
    pub(crate) fn start(
        files: &DnsTls,
        clock: &Clock,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, ZoneError> {
        let stamps = Stamps::of(files);
        let certificate = load(files)?;
        if let Some(doubt) = certificate.doubt(files, clock.now()) {
            warn!("{doubt}");
        }
        let current = Arc::new(Current(ArcSwap::new(certificate.key)));
        let unusable = |error| ZoneError {
            file: files.certificate.clone(),
            line: None,
            fault: TlsFault::Unusable(error).into(),
        };
        // As registered; who names no protocol gets the same.
        let dns = server(&current, &[b"dot"]).map_err(unusable)?;
        let https = server(&current, &[b"h2", b"http/1.1"]).map_err(unusable)?;
        metrics.encrypted.expires(certificate.not_after);
        let known = Known { files: files.clone(), stamps, not_after: certificate.not_after };
        let (metrics, clock) = (Arc::clone(metrics), clock.clone());
        Ok(Self { current, known: Mutex::new(known), dns, https, metrics, clock })
    }

    /// Takes what a new certificate's files hold, which were read without fault.
    pub(crate) fn take(&self, files: &DnsTls, certificate: Certificate) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let stamps = Stamps::of(files);
        *known = Known { files: files.clone(), stamps, not_after: certificate.not_after };
        self.metrics.encrypted.expires(certificate.not_after);
        self.current.0.store(certificate.key);
    }

    /// Whether a certificate may take the place of the one in force: valid now, or no worse.
    pub(crate) fn fit(
        &self,
        files: &DnsTls,
        certificate: &Certificate,
        now: Timestamp,
    ) -> Result<(), ZoneError> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let better = known.not_after >= now && certificate.not_after != known.not_after;
        certificate.doubt(files, now).filter(|_| better).map_or(Ok(()), Err)
    }

    /// Looks at the files for ever; the task ends with the set.
    pub(crate) fn watch(self: &Arc<Self>) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        let tls = Arc::clone(self);
        tasks.spawn(async move {
            let mut ticks = interval(LOOK);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut seen = None;
            loop {
                ticks.tick().await;
                let looking = Arc::clone(&tls);
                let before = seen.take();
                let looked = tokio::task::spawn_blocking(move || looking.look(before.as_ref()));
                seen = looked.await.ok();
            }
        });
        tasks
    }

    /// Looks at the files, and takes what has changed once it has stayed so since `before`.
    fn look(&self, before: Option<&Stamps>) -> Stamps {
        let (files, taken) = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            (known.files.clone(), known.stamps.clone())
        };
        let stamps = Stamps::of(&files);
        if stamps == taken || before != Some(&stamps) {
            return stamps;
        }
        let read = load(&files).and_then(|certificate| {
            self.fit(&files, &certificate, self.clock.now()).map(|()| certificate)
        });
        self.metrics.encrypted.reloaded(read.is_ok());
        match read {
            Ok(certificate) => {
                self.take(&files, certificate);
                info!(file = %files.certificate.display(), "the certificate is taken over");
            }
            Err(error) => {
                warn!(%error, "the certificate is refused, the old one stays");
                // Not again before they change.
                let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                known.stamps.clone_from(&stamps);
            }
        }
        stamps
    }
}

/// TLS 1.3 alone: whoever asks a name server so is younger than that, and zones may be transferred
/// in no other (RFC 9103). Sessions are resumed by tickets: nothing is kept for clients that left.
fn server(current: &Arc<Current>, protocols: &[&[u8]]) -> Result<Arc<ServerConfig>, rustls::Error> {
    let resolver: Arc<dyn ResolvesServerCert> = Arc::<Current>::clone(current);
    let mut server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    server.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.ticketer = ring::Ticketer::new()?;
    Ok(Arc::new(server))
}
