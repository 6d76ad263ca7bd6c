//! An answer made provable: signatures behind its records, and denials.

use std::cell::Cell;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::NULL;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder, NameEncoding};
use kingcdn_config::clock::Timestamp;

use super::sign::{Canonical, Signer};
use super::{DS, Memo, NSEC, NXNAME, RRSIG, Signed, denial, serial_before};
use crate::answer::Answer;
use crate::name::Key;
use crate::zone::{Zone, Zones};

/// What answers are sealed with.
pub(crate) struct Seal<'w> {
    pub(crate) zones: &'w Zones,
    pub(crate) memo: &'w Memo,
    pub(crate) now: Timestamp,
    /// Whether the client knows a denial also by its code (RFC 9824 section 5.1).
    pub(crate) compact_ok: bool,
    /// Whether it goes over a connection.
    pub(crate) stream: bool,
    /// The second at which the first of the signatures is to be made anew.
    pub(crate) until: Cell<u32>,
}

/// Too many denials are asked for to sign them all.
pub(crate) struct Exhausted;

impl Seal<'_> {
    /// Adds to the answer to a question what proves it, where its zones are signed.
    pub(crate) fn seal(
        &self,
        asked: &Key,
        rtype: RecordType,
        answer: &mut Answer,
    ) -> Result<(), Exhausted> {
        let last = answer.answers.iter().rev().find_map(|record| match &record.data {
            RData::CNAME(target) if rtype != RecordType::CNAME => Key::new(&target.0),
            _ => None,
        });
        let owner = last.as_ref().unwrap_or(asked);
        let is_soa = |record: &Record| record.record_type() == RecordType::SOA;
        if answer.authorities.iter().any(is_soa) {
            self.deny(owner, rtype, answer)?;
        } else if !answer.authoritative {
            self.refer(answer)?;
        }
        answer.answers = self.signed(std::mem::take(&mut answer.answers));
        answer.authorities = self.signed(std::mem::take(&mut answer.authorities));
        Ok(())
    }

    /// That there is nothing of this type, or no such name.
    fn deny(&self, owner: &Key, rtype: RecordType, answer: &mut Answer) -> Result<(), Exhausted> {
        let Some((zone, signer)) = self.signer(owner, rtype) else { return Ok(()) };
        let no_name = answer.code == ResponseCode::NXDomain;
        let types = match no_name {
            true => vec![NXNAME],
            // What steering hasn't got for anybody isn't there, either.
            false => {
                zone.types(owner).into_iter().filter(|known| *known != u16::from(rtype)).collect()
            }
        };
        let records = self.nsec(owner, (zone, signer), types)?;
        // RFC 9824 section 3.1: the name exists, as far as it is told. No proof is no NOERROR.
        if no_name && !self.compact_ok && !records.is_empty() {
            answer.code = ResponseCode::NoError;
        }
        match rtype {
            // What proves that a type isn't there is itself there, to who asks for it.
            RecordType::NSEC | RecordType::RRSIG if !records.is_empty() => {
                answer.authorities.clear();
                let asked = |record: &Record| record.record_type() == rtype;
                let all = rtype == RecordType::NSEC;
                answer.answers.extend(records.into_iter().filter(|record| all || asked(record)));
            }
            _ => answer.authorities.extend(records),
        }
        Ok(())
    }

    /// Of a delegation, whether it is signed (RFC 4035 section 3.1.4).
    fn refer(&self, answer: &mut Answer) -> Result<(), Exhausted> {
        let Some(cut) = answer.authorities.first().map(|record| record.name.clone()) else {
            return Ok(());
        };
        let Some(owner) = Key::new(&cut) else { return Ok(()) };
        let Some((zone, signer)) = self.signer(&owner, DS.into()) else { return Ok(()) };
        let signers = zone.exactly(&cut, DS.into());
        if signers.is_empty() {
            let types = vec![RecordType::NS.into()];
            answer.authorities.extend(self.nsec(&owner, (zone, signer), types)?);
        } else {
            answer.authorities.extend(signers.iter().cloned());
        }
        Ok(())
    }

    /// The NSEC record of a name with its signatures.
    fn nsec(
        &self,
        owner: &Key,
        (zone, signer): (&Zone, &Signer),
        types: Vec<u16>,
    ) -> Result<Vec<Record>, Exhausted> {
        let Some(data) = denial::nsec(owner, types.into_iter()) else { return Ok(Vec::new()) };
        // RFC 9077 section 3.
        let ttl = zone.negative.ttl;
        let name = owner.name();
        let data = [data];
        let set = Canonical { owner, rtype: NSEC, ttl, data: &data };
        let signed = self.memo.denial(signer, &set, (self.now, self.stream)).ok_or(Exhausted)?;
        self.good_for(&signed);
        let [data] = data;
        let signatures = signed.data.iter().map(|data| unknown(&name, ttl, RRSIG, data.to_vec()));
        Ok([unknown(&name, ttl, NSEC, data)].into_iter().chain(signatures).collect())
    }

    /// The records, and behind each set its signatures.
    fn signed(&self, records: Vec<Record>) -> Vec<Record> {
        let mut signed = Vec::with_capacity(records.len() * 2);
        let same = |one: &Record, other: &Record| {
            one.record_type() == other.record_type() && one.name == other.name
        };
        for set in records.chunk_by(same) {
            signed.extend_from_slice(set);
            // What a DNAME record implies needs no signature (RFC 6672 section 5.3.1).
            let implied = |record: &Record| {
                records.iter().any(|other| {
                    other.record_type() == RecordType::DNAME
                        && record.record_type() == RecordType::CNAME
                        && other.name != record.name
                        && other.name.zone_of(&record.name)
                })
            };
            if !set.iter().any(implied) {
                signed.extend(self.signatures(set));
            }
        }
        signed
    }

    fn signatures(&self, set: &[Record]) -> Vec<Record> {
        let Some(first) = set.first() else { return Vec::new() };
        let rtype = first.record_type();
        let Some(owner) = Key::new(&first.name) else { return Vec::new() };
        // Denials have theirs.
        if [NSEC, RRSIG].contains(&rtype.into()) {
            return Vec::new();
        }
        let Some((zone, signer)) = self.signer(&owner, rtype) else { return Vec::new() };
        if zone.delegates(&owner, rtype) {
            return Vec::new();
        }
        let mut data: Vec<Vec<u8>> = set.iter().filter_map(canonical).collect();
        // RFC 4034 section 6.3.
        data.sort_unstable();
        data.dedup();
        let canonical =
            Canonical { owner: &owner, rtype: rtype.into(), ttl: first.ttl, data: &data };
        let signed = self.memo.signed(signer, &canonical, self.now);
        self.good_for(&signed);
        let record = |data: &[u8]| unknown(&first.name, first.ttl, RRSIG, data.to_vec());
        signed.data.iter().map(|data| record(data)).collect()
    }

    /// The answer is good for no longer than these.
    fn good_for(&self, signed: &Signed) {
        if serial_before(signed.renewed, self.until.get()) {
            self.until.set(signed.renewed);
        }
    }

    fn signer(&self, owner: &Key, rtype: RecordType) -> Option<(&Zone, &Signer)> {
        let zone = self.zones.find(owner, rtype)?;
        Some((zone, zone.signer.as_deref()?))
    }
}

/// A record's data in canonical form (RFC 4034 section 6.2).
fn canonical(record: &Record) -> Option<Vec<u8>> {
    let mut octets = Vec::new();
    let mut encoder = BinEncoder::new(&mut octets);
    encoder.set_canonical_form(true);
    encoder.set_name_encoding(NameEncoding::UncompressedLowercase);
    record.data.emit(&mut encoder).ok()?;
    Some(octets)
}

fn unknown(name: &Name, ttl: u32, rtype: u16, data: Vec<u8>) -> Record {
    let data = RData::Unknown { code: rtype.into(), rdata: NULL::with(data) };
    Record::from_rdata(name.clone(), ttl, data)
}
