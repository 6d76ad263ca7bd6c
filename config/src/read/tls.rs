//! `[dns.tls]`: where a name server answers encrypted, and with what certificate.

use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;

use super::{HOUR, Scope, plain};
use crate::DnsTls;
use crate::check::{Claims, File, Node};
use crate::reader::{Fault, Reader};
use crate::values::{address, duration, path, quantity};

/// The usual ports of DNS over TLS (RFC 7858 section 3.1) and of HTTPS.
const TLS_PORT: u16 = 853;
const HTTPS_PORT: u16 = 443;

/// Reads the table, and adds its addresses to the node's.
pub(super) fn tls(
    table: &mut Reader<'_>,
    claims: &mut Claims,
    scope: &Scope<'_>,
    node: Node,
) -> (Option<DnsTls>, Node) {
    let Some(read) = table.table("tls", |table| encrypted(table, claims, scope)) else {
        return (None, node);
    };
    let Encrypted { listen, https, tls } = read;
    (tls, node.and("tls.listen", &listen).and("tls.https", &https))
}

/// The table, with the places of its addresses.
struct Encrypted {
    listen: Vec<Spanned<std::net::SocketAddr>>,
    https: Vec<Spanned<std::net::SocketAddr>>,
    tls: Option<DnsTls>,
}

fn encrypted(table: &mut Reader<'_>, claims: &mut Claims, scope: &Scope<'_>) -> Encrypted {
    let listen = table.list("listen", r#""0.0.0.0:853""#, address(TLS_PORT)).unwrap_or_default();
    let https = table.list("https", r#""0.0.0.0:443""#, address(HTTPS_PORT)).unwrap_or_default();
    if !table.has("listen") && !table.has("https") {
        let fault = Fault {
            message: "there is no address to answer on".to_owned(),
            help:
                r#"add `listen = ["0.0.0.0:853"]` for DNS over TLS, or `https = ["0.0.0.0:443"]`"#
                    .to_owned(),
        };
        table.fault(table.span(), "listen", fault);
    }
    let mut file = |table: &mut Reader<'_>, key, example, what, remedy| -> Option<PathBuf> {
        let file = table.require(key, example, path)?;
        let place = file.span();
        let file = scope.folder.join(file.into_inner());
        let full = if key == "key" { "dns.tls.key" } else { "dns.tls.certificate" };
        let path = Spanned::new(place, file.clone());
        claims.files.push(File { path, key: full, what, remedy });
        Some(file)
    };
    let certificate = file(
        table,
        "certificate",
        r#""dns.pem""#,
        "the certificate",
        "put the certificate and those behind it there, in PEM, and let this user read it",
    );
    let key = file(
        table,
        "key",
        r#""dns.key""#,
        "the certificate's key",
        "put the certificate's private key there, in PEM, and let this user read it",
    );
    let limit = quantity(1..=65_536);
    let connections = table.get_or("connections", 1024, &limit);
    let per_client = table.get_or("per_client", 64.min(connections), &limit);
    if per_client > connections {
        let fault = Fault {
            message: format!("there are only {connections} connections in all"),
            help: "make `per_client` at most `connections`".to_owned(),
        };
        table.fault(table.span_of("per_client"), "per_client", fault);
    }
    // RFC 7828 section 3.1 counts tenths of a second in 16 bits.
    let idle = duration(Duration::from_secs(1)..=HOUR);
    let idle = table.get_or("idle", Duration::from_secs(30), idle);
    let tls = certificate.zip(key).map(|(certificate, key)| DnsTls {
        listen: plain(listen.clone()),
        https: plain(https.clone()),
        certificate,
        key,
        connections,
        per_client,
        idle,
    });
    Encrypted { listen, https, tls }
}
