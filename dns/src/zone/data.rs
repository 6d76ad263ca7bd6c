//! Record data as a master file writes it.

use std::str::FromStr;

use data_encoding::HEXLOWER_PERMISSIVE;
use hickory_proto::rr::rdata::{A, AAAA, CNAME, MX, NS, NULL, PTR, SOA, SRV, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder, BinEncodable, BinEncoder};

use super::error::Fault;
use super::lexer::unescape;
use super::master;

/// The data of a record of this type.
pub(super) fn read(rtype: RecordType, tokens: &[&str], origin: &Name) -> Result<RData, Fault> {
    let name = |text| master::name(text, origin);
    let data = match (rtype, tokens) {
        (rtype, [r"\#", length, hex @ ..]) => generic(rtype, length, hex)?,
        (RecordType::A, [address]) => RData::A(A(value(rtype, address)?)),
        (RecordType::AAAA, [address]) => RData::AAAA(AAAA(value(rtype, address)?)),
        (RecordType::CNAME, [target]) => RData::CNAME(CNAME(name(target)?)),
        (RecordType::NS, [target]) => RData::NS(NS(name(target)?)),
        (RecordType::PTR, [target]) => RData::PTR(PTR(name(target)?)),
        (RecordType::MX, [preference, exchange]) => {
            RData::MX(MX::new(value(rtype, preference)?, name(exchange)?))
        }
        (RecordType::SRV, [priority, weight, port, target]) => RData::SRV(SRV::new(
            value(rtype, priority)?,
            value(rtype, weight)?,
            value(rtype, port)?,
            name(target)?,
        )),
        (RecordType::SOA, [mname, rname, serial, times @ ..]) if times.len() == 4 => {
            let time = |at: usize| master::ttl(times[at]);
            // A time to live fits into an i32.
            let signed = |at| Ok::<i32, Fault>(time(at)?.cast_signed());
            RData::SOA(SOA::new(
                name(mname)?,
                name(rname)?,
                value(rtype, serial)?,
                signed(0)?,
                signed(1)?,
                signed(2)?,
                time(3)?,
            ))
        }
        (RecordType::TXT, strings) if !strings.is_empty() => {
            let strings: Vec<Vec<u8>> = strings
                .iter()
                .map(|text| unescape(text).map_err(|reason| bad(rtype, reason)))
                .collect::<Result<_, _>>()?;
            RData::TXT(TXT::from_bytes(strings.iter().map(Vec::as_slice).collect()))
        }
        (
            RecordType::A
            | RecordType::AAAA
            | RecordType::CNAME
            | RecordType::NS
            | RecordType::PTR
            | RecordType::MX
            | RecordType::SRV
            | RecordType::SOA
            | RecordType::TXT,
            tokens,
        ) => {
            let reason = format!("{} fields are too few or too many", tokens.len());
            return Err(bad(rtype, reason));
        }
        (RecordType::DS | RecordType::CDS, [tag, algorithm, kind, digest @ ..]) => {
            let tag: u16 = value(rtype, tag)?;
            let mut octets = tag.to_be_bytes().to_vec();
            octets.push(value(rtype, algorithm)?);
            octets.push(value(rtype, kind)?);
            octets.extend(hex_octets(rtype, digest)?);
            raw(rtype, octets)
        }
        (RecordType::DNAME, [target]) => raw(rtype, wire(&name(target)?)),
        _ => other(rtype, tokens, origin)?,
    };
    readable(rtype, &data)?;
    Ok(data)
}

