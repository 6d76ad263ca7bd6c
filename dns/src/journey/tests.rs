use hickory_proto::op::{Message, MessageType, OpCode};
use hickory_proto::rr::{DNSClass, RecordType};
use kingcdn_config::{AllDown, HealthCheck, SiteHttps};
use proptest::prelude::*;

use super::*;
use crate::health::CheckError;
use harness::{Ask, Server, query, subnet};

pub(crate) mod harness;
mod protocol;

#[test]
fn answers() {
    use RecordType as T;
    const SITE: &str = "netcinema.kingcdn.test.";
    const APEX: &str = "netcinema.test.";
    let server = Server::new(|_| ());
    let site = |rtype, client| subnet(SITE, rtype, client);
    let from = |from, ask| Ask { from, ..ask };
    let cases = [
        // Steered, by subnet or by resolver, with the true scope.
        (site(T::A, "10.1.2.0/24"), "NoError aa /16 | SITE A 127.0.0.12"),
        (site(T::A, "10.2.3.0/24"), "NoError aa /20 | SITE A 127.0.0.13"),
        (site(T::A, "10.9.9.0/24"), "NoError aa /13 | SITE A 127.0.0.11"),
        (site(T::A, "2001:db8:f:1::/56"), "NoError aa /48 | SITE A 127.0.0.12"),
        (query(SITE, T::A), "NoError aa | SITE A 127.0.0.11"),
        (from("10.1.9.9", query(SITE, T::A)), "NoError aa | SITE A 127.0.0.12"),
        (from("::ffff:10.1.9.9", query(SITE, T::A)), "NoError aa | SITE A 127.0.0.12"),
        // A client that doesn't want to be known: the resolver's place, and no scope.
        (from("10.1.9.9", site(T::A, "0.0.0.0/0")), "NoError aa /0 | SITE A 127.0.0.12"),
        // No edge has such an address.
        (site(T::AAAA, "10.1.2.0/24"), "NoError aa /0 |  | SOA 60"),
        (query(SITE, T::HTTPS), "NoError aa |  | SOA 60"),
        // The client's capitals.
        (
            query("NetCinema.KINGcdn.test.", T::A),
            "NoError aa | NetCinema.KINGcdn.test. A 127.0.0.11",
        ),
        (query("NS1.netcinema.TEST.", T::A), "NoError aa | NS1.netcinema.TEST. A 192.0.2.53"),
        // Aliases into the steered name, with its scope.
        (
            subnet("Video.netcinema.test.", T::A, "10.1.2.0/24"),
            "NoError aa /16 | Video.~ CNAME SITE, SITE A 127.0.0.12",
        ),
        (query("away.netcinema.test.", T::A), "NoError aa | away.~ CNAME www.example.org."),
        (query("gone.netcinema.test.", T::A), "NXDomain aa | gone.~ CNAME nobody.~ | SOA 60"),
        // At the apex, beside what the file has there.
        (query(APEX, T::A), "NoError aa | ~ A 127.0.0.11"),
        (query(APEX, T::MX), "NoError aa | ~ MX 10 mail.~"),
        // Static: nothing depends on the client.
        (
            subnet("x.any.netcinema.test.", T::A, "10.1.2.0/24"),
            "NoError aa /0 | x.any.~ A 192.0.2.7",
        ),
        (subnet("no.netcinema.test.", T::A, "10.1.2.0/24"), "NXDomain aa /0 |  | SOA 60"),
        (
            query(APEX, T::NS),
            "NoError aa | ~ NS ns1.~, ~ NS ns2.~ |  | ns1.~ A 192.0.2.53, ns2.~ A 192.0.2.54, \
             ns2.~ AAAA 2001:db8::54",
        ),
        (
            query("www.child.netcinema.test.", T::A),
            "NoError |  | child.~ NS ns.child.~ | ns.child.~ A 192.0.2.55",
        ),
        (query(SITE, T::ANY), "NoError aa | SITE HINFO RFC8482"),
        // What isn't for us.
        (query("example.org.", T::A), "Refused"),
        (subnet("example.org.", T::A, "10.1.2.0/24"), "Refused /0"),
        (query(APEX, T::AXFR), "Refused"),
        (query(APEX, T::IXFR), "Refused"),
        (class(DNSClass::CH, query("version.bind.", T::TXT)), "Refused"),
        (class(DNSClass::ANY, query(APEX, T::A)), "Refused"),
        (questions(0), "FormErr"),
        (questions(2), "FormErr"),
        (operation(OpCode::Status), "NotImp"),
        (operation(OpCode::Notify), "NotImp"),
        (operation(OpCode::Unknown(15)), "NotImp"),
        // BADVERS, which hickory reads as the other name of 16.
        (version(1), "BADSIG"),
    ];
    for (ask, expected) in cases {
        let reply = server.ask(&ask);
        assert_eq!(reply.summary(), expected, "{} {}", ask.name, ask.rtype);
        let message = &reply.message;
        let metadata = &message.metadata;
        assert_eq!((metadata.id, metadata.message_type), (4711, MessageType::Response));
        assert_eq!(metadata.op_code, ask.operation);
        assert!(metadata.recursion_desired && !metadata.recursion_available);
        // EDNS in answer to EDNS, and only then; version and payload are ours, DO is theirs.
        assert_eq!(message.edns.is_some(), ask.edns.is_some(), "{}", ask.name);
        if let Some(edns) = &message.edns {
            assert_eq!((edns.version(), edns.max_payload()), (0, 1232));
            assert!(edns.flags().dnssec_ok);
        }
        // The question as it came, to the octet.
        let question = 12..reply.octets.len().min(12 + 1 + ask.name.len() + 4);
        assert_eq!(reply.octets[question.clone()], ask.packet()[question.clone()]);
    }
}

