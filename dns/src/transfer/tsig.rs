//! Signatures of messages by a secret that both sides have (TSIG, RFC 8945): hmac-sha256, never cut.

use std::sync::Arc;

use hickory_proto::op::ResponseCode;
use kingcdn_config::clock::Timestamp;
use ring::hmac;

use super::Secret;
use crate::decode::{HEADER, Reader, TSIG};
use crate::name::Key;

/// Class ANY.
const ANY: u16 = 255;
/// The algorithm's name in wire form.
const ALGORITHM: &[u8] = b"\x0bhmac-sha256\0";
/// Octets of its MAC, and of the shortest that may be sent (RFC 8945 section 5.2.2.1).
const MAC: usize = 32;
const MAC_SHORTEST: usize = 16;
/// Seconds by which clocks may differ (RFC 8945 section 10).
const FUDGE: u16 = 300;
/// Where ARCOUNT stands.
const ADDITIONAL: usize = 10;

/// A request's TSIG record, read.
#[derive(Debug)]
struct Record<'p> {
    /// The message without it.
    message: &'p [u8],
    name: Key,
    algorithm: &'p [u8],
    time: u64,
    fudge: u16,
    mac: &'p [u8],
    id: [u8; 2],
    error: u16,
    other: &'p [u8],
}

/// Why a request's signature isn't accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The record can't be read.
    Malformed,
    /// The key isn't known, or is for another algorithm.
    Key,
    /// It is another's, or of another message.
    Signature,
    /// It is too old, or clocks differ.
    Time,
    /// It is cut short.
    Truncated,
}

/// With what an answer's messages are signed.
#[derive(Debug, Clone)]
pub(crate) struct Chain {
    secret: Arc<Secret>,
    /// The request's MAC, then that of the message before.
    prior: Vec<u8>,
    id: [u8; 2],
    first: bool,
    error: u16,
    /// What the request said, where it is answered that it is wrong.
    time: Option<u64>,
}

/// What a request's signature came to.
pub(crate) enum Checked {
    /// It is good, and the answer is signed by this.
    Good(Chain),
    /// It isn't. The answer's TSIG record says so, and is signed where there is a chain.
    Bad(Fault, Option<Chain>),
}

impl Fault {
    /// The answer's code.
    pub(crate) fn code(self) -> ResponseCode {
        match self {
            // RFC 8945 section 5.2.
            Self::Malformed => ResponseCode::FormErr,
            _ => ResponseCode::NotAuth,
        }
    }

    /// The code in the answer's TSIG record (RFC 8945 section 3).
    fn error(self) -> u16 {
        match self {
            Self::Malformed => 0,
            Self::Signature => 16,
            Self::Key => 17,
            Self::Time => 18,
            Self::Truncated => 22,
        }
    }
}

/// Checks the signature of a request that has one, as its last record (RFC 8945 section 5.2).
pub(crate) fn check<'s>(
    packet: &[u8],
    secrets: impl IntoIterator<Item = &'s Arc<Secret>>,
    now: Timestamp,
) -> Checked {
    let Some(record) = Record::read(packet) else { return Checked::Bad(Fault::Malformed, None) };
    let known = |secret: &&Arc<Secret>| secret.name.whole() == record.name.whole();
    let secret = secrets.into_iter().find(known);
    let Some(secret) = secret.filter(|_| record.algorithm.eq_ignore_ascii_case(ALGORITHM)) else {
        return Checked::Bad(Fault::Key, None);
    };
    if !(MAC_SHORTEST..=MAC).contains(&record.mac.len()) {
        return Checked::Bad(Fault::Malformed, None);
    }
    let mut chain = Chain {
        secret: Arc::clone(secret),
        prior: record.mac.to_vec(),
        id: record.id,
        first: true,
        error: 0,
        time: None,
    };
    let bad = |chain: &mut Chain, fault: Fault| {
        chain.error = fault.error();
        Checked::Bad(fault, Some(chain.clone()))
    };
    if record.mac.len() < MAC {
        return bad(&mut chain, Fault::Truncated);
    }
    if hmac::verify(&secret.key, &record.signed(), record.mac).is_err() {
        return Checked::Bad(Fault::Signature, None);
    }
    if seconds(now).abs_diff(record.time) > u64::from(record.fudge) {
        chain.time = Some(record.time);
        return bad(&mut chain, Fault::Time);
    }
    Checked::Good(chain)
}

impl<'p> Record<'p> {
    fn read(packet: &'p [u8]) -> Option<Self> {
        let (header, behind) = packet.split_first_chunk::<HEADER>()?;
        let count = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        let mut reader = Reader(behind);
        for _ in 0..count(4) {
            reader.name()?;
            reader.take(4)?;
        }
        let records = u32::from(count(6)) + u32::from(count(8)) + u32::from(count(ADDITIONAL));
        for _ in 1..records {
            reader.name()?;
            reader.take(8)?;
            let length = reader.u16()?;
            reader.take(usize::from(length))?;
        }
        let message = packet.get(..packet.len() - reader.0.len())?;
        let mut name = Key::root();
        name.read(&mut reader)?;
        let head = (reader.u16()?, reader.u16()?, reader.u32()?);
        let length = reader.u16()?;
        let mut data = Reader(reader.take(usize::from(length))?);
        if head != (TSIG, ANY, 0) || !reader.0.is_empty() {
            return None;
        }
        let whole = data.0;
        while !data.label()?.is_empty() {}
        let algorithm = whole.get(..whole.len() - data.0.len())?;
        let time = u64::from(data.u16()?) << 32 | u64::from(data.u32()?);
        let fudge = data.u16()?;
        let length = data.u16()?;
        let mac = data.take(usize::from(length))?;
        let id = data.u16()?.to_be_bytes();
        let error = data.u16()?;
        let length = data.u16()?;
        let other = data.take(usize::from(length))?;
        let read = Self { message, name, algorithm, time, fudge, mac, id, error, other };
        data.0.is_empty().then_some(read)
    }

