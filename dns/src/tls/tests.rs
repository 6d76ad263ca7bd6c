use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use kingcdn_config::DnsTls;
use prometheus::{Registry, TextEncoder};

use super::*;
use crate::testing::certificate;

/// In the year 2030.
fn now() -> Timestamp {
    Timestamp::from_millis(1_900_000_000_000)
}

fn put(from: &DnsTls, to: &DnsTls) {
    for (from, to) in [(&from.certificate, &to.certificate), (&from.key, &to.key)] {
        // Under another name first, as renewals do: never half of it.
        let whole = to.with_extension("new");
        fs::copy(from, &whole).unwrap();
        fs::rename(&whole, to).unwrap();
    }
}

#[test]
fn what_can_be_wrong_with_a_certificate_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let good = certificate(folder.path(), "good", (2025, 2035));
    let other = certificate(folder.path(), "other", (2025, 2035));
    let old = certificate(folder.path(), "old", (2025, 2029));
    let early = certificate(folder.path(), "early", (2031, 2035));
    let file = |name: &str, text: &str, mode| {
        let file = folder.path().join(name);
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        file
    };
    let key = fs::read_to_string(&good.key).unwrap();
    let exposed = file("exposed.key", &key, 0o604);
    let empty = file("empty", "", 0o600);
    let long = file("long", &"x".repeat(300 << 10), 0o600);
    let no = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    let no = file("no", no, 0o600);
    let cut = file("cut", key.split_at(60).0, 0o600);
    let nowhere = folder.path().join("nowhere");
    let with = |certificate: &Path, key: &Path| DnsTls {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
        ..good.clone()
    };
    let read = |files: &DnsTls| match load(files) {
        Err(error) => error.to_string(),
        Ok(certificate) => match certificate.dates(now()) {
            Err(fault) => fault.to_string(),
            Ok(()) => "good".to_owned(),
        },
    };
    for (files, said) in [
        (good.clone(), "good"),
        (with(&good.certificate, &other.key), "isn't the key of the certificate"),
        (with(&nowhere, &good.key), "nowhere: can't be read: No such file"),
        (with(&good.certificate, &nowhere), "nowhere: can't be read: No such file"),
        (with(&empty, &good.key), "empty: has no certificate in PEM (`dns.tls.certificate`); put"),
        (with(&good.key, &good.key), "has no certificate in PEM"),
        (with(&good.certificate, &good.certificate), "can be read or written by others"),
        (with(&good.certificate, &exposed), "exposed.key: can be read or written by others"),
        (with(&good.certificate, &empty), "empty: has no private key in PEM (`dns.tls.key`)"),
        (with(&good.certificate, &cut), "cut: has no private key in PEM"),
        (with(&long, &good.key), "long: has more than 256 KiB"),
        (with(&no, &good.key), "no: isn't a certificate (`dns.tls.certificate`)"),
        (old, "has expired "),
        (early, "is valid in "),
    ] {
        let found = read(&files);
        assert!(found.contains(said), "{found}: {said}");
    }
}

#[test]
fn a_changed_certificate_is_taken_and_a_bad_one_isnt() {
    let folder = tempfile::tempdir().unwrap();
    let make = |name, years| certificate(folder.path(), name, years);
    let [used, newer] = [make("used", (2025, 2035)), make("newer", (2025, 2036))];
    let old = make("old", (2025, 2029));
    let registry = Registry::new();
    let metrics = Metrics::new(&registry).unwrap();
    let text = || TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    assert!(!text().contains("certificate_expiry_seconds"));
    let clock = Clock::manual(now());
    let tls = Tls::start(&used, &clock, &metrics).unwrap();
    let own = || tls.current.0.load().cert[0].clone();
    let (first, mut seen) = (own(), tls.look(None));
    let mut look = || {
        seen = tls.look(Some(&seen));
        own()
    };
    let counts = |accepted: u32, refused: u32, year: i64| {
        let text = text();
        let expiry = (year - 1970) * 31_556_952 / 1_000_000;
        for line in [
            format!("kingcdn_dns_certificate_reloads_total{{result=\"accepted\"}} {accepted}\n"),
            format!("kingcdn_dns_certificate_reloads_total{{result=\"refused\"}} {refused}\n"),
            format!("kingcdn_dns_certificate_expiry_seconds {expiry}"),
        ] {
            assert!(text.contains(&line), "no {line} in {text}");
        }
    };
    assert_eq!(look(), first);
    counts(0, 0, 2035);
    // Not before it has stayed the same for a while.
    put(&newer, &used);
    assert_eq!(look(), first);
    let second = look();
    assert_ne!(second, first);
    assert_eq!(look(), second);
    counts(1, 0, 2036);
    // An expired one, and the key of another.
    put(&old, &used);
    assert_eq!([look(), look(), look()], [second.clone(), second.clone(), second.clone()]);
    counts(1, 1, 2036);
    fs::copy(&newer.certificate, &used.certificate).unwrap();
    assert_eq!([look(), look()], [second.clone(), second.clone()]);
    counts(1, 2, 2036);
    // All is well again.
    put(&newer, &used);
    assert_eq!([look(), look()], [second.clone(), second]);
    counts(2, 2, 2036);
    // What is no worse than what is in force is taken.
    clock.advance(Duration::from_secs(10 * 31_556_952));
    put(&old, &used);
    look();
    assert_ne!(look(), own_of(&newer));
    counts(3, 2, 2029);
}

fn own_of(files: &DnsTls) -> rustls::pki_types::CertificateDer<'static> {
    load(files).unwrap().key.cert[0].clone()
}
