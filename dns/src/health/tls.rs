//! TLS of a health check.
//!
//! A certificate is looked at only where the operator says whose it should be: one that expired on
//! every edge at once would take all of them out, and clients that mind it see it themselves.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::tls::TlsFault;
use crate::zone::{Fault, ZoneError};

/// Why there is no TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum TlsError {
    #[error("the handshake failed")]
    Handshake,
    #[error("the certificate isn't valid now")]
    Dates,
    #[error("the certificate is for another name")]
    Name,
    #[error("the certificate isn't of those in `ca`")]
    Issuer,
    #[error("the certificate is bad")]
    Certificate,
}

/// TLS to edges.
pub(super) struct Tls {
    /// Whom they are asked to be, where that isn't their address.
    name: Option<ServerName<'static>>,
    connector: TlsConnector,
}

impl Tls {
    pub(super) fn new(host: Option<&str>, ca: Option<&Path>) -> Result<Self, ZoneError> {
        let provider = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| at(ca, TlsFault::Unusable(error)))?;
        let mut config = match ca {
            Some(file) => config.with_root_certificates(roots(file)?),
            None => config.dangerous().with_custom_certificate_verifier(Arc::new(Unseen(provider))),
        }
        .with_no_client_auth();
        // Each check sees whether a client that comes anew is served.
        config.resumption = rustls::client::Resumption::disabled();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let name = host.and_then(|host| ServerName::try_from(host.to_owned()).ok());
        Ok(Self { name, connector: TlsConnector::from(Arc::new(config)) })
    }

    pub(super) async fn connect(
        &self,
        service: SocketAddr,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, TlsError> {
        let name = self.name.clone().unwrap_or_else(|| ServerName::from(service.ip()));
        self.connector.connect(name, stream).await.map_err(|error| reason(&error))
    }
}

fn roots(file: &Path) -> Result<RootCertStore, ZoneError> {
    let absent =
        |why| at(Some(file), TlsFault::Absent { what: "certificate", key: "dns.health.ca", why });
    let octets = std::fs::read(file).map_err(|error| ZoneError {
        file: file.to_owned(),
        line: None,
        fault: Fault::Unreadable(error.to_string()),
    })?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&octets) {
        let added = certificate.map(|certificate| roots.add(certificate));
        let added = added.map_err(|error| absent(Some(error.to_string())))?;
        added.map_err(|error| at(Some(file), TlsFault::Unusable(error)))?;
    }
    if roots.is_empty() { Err(absent(None)) } else { Ok(roots) }
}

fn at(file: Option<&Path>, fault: TlsFault) -> ZoneError {
    ZoneError {
        file: file.map(Path::to_owned).unwrap_or_default(),
        line: None,
        fault: fault.into(),
    }
}

fn reason(error: &io::Error) -> TlsError {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match inner {
        Some(Error::InvalidCertificate(fault)) => match fault {
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => TlsError::Dates,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                TlsError::Name
            }
            // Of another issuer with the same name.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => TlsError::Issuer,
            _ => TlsError::Certificate,
        },
        _ => TlsError::Handshake,
    }
}

/// Takes every certificate, but has the edge prove that it holds its key.
#[derive(Debug)]
struct Unseen(Arc<CryptoProvider>);

impl ServerCertVerifier for Unseen {
    fn verify_server_cert(
        &self,
        _own: &CertificateDer<'_>,
        _others: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
