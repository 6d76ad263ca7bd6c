//! What is said of and by whoever asks, whatever he asks for.

use hickory_proto::rr::{DNSClass, RecordType};
use kingcdn_config::Identity;
use kingcdn_config::clock::Timestamp;

use super::class;
use super::harness::{Ask, Server, query, subnet};
use crate::cookies::{Cookies, Sent};
use crate::record::Transport;

/// What the answer's OPT says beside the payload: RFC 7873, 7828 and 8914.
#[test]
fn options_are_answered() {
    const SITE: &str = "netcinema.kingcdn.test.";
    let server = Server::new(|config| {
        let protocol = &mut config.dns.as_mut().unwrap().protocol;
        protocol.identity = Some(Identity::Text("ns1".to_owned()));
    });
    let ask = |name, options: &[u8], transport| {
        let mut packet = Ask { edns: Some((1232, 0, None)), ..query(name, RecordType::A) }.packet();
        let at = packet.len() - 1;
        packet[at] = u8::try_from(options.len()).unwrap();
        packet.extend(options);
        server.octets(&packet, transport, "198.51.100.100").unwrap()
    };
    let cookie = |length: u8| [&[0, 10, 0, length][..], &vec![7; length.into()]].concat();
    let (udp, tcp) = (Transport::Udp, Transport::Tcp);
    let ours = Cookies::new(*b"a secret of ours");
    let sent = Sent { client: [7; 8], server: None };
    let (ours, _) = ours.answer(sent, Timestamp::default(), "198.51.100.100".parse().unwrap());
    let whole = [&[0, 10, 0, 24][..], &ours].concat();
    let keepalive = [0, 11, 0, 0];
    type Case<'a> = (&'a str, Vec<u8>, Transport, u8, &'a [u8]);
    let cases: [Case<'_>; 17] = [
        // What it calls itself (RFC 5001), with whatever else.
        (SITE, vec![0, 3, 0, 0], udp, 0, &[0, 3, 0, 3, b'n', b's', b'1']),
        ("x.any.netcinema.test.", vec![0, 3, 0, 0], tcp, 0, &[0, 3, 0, 3, b'n', b's', b'1']),
        (
            SITE,
            [vec![0, 3, 0, 0], cookie(8)].concat(),
            udp,
            0,
            &[&whole[..], &[0, 3, 0, 3, b'n', b's', b'1']].concat(),
        ),
        // Made ahead and on demand; to a client that has no cookie of ours yet, or an old one.
        (SITE, cookie(8), udp, 0, &whole),
        (SITE, cookie(24), udp, 0, &whole),
        (SITE, cookie(40), tcp, 0, &whole),
        ("x.any.netcinema.test.", cookie(8), udp, 0, &whole),
        // The first of two.
        (SITE, [cookie(8), vec![0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8]].concat(), udp, 0, &whole),
        // RFC 7873 section 5.2.2.
        (SITE, cookie(7), udp, 1, &[]),
        (SITE, cookie(15), udp, 1, &[]),
        (SITE, cookie(41), udp, 1, &[]),
        (SITE, keepalive.to_vec(), tcp, 0, &[0, 11, 0, 2, 0, 100]),
        (SITE, keepalive.to_vec(), Transport::Tls, 0, &[0, 11, 0, 2, 0, 100]),
        (SITE, keepalive.to_vec(), udp, 0, &[]),
        // HTTP has its own word for it.
        (SITE, keepalive.to_vec(), Transport::Https, 0, &[]),
        ("example.org.", vec![], udp, 5, &[0, 15, 0, 2, 0, 20]),
        (SITE, vec![0, 200, 0, 1, 1], udp, 0, &[]),
    ];
    for (name, options, transport, code, expected) in cases {
        let answer = ask(name, &options, transport);
        assert_eq!(answer[3] & 15, code, "{options:?}");
        // OPT is the last record: its length, and its options.
        let (head, end) = answer.split_at(answer.len() - expected.len());
        assert_eq!(end, expected, "{options:?}");
        assert_eq!(usize::from(head[head.len() - 1]), expected.len(), "{options:?}");
    }
    // Without EDNS, nothing of it.
    let plain = query("example.org.", RecordType::A).packet();
    assert_eq!(server.octets(&plain, udp, "192.0.2.1").unwrap().len(), plain.len());
}

