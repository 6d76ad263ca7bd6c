use std::path::Path;

use hickory_proto::rr::{Name, RecordType};

use super::*;
use crate::testing;

const NETCINEMA: &str = r#"
$TTL 1h
@            SOA  ns1 hostmaster.netcinema.test. ( 2026 ; serial
                  1d 2h 4w
                  5m )            ; minimum
             NS   ns1
             IN MX 10 @
             TXT  ( "v=spf1 -all; \"so\"" "second" )
ns1   7200   A    192.0.2.53
             AAAA 2001:db8::53
video        CNAME netcinema.kingcdn.test.
www          300 IN CNAME video
explicit     A    192.0.2.9
deep.empty.non.terminal TXT x
*.wild       A    192.0.2.77
*.wild       TXT  "any of them"
real.wild    TXT  "here"
*.alias      CNAME www
outside      CNAME www.example.org.
ring1        CNAME ring2
ring2        CNAME ring1
gone         CNAME nowhere
child        NS   ns.child
child        NS   ns.example.org.
ns.child     A    192.0.2.54
below.child  A    192.0.2.55
into         CNAME some.child
_sip._tcp    SRV  10 20 5060 sip_1
@            CAA  0 issue "ca.example; account=1"
svc          HTTPS 1 . alpn="h2,h3" port=8443
a\.dot       TXT  "\065\\"
old          DNAME netcinema.test.
away         DNAME example.org.
key          DS    12345 13 2 00112233 445566778899aabbccddeeff00112233445566778899aabbccddeeff
key          NS    ns1
loc          LOC   \# 16 00121613 89172dd0 70be15f0 00988d20
private      TYPE65280 \# 4 c0000201
plain        A     \# 4 c0000209
"#;

fn zones() -> Zones {
    let folder = tempfile::tempdir().unwrap();
    let config = testing::config(folder.path(), &[("netcinema.test", NETCINEMA)]);
    load(&config, config.cdn.as_ref().unwrap(), config.dns.as_ref().unwrap()).unwrap()
}

fn look(zones: &Zones, name: &str, rtype: RecordType) -> String {
    let key = Key::new(&Name::from_ascii(name).unwrap()).unwrap();
    let found = resolve(zones, &key, rtype);
    let aliases = found.aliases.iter().map(|alias| format!("{} ", alias.data));
    let zone = |zone: &Zone| zone.negative.name.to_string();
    let end = match found.end {
        End::Records(_, set) => {
            let data: Vec<String> = set.records.iter().map(|r| r.data.to_string()).collect();
            data.join(", ")
        }
        End::Steered(site, _) => format!("site {site}"),
        End::Anything => "anything".to_owned(),
        End::NoData(z) => format!("nodata {}", zone(z)),
        End::NoName(z) => format!("nxdomain {}", zone(z)),
        End::Referral(z, set) => format!("referral {} {}", zone(z), set.records.len()),
        End::TooLong(_) => "too long".to_owned(),
        End::Elsewhere => "elsewhere".to_owned(),
        End::NotOurs => "not ours".to_owned(),
    };
    aliases.chain([end]).collect()
}

