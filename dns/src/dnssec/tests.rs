//! Signatures in time: made once, and anew before they end.

use std::time::Duration;

use hickory_proto::op::Message;
use hickory_proto::rr::{RData, RecordType};

use super::keys;
use crate::journey::tests::harness::{Server, subnet};

const DAY: Duration = Duration::from_secs(86_400);

fn signed() -> Server {
    let folder = tempfile::tempdir().unwrap();
    keys::make("kingcdn.test", folder.path()).unwrap();
    Server::new(|config| {
        config.dns.as_mut().unwrap().protocol.dnssec_keys = Some(folder.path().to_owned());
    })
}

/// Before the first query for a site, and before an edge's end or the end of signatures: none waits.
#[test]
fn what_sites_are_answered_with_is_signed_before_it_is_asked_for() {
    let server = signed();
    let ask = |client| server.ask(&subnet("netcinema.kingcdn.test.", RecordType::A, client));
    let ahead = || {
        let world = server.journey.world.load();
        let fleet = world.monitor.fleet();
        super::sign_ahead(&world, &fleet, &server.journey.memo, server.clock.now())
    };
    // Three edges, two times to live.
    assert_eq!(ahead(), 6);
    for day in 0..30 {
        for client in ["10.1.2.0/24", "10.2.3.0/24", "10.9.9.0/24"] {
            assert_eq!(ask(client).message.answers.len(), 2);
        }
        assert_eq!(server.journey.memo.late(), 0, "on day {day}");
        server.clock.advance(DAY);
        ahead();
    }
    // Without, one does.
    server.clock.advance(DAY * 20);
    ask("10.1.2.0/24");
    assert_eq!(server.journey.memo.late(), 1);
}

/// A flood of names that aren't there costs a bounded number of signatures; who comes over TCP has
/// his own, and what is known is answered all the same.
#[test]
fn a_flood_of_denials_is_bounded() {
    let server = signed();
    let mut ask = super::super::journey::tests::harness::query("x.kingcdn.test.", RecordType::A);
    ask.edns = Some((1232, 0, None));
    let mut asked = |number: u32, transport| {
        ask.transport = transport;
        let mut packet = ask.packet();
        // DO, in the last record's TTL.
        let at = packet.len() - 4;
        packet[at] = 0x80;
        // Another name each time.
        packet[12] = 5;
        packet.splice(13..14, format!("{number:05}").into_bytes());
        let octets = server.octets(&packet, transport, "192.0.2.1").unwrap();
        let message = Message::from_vec(&octets).unwrap();
        (message.truncation, message.response_code, message.authorities.len())
    };
    use hickory_proto::op::ResponseCode::{NoError, ServFail};

    use crate::record::Transport::{Tcp, Udp};
    let signed = |answer: &(bool, _, usize)| answer == &(false, NoError, 4);
    let count = (0..5000).filter(|number| signed(&asked(*number, Udp))).count();
    assert!((3990..=4010).contains(&count), "{count} signed");
    assert_eq!(asked(6000, Udp), (true, NoError, 0));
    assert!(signed(&asked(6000, Tcp)));
    let count = (10_000..15_000).filter(|number| signed(&asked(*number, Tcp))).count();
    assert!((3980..=4010).contains(&count), "{count} signed");
    assert_eq!(asked(16_000, Tcp), (false, ServFail, 0));
    // One that was signed lately is still known.
    let last = (10_000..15_000).rfind(|number| signed(&asked(*number, Udp)));
    assert!(last.is_some());
    server.clock.advance(Duration::from_secs(1));
    assert!(signed(&asked(7000, Udp)));
}

/// When the signature of the answer for a client begins and ends.
fn times(message: &Message) -> (u32, u32) {
    let of = |data: &RData| match data {
        RData::Unknown { code: RecordType::RRSIG, rdata } => {
            let octets = &rdata.anything;
            let number = |at: usize| u32::from_be_bytes(octets[at..at + 4].try_into().unwrap());
            Some((number(12), number(8)))
        }
        _ => None,
    };
    message.answers.iter().find_map(|record| of(&record.data)).unwrap()
}

#[test]
fn a_set_is_signed_once_and_again_before_its_signature_ends() {
    let server = signed();
    let ask = |client| server.ask(&subnet("netcinema.kingcdn.test.", RecordType::A, client));
    let (first, other) = (ask("10.1.2.0/24"), ask("10.2.3.0/24"));
    assert_eq!(first.message.answers.len(), 2);
    let mut last = times(&first.message);
    let mut changes = 0;
    for _ in 0..60 {
        server.clock.advance(DAY);
        let now = u32::try_from(server.clock.now().as_secs()).unwrap();
        let times = times(&ask("10.1.77.0/24").message);
        // Begun by any client's clock, and good for longer than anybody caches it.
        let (begins, ends) = times;
        assert!(
            begins.wrapping_add(3600).wrapping_sub(now).cast_signed() <= 0,
            "{times:?} at {now}"
        );
        assert!(ends - now > 4 * 86_400, "{times:?} at {now}");
        changes += u32::from(times != last);
        last = times;
    }
    assert!((8..=12).contains(&changes), "{changes} signatures in 60 days");
    // Not all at the same time.
    assert_ne!(times(&first.message).1, times(&other.message).1);
    // The same octets for whoever gets the same addresses.
    assert_eq!(ask("10.1.2.0/24").octets[12..], ask("10.1.2.0/24").octets[12..]);
}

#[test]
fn what_isnt_there_is_said_of_one_name() {
    let server = signed();
    let ask = |name, rtype| server.ask(&subnet(name, rtype, "10.1.2.0/24")).message;
    let denial = ask("nobody.kingcdn.test.", RecordType::A);
    // SOA, NSEC, a signature of each.
    assert_eq!(denial.authorities.len(), 4);
    assert_eq!(denial.metadata.response_code, hickory_proto::op::ResponseCode::NoError);
    let nsec = denial.authorities.iter().find(|record| u16::from(record.record_type()) == 47);
    let RData::Unknown { rdata, .. } = &nsec.unwrap().data else { panic!() };
    // The next name, and RRSIG, NSEC and NXNAME.
    let next = b"\x01\0\x06nobody\x07kingcdn\x04test\0";
    let types = [0, 17, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80];
    assert_eq!(rdata.anything, [&next[..], &types].concat());
    // Nobody may ask for a name's absence.
    let asked = ask("nobody.kingcdn.test.", RecordType::Unknown(128));
    assert_eq!(asked.metadata.response_code, hickory_proto::op::ResponseCode::FormErr);
}
