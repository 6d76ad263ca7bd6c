//! Signed zones, validated by delv and unbound with a trust anchor of their own. Needs the Debian
//! packages `bind9-dnsutils` and `unbound`.
#![allow(clippy::unwrap_used)] // Helpers of tests, where clippy looks only at tests themselves.

mod common;

use std::path::Path;
use std::time::Duration;

use common::{run, server, unbound};
use kingcdn_config::Config;
use kingcdn_config::clock::Stopwatch;
use kingcdn_dns::keys;

const ZONE: &str = "\
$TTL 300
@        SOA ns1 hostmaster 1 1d 2h 4w 60
@        NS  ns1
@        MX  10 Mail
@        MX  20 Mail.Example.
@        TXT \"two\" \"strings\"
@        CAA 0 issue \"ca.example\"
ns1      A   127.0.0.1
www      A   192.0.2.2
www      A   192.0.2.1
video    CNAME netcinema.kingcdn.test.
away     CNAME www
gone     CNAME nobody
*.any    A   192.0.2.7
a.b.c    SRV 1 2 3 WWW
svc      HTTPS 1 . alpn=h3
child    NS  ns.child
safe     NS  ns.child
safe     DS  12345 13 2 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff
glued    NS  glued
glued    A   192.0.2.56
old      DNAME netcinema.test.
private  TYPE65280 \\# 4 c0000201
ns.child A   192.0.2.55
";
const ZONES: [&str; 2] = ["kingcdn.test", "netcinema.test"];

/// Has both zones signed, with a key each.
fn signed(config: &mut Config, folder: &Path) {
    for zone in ZONES {
        keys::make(zone, folder).unwrap();
    }
    let dns = config.dns.as_mut().unwrap();
    dns.protocol.dnssec_keys = Some(folder.to_owned());
    std::fs::write(&dns.zones[0].file, ZONE).unwrap();
}