fn class<'a>(class: DNSClass, ask: Ask<'a>) -> Ask<'a> {
    Ask { class, ..ask }
}

fn questions(questions: usize) -> Ask<'static> {
    Ask { questions, ..query("netcinema.test.", RecordType::A) }
}

fn operation(operation: OpCode) -> Ask<'static> {
    Ask { operation, ..query("netcinema.test.", RecordType::SOA) }
}

fn version(version: u8) -> Ask<'static> {
    Ask { edns: Some((1232, version, None)), ..query("netcinema.test.", RecordType::A) }
}

/// Who doesn't hear what resolvers tell of their clients places everybody by his resolver, and says
/// that it is the same for all of them; what is told wrongly is refused as ever.
#[test]
fn client_subnets_may_be_ignored() {
    const SITE: &str = "netcinema.kingcdn.test.";
    let by_resolver = "NoError aa /0 | SITE A 127.0.0.12";
    let cases = [
        (true, None, "NoError aa /20 | SITE A 127.0.0.13"),
        (false, None, by_resolver),
        (true, Some(false), by_resolver),
        (false, Some(true), "NoError aa /20 | SITE A 127.0.0.13"),
    ];
    for (all, one, expected) in cases {
        let server = Server::new(|config| {
            config.dns.as_mut().unwrap().client_subnet = all;
            config.sites[0].dns.client_subnet = one;
        });
        let ask = Ask { from: "10.1.9.9", ..subnet(SITE, RecordType::A, "10.2.3.0/24") };
        assert_eq!(server.ask(&ask).summary(), expected, "{all} {one:?}");
    }
}

/// A site's HTTPS record (RFC 9460) stands at its own name and its hosts, but not where the zone's
/// file has one.
#[test]
fn a_site_may_have_an_https_record() {
    let server = Server::new(|config| {
        let alpn = ["h2", "h3"].map(str::to_owned).to_vec();
        config.sites[0].dns.https = Some(SiteHttps { alpn, port: Some(8443) });
        config.sites[0].dns.ttl = Some(Duration::from_secs(77));
    });
    for name in ["netcinema.kingcdn.test.", "video.netcinema.test.", "netcinema.test."] {
        let reply = server.ask(&subnet(name, RecordType::HTTPS, "10.1.2.0/24"));
        let record = reply.message.answers.last().unwrap();
        assert_eq!(record.data.to_string(), "1 . alpn=h2,h3, port=8443", "{name}");
        assert_eq!(record.ttl, 77, "{name}");
        let scope = reply.summary();
        assert!(scope.starts_with("NoError aa /0 | "), "{name}: {scope}");
        // Addresses as ever.
        let steered = server.ask(&subnet(name, RecordType::A, "10.1.2.0/24")).summary();
        assert!(steered.ends_with("A 127.0.0.12"), "{name}: {steered}");
    }
}

#[test]
fn answers_are_cut_between_records() {
    let server = Server::new(|_| ());
    let big = |payload: Option<u16>, transport| Ask {
        edns: payload.map(|payload| (payload, 0, Some("10.1.2.0/24"))),
        transport,
        ..query("big.netcinema.test.", RecordType::TXT)
    };
    let cases = [
        (None, Transport::Udp, 512, 4),
        (Some(512), Transport::Udp, 512, 4),
        (Some(0), Transport::Udp, 512, 4),
        (Some(600), Transport::Udp, 600, 5),
        (Some(1232), Transport::Udp, 1232, 7),
        (Some(65535), Transport::Udp, 1232, 7),
        (None, Transport::Tcp, 65535, 7),
    ];
    for (payload, transport, limit, records) in cases {
        let reply = server.ask(&big(payload, transport));
        assert!(reply.octets.len() <= limit, "{} > {limit}", reply.octets.len());
        assert_eq!(reply.message.answers.len(), records, "{payload:?}");
        assert_eq!(reply.message.metadata.truncation, records < 7, "{payload:?}");
        // OPT stays, with the subnet in it.
        assert_eq!(reply.scope(), payload.map(|_| 0));
    }
}