#[test]
fn questions_lead_where_the_zones_say() {
    use RecordType as T;
    let zones = zones();
    let cases = [
        // The CDN's own zone.
        ("kingcdn.test.", T::NS, "ns1.kingcdn.test."),
        ("ns1.kingcdn.test.", T::A, "127.0.0.1"),
        ("ns1.kingcdn.test.", T::AAAA, "nodata kingcdn.test."),
        ("netcinema.kingcdn.test.", T::A, "site 0"),
        ("NetCinema.KingCDN.test.", T::AAAA, "site 0"),
        ("netcinema.kingcdn.test.", T::TXT, "nodata kingcdn.test."),
        ("netcinema.kingcdn.test.", T::HTTPS, "nodata kingcdn.test."),
        ("netcinema.kingcdn.test.", T::ANY, "anything"),
        ("kingcdn.test.", T::A, "nodata kingcdn.test."),
        ("nobody.kingcdn.test.", T::A, "nxdomain kingcdn.test."),
        ("x.netcinema.kingcdn.test.", T::A, "nxdomain kingcdn.test."),
        // Not ours.
        ("example.org.", T::A, "not ours"),
        ("test.", T::NS, "not ours"),
        (".", T::NS, "not ours"),
        // Aliases, into the steered name too.
        ("video.netcinema.test.", T::A, "netcinema.kingcdn.test. site 0"),
        ("www.netcinema.test.", T::A, "video.netcinema.test. netcinema.kingcdn.test. site 0"),
        ("www.netcinema.test.", T::CNAME, "video.netcinema.test."),
        ("www.netcinema.test.", T::ANY, "video.netcinema.test."),
        ("video.netcinema.test.", T::TXT, "netcinema.kingcdn.test. nodata kingcdn.test."),
        ("outside.netcinema.test.", T::A, "www.example.org. elsewhere"),
        ("ring1.netcinema.test.", T::A, "ring2.netcinema.test. ring1.netcinema.test. elsewhere"),
        ("gone.netcinema.test.", T::A, "nowhere.netcinema.test. nxdomain netcinema.test."),
        // Sites' hosts in a zone of ours: steered, at the apex too, unless the file has its own.
        ("netcinema.test.", T::A, "site 0"),
        ("netcinema.test.", T::MX, "10 netcinema.test."),
        ("netcinema.test.", T::TLSA, "nodata netcinema.test."),
        ("host.netcinema.test.", T::AAAA, "site 0"),
        ("explicit.netcinema.test.", T::A, "192.0.2.9"),
        ("explicit.netcinema.test.", T::AAAA, "nodata netcinema.test."),
        // Between names that have records.
        ("empty.non.terminal.netcinema.test.", T::A, "nodata netcinema.test."),
        ("non.terminal.netcinema.test.", T::ANY, "nodata netcinema.test."),
        ("no.terminal.netcinema.test.", T::A, "nxdomain netcinema.test."),
        // Wildcards (RFC 4592 section 2.2.1).
        ("a.wild.netcinema.test.", T::A, "192.0.2.77"),
        ("a.b.wild.netcinema.test.", T::A, "192.0.2.77"),
        ("a.wild.netcinema.test.", T::MX, "nodata netcinema.test."),
        ("*.wild.netcinema.test.", T::A, "192.0.2.77"),
        ("real.wild.netcinema.test.", T::A, "nodata netcinema.test."),
        ("x.real.wild.netcinema.test.", T::A, "nxdomain netcinema.test."),
        ("wild.netcinema.test.", T::A, "nodata netcinema.test."),
        (
            "x.alias.netcinema.test.",
            T::A,
            "www.netcinema.test. video.netcinema.test. netcinema.kingcdn.test. site 0",
        ),
        // Delegations.
        ("child.netcinema.test.", T::A, "referral netcinema.test. 2"),
        ("child.netcinema.test.", T::NS, "referral netcinema.test. 2"),
        ("child.netcinema.test.", T::DS, "nodata netcinema.test."),
        ("below.child.netcinema.test.", T::A, "referral netcinema.test. 2"),
        ("x.y.child.netcinema.test.", T::A, "referral netcinema.test. 2"),
        ("into.netcinema.test.", T::A, "some.child.netcinema.test. elsewhere"),
        // Names that are another's (RFC 6672), and the name itself, which is not.
        ("explicit.old.netcinema.test.", T::A, "explicit.netcinema.test. 192.0.2.9"),
        ("video.old.netcinema.test.", T::A, "video.netcinema.test. netcinema.kingcdn.test. site 0"),
        ("old.netcinema.test.", T::A, "nodata netcinema.test."),
        ("a.b.away.netcinema.test.", T::A, "a.b.example.org. elsewhere"),
        ("x.away.netcinema.test.", T::CNAME, "x.example.org. elsewhere"),
        ("key.netcinema.test.", T::A, "referral netcinema.test. 1"),
        // Data.
        ("netcinema.test.", T::TXT, "v=spf1 -all; \"so\"second"),
        ("a\\.dot.netcinema.test.", T::TXT, "A\\"),
        ("_sip._tcp.netcinema.test.", T::SRV, "10 20 5060 sip_1.netcinema.test."),
    ];
    for (name, rtype, expected) in cases {
        assert_eq!(look(&zones, name, rtype), expected, "{name} {rtype}");
    }
    assert!(look(&zones, "svc.netcinema.test.", T::HTTPS).contains("h2,h3"));
    assert!(look(&zones, "netcinema.test.", T::CAA).contains("ca.example; account=1"));
}