/// What delv prints, with the zone's keys in `folder` as the only anchor.
async fn delv(server: &common::Server, folder: &Path, zone: &str, arguments: &str) -> String {
    let anchors = folder.join("anchors");
    let mut text = "trust-anchors {\n".to_owned();
    for zone in ZONES {
        for key in keys::of_zone(zone, folder).unwrap() {
            let ds = key.ds(zone);
            let data: Vec<&str> = ds.split(' ').collect();
            let [owner, .., tag, algorithm, kind, digest] = data[..] else { panic!("{ds}") };
            text.push_str(&format!("{owner} static-ds {tag} {algorithm} {kind} \"{digest}\";\n"));
        }
    }
    text.push_str("};\n");
    std::fs::write(&anchors, text).unwrap();
    let arguments = format!("-a {} +root={zone} {arguments}", anchors.display());
    run("delv", server.address, &arguments).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delv_validates_every_kind_of_answer() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(|config| signed(config, folder.path())).await;
    const YES: &str = "; fully validated";
    const NO: &str = "; negative response, fully validated";
    let cases = [
        ("kingcdn.test", "netcinema.kingcdn.test A", YES, "127.0.0.11"),
        ("kingcdn.test", "netcinema.kingcdn.test AAAA", NO, ""),
        ("kingcdn.test", "netcinema.kingcdn.test TXT", NO, ""),
        ("kingcdn.test", "nobody.kingcdn.test A", NO, ""),
        ("kingcdn.test", "kingcdn.test SOA", YES, "ns1.kingcdn.test."),
        ("kingcdn.test", "kingcdn.test NS", YES, "ns1.kingcdn.test."),
        ("kingcdn.test", "kingcdn.test DNSKEY", YES, "257 3 13"),
        ("kingcdn.test", "kingcdn.test CDS", YES, " 13 2 "),
        ("kingcdn.test", "kingcdn.test CDNSKEY", YES, "257 3 13"),
        ("kingcdn.test", "kingcdn.test A", NO, ""),
        ("netcinema.test", "netcinema.test MX", YES, "10 mail.netcinema.test."),
        ("netcinema.test", "netcinema.test TXT", YES, "\"two\" \"strings\""),
        ("netcinema.test", "netcinema.test CAA", YES, "ca.example"),
        ("netcinema.test", "netcinema.test A", YES, "127.0.0.11"),
        ("netcinema.test", "WWW.netcinema.test A", YES, "192.0.2.2"),
        ("netcinema.test", "away.netcinema.test A", YES, "192.0.2.1"),
        ("netcinema.test", "gone.netcinema.test A", YES, "nobody.netcinema.test. 60 in \\-a"),
        ("netcinema.test", "x.y.any.netcinema.test A", YES, "192.0.2.7"),
        ("netcinema.test", "x.any.netcinema.test AAAA", NO, ""),
        ("netcinema.test", "*.any.netcinema.test A", YES, "192.0.2.7"),
        ("netcinema.test", "any.netcinema.test A", NO, ""),
        ("netcinema.test", "b.c.netcinema.test A", NO, ""),
        ("netcinema.test", "a.b.c.netcinema.test SRV", YES, "1 2 3 www"),
        ("netcinema.test", "svc.netcinema.test HTTPS", YES, "alpn=\"h3\""),
        ("netcinema.test", "child.netcinema.test DS", NO, ""),
        ("netcinema.test", "safe.netcinema.test DS", YES, "12345 13 2"),
        ("netcinema.test", "glued.netcinema.test DS", NO, "glued.netcinema.test. ns rrsig nsec"),
        ("netcinema.test", "www.netcinema.test NSEC", YES, "www.netcinema.test. a rrsig nsec"),
        ("netcinema.test", "nobody.netcinema.test NSEC", YES, "rrsig nsec nxname"),
        ("netcinema.test", "c.netcinema.test NSEC", YES, "c.netcinema.test. rrsig nsec"),
        ("netcinema.test", "www.old.netcinema.test A", YES, "dname netcinema.test."),
        ("netcinema.test", "private.netcinema.test TYPE65280", YES, "c0000201"),
        ("netcinema.test", "netcinema.test ANY", YES, "RFC8482"),
    ];
    for (zone, asked, verdict, text) in cases {
        let printed = delv(&server, folder.path(), zone, &format!("+nomtrace {asked}")).await;
        // Older ones don't know NXNAME by name (RFC 9824 section 3.4).
        let lower = printed.to_lowercase().replace('\t', " ").replace("type128", "nxname");
        assert!(printed.contains(verdict), "{asked}: no `{verdict}` in\n{printed}");
        assert!(lower.contains(&text.to_lowercase()), "{asked}: no `{text}` in\n{printed}");
    }
    // An anchor that isn't ours finds nothing to hold on to.
    let other = tempfile::tempdir().unwrap();
    for zone in ZONES {
        keys::make(zone, other.path()).unwrap();
    }
    let printed = delv(&server, other.path(), "kingcdn.test", "netcinema.kingcdn.test A").await;
    assert!(!printed.contains("fully validated"), "{printed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_roll_over_without_an_outage() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(|config| signed(config, folder.path())).await;
    let old = keys::of_zone("kingcdn.test", folder.path()).unwrap().remove(0);
    let validated = async |anchors: &Path| {
        let name = "netcinema.kingcdn.test A";
        delv(&server, anchors, "kingcdn.test", name).await.contains("; fully validated")
    };
    // Who knows the old key, and who knows the new one: each finds what he can follow.
    let (before, after) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let copy = |key: &keys::Key, to: &Path| {
        std::fs::copy(&key.file, to.join(key.file.file_name().unwrap())).unwrap();
    };
    copy(&old, before.path());
    let new = keys::make("kingcdn.test", folder.path()).unwrap();
    copy(&new, after.path());
    assert!(validated(before.path()).await && !validated(after.path()).await);
    server.dns.reload(&server.config).unwrap();
    assert!(validated(before.path()).await && validated(after.path()).await);
    let cds = run("dig", server.address, "kingcdn.test CDS +short").await;
    assert_eq!(cds.lines().count(), 2, "{cds}");
    std::fs::remove_file(&old.file).unwrap();
    server.dns.reload(&server.config).unwrap();
    assert!(!validated(before.path()).await && validated(after.path()).await);
    // A key that everybody can read isn't used, and nothing changes.
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(&new.file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let error = server.dns.reload(&server.config).unwrap_err().to_string();
    assert!(error.contains("others can read or write it; `chmod 600` it"), "{error}");
    assert!(validated(after.path()).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_validating_resolver_says_that_all_is_authentic() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(|config| signed(config, folder.path())).await;
    let anchor = |zone| keys::of_zone(zone, folder.path()).unwrap().remove(0).ds(zone);
    let anchors = ZONES.map(anchor);
    let (_unbound, resolver) = unbound(server.folder.path(), server.address, &anchors);
    let waited = Stopwatch::start();
    let ready = "ns1.netcinema.test A +short +tries=1 +time=1";
    while run("dig", resolver, ready).await.trim() != "127.0.0.1" {
        assert!(waited.elapsed() < Duration::from_secs(20), "unbound doesn't answer");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for (asked, text) in [
        ("video.netcinema.test A +subnet=10.1.2.0/24", "A\t127.0.0.12"),
        ("video.netcinema.test A +subnet=10.2.3.0/24", "A\t127.0.0.13"),
        ("netcinema.kingcdn.test AAAA", "ANSWER: 0"),
        ("nobody.kingcdn.test A", "ANSWER: 0"),
        ("deep.any.netcinema.test A", "A\t192.0.2.7"),
        ("b.c.netcinema.test TXT", "ANSWER: 0"),
        ("netcinema.test MX", "MX\t10 mail.netcinema.test."),
    ] {
        let printed = run("dig", resolver, &format!("+dnssec +nocookie {asked}")).await;
        let flags = printed.lines().find(|line| line.contains("flags: qr")).unwrap_or_default();
        assert!(flags.contains(" ad;"), "{asked}: {printed}");
        assert!(printed.to_lowercase().contains(&text.to_lowercase()), "{asked}: {printed}");
    }
    // A child that is delegated without a key is beyond what is signed, and known to be.
    let printed = run("dig", resolver, "child.netcinema.test DS +dnssec").await;
    assert!(printed.contains("status: NOERROR") && printed.contains(" ad;"), "{printed}");
}