/// RFC 8467 section 4.1: a multiple of 468 octets, to those who ask where nobody else reads.
#[test]
fn padding_is_answered() {
    let server = Server::new(|_| ());
    let lengths = |options: &[u8], transport| {
        let names = ["netcinema.kingcdn.test.", "nobody.netcinema.test.", "big.netcinema.test."];
        names.map(|name| {
            let edns = Some((1232, 0, Some("10.1.2.0/24")));
            let mut packet = Ask { edns, ..query(name, RecordType::TXT) }.packet();
            // Behind the client subnet.
            let at = packet.len() - 11 - 1;
            packet[at] += u8::try_from(options.len()).unwrap();
            packet.extend(options);
            let answer = server.octets(&packet, transport, "192.0.2.1").unwrap();
            hickory_proto::op::Message::from_vec(&answer).unwrap();
            answer.len()
        })
    };
    let padding = [0, 12, 0, 5, 0, 0, 0, 0, 0];
    assert_eq!(lengths(&padding, Transport::Tls), [468, 468, 936]);
    assert_eq!(lengths(&padding, Transport::Https), [468, 468, 936]);
    for (options, transport) in [
        (&padding[..], Transport::Tcp),
        (&padding, Transport::Udp),
        (&[], Transport::Tls),
        (&[], Transport::Https),
    ] {
        assert!(lengths(options, transport).iter().all(|length| length % 468 != 0));
    }
}

/// Of many connections with one query each as many are logged as of one with many.
#[test]
fn one_in_so_many_queries_is_logged() {
    let server = Server::new(|config| config.dns.as_mut().unwrap().protocol.log_one_in = 3);
    let packet = subnet("netcinema.kingcdn.test.", RecordType::A, "10.1.2.0/24").packet();
    let log = crate::testing::Log::default();
    tracing::subscriber::with_default(log.clone(), || {
        for _ in 0..30 {
            server.octets(&packet, Transport::Tls, "192.0.2.1").unwrap();
        }
        let (mut tally, mut out) = (server.journey.tally(), Vec::new());
        for _ in 0..30 {
            let mut turn = server.journey.turn(Transport::Udp, &mut tally);
            turn.answer(&packet, "192.0.2.1".parse().unwrap(), &mut out);
            turn.end(std::time::Duration::ZERO);
        }
    });
    let lines = log.lines();
    assert_eq!(lines.len(), 20);
    for field in [
        "resolver=192.0.2.1 transport=\"tls\" name=netcinema.kingcdn.test. rtype=A",
        "subnet=10.1.2.0/24 rcode=\"NOERROR\" edge=\"frankfurt\" by=\"network\" scope=16 truncated=false",
    ] {
        assert!(lines[0].contains(field), "no {field} in {}", lines[0]);
    }
}

/// What it says of itself, to those who may know.
#[test]
fn class_chaos() {
    let silent = Server::new(|_| ());
    let open = Server::new(|config| {
        let protocol = &mut config.dns.as_mut().unwrap().protocol;
        protocol.identity = Some(Identity::Text("seoul".to_owned()));
        protocol.version = true;
    });
    let version = concat!("version.bind. TXT KingCDN ", env!("CARGO_PKG_VERSION"));
    for (name, rtype, told) in [
        ("version.bind.", RecordType::TXT, Some(version)),
        ("id.server.", RecordType::TXT, Some("id.server. TXT seoul")),
        ("HostName.Bind.", RecordType::ANY, Some("HostName.Bind. TXT seoul")),
        ("id.server.", RecordType::A, None),
        ("authors.bind.", RecordType::TXT, None),
        // Our own names aren't of this class.
        ("netcinema.kingcdn.test.", RecordType::A, None),
    ] {
        let told = told.map_or("Refused".to_owned(), |told| format!("NoError aa | {told}"));
        let ask = || class(DNSClass::CH, query(name, rtype));
        assert_eq!(open.ask(&ask()).summary(), told, "{name}");
        assert_eq!(silent.ask(&ask()).summary(), "Refused", "{name}");
    }
}