    /// What its MAC is made of (RFC 8945 section 4.3.3).
    fn signed(&self) -> Vec<u8> {
        let mut octets = self.message.to_vec();
        octets.splice(..2, self.id);
        let count = u16::from_be_bytes([octets[ADDITIONAL], octets[ADDITIONAL + 1]]);
        octets.splice(ADDITIONAL..HEADER, count.wrapping_sub(1).to_be_bytes());
        variables(&self.name, (self.time, self.fudge), self.error, self.other, &mut octets);
        octets
    }
}

impl Chain {
    /// The chain of a request of ours, which is signed by the same means.
    pub(crate) fn request(secret: Arc<Secret>, id: [u8; 2]) -> Self {
        Self { secret, prior: Vec::new(), id, first: true, error: 0, time: None }
    }

    /// Whether it is signed with this secret.
    pub(crate) fn is_by(&self, secret: &Secret) -> bool {
        self.secret.name.whole() == secret.name.whole()
    }

    /// Octets of the record that [`Self::sign`] adds, at most.
    pub(crate) fn size(&self) -> usize {
        self.secret.name.whole().len() + 1 + 10 + ALGORITHM.len() + 16 + MAC + 6
    }

    /// Adds the signature to an answer's next message (RFC 8945 sections 5.3 and 5.3.1).
    pub(crate) fn sign(&mut self, message: &mut Vec<u8>, now: Timestamp) {
        let (time, other) = match self.time {
            // RFC 8945 section 5.2.3.
            Some(time) => (time, seconds(now).to_be_bytes()[2..].to_vec()),
            None => (seconds(now), Vec::new()),
        };
        let mut octets = Vec::with_capacity(message.len() + 2 * MAC + 300);
        if !self.prior.is_empty() {
            octets.extend(u16::try_from(self.prior.len()).unwrap_or(0).to_be_bytes());
            octets.extend_from_slice(&self.prior);
        }
        octets.extend_from_slice(message);
        let stamp = (time, FUDGE);
        if self.first {
            variables(&self.secret.name, stamp, self.error, &other, &mut octets);
        } else {
            timers(stamp, &mut octets);
        }
        let mac = hmac::sign(&self.secret.key, &octets);
        write(message, &self.secret.name, (stamp, self.error, self.id), (mac.as_ref(), &other));
        self.prior = mac.as_ref().to_vec();
        self.first = false;
    }
}

/// Adds to an answer that its request's signature isn't accepted, unsigned: there is no key for it
/// (RFC 8945 section 5.3.2).
pub(crate) fn reject(packet: &[u8], fault: Fault, message: &mut Vec<u8>, now: Timestamp) {
    if let Some(record) = Record::read(packet).filter(|_| fault.error() != 0) {
        let stamp = (seconds(now), FUDGE);
        write(message, &record.name, (stamp, fault.error(), record.id), (&[], &[]));
    }
}

/// RFC 8945 section 4.3.3.
fn variables(name: &Key, stamp: (u64, u16), error: u16, other: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name.whole());
    out.push(0);
    out.extend(ANY.to_be_bytes());
    out.extend([0; 4]);
    out.extend_from_slice(ALGORITHM);
    timers(stamp, out);
    out.extend(error.to_be_bytes());
    out.extend(u16::try_from(other.len()).unwrap_or(0).to_be_bytes());
    out.extend_from_slice(other);
}

fn timers((time, fudge): (u64, u16), out: &mut Vec<u8>) {
    out.extend_from_slice(&time.to_be_bytes()[2..]);
    out.extend(fudge.to_be_bytes());
}

/// RFC 8945 section 4.2.
fn write(
    message: &mut Vec<u8>,
    name: &Key,
    (stamp, error, id): ((u64, u16), u16, [u8; 2]),
    (mac, other): (&[u8], &[u8]),
) {
    let mut data = ALGORITHM.to_vec();
    timers(stamp, &mut data);
    data.extend(u16::try_from(mac.len()).unwrap_or(0).to_be_bytes());
    data.extend_from_slice(mac);
    data.extend(id);
    data.extend(error.to_be_bytes());
    data.extend(u16::try_from(other.len()).unwrap_or(0).to_be_bytes());
    data.extend_from_slice(other);
    message.extend_from_slice(name.whole());
    message.push(0);
    message.extend(TSIG.to_be_bytes());
    message.extend(ANY.to_be_bytes());
    message.extend([0; 4]);
    message.extend(u16::try_from(data.len()).unwrap_or(0).to_be_bytes());
    message.extend(data);
    if let Some([high, low]) = message.get_mut(ADDITIONAL..HEADER) {
        [*high, *low] = u16::from_be_bytes([*high, *low]).wrapping_add(1).to_be_bytes();
    }
}

/// Seconds since 1970, in 48 bits.
fn seconds(now: Timestamp) -> u64 {
    now.as_secs().unsigned_abs() & 0xffff_ffff_ffff
}

#[cfg(test)]
mod tests;
