//! Zones handed out to secondaries (AXFR, RFC 5936): static ones, over TCP, to whom the configuration
//! names, signed (RFC 8945). Whoever asks for the difference to an older zone (IXFR, RFC 1995) gets
//! all of it, or that it is none.

mod messages;
mod notify;
mod secret;
mod tsig;

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hickory_proto::rr::RecordType;
use kingcdn_config::clock::Timestamp;
use kingcdn_config::{Config, Dns};
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::warn;

use crate::decode::{HEADER, Query, Reader};
use crate::encode::{Head, close};
use crate::name::Key;
use crate::world::World;
use crate::zone::{Fault, Zone, ZoneError, Zones};
pub(crate) use messages::send;
pub(crate) use notify::Notifier;
use secret::Secret;
pub use secret::SecretError;
pub(crate) use tsig::{Chain, Checked, check, reject};

/// Transfers at once.
pub(crate) const AT_ONCE: usize = 4;

/// Who may have the static zones, and which.
#[derive(Debug, Default)]
pub(crate) struct Secondaries {
    list: Vec<Secondary>,
    /// The apexes of zones that can be handed out.
    zones: HashSet<Box<[u8]>>,
}

/// A name server that may have the static zones.
#[derive(Debug)]
pub(crate) struct Secondary {
    name: Box<str>,
    /// From where it comes, and where it is told of changes.
    addresses: Vec<SocketAddr>,
    secret: Arc<Secret>,
}

/// Why a zone isn't handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum Denied {
    #[error("over UDP")]
    Datagram,
    #[error("from an address that isn't the secondary's")]
    Address,
    #[error("it isn't a zone that can be handed out")]
    Zone,
    #[error("too many transfers are under way")]
    Busy,
}

/// A transfer that is granted: all that its messages are made of.
pub(crate) struct Transfer {
    world: Arc<World>,
    pub(crate) secondary: Box<str>,
    /// The zone's apex.
    pub(crate) zone: Key,
    /// Whether the SOA record says it all: the secondary has this zone already.
    current: bool,
    chain: Chain,
    id: [u8; 2],
    flags: u8,
    question: Vec<u8>,
    /// One of few that go on at once.
    _place: Option<OwnedSemaphorePermit>,
    /// The OPT record, where the request has one.
    opt: Vec<u8>,
}

