use std::net::IpAddr;

use proptest::prelude::*;

use super::edns::{self, read};
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
        (&[0, 10, 0, 2, 1, 2], Ok(None)),
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
        let (edns, fault) = read(&packet(1232, 0, options)).unwrap().unwrap();
        let read = match fault {
            Some(refusal) => Err(refusal),
            None => Ok(edns.subnet.map(|subnet| (subnet.address, subnet.source))),
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
        let (edns, _) = read(&packet(1232, 0, &subnet(data))).unwrap().unwrap();
        let mut expected = data.to_vec();
        expected[3] = 17;
        assert_eq!(edns.subnet.unwrap().echo(17), expected);
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
        let expected = edns::Edns { payload, dnssec_ok, subnet: None };
        assert_eq!(read(&packet(class, ttl, &[])), Ok(Some((expected, fault))));
    }
}

#[test]
fn an_opt_record_belongs_to_the_root() {
    let mut with_owner = packet(1232, 0, &[]);
    with_owner.splice(19..20, [1, b'a', 0]);
    assert_eq!(read(&with_owner), Err(Refusal::Edns));
    let mut pointing = packet(1232, 0, &[]);
    pointing.splice(19..20, [0xc0, 12]);
    assert_eq!(read(&pointing), Err(Refusal::Edns));
    let mut without = packet(1232, 0, &[]);
    without.truncate(19);
    without[11] = 0;
    assert_eq!(read(&without), Ok(None));
}

proptest! {
    #[test]
    fn no_packet_makes_the_reader_panic(octets in prop::collection::vec(any::<u8>(), 0..100)) {
        let _any = read(&octets);
        let _any = read(&packet(1232, 0, &octets));
    }
}
