//! Records in wire form.

use std::net::IpAddr;

use hickory_proto::op::ResponseCode;

use crate::answer::{Answer, EdgeAddresses};
use crate::decode::{HEADER, PAYLOAD_MAX, Promise, Query, Question, Reader};
use crate::dnssec::Signed;
use crate::encode::{self, Head, Writer, encode};
use crate::name::Key;

/// The longest answer that is kept, with its question: so that it fits into any packet, whatever the
/// client takes and however long its OPT is.
const LIMIT: usize = 512 - 80;
/// The same for answers with signatures, which only clients with EDNS get.
pub(super) const SEALED_LIMIT: usize = PAYLOAD_MAX as usize - 80;
/// Type and class behind a question's name.
const TYPE_AND_CLASS: usize = 4;
/// The mark of a pointer (RFC 1035 section 4.1.4).
const POINTER: u16 = 0xc000;

/// The records that follow a question, names compressed against it and each other.
#[derive(Debug)]
pub(crate) struct Body {
    head: Head,
    octets: Box<[u8]>,
    /// Octets of the name for which it was made, without the root.
    made_for: u16,
    /// Where pointers stand in it, if it may follow longer names that end in the one for which it
    /// was made.
    pointers: Option<Box<[u16]>>,
}

/// Addresses that go behind a body's records.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addresses<'w> {
    pub(crate) addresses: EdgeAddresses<'w>,
    pub(crate) ttl: u32,
    /// Where their name stands in the packet.
    pub(crate) owner: u16,
    /// Their signatures, where they are signed.
    pub(crate) signed: Option<&'w Signed>,
}

impl Body {
    /// The records of an answer to a question for this name, unless they are too many.
    pub(crate) fn new(key: &Key, answer: &Answer) -> Option<Self> {
        Self::within(key, answer, LIMIT)
    }

    /// The same, with so many octets at most.
    pub(super) fn within(key: &Key, answer: &Answer, limit: usize) -> Option<Self> {
        // A question's octets are in lower case until they are overwritten with the client's.
        let question = question(key);
        let query = Query {
            id: [0; 2],
            flags: 0,
            octets: &question,
            edns: None,
            signed: false,
            question: Ok(Question { key, rtype: 0.into(), chaos: false }),
            promise: Promise::default(),
        };
        let mut packet = Vec::new();
        let head = encode(&query, answer, (Writer::Ourselves, limit), &mut packet);
        let octets = packet.split_off((HEADER + question.len()).min(packet.len()));
        let made_for = u16::try_from(key.whole().len()).ok()?;
        let body = Self { head, octets: octets.into(), made_for, pointers: None };
        (!head.truncated).then_some(body)
    }

    /// An answer without records.
    pub(crate) fn empty(answer: &Answer) -> Self {
        let head = Head {
            code: answer.code,
            extended: answer.extended,
            authoritative: answer.authoritative,
            truncated: false,
            counts: [0; 3],
        };
        Self { head, octets: Box::default(), made_for: 0, pointers: None }
    }

    pub(crate) fn code(&self) -> ResponseCode {
        self.head.code
    }

    /// The same for longer names too. It is a SOA record and no more.
    pub(crate) fn movable(mut self) -> Option<Self> {
        let mut pointers = Vec::new();
        let mut reader = Reader(&self.octets);
        let at = |reader: Reader<'_>| self.octets.len() - reader.0.len();
        // Its owner; then type, class, TTL and length; then its two names.
        for skipped in [10, 0, 0] {
            while let Some(length @ 1..) = reader.u8() {
                if length >= 0xc0 {
                    pointers.push(u16::try_from(at(reader) - 1).ok()?);
                    reader.take(1)?;
                    break;
                }
                reader.take(usize::from(length))?;
            }
            reader.take(skipped)?;
        }
        self.pointers = Some(pointers.into());
        Some(self)
    }

