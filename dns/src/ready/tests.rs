//! What was made ahead is what would be made on demand.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use kingcdn_config::HealthCheck;
use proptest::prelude::*;

use crate::fuzzing::{both, same};
use crate::health::CheckError;
use crate::journey::tests::harness::Server;
use crate::name::Key;
use crate::record::Transport;

/// Names that stand there, that don't, that are wildcards', delegated, aliases, and not ours.
const NAMES: [&str; 24] = [
    "netcinema.kingcdn.test",
    "kingcdn.test",
    "ns1.kingcdn.test",
    "nobody.kingcdn.test",
    "very.deep.nobody.kingcdn.test",
    "below.netcinema.kingcdn.test",
    "netcinema.test",
    "video.netcinema.test",
    "away.netcinema.test",
    "gone.netcinema.test",
    "long.netcinema.test",
    "child.netcinema.test",
    "www.child.netcinema.test",
    "ns.child.netcinema.test",
    "x.any.netcinema.test",
    "any.netcinema.test",
    "*.any.netcinema.test",
    "a.b.any.netcinema.test",
    "big.netcinema.test",
    "host.netcinema.test",
    "ns1.netcinema.test",
    "example.org",
    "test",
    "",
];
/// A, NS, CNAME, SOA, MX, TXT, AAAA, OPT, DS, HTTPS, ANY, and some that nobody knows.
const TYPES: [u16; 15] = [1, 1, 28, 28, 2, 5, 6, 15, 16, 41, 43, 65, 255, 0, 65_280];

#[derive(Debug, Clone)]
struct Asked {
    name: &'static str,
    capitals: u64,
    rtype: u16,
    header: (u16, u8, u8),
    /// Payload, version, flags and options.
    edns: Option<(u16, u8, u16, Vec<u8>)>,
    from: IpAddr,
}

fn asked() -> impl Strategy<Value = Asked> {
    let subnet4 = (0_u8..=32, any::<u8>(), any::<u8>()).prop_map(|(source, second, third)| {
        let address = u32::from_be_bytes([10, second & 15, third, 0]);
        let kept = address & u32::MAX.checked_shl(32 - u32::from(source)).unwrap_or(0);
        let octets = kept.to_be_bytes()[..usize::from(source.div_ceil(8))].to_vec();
        [vec![0, 8, 0, 4 + u8::try_from(octets.len()).unwrap(), 0, 1, source, 0], octets].concat()
    });
    let subnet6 = any::<bool>().prop_map(|ours| {
        let last = if ours { 0x0f } else { 0x0e };
        vec![0, 8, 0, 10, 0, 2, 48, 0, 0x20, 1, 0xd, 0xb8, 0, last]
    });
    let options = prop_oneof![
        3 => Just(Vec::new()),
        3 => subnet4,
        1 => subnet6,
        1 => Just(vec![0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0, 11, 0, 0]),
        1 => prop::collection::vec(any::<u8>(), 0..12),
    ];
    let payload = prop_oneof![Just(1232), Just(512), any::<u16>()];
    let version = prop_oneof![9 => Just(0), 1 => any::<u8>()];
    let edns = prop::option::of((payload, version, any::<u16>(), options));
    let from = prop_oneof![
        (any::<u8>(), any::<u8>()).prop_map(|(a, b)| IpAddr::from([10, a & 3, b, 1])),
        Just("2001:db8:f::1".parse().unwrap()),
        Just("::ffff:10.1.2.3".parse().unwrap()),
    ];
    let header = (any::<u16>(), any::<u8>().prop_map(|flags| flags & 0x07), any::<u8>());
    let name = prop::sample::select(&NAMES[..]);
    let rtype = prop::sample::select(&TYPES[..]);
    (name, any::<u64>(), rtype, header, edns, from).prop_map(
        |(name, capitals, rtype, header, edns, from)| Asked {
            name,
            capitals,
            rtype,
            header,
            edns,
            from,
        },
    )
}

impl Asked {
    fn packet(&self) -> Vec<u8> {
        let (id, high, low) = self.header;
        let mut packet = id.to_be_bytes().to_vec();
        packet.extend([high, low, 0, 1, 0, 0, 0, 0, 0, u8::from(self.edns.is_some())]);
        for label in self.name.split('.').filter(|label| !label.is_empty()) {
            packet.push(u8::try_from(label.len()).unwrap());
            for letter in label.bytes() {
                let capital = self.capitals >> (packet.len() % 64) & 1 == 1;
                packet.push(if capital { letter.to_ascii_uppercase() } else { letter });
            }
        }
        packet.push(0);
        packet.extend(self.rtype.to_be_bytes());
        packet.extend([0, 1]);
        if let Some((payload, version, flags, options)) = &self.edns {
            packet.extend([0, 0, 41]);
            packet.extend(payload.to_be_bytes());
            packet.extend([0, *version]);
            packet.extend(flags.to_be_bytes());
            packet.extend(u16::try_from(options.len()).unwrap().to_be_bytes());
            packet.extend(options);
        }
        packet
    }
}

