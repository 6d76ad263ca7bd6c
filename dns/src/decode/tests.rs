use std::net::IpAddr;

use hickory_proto::op::Message;
use proptest::prelude::*;

use super::*;

/// A query for `a.` with these options in its OPT record.
fn packet(class: u16, ttl: u32, options: &[u8]) -> Vec<u8> {
    let mut packet = vec![0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 1, b'a', 0, 0, 1, 0, 1];
    packet.extend([0, 0, 41]);
    packet.extend(class.to_be_bytes());
    packet.extend(ttl.to_be_bytes());
    packet.extend(u16::try_from(options.len()).unwrap().to_be_bytes());
    packet.extend(options);
    packet
}

/// What the packet says of EDNS, and why it is refused.
fn read(packet: &[u8]) -> (Option<Edns>, Option<Refusal>) {
    let mut key = Key::root();
    let query = decode(packet, &mut key).unwrap();
    (query.edns, query.question.err())
}

fn subnet(data: &[u8]) -> Vec<u8> {
    let length = u8::try_from(data.len()).unwrap();
    [&[0, 8, 0, length], data].concat()
}

#[test]
fn client_subnets_are_read_strictly() {
    use Refusal::*;
    type Expected = Result<Option<(&'static str, u8)>, Refusal>;
    let cases: &[(&[u8], Expected)] = &[
        (&subnet(&[0, 1, 24, 0, 192, 0, 2]), Ok(Some(("192.0.2.0", 24)))),
        (&subnet(&[0, 1, 0, 0]), Ok(Some(("0.0.0.0", 0)))),
        (&subnet(&[0, 2, 0, 0]), Ok(Some(("::", 0)))),
        (&subnet(&[0, 1, 32, 0, 192, 0, 2, 1]), Ok(Some(("192.0.2.1", 32)))),
        (&subnet(&[0, 1, 20, 0, 10, 0, 0xf0]), Ok(Some(("10.0.240.0", 20)))),
        (&subnet(&[0, 2, 32, 0, 0x20, 1, 0xd, 0xb8]), Ok(Some(("2001:db8::", 32)))),
        // Other options are none of our business.
        (&[0, 12, 0, 2, 1, 2], Ok(None)),
        (&[], Ok(None)),
        // Bits beyond the prefix.
        (&subnet(&[0, 1, 23, 0, 192, 0, 3]), Err(SubnetBits)),
        (&subnet(&[0, 1, 20, 0, 10, 0, 0xf8]), Err(SubnetBits)),
        (&subnet(&[0, 2, 33, 0, 0x20, 1, 0xd, 0xb8, 0x40]), Err(SubnetBits)),
        // Too long, too short, longer than the family's addresses.
        (&subnet(&[0, 1, 24, 0, 192, 0, 2, 0]), Err(SubnetLength)),
        (&subnet(&[0, 1, 24, 0, 192, 0]), Err(SubnetLength)),
        (&subnet(&[0, 1, 0, 0, 0]), Err(SubnetLength)),
        (&subnet(&[0, 1, 33, 0, 192, 0, 2, 1, 0]), Err(SubnetLength)),
        (&subnet(&[0, 1, 24]), Err(SubnetLength)),
        (&subnet(&[]), Err(SubnetLength)),
        (&subnet(&[0, 1, 24, 24, 192, 0, 2]), Err(SubnetScope)),
        (&subnet(&[0, 0, 0, 0]), Err(SubnetFamily)),
        (&subnet(&[0, 3, 8, 0, 10]), Err(SubnetFamily)),
        (&[subnet(&[0, 1, 8, 0, 10]), subnet(&[0, 1, 8, 0, 10])].concat(), Err(SubnetTwice)),
        // Options that don't end where they should.
        (&[0, 8, 0, 7, 0, 1, 24, 0, 192, 0], Err(Edns)),
        (&[0, 8, 0], Err(Edns)),
        (&[0], Err(Edns)),
    ];
    for (options, expected) in cases {
        let (edns, fault) = read(&packet(1232, 0, options));
        let read = match fault {
            Some(refusal) => Err(refusal),
            None => Ok(edns.unwrap().subnet.map(|subnet| (subnet.address, subnet.source))),
        };
        let parse = |(address, source): (&str, u8)| (address.parse::<IpAddr>().unwrap(), source);
        assert_eq!(read, expected.map(|subnet| subnet.map(parse)), "{options:x?}");
    }
}

#[test]
fn what_is_echoed_is_what_was_sent() {
    for data in [
        &[0, 1, 20, 0, 10, 0, 0xf0][..],
        &[0, 1, 0, 0],
        &[0, 2, 0, 0],
        &[0, 2, 56, 0, 0x20, 1, 0xd, 0xb8, 0, 0, 0xff],
    ] {
        let (edns, _) = read(&packet(1232, 0, &subnet(data)));
        let (mut expected, mut echo) = (subnet(data), Vec::new());
        // A client that wants not to be known gets no scope.
        expected[7] = if data[2] == 0 { 0 } else { 17 };
        edns.unwrap().subnet.unwrap().echo(17, &mut echo);
        assert_eq!(echo, expected);
    }
}

#[test]
fn payload_flags_and_version() {
    let cases = [
        (0, 0, 512, false, None),
        (511, 0, 512, false, None),
        (800, 0x8000, 800, true, None),
        (65535, 0x7fff, 1232, false, None),
        (4096, 1 << 16, 1232, false, Some(Refusal::EdnsVersion)),
    ];
    for (class, ttl, payload, dnssec_ok, fault) in cases {
        let expected = Edns {
            payload,
            dnssec_ok,
            compact_ok: ttl & 0x4000 != 0,
            subnet: None,
            cookie: None,
            nsid: false,
            keepalive: false,
            padding: false,
        };
        assert_eq!(read(&packet(class, ttl, &[])), (Some(expected), fault));
    }
}

#[test]
fn an_opt_record_is_one_and_belongs_to_the_root() {
    let mut with_owner = packet(1232, 0, &[]);
    with_owner.splice(19..20, [1, b'a', 0]);
    assert_eq!(read(&with_owner), (None, Some(Refusal::Edns)));
    let mut pointing = packet(1232, 0, &[]);
    pointing.splice(19..20, [0xc0, 12]);
    assert_eq!(read(&pointing), (None, Some(Refusal::Edns)));
    let mut two = packet(1232, 0, &[]);
    two.extend_from_within(19..);
    two[11] = 2;
    assert_eq!(read(&two), (None, Some(Refusal::Edns)));
    let mut without = packet(1232, 0, &[]);
    without.truncate(19);
    without[11] = 0;
    assert_eq!(read(&without), (None, None));
}

#[test]
fn what_is_no_query_is_told_apart() {
    use Refusal::*;
    let whole = packet(1232, 0, &[]);
    let with = |at: usize, octet: u8| {
        let mut packet = whole.clone();
        packet[at] = octet;
        packet
    };
    for length in 0..12 {
        assert_eq!(decode(&whole[..length], &mut Key::root()).err(), Some(Silence::Short));
    }
    assert_eq!(decode(&with(2, 0x80), &mut Key::root()).err(), Some(Silence::Response));
    // With how much of the question in the answer.
    let cases: &[(Vec<u8>, Refusal, usize)] = &[
        (whole[..12].to_vec(), Malformed, 0),
        (whole[..18].to_vec(), Malformed, 0),
        (whole[..25].to_vec(), Malformed, 7),
        // A pointer, a kind of label that there isn't, a label beyond the end.
        (with(12, 0xc0), Malformed, 0),
        (with(12, 0x41), Malformed, 0),
        (with(12, 60), Malformed, 0),
        // More of what there isn't, of each section.
        (with(5, 0), Malformed, 0),
        (with(5, 2), Questions, 0),
        (with(4, 0xff), Questions, 0),
        (with(6, 0xff), Malformed, 7),
        (with(8, 0xff), Malformed, 7),
        (with(10, 0xff), Malformed, 7),
        (with(18, 4), Class, 7),
        (with(16, 252), Transfer, 7),
        (with(2, 0x20), Operation, 7),
        (with(2, 0x78), Operation, 7),
    ];
    for (packet, refusal, echoed) in cases {
        let mut key = Key::root();
        let query = decode(packet, &mut key).unwrap();
        assert_eq!(query.question.err(), Some(*refusal), "{packet:x?}");
        assert_eq!(query.octets, &packet[12..12 + echoed]);
    }
    // RFC 1035 section 2.3.4: 255 octets with the root.
    let long = |last: u8| {
        let mut packet = whole[..12].to_vec();
        packet[11] = 0;
        for length in [63, 63, 63, last] {
            packet.push(length);
            packet.extend(std::iter::repeat_n(b'x', usize::from(length)));
        }
        packet.extend([0, 0, 1, 0, 1]);
        packet
    };
    assert!(decode(&long(61), &mut Key::root()).unwrap().question.is_ok());
    assert_eq!(decode(&long(62), &mut Key::root()).unwrap().question.err(), Some(Malformed));
}

proptest! {
    /// Whatever hickory understands as well, we understand in the same way.
    #[test]
    fn no_packet_makes_the_reader_panic(
        octets in prop::collection::vec(any::<u8>(), 0..100),
        cut in 0_usize..120,
    ) {
        let with_options = packet(1232, 0, &octets);
        let cut = &with_options[..cut.min(with_options.len())];
        for packet in [&octets[..], &with_options, cut] {
            let mut key = Key::root();
            let Ok(query) = decode(packet, &mut key) else { continue };
            let Ok(question) = &query.question else { continue };
            prop_assert_eq!(question.key.whole(), &question.key.whole().to_ascii_lowercase()[..]);
            if let Ok(message) = Message::from_vec(packet) {
                prop_assert_eq!(&message.queries[0].name().to_lowercase(), &question.key.name());
                prop_assert_eq!(message.queries[0].query_type(), question.rtype);
                prop_assert_eq!(message.edns.is_some(), query.edns.is_some());
            }
        }
    }
}