/// Data of any type in octets (RFC 3597 section 5), but for those whose names are followed.
fn generic(rtype: RecordType, length: &str, hex: &[&str]) -> Result<RData, Fault> {
    // Types of queries and of records that we make ourselves (RFC 6895 section 3.1, RFC 4034).
    let never = matches!(u16::from(rtype), 0 | 41 | 46..=48 | 50 | 51 | 128..=255);
    let followed = matches!(rtype, RecordType::CNAME | RecordType::NS | RecordType::SOA);
    if never || followed || rtype == RecordType::DNAME {
        return Err(Fault::Type(rtype.to_string()));
    }
    let octets = hex_octets(rtype, hex)?;
    let length: usize = value(rtype, length)?;
    if length != octets.len() {
        let reason = format!("it has {} octets, not {length}", octets.len());
        return Err(bad(rtype, reason));
    }
    if octets.is_empty() {
        return Err(bad(rtype, "data without an octet can't be served"));
    }
    Ok(raw(rtype, octets))
}

fn hex_octets(rtype: RecordType, hex: &[&str]) -> Result<Vec<u8>, Fault> {
    let text = hex.concat();
    let decoded = HEXLOWER_PERMISSIVE.decode(text.as_bytes());
    let octets = decoded.map_err(|_| bad(rtype, format!("`{text}` isn't hexadecimal")))?;
    let fits = u16::try_from(octets.len()).is_ok();
    if fits { Ok(octets) } else { Err(bad(rtype, "it is too long")) }
}

/// Data that hickory sends as it is.
fn raw(code: RecordType, octets: Vec<u8>) -> RData {
    RData::Unknown { code, rdata: NULL::with(octets) }
}

/// A name without compression.
fn wire(name: &Name) -> Vec<u8> {
    let mut octets = Vec::new();
    for label in name {
        octets.push(u8::try_from(label.len()).unwrap_or(0));
        octets.extend_from_slice(label);
    }
    octets.push(0);
    octets
}

/// The rarer types, by hickory.
fn other(rtype: RecordType, tokens: &[&str], origin: &Name) -> Result<RData, Fault> {
    let served = [
        RecordType::CAA,
        RecordType::CERT,
        RecordType::CSYNC,
        RecordType::HINFO,
        RecordType::HTTPS,
        RecordType::NAPTR,
        RecordType::OPENPGPKEY,
        RecordType::SMIMEA,
        RecordType::SSHFP,
        RecordType::SVCB,
        RecordType::TLSA,
    ];
    if !served.contains(&rtype) {
        return Err(Fault::Type(rtype.to_string()));
    }
    // Where a name stands that may be relative.
    let name_at = match rtype {
        RecordType::HTTPS | RecordType::SVCB => Some(1),
        RecordType::NAPTR => Some(5),
        _ => None,
    };
    let mut text = String::new();
    for (at, token) in tokens.iter().enumerate() {
        let token = if name_at == Some(at) {
            master::name(token, origin)?.to_ascii()
        } else {
            let octets = unescape(token).map_err(|reason| bad(rtype, reason))?;
            String::from_utf8(octets).map_err(|_| bad(rtype, "it isn't UTF-8"))?
        };
        let token = token.replace('\\', r"\\").replace('"', "\\\"");
        text.push_str(&format!(" \"{token}\""));
    }
    RData::try_from_str(rtype, &text).map_err(|error| bad(rtype, error.to_string()))
}

/// Finds what hickory takes but can't send, such as a string of more than 255 octets, and what
/// clients couldn't read: data in octets that isn't the type's, the tag of a CAA record with signs
/// in it (RFC 8659 section 4.1).
fn readable(rtype: RecordType, data: &RData) -> Result<(), Fault> {
    let mut octets = Vec::new();
    let record = Record::from_rdata(Name::root(), 0, data.clone());
    let written = record.emit(&mut BinEncoder::new(&mut octets));
    written.map_err(|error| bad(rtype, error.to_string()))?;
    let mut decoder = BinDecoder::new(&octets);
    Record::read(&mut decoder).map_err(|error| bad(rtype, error.to_string()))?;
    Ok(())
}

fn value<T: FromStr>(rtype: RecordType, text: &str) -> Result<T, Fault> {
    text.parse().map_err(|_| bad(rtype, format!("`{text}` doesn't fit")))
}

fn bad(rtype: RecordType, reason: impl Into<String>) -> Fault {
    Fault::Data { rtype: rtype.to_string(), reason: reason.into() }
}
