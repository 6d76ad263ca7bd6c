//! A zone's signer: from a set of records to RRSIG records' data.

use std::sync::atomic::{AtomicU64, Ordering};

use hickory_proto::rr::rdata::NULL;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use ring::rand::SystemRandom;

use super::{ALGORITHM, CDNSKEY, CDS, DNSKEY, SigningKey};
use crate::name::Key;

/// Seconds before now from which a signature holds: clocks differ.
const BEFORE: u32 = 3600;
/// Seconds for which it holds, and by how many more at most, so that not all end at once.
const HOLDS: u32 = 10 * 86_400;
const JITTER: u32 = 2 * 86_400;
/// Seconds before its end at which another takes its place. More than any record's time to live in
/// a cache should be.
const RENEWED_BEFORE: u32 = 5 * 86_400;
/// Seconds for which the keys may be cached.
const KEYS_TTL: u32 = 3600;

/// Signs the records of one zone, with all of its keys.
#[derive(Debug)]
pub(crate) struct Signer {
    /// The zone's apex in wire form.
    apex: Vec<u8>,
    keys: Vec<SigningKey>,
    random: SystemRandom,
    /// Counts signatures, for their jitter.
    made: AtomicU64,
}

/// A set of records in canonical form.
pub(crate) struct Canonical<'a> {
    pub(crate) owner: &'a Key,
    pub(crate) rtype: u16,
    pub(crate) ttl: u32,
    /// In their order.
    pub(crate) data: &'a [Vec<u8>],
}

impl Signer {
    pub(crate) fn new(apex: &Key, keys: Vec<SigningKey>) -> Self {
        let apex = [apex.whole(), &[0]].concat();
        Self { apex, keys, random: SystemRandom::new(), made: AtomicU64::new(0) }
    }

    /// Tags of the keys and the zone: what tells signers apart.
    pub(super) fn identity(&self) -> impl Iterator<Item = &[u8]> {
        self.keys.iter().map(|key| &*key.dnskey).chain([&*self.apex])
    }

    /// DNSKEY, and what the parent zone shall know of the keys (RFC 7344 section 3).
    pub(crate) fn records(&self, apex: &Name) -> impl Iterator<Item = Record> {
        let of = |rtype: u16, data: Vec<u8>| {
            let code = RecordType::from(rtype);
            let data = RData::Unknown { code, rdata: NULL::with(data) };
            Record::from_rdata(apex.clone(), KEYS_TTL, data)
        };
        self.keys.iter().flat_map(move |key| {
            [
                of(DNSKEY, key.dnskey.clone()),
                of(CDNSKEY, key.dnskey.clone()),
                of(CDS, key.ds_data(&self.apex)),
            ]
        })
    }

    /// The data of the set's RRSIG records, and the second at which it is time for others.
    pub(super) fn sign(&self, set: &Canonical<'_>, now: u32) -> (Vec<Box<[u8]>>, u32) {
        let made = self.made.fetch_add(1, Ordering::Relaxed);
        // Any numbers that are spread well (Knuth).
        let spread = made.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        let jitter = u32::try_from(spread % u64::from(JITTER)).unwrap_or(0);
        let ends = now.wrapping_add(HOLDS + jitter);
        let records = set.records();
        let signatures = self.keys.iter().filter_map(|key| {
            let mut data = self.head(set, key.tag, now.wrapping_sub(BEFORE), ends);
            let head = data.len();
            data.extend_from_slice(&records);
            let signature = key.pair.sign(&self.random, &data).ok()?;
            data.truncate(head);
            data.extend_from_slice(signature.as_ref());
            Some(data.into())
        });
        (signatures.collect(), ends.wrapping_sub(RENEWED_BEFORE))
    }

    /// An RRSIG record's data without the signature (RFC 4034 section 3.1).
    fn head(&self, set: &Canonical<'_>, tag: u16, begins: u32, ends: u32) -> Vec<u8> {
        // Section 3.1.3: the asterisk isn't counted.
        let wildcard = usize::from(set.owner.whole().starts_with(b"\x01*"));
        let labels = u8::try_from(set.owner.labels() - wildcard).unwrap_or(0);
        let mut data = Vec::with_capacity(512);
        data.extend(set.rtype.to_be_bytes());
        data.extend([ALGORITHM, labels]);
        data.extend(set.ttl.to_be_bytes());
        data.extend(ends.to_be_bytes());
        data.extend(begins.to_be_bytes());
        data.extend(tag.to_be_bytes());
        data.extend_from_slice(&self.apex);
        data
    }
}

impl Canonical<'_> {
    /// RFC 4034 section 6.2.
    fn records(&self) -> Vec<u8> {
        let mut octets = Vec::new();
        for data in self.data {
            octets.extend_from_slice(self.owner.whole());
            octets.push(0);
            octets.extend(self.rtype.to_be_bytes());
            octets.extend([0, 1]);
            octets.extend(self.ttl.to_be_bytes());
            octets.extend(u16::try_from(data.len()).unwrap_or(u16::MAX).to_be_bytes());
            octets.extend_from_slice(data);
        }
        octets
    }
}