/// A server of which nothing is checked, one with an edge that is down and one that has IPv6, and one
/// whose zone is signed.
fn servers() -> [Server; 3] {
    let zone = |config: &mut kingcdn_config::Config| {
        let file = &config.dns.as_ref().unwrap().zones[0].file;
        let mut text = std::fs::read_to_string(file).unwrap();
        text.push_str("long CNAME video\nmissing CNAME nothing.kingcdn.test.\n");
        text.push_str("ring CNAME gnir\ngnir CNAME ring\n");
        std::fs::write(file, text).unwrap();
    };
    let plain = Server::new(zone);
    let mixed = Server::new(|config| {
        zone(config);
        config.dns.as_mut().unwrap().health.check = HealthCheck::Http;
        config.edges[1].addresses.push("2001:db8::12".parse().unwrap());
        config.edges[1].addresses.push("127.0.0.112".parse().unwrap());
    });
    let world = mixed.journey.world.load_full();
    for _ in 0..3 {
        world.monitor.observe(0, Err(CheckError::Timeout));
        world.monitor.observe(1, Ok(()));
        world.monitor.observe(3, Ok(()));
    }
    let signed = Server::new(|config| {
        zone(config);
        let keys = tempfile::tempdir().unwrap();
        crate::keys::make("kingcdn.test", keys.path()).unwrap();
        config.dns.as_mut().unwrap().protocol.dnssec_keys = Some(keys.keep());
    });
    [plain, mixed, signed]
}

thread_local! {
    static SERVERS: [Server; 3] = servers();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn both_ways_lead_to_the_same_answer(asked in asked(), which in 0_usize..3, tcp in any::<bool>()) {
        let transport = if tcp { Transport::Tcp } else { Transport::Udp };
        let packet = asked.packet();
        SERVERS.with(|servers| {
            let (ready, whole) = both(&servers[which].journey, &packet, asked.from, transport).unwrap();
            if let Some(ready) = ready {
                same(&packet, &ready, &whole);
            }
        });
    }

    /// Whatever comes: no panic, and nothing is answered ahead that would be refused on demand.
    #[test]
    fn hostile_packets_get_no_other_answer(
        asked in asked(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
        tail in prop::collection::vec(any::<u8>(), 0..12),
    ) {
        let mut packet = asked.packet();
        for (index, octet) in changes {
            *index.get_mut(&mut packet) = octet;
        }
        packet.truncate(packet.len() - cut.index(packet.len()) / 4);
        packet.extend(tail);
        SERVERS.with(|servers| {
            for server in servers {
                if let Ok((Some(ready), whole)) = both(&server.journey, &packet, asked.from, Transport::Udp) {
                    same(&packet, &ready, &whole);
                }
            }
        });
    }
}

/// What is usual stands ready: else all would be as slow as the rest, and nobody would know.
#[test]
fn the_usual_stands_ready() {
    let [server, ..] = servers();
    let ready = |name: &'static str, rtype| {
        let header = (7, 1, 0);
        let (capitals, edns) = (0, Some((1232, 0, 0, Vec::new())));
        let from = "192.0.2.1".parse().unwrap();
        let packet = Asked { name, capitals, rtype, header, edns, from }.packet();
        both(&server.journey, &packet, from, Transport::Udp).unwrap().0.is_some()
    };
    let cases = [
        ("netcinema.kingcdn.test", &[1, 28, 65, 16, 6][..], &[255, 43][..]),
        ("video.netcinema.test", &[1, 28, 65, 5], &[16]),
        ("long.netcinema.test", &[1, 28, 65, 5], &[]),
        ("netcinema.test", &[1, 28, 2, 6, 15, 16], &[255]),
        ("nobody.kingcdn.test", &[1, 28, 255], &[]),
        ("very.deep.nobody.netcinema.test", &[1, 28], &[]),
        ("child.netcinema.test", &[1, 2], &[]),
        ("any.netcinema.test", &[1], &[]),
        ("ring.netcinema.test", &[1], &[]),
        ("example.org", &[1, 16], &[]),
        ("big.netcinema.test", &[1], &[16]),
        ("x.any.netcinema.test", &[], &[1, 16]),
        ("www.child.netcinema.test", &[], &[1]),
    ];
    let mut wrong = HashMap::new();
    for (name, yes, no) in cases {
        let all = yes.iter().map(|t| (t, true)).chain(no.iter().map(|t| (t, false)));
        wrong.extend(all.filter(|(t, is)| ready(name, **t) != *is).map(|(t, is)| ((name, t), is)));
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// What is static and signed stands ready from the second time on, for a day: its signatures end.
#[test]
fn what_was_signed_once_stands_ready() {
    let [.., server] = servers();
    let from = "192.0.2.1".parse().unwrap();
    let ready = |packet: &[u8]| {
        let (mut tally, mut key, mut out) = (server.journey.tally(), Key::root(), Vec::new());
        let turn = server.journey.turn(Transport::Udp, &mut tally);
        let query = turn.read(packet, &mut key, from).unwrap();
        turn.ready(&query, from, &mut out).is_some()
    };
    let cases = [
        ("kingcdn.test", 6),
        ("kingcdn.test", 48),
        ("kingcdn.test", 1),
        ("ns1.kingcdn.test", 1),
        ("ns1.kingcdn.test", 16),
        // No edge has such an address; no such type.
        ("netcinema.kingcdn.test", 28),
        ("netcinema.kingcdn.test", 65),
        // Of a zone that isn't signed.
        ("away.netcinema.test", 1),
    ];
    for (name, rtype) in cases {
        let edns = Some((1232, 0, 0x8000, Vec::new()));
        let asked = Asked { name, capitals: 0, rtype, header: (7, 1, 0), edns, from };
        let packet = asked.packet();
        assert!(!ready(&packet), "{name} {rtype} before anybody asked");
        let (kept, whole) = both(&server.journey, &packet, from, Transport::Udp).unwrap();
        same(&packet, &kept.unwrap(), &whole);
        assert!(ready(&packet), "{name} {rtype}");
        server.journey.clock.advance(Duration::from_secs(86_401));
        assert!(!ready(&packet), "{name} {rtype} a day later");
    }
}