#[test]
fn times_to_live() {
    let zones = zones();
    let ttl = |name: &str, rtype| {
        let key = Key::new(&Name::from_ascii(name).unwrap()).unwrap();
        match resolve(&zones, &key, rtype).end {
            End::Records(_, set) => set.records[0].ttl,
            End::NoData(zone) | End::NoName(zone) => zone.negative.ttl,
            _ => unreachable!(),
        }
    };
    let cases = [
        ("netcinema.test.", RecordType::NS, 3600),
        ("ns1.netcinema.test.", RecordType::A, 7200),
        ("ns1.netcinema.test.", RecordType::AAAA, 3600),
        ("www.netcinema.test.", RecordType::CNAME, 300),
        // The lesser of the SOA record's own and its minimum.
        ("none.netcinema.test.", RecordType::A, 300),
        ("none.kingcdn.test.", RecordType::A, 60),
    ];
    for (name, rtype, expected) in cases {
        assert_eq!(ttl(name, rtype), expected, "{name}");
    }
}

#[test]
fn the_serial_follows_the_data() {
    let folder = tempfile::tempdir().unwrap();
    let serial = |change: &dyn Fn(&mut kingcdn_config::Config)| {
        let mut config = testing::config(folder.path(), &[]);
        change(&mut config);
        let zones = load(&config, config.cdn.as_ref().unwrap(), config.dns.as_ref().unwrap());
        let zones = zones.unwrap();
        let key = Key::new(&Name::from_ascii("kingcdn.test.").unwrap()).unwrap();
        match &zones.find(&key, RecordType::SOA).unwrap().negative.data {
            hickory_proto::rr::RData::SOA(soa) => soa.serial,
            _ => unreachable!(),
        }
    };
    let before = serial(&|_| ());
    assert_eq!(before, serial(&|_| ()));
    assert_ne!(before, serial(&|config| config.edges[0].addresses.clear()));
    assert_ne!(before, serial(&|config| config.sites.clear()));
}