    /// By how much longer a name is than the one for which this was made.
    pub(crate) fn shift(&self, key: &Key) -> u16 {
        let length = u16::try_from(key.whole().len()).unwrap_or(self.made_for);
        match self.pointers {
            Some(_) => length.saturating_sub(self.made_for),
            None => 0,
        }
    }

    /// Where the data of the last record stands in a packet; without records, the question's name.
    pub(crate) fn last_data(&self, key: &Key) -> Option<u16> {
        let mut reader = Reader(&self.octets);
        let mut at = HEADER;
        while !reader.0.is_empty() {
            reader.name()?;
            reader.take(8)?;
            let length = reader.u16()?;
            at = HEADER + question(key).len() + self.octets.len() - reader.0.len();
            reader.take(usize::from(length))?;
        }
        u16::try_from(at).ok()
    }

    /// Writes an answer of these records, unless it would be longer than `limit`; whether it did.
    pub(crate) fn write(
        &self,
        query: &Query<'_>,
        (code, shift): (ResponseCode, u16),
        addresses: Option<Addresses<'_>>,
        (scope, limit): (u8, usize),
        out: &mut Vec<u8>,
    ) -> bool {
        let size = HEADER
            + query.octets.len()
            + self.octets.len()
            + addresses.map_or(0, |addresses| addresses.size())
            + encode::opt_size(query, self.head.extended);
        if size > limit {
            return false;
        }
        let mut head = Head { code, ..self.head };
        let count = addresses.map_or(0, |addresses| addresses.count());
        // Fewer than the limit has octets.
        head.counts[0] += u16::try_from(count).unwrap_or(0);
        encode::open(query, &head, out);
        let start = out.len();
        out.extend_from_slice(&self.octets);
        if shift > 0 {
            for at in self.pointers.iter().flatten() {
                let at = start + usize::from(*at);
                if let Some([high, low]) = out.get_mut(at..at + 2) {
                    let moved = u16::from_be_bytes([*high, *low]) + shift;
                    [*high, *low] = moved.to_be_bytes();
                }
            }
        }
        if let Some(addresses) = addresses {
            addresses.write(out);
        }
        encode::close(query, &head, scope, out);
        true
    }
}

impl Addresses<'_> {
    fn size(&self) -> usize {
        // Pointer, type, class, TTL and length.
        let octets = |address: &IpAddr| if address.is_ipv4() { 4 } else { 16 };
        let addresses = self.addresses.iter().map(|address| 12 + octets(address));
        addresses.chain(self.signatures().map(|data| 12 + data.len())).sum()
    }

    fn signatures(&self) -> impl Iterator<Item = &[u8]> {
        self.signed.into_iter().flat_map(|signed| signed.data.iter().map(|data| &**data))
    }

    /// Records.
    fn count(&self) -> usize {
        self.addresses.iter().count() + self.signatures().count()
    }

    fn write(&self, out: &mut Vec<u8>) {
        let [high, low] = (POINTER | self.owner).to_be_bytes();
        let ttl = self.ttl.to_be_bytes();
        let mut record = |rtype, octets: &[u8]| {
            out.extend_from_slice(&[high, low, 0, rtype, 0, 1]);
            out.extend_from_slice(&ttl);
            out.extend_from_slice(&u16::try_from(octets.len()).unwrap_or(0).to_be_bytes());
            out.extend_from_slice(octets);
        };
        for address in self.addresses.iter() {
            match address {
                IpAddr::V4(address) => record(1, &address.octets()),
                IpAddr::V6(address) => record(28, &address.octets()),
            }
        }
        for data in self.signatures() {
            record(46, data);
        }
    }
}

/// The octets of a question for a name, with room for type and class.
fn question(key: &Key) -> Vec<u8> {
    let mut octets = key.whole().to_vec();
    octets.resize(octets.len() + 1 + TYPE_AND_CLASS, 0);
    octets
}