#[test]
fn not_even_tcp_takes_everything() {
    let server = Server::new(|config| {
        let file = &config.dns.as_ref().unwrap().zones[0].file;
        let mut text = std::fs::read_to_string(file).unwrap();
        for n in 0..400 {
            text.push_str(&format!("huge TXT {n:0200}\n"));
        }
        std::fs::write(file, text).unwrap();
    });
    let reply = server.ask(&Ask {
        transport: Transport::Tcp,
        ..subnet("huge.netcinema.test.", RecordType::TXT, "10.1.2.0/24")
    });
    assert!(reply.message.metadata.truncation);
    assert_eq!(reply.scope(), Some(0));
    assert!(reply.octets.len() > 65_535 - 300, "{}", reply.octets.len());
}

#[test]
fn health_and_family_decide() {
    let server = Server::new(|config| {
        let dns = config.dns.as_mut().unwrap();
        dns.health.check = HealthCheck::Http;
        config.edges[1].addresses.push("2001:db8::12".parse().unwrap());
    });
    let world = server.journey.world.load_full();
    // Targets: seoul 0, frankfurt 1 and 2 (AAAA), ashburn 3.
    let observe = |target, times, result: Result<(), CheckError>| {
        (0..times).for_each(|_| world.monitor.observe(target, result));
    };
    let edge = |rtype, client| {
        let reply = server.ask(&subnet("netcinema.kingcdn.test.", rtype, client));
        let records = &reply.message.answers;
        records.iter().map(|r| r.data.to_string()).collect::<Vec<_>>().join(" ")
    };
    let (a, aaaa) = (RecordType::A, RecordType::AAAA);
    // Nothing is known: the nearest.
    assert_eq!(edge(a, "10.1.2.0/24"), "127.0.0.12");
    // One is known to be up: it, wherever it is.
    observe(3, 1, Ok(()));
    assert_eq!(edge(a, "10.1.2.0/24"), "127.0.0.13");
    observe(1, 1, Ok(()));
    assert_eq!(edge(a, "10.1.2.0/24"), "127.0.0.12");
    assert_eq!(edge(a, "10.9.0.0/24"), "127.0.0.12");
    // Only one has version 6.
    assert_eq!(edge(aaaa, "10.9.0.0/24"), "2001:db8::12");
    observe(1, 3, Err(CheckError::Timeout));
    assert_eq!(edge(a, "10.1.2.0/24"), "127.0.0.13");
    // All down: each its nearest, as if they were up.
    observe(3, 3, Err(CheckError::Timeout));
    observe(0, 3, Err(CheckError::Timeout));
    observe(2, 3, Err(CheckError::Timeout));
    assert_eq!(edge(a, "10.1.2.0/24"), "127.0.0.12");
    assert_eq!(edge(aaaa, "10.9.0.0/24"), "2001:db8::12");
    let text = prometheus::TextEncoder::new().encode_to_string(&server.registry.gather()).unwrap();
    for line in [
        r#"kingcdn_dns_queries_total{rcode="NOERROR",transport="udp",type="A"} 6"#,
        r#"kingcdn_dns_answers_total{edge="frankfurt",site="netcinema"} 6"#,
        r#"kingcdn_dns_decisions_total{by="network"} 4"#,
        r#"kingcdn_dns_decisions_total{by="all-down"} 2"#,
        "kingcdn_dns_ecs_queries_total 8",
        "kingcdn_dns_query_seconds_count 8",
        r#"kingcdn_edge_up{edge="seoul"} 0"#,
        "kingcdn_dns_zones 2",
    ] {
        assert!(text.contains(line), "{line} isn't in\n{text}");
    }
}

#[test]
fn all_down_may_mean_failure() {
    let server = Server::new(|config| {
        let dns = config.dns.as_mut().unwrap();
        dns.health.check = HealthCheck::Http;
        dns.health.all_down = AllDown::Fail;
    });
    let world = server.journey.world.load_full();
    for target in 0..3 {
        (0..3).for_each(|_| world.monitor.observe(target, Err(CheckError::Timeout)));
    }
    let reply = server.ask(&subnet("video.netcinema.test.", RecordType::A, "10.1.2.0/24"));
    assert_eq!(reply.summary(), "ServFail /0");
}

proptest! {
    /// Whatever comes, over UDP nothing large goes out in return: without EDNS never more than 512
    /// octets, and never more than 1232.
    #[test]
    fn hostile_packets_gain_nothing(
        start in 0_usize..3,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        tail in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        thread_local! {
            static SERVER: Server = Server::new(|_| ());
        }
        let mut packet = match start {
            0 => subnet("video.netcinema.test.", RecordType::A, "10.1.2.0/24").packet(),
            1 => {
                let big = query("big.netcinema.test.", RecordType::TXT);
                Ask { edns: Some((65535, 0, None)), ..big }.packet()
            }
            _ => Vec::new(),
        };
        for (index, octet) in changes {
            if !packet.is_empty() {
                *index.get_mut(&mut packet) = octet;
            }
        }
        packet.extend(tail);
        let reply = SERVER.with(|server| server.octets(&packet, Transport::Udp, "192.0.2.1"));
        if let Some(reply) = reply {
            let edns = decode(&packet, &mut Key::root()).unwrap().edns;
            prop_assert!(reply.len() <= edns.map_or(512, |edns| usize::from(edns.payload)));
            prop_assert!(Message::from_vec(&reply).is_ok());
        }
    }
}