#[test]
fn every_fault_has_its_line_and_remedy() {
    let head = "$TTL 60\n@ SOA ns1 h 1 1 1 1 1\n@ NS ns1\n";
    let cases = [
        ("d DNAME x.test.\nw.d A 192.0.2.1", "`w.d.x.test.` is below a name with a DNAME"),
        ("www DS 1 13 2 zz", ":4: bad DS record: `zz` isn't hexadecimal"),
        ("www TYPE65280 \\# 3 c000", ":4: bad Unknown record: it has 2 octets, not 3"),
        ("www TYPE65280 192.0.2.1", "isn't a record type that can be served"),
        ("www CNAME \\# 1 00", ":4: `CNAME` isn't a record type"),
        ("www TYPE47 \\# 1 00", ":4: `NSEC` isn't a record type"),
        ("www A \\# 3 c00002", ":4: bad A record"),
        ("www CAA 0 iss=e \"ca.example\"", ":4: bad CAA record"),
        ("www A 192.0.2", ":4: bad A record: `192.0.2` doesn't fit"),
        ("\n\nwww A", ":6: bad A record: 0 fields are too few or too many"),
        ("www A 192.0.2.1 2", ":4: bad A record: 2 fields"),
        ("www AAAAA ::1", ":4: `AAAAA` isn't a record type that can be served; remove"),
        ("www RRSIG x", ":4: `RRSIG` isn't a record type"),
        ("www CH TXT x", ":4: the class is CH; only IN"),
        ("www", ":4: the record has no type"),
        ("www 5x A 192.0.2.1", ":4: `5X` isn't a time to live; write seconds"),
        ("www 4294967295 A 192.0.2.1", ":4: `4294967295` isn't a time to live"),
        ("www.example.org. A 192.0.2.1", ":4: `www.example.org.` isn't in the zone"),
        ("www TXT \"open", ":4: `\"` is never closed"),
        ("www TXT ( a\nb\nc", ":4: `(` is never closed; add"),
        ("www TXT a )", ":4: `)` without `(`"),
        ("$GENERATE 1-2 a A 192.0.2.$", ":4: unknown directive `$GENERATE`"),
        ("$TTL", ":4: unknown directive"),
        ("@ SOA ns1 h 1 1 1 1 1", ":4: an SOA record beyond"),
        ("x SOA ns1 h 1 1 1 1 1", ":4: an SOA record beyond"),
        ("www CNAME a\nwww A 192.0.2.1", ":5: `www.x.test.` is an alias"),
        ("www A 192.0.2.1\nwww CNAME a", ":5: `www.x.test.` is an alias"),
        ("www CNAME a\nwww CNAME b", ":5: `www.x.test.` is an alias"),
        ("*.w NS ns1", ":4: NS records at a wildcard"),
        ("a..b A 192.0.2.1", ":4: `a..b` isn't a name: it has an empty label"),
        ("a\\999 A 192.0.2.1", ":4: `a\\999` isn't a name: `\\` with a number above"),
        ("$INCLUDE nothing.zone", "nothing.zone: can't be read"),
        ("$INCLUDE x.zone", ":4: includes files more than 8 deep"),
    ];
    let folder = tempfile::tempdir().unwrap();
    let long_label = format!("{} A 192.0.2.1", "a".repeat(64));
    let long_string = format!("www TXT {}", "a".repeat(256));
    let long = [
        (long_label.as_str(), "a label is too long"),
        (long_string.as_str(), ":4: bad TXT record"),
    ];
    for (text, expected) in cases.into_iter().chain(long) {
        let error = fault(folder.path(), &format!("{head}{text}\n"));
        assert!(error.contains(expected), "{text}: {error}");
        assert!(error.contains("; "), "{error} has no remedy");
    }
    let whole = [
        ("", "x.zone: the zone has no SOA record"),
        ("$TTL 1\n@ SOA ns1 h 1 1 1 1 1\n", "x.zone: the zone has no NS record"),
        ("@ SOA ns1 h 1 1 1 1 1\n", "x.zone:1: the record has no time to live"),
        (" A 192.0.2.1\n", "x.zone:1: the record has no owner"),
    ];
    for (text, expected) in whole {
        let error = fault(folder.path(), text);
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn included_files_have_lines_and_an_origin_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("more.inc"), "a A 192.0.2.1\n\nb A bad\n").unwrap();
    let text = "$TTL 60\n@ SOA ns1 h 1 1 1 1 1\n@ NS ns1\n$INCLUDE more.inc sub\n";
    let error = fault(folder.path(), text);
    assert!(error.contains("more.inc:3: bad A record"), "{error}");
    std::fs::write(folder.path().join("more.inc"), "a A 192.0.2.1\n").unwrap();
    let text = format!("{text}c A 192.0.2.2\n");
    let config = testing::config(folder.path(), &[("x.test", &text)]);
    let zones = load(&config, config.cdn.as_ref().unwrap(), config.dns.as_ref().unwrap()).unwrap();
    assert_eq!(look(&zones, "a.sub.x.test.", RecordType::A), "192.0.2.1");
    assert_eq!(look(&zones, "c.x.test.", RecordType::A), "192.0.2.2");
}

/// What is wrong with a zone file.
fn fault(folder: &Path, text: &str) -> String {
    let config = testing::config(folder, &[("x.test", text)]);
    let zones = load(&config, config.cdn.as_ref().unwrap(), config.dns.as_ref().unwrap());
    zones.unwrap_err().remove(0).to_string()
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in r#"([a-z@$.*\\"();0-9 \n\t]|A |TXT |SOA |CNAME |\$TTL ){0,60}"#) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.zone");
        std::fs::write(&file, text).unwrap();
        let _any = master::read(&file, &Name::from_ascii("x.test.").unwrap());
    }
}
