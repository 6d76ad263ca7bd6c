//! Record data as a master file writes it.

use std::str::FromStr;

use hickory_proto::rr::rdata::{A, AAAA, CNAME, MX, NS, PTR, SOA, SRV, TXT};
use hickory_proto::rr::{Name, RData, RecordType};
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder};

use super::error::Fault;
use super::lexer::unescape;
use super::master;

/// The data of a record of this type.
pub(super) fn read(rtype: RecordType, tokens: &[&str], origin: &Name) -> Result<RData, Fault> {
    let name = |text| master::name(text, origin);
    let data = match (rtype, tokens) {
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
        _ => other(rtype, tokens, origin)?,
    };
    encodable(rtype, &data)?;
    Ok(data)
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

/// Finds what hickory reads but can't send, such as a string of more than 255 octets.
fn encodable(rtype: RecordType, data: &RData) -> Result<(), Fault> {
    let mut octets = Vec::new();
    data.emit(&mut BinEncoder::new(&mut octets)).map_err(|error| bad(rtype, error.to_string()))
}

fn value<T: FromStr>(rtype: RecordType, text: &str) -> Result<T, Fault> {
    text.parse().map_err(|_| bad(rtype, format!("`{text}` doesn't fit")))
}

fn bad(rtype: RecordType, reason: impl Into<String>) -> Fault {
    Fault::Data { rtype: rtype.to_string(), reason: reason.into() }
}