/// RFC 7873 section 5.4: a client may ask for a cookie and nothing else.
#[test]
fn a_cookie_needs_no_question() {
    let server = Server::new(|_| ());
    let ask = |options: &[u8]| {
        let mut packet = vec![0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 41, 4, 208, 0, 0, 0, 0];
        packet.extend(u16::try_from(options.len()).unwrap().to_be_bytes());
        packet.extend(options);
        server.octets(&packet, Transport::Udp, "192.0.2.1").unwrap()
    };
    let with = ask(&[0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!((with[3] & 15, with[5], with.len()), (0, 0, 12 + 11 + 28));
    assert_eq!(ask(&[])[3] & 15, 1);
}

/// Past the rate: a client with our cookie and one over TCP are answered as ever, one that can send
/// cookies gets its own, others are told to come over TCP or hear nothing.
#[test]
fn nobody_who_proves_his_address_is_limited() {
    let server = Server::new(|config| {
        config.dns.as_mut().unwrap().protocol.limits.rate = 10;
    });
    let name = "netcinema.kingcdn.test.";
    let plain = query(name, RecordType::A).packet();
    let with = |cookie: &[u8]| {
        let ask = Ask { edns: Some((1232, 0, None)), ..query(name, RecordType::A) };
        let mut packet = ask.packet();
        let at = packet.len() - 1;
        packet[at] = u8::try_from(4 + cookie.len()).unwrap();
        packet.extend([0, 10, 0, u8::try_from(cookie.len()).unwrap()]);
        packet.extend(cookie);
        packet
    };
    let udp = |packet: &[u8], from| server.octets(packet, Transport::Udp, from);
    let answered = (0..10).filter(|_| udp(&plain, "192.0.2.1").unwrap()[7] == 1).count();
    assert_eq!(answered, 10);
    // The whole network, and no other.
    let later: Vec<_> = (0..10).map(|_| udp(&plain, "192.0.2.99")).collect();
    let slipped: Vec<_> = later.iter().flatten().collect();
    assert_eq!(slipped.len(), 5);
    for answer in slipped {
        // TC, no records, no longer than the query.
        assert_eq!(
            (answer[2] & 2, answer[3] & 15, answer[7], answer.len()),
            (2, 0, 0, plain.len())
        );
    }
    assert_eq!(udp(&plain, "192.0.3.1").unwrap()[7], 1);
    // BADCOOKIE: 23, of which OPT has the high bits.
    let refused = udp(&with(&[7; 8]), "192.0.2.1").unwrap();
    assert_eq!((refused[3] & 15, refused[7]), (7, 0));
    let cookie = &refused[refused.len() - 24..];
    assert_eq!(refused[refused.len() - 28 - 11 + 5], 1);
    for _ in 0..100 {
        assert_eq!(udp(&with(cookie), "192.0.2.1").unwrap()[7], 1);
        assert_eq!(server.octets(&plain, Transport::Tcp, "192.0.2.1").unwrap()[7], 1);
    }
    // Somebody else's cookie proves nothing.
    assert_eq!(udp(&with(cookie), "192.0.2.2").unwrap()[7], 0);
    let text = prometheus::TextEncoder::new().encode_to_string(&server.registry.gather()).unwrap();
    for line in [
        r#"kingcdn_dns_limited_total{action="badcookie"} 2"#,
        r#"kingcdn_dns_limited_total{action="slipped"} 5"#,
        r#"kingcdn_dns_limited_total{action="dropped"} 5"#,
        r#"kingcdn_dns_queries_total{rcode="BADCOOKIE",transport="udp",type="A"} 2"#,
    ] {
        assert!(text.contains(line), "{line} isn't in\n{text}");
    }
}
