//! A certificate and its key, as they stand in files.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kingcdn_config::DnsTls;
use kingcdn_config::clock::Timestamp;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use x509_cert::der::Decode as _;

use super::TlsFault;
use crate::stamp::Stamp;
use crate::zone::{Fault, ZoneError};

/// The longest file.
const FILE_KIB: u64 = 256;
/// What others than the owner and his group may do with a file.
const OTHERS: u32 = 0o007;

/// A certificate with its key, and when it is valid.
#[derive(Debug)]
pub(crate) struct Certificate {
    pub(crate) key: Arc<CertifiedKey>,
    not_before: Timestamp,
    pub(crate) not_after: Timestamp,
}

/// By what it is seen that the files are others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamps([Option<Stamp>; 2]);

impl Stamps {
    pub(super) fn of(files: &DnsTls) -> Self {
        Self([&files.certificate, &files.key].map(|file| Stamp::of(file)))
    }
}

impl Certificate {
    /// Whether it is valid now (RFC 5280 section 4.1.2.5).
    pub(super) fn dates(&self, now: Timestamp) -> Result<(), TlsFault> {
        // Days are exact enough.
        let about = |time: Duration| humantime::format_duration(minutes(time)).to_string();
        if now > self.not_after {
            return Err(TlsFault::Expired(about(now.since(self.not_after))));
        }
        if now < self.not_before {
            return Err(TlsFault::Early(about(self.not_before.since(now))));
        }
        Ok(())
    }

    /// What is wrong with its dates, and where.
    pub(crate) fn doubt(&self, files: &DnsTls, now: Timestamp) -> Option<ZoneError> {
        let fault = self.dates(now).err()?;
        Some(ZoneError { file: files.certificate.clone(), line: None, fault: fault.into() })
    }
}

/// Whole minutes, one at least.
fn minutes(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs().max(60) / 60 * 60)
}

/// Reads both files: everything about them but whether they are valid now.
pub(crate) fn load(files: &DnsTls) -> Result<Certificate, ZoneError> {
    let at = |file: &Path| {
        let file = file.to_owned();
        move |fault: Fault| ZoneError { file, line: None, fault }
    };
    let (chain, validity) = chain(&files.certificate).map_err(at(&files.certificate))?;
    let private = private(&files.key).map_err(at(&files.key))?;
    let key = CertifiedKey::from_der(chain, private, &ring::default_provider());
    let key = key.map_err(|error| {
        at(&files.key)(match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsFault::Mismatch.into(),
            error => TlsFault::Key(error.to_string()).into(),
        })
    })?;
    let (not_before, not_after) = validity;
    Ok(Certificate { key: Arc::new(key), not_before, not_after })
}

type Validity = (Timestamp, Timestamp);

/// The certificate with those behind it, and when it is valid.
fn chain(file: &Path) -> Result<(Vec<CertificateDer<'static>>, Validity), Fault> {
    let absent = |why| TlsFault::Absent { what: "certificate", key: "dns.tls.certificate", why };
    let octets = read(file)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&octets).collect();
    let chain = chain.map_err(|error| absent(Some(error.to_string())))?;
    let own = chain.first().ok_or_else(|| absent(None))?;
    let read = x509_cert::Certificate::from_der(own);
    let read = read.map_err(|error| TlsFault::Certificate(error.to_string()))?;
    let validity = read.tbs_certificate().validity();
    let at = |time: x509_cert::time::Time| {
        let seconds = i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX);
        Timestamp::from_millis(seconds.saturating_mul(1000))
    };
    let validity = (at(validity.not_before), at(validity.not_after));
    Ok((chain, validity))
}

/// The private key.
fn private(file: &Path) -> Result<PrivateKeyDer<'static>, Fault> {
    let mode = fs::metadata(file).map_err(|error| Fault::Unreadable(error.to_string()))?.mode();
    if mode & OTHERS != 0 {
        return Err(TlsFault::Exposed.into());
    }
    let key = PrivateKeyDer::from_pem_slice(&read(file)?);
    key.map_err(|error| {
        let why = Some(error.to_string());
        TlsFault::Absent { what: "private key", key: "dns.tls.key", why }.into()
    })
}

fn read(file: &Path) -> Result<Vec<u8>, Fault> {
    let unreadable = |error: std::io::Error| Fault::Unreadable(error.to_string());
    let metadata = fs::metadata(file).map_err(unreadable)?;
    if metadata.len() > FILE_KIB << 10 {
        return Err(TlsFault::TooLarge(FILE_KIB).into());
    }
    fs::read(file).map_err(unreadable)
}
