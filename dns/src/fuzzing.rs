//! What fuzzers and properties ask of the inner rooms: whatever comes, no panic, and both ways to an
//! answer lead to the same one. Not part of the product.

#![allow(clippy::expect_used, clippy::missing_panics_doc, clippy::panic)] // To panic is its purpose.

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use hickory_proto::op::Message;
use hickory_proto::rr::{Name, Record, RecordType};
use kingcdn_config::Config;
use kingcdn_config::clock::{Clock, Timestamp};
use prometheus::Registry;

use crate::answer::{Answer, Steered};
use crate::cookies::Cookies;
use crate::decode::{Silence, decode};
use crate::encode::{Writer, encode, limit};
use crate::journey::Journey;
use crate::name::Key;
use crate::ready::Ready;
use crate::record::{Metrics, Transport};
use crate::world::{Parts, World};
use crate::zone::{load_text, resolve};

/// Names of a zone that are looked at.
const NAMES: usize = 32;

/// A name server without sockets.
pub struct Server(Journey);

impl Server {
    /// A name server of this configuration, at the beginning of time.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let metrics = Metrics::new(&Registry::new()).expect("metrics");
        let clock = Clock::manual(Timestamp::from_secs(1_700_000_000));
        let parts = Parts::of(config).expect("a name server's configuration");
        let world = World::build(parts, clock.clone(), &metrics, None);
        let world = world.unwrap_or_else(|errors| panic!("{errors:?}"));
        let world = Arc::new(ArcSwap::from_pointee(world));
        Self(Journey::new(world, metrics, clock, Cookies::new(*b"a secret of ours")))
    }

    /// Answers a packet on both ways, over UDP or TCP.
    pub fn packet(&self, packet: &[u8], from: IpAddr, tcp: bool) {
        let transport = if tcp { Transport::Tcp } else { Transport::Udp };
        if let Ok((Some(ready), whole)) = both(&self.0, packet, from, transport) {
            same(packet, &ready, &whole);
        }
        let (mut tally, mut out) = (self.0.tally(), Vec::new());
        self.0.turn(transport, &mut tally).answer(packet, from, &mut out);
        if !out.is_empty() {
            assert_eq!(out.get(..2), packet.get(..2), "the answer is to this query");
            assert!(Message::from_vec(&out).is_ok(), "{packet:x?} {out:x?}");
        }
    }
}

/// Reads a zone file for `fuzz.test` and, if it is one, answers for its names.
pub fn zone(text: &str) {
    let apex = Name::from_ascii("fuzz.test.").expect("a name");
    let Ok(zones) = load_text(&apex, text) else { return };
    let ready = Ready::new(&zones);
    for (_, zone) in zones.iter() {
        for (name, types) in zone.names().take(NAMES) {
            let key = Key::of_wire(name).expect("a name");
            for rtype in types.chain([RecordType::A, RecordType::ANY, RecordType::DS]) {
                let packet = packet(name, rtype.into());
                let mut asked = Key::root();
                let Ok(query) = decode(&packet, &mut asked) else { panic!("{packet:x?}") };
                // What nobody may ask for may stand in a zone.
                let Ok(question) = &query.question else { continue };
                let _ready = ready.find(question);
                let found = resolve(&zones, &key, rtype);
                let answer = Answer::new(&key.name(), &found, Steered::NoAddress);
                let [mut ours, mut theirs] = [Vec::new(), Vec::new()];
                let limit = limit(Transport::Tcp, query.edns.as_ref());
                encode(&query, &answer, (Writer::Ourselves, limit), &mut ours);
                encode(&query, &answer, (Writer::Hickory, limit), &mut theirs);
                same(&packet, &ours, &theirs);
            }
        }
    }
}

/// A question with EDNS.
fn packet(name: &[u8], rtype: u16) -> Vec<u8> {
    let [high, low] = rtype.to_be_bytes();
    let header = [0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    let opt = [0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0];
    [&header[..], name, &[0, high, low, 0, 1], &opt].concat()
}

/// Both answers to a packet: made ahead, if it is, and on demand.
pub(crate) fn both(
    journey: &Journey,
    packet: &[u8],
    from: IpAddr,
    transport: Transport,
) -> Result<(Option<Vec<u8>>, Vec<u8>), Silence> {
    let mut tally = journey.tally();
    let turn = journey.turn(transport, &mut tally);
    let mut key = Key::root();
    let query = turn.read(packet, &mut key, from)?;
    let (mut ready, mut whole) = (Vec::new(), Vec::new());
    // What has signatures stands ready once it was made.
    turn.whole(&query, from, &mut whole);
    let outcome = turn.ready(&query, from, &mut ready);
    assert!(whole.len() <= limit(transport, query.edns.as_ref()));
    assert!(ready.len() <= limit(transport, query.edns.as_ref()));
    assert_eq!(outcome.is_none(), ready.is_empty());
    Ok((outcome.map(|_| ready), whole))
}

/// Everything in a message, owners in lower case, and with each record its TTL, which hickory's
/// comparison of records passes over.
fn read(octets: &[u8]) -> (Message, [Vec<(Record, u32)>; 3]) {
    let mut message = Message::from_vec(octets).expect("a message");
    let take = |records: &mut Vec<Record>| {
        let with_ttl = |mut record: Record| {
            record.name = record.name.to_lowercase();
            let ttl = record.ttl;
            (record, ttl)
        };
        std::mem::take(records).into_iter().map(with_ttl).collect()
    };
    let sections = [
        take(&mut message.answers),
        take(&mut message.authorities),
        take(&mut message.additionals),
    ];
    (message, sections)
}

/// Holds two answers to a packet to saying the same.
pub(crate) fn same(packet: &[u8], ready: &[u8], whole: &[u8]) {
    assert_eq!(read(ready), read(whole), "{packet:x?}");
    // Beside the names in records, which point more or less often: to the octet.
    let mut key = Key::root();
    let Ok(query) = decode(packet, &mut key) else { panic!("{packet:x?}") };
    let question = 12 + query.octets.len();
    assert_eq!(ready.get(..question), whole.get(..question));
}