impl Secondaries {
    /// The secondaries of a configuration, or what is wrong with their secrets. Zones that can't be
    /// handed out are told of, once.
    pub(crate) fn load(config: &Config, dns: &Dns, zones: &Zones) -> Result<Self, Vec<ZoneError>> {
        let mut errors = Vec::new();
        let mut list = Vec::new();
        for secondary in &dns.secondaries {
            match Secret::load(&secondary.key) {
                Ok(secret) => list.push(Secondary {
                    name: secondary.name.as_str().into(),
                    addresses: secondary.addresses.clone(),
                    secret: Arc::new(secret),
                }),
                Err(error) => errors.push(ZoneError {
                    file: secondary.key.clone(),
                    line: None,
                    fault: Fault::Secret(error),
                }),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let own = config.cdn.as_ref().map(|cdn| cdn.zone.as_str());
        let wanted = !list.is_empty();
        let files = dns.zones.iter().filter(|zone| wanted && Some(zone.name.as_str()) != own);
        let zones = files.filter_map(|file| {
            let (key, zone) = zones.named(file.name.as_str())?;
            match untransferable(zone) {
                None => Some(key.whole().into()),
                Some(why) => {
                    warn!(zone = file.name.as_str(), "isn't handed out to secondaries: {why}");
                    None
                }
            }
        });
        Ok(Self { zones: zones.collect(), list })
    }

    pub(crate) fn secrets(&self) -> impl Iterator<Item = &Arc<Secret>> {
        self.list.iter().map(|secondary| &secondary.secret)
    }
}

/// Why others couldn't answer for a zone.
fn untransferable(zone: &Zone) -> Option<&'static str> {
    if zone.signer.is_some() {
        return Some("it is signed as it is asked for, and a copy can't do that");
    }
    zone.steers().then_some("sites' hosts are in it, whose answers depend on the client")
}

/// What a request for a transfer asks for: behind a question that was read once.
struct Wanted {
    zone: Key,
    /// Whether what has changed would do (IXFR).
    incremental: bool,
    /// The serial that the secondary has (RFC 1995 section 3).
    serial: Option<u32>,
}

impl Wanted {
    fn read(packet: &[u8], question: &[u8]) -> Option<Self> {
        let mut reader = Reader(question);
        let mut zone = Key::root();
        zone.read(&mut reader)?;
        let incremental = reader.u16()? == u16::from(RecordType::IXFR);
        let serial = incremental.then(|| serial(packet.get(HEADER + question.len()..)?)).flatten();
        Some(Self { zone, incremental, serial })
    }
}

/// The serial in a packet's first record behind the question, if that is an SOA record.
fn serial(records: &[u8]) -> Option<u32> {
    let mut reader = Reader(records);
    reader.name()?;
    if reader.u16()? != u16::from(RecordType::SOA) {
        return None;
    }
    reader.take(6)?;
    let length = reader.u16()?;
    let data = reader.take(usize::from(length))?;
    // Five numbers end it, whatever names stand before them.
    Reader(data.get(data.len().checked_sub(20)?..)?).u32()
}

impl Transfer {
    /// Grants a request whose signature is good, or says why not. A request for a difference over
    /// UDP is answered with the SOA record: then it comes over TCP (RFC 1995 section 4).
    pub(crate) fn grant(
        world: &Arc<World>,
        (packet, query): (&[u8], &Query<'_>),
        (from, stream): (IpAddr, bool),
        (chain, places): (Chain, &Arc<Semaphore>),
    ) -> Result<Self, Denied> {
        let wanted = Wanted::read(packet, query.octets).ok_or(Denied::Zone)?;
        let secondaries = &world.secondaries;
        let signed_by = |secondary: &&Secondary| chain.is_by(&secondary.secret);
        let from = from.to_canonical();
        let comes_from = |secondary: &&Secondary| {
            secondary.addresses.iter().any(|address| address.ip().to_canonical() == from)
        };
        let mut named = secondaries.list.iter().filter(signed_by);
        let secondary = named.find(comes_from).ok_or(Denied::Address)?;
        if !secondaries.zones.contains(wanted.zone.whole()) {
            return Err(Denied::Zone);
        }
        let zone = world.zones.at(&wanted.zone).ok_or(Denied::Zone)?;
        if !stream && !wanted.incremental {
            return Err(Denied::Datagram);
        }
        // RFC 1995 section 2: no older than ours, in serial arithmetic (RFC 1982).
        let newest = |serial: u32| zone.serial().is_some_and(|ours| !before(serial, ours));
        let current = !stream || wanted.serial.is_some_and(newest);
        let place = match current {
            true => None,
            false => Some(Arc::clone(places).try_acquire_owned().map_err(|_| Denied::Busy)?),
        };
        let mut opt = Vec::new();
        close(query, &Head::default(), 0, &mut opt);
        Ok(Self {
            secondary: secondary.name.clone(),
            world: Arc::clone(world),
            zone: wanted.zone,
            current,
            chain,
            id: query.id,
            flags: query.flags,
            question: query.octets.to_vec(),
            _place: place,
            opt,
        })
    }

    /// The answer, if it is one message: that there is nothing newer.
    pub(crate) fn short(&mut self, now: Timestamp, out: &mut Vec<u8>) -> bool {
        out.clear();
        self.current && messages::current(self, now, out).is_some()
    }
}

/// RFC 1982 section 3.2.
fn before(one: u32, other: u32) -> bool {
    other.wrapping_sub(one).cast_signed() > 0
}
