//! From a packet to a question, or to the reason why it gets none answered.
//!
//! Packets are read here and not by hickory, whose decoder makes room for as
//! many records as a header claims, and whose types don't show whether a client
//! subnet's address was too long, had bits beyond its prefix, or stood there
//! twice. Nothing here allocates.

mod edns;
mod reader;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use thiserror::Error;

pub(crate) use edns::{
    Edns, OPT, PAYLOAD_MAX, Subnet, TSIG, write_cookie, write_keepalive, write_nsid, write_padding,
};
pub(crate) use reader::Reader;

use crate::cookies::Cookie;
use crate::name::Key;

/// Octets of a header (RFC 1035 section 4.1.1).
pub(crate) const HEADER: usize = 12;
/// QR: it is a response.
pub(crate) const RESPONSE: u8 = 0x80;
/// The operation's bits.
const OPERATION: u8 = 0x78;
/// What an answer repeats of the first octet of flags: the operation and RD.
const REPEATED: u8 = OPERATION | 0x01;
/// Extended errors (RFC 8914 section 4).
const PROHIBITED: u16 = 18;
const NOT_SUPPORTED: u16 = 21;
const INVALID_TYPE: u16 = 30;
/// NXNAME, for which nobody may ask (RFC 9824 section 3.4).
const NXNAME: RecordType = RecordType::Unknown(128);
/// Classes.
const IN: u16 = 1;
const CHAOS: u16 = 3;

/// What a client asks.
#[derive(Clone, Copy)]
pub(crate) struct Question<'p> {
    pub(crate) key: &'p Key,
    pub(crate) rtype: RecordType,
    /// Whether it is of class CHAOS, and so about the name server itself.
    pub(crate) chaos: bool,
}

/// A request, read.
pub(crate) struct Query<'p> {
    pub(crate) id: [u8; 2],
    /// The operation and RD, where they stand in a header.
    pub(crate) flags: u8,
    /// The question as it came, to the octet; empty where there isn't one.
    pub(crate) octets: &'p [u8],
    /// What the client can do, where it says so and we can read it.
    pub(crate) edns: Option<Edns>,
    /// Whether its last record is a signature (TSIG).
    pub(crate) signed: bool,
    pub(crate) question: Result<Question<'p>, Refusal>,
    pub(crate) promise: Promise,
}

/// What the answer's OPT tells the client, whatever the answer is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Promise {
    pub(crate) cookie: Option<Cookie>,
    /// What we call ourselves.
    pub(crate) identity: Option<Arc<[u8]>>,
    /// For how many tenths of a second the connection may idle.
    pub(crate) keepalive: Option<u16>,
    /// Whether the client is where it says: its cookie is ours.
    pub(crate) proven: bool,
    /// Whether its length is to tell nothing (RFC 7830).
    pub(crate) padded: bool,
    /// Octets that the answer's signature needs behind OPT.
    pub(crate) tail: usize,
}

/// Why a packet gets no answer at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Silence {
    /// It hasn't even a header to which one could answer.
    Short,
    /// It is a response: two servers must never talk to each other for ever.
    Response,
}

/// Why a request isn't answered as asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum Refusal {
    #[error("the operation isn't a query")]
    Operation,
    #[error("it hasn't one question")]
    Questions,
    #[error("it asks for a cookie and nothing else")]
    OnlyCookie,
    #[error("it ends too early, or a name in it is none")]
    Malformed,
    #[error("the signature isn't the last record")]
    Signature,
    #[error("the OPT record is malformed")]
    Edns,
    #[error("the EDNS version is unknown")]
    EdnsVersion,
    #[error("the client subnet has bits beyond its prefix length")]
    SubnetBits,
    #[error("the client subnet's address isn't as long as its prefix length says")]
    SubnetLength,
    #[error("the client subnet has a scope")]
    SubnetScope,
    #[error("the client subnet's address family is unknown")]
    SubnetFamily,
    #[error("there is more than one client subnet")]
    SubnetTwice,
    #[error("the cookie is too short or too long")]
    Cookie,
    #[error("the class isn't IN")]
    Class,
    #[error("the type stands for a name that isn't there")]
    NoType,
    #[error("zones are transferred to secondaries alone")]
    Transfer,
}

impl Refusal {
    /// What more can be said of it (RFC 8914 section 4).
    pub(crate) fn extended(self) -> Option<u16> {
        match self {
            Self::Transfer => Some(PROHIBITED),
            Self::Class | Self::Operation => Some(NOT_SUPPORTED),
            Self::NoType => Some(INVALID_TYPE),
            _ => None,
        }
    }

    pub(crate) fn code(self) -> ResponseCode {
        match self {
            Self::Operation => ResponseCode::NotImp,
            // RFC 7873 section 5.4.
            Self::OnlyCookie => ResponseCode::NoError,
            // RFC 7871 section 7.1.2, RFC 7873 section 5.2.2 and RFC 9619 section 4.
            Self::Questions
            | Self::Malformed
            | Self::Edns
            | Self::Signature
            | Self::SubnetBits
            | Self::SubnetLength
            | Self::SubnetScope
            | Self::SubnetFamily
            | Self::SubnetTwice
            | Self::Cookie
            | Self::NoType => ResponseCode::FormErr,
            // RFC 6891 section 6.1.3.
            Self::EdnsVersion => ResponseCode::BADVERS,
            Self::Class | Self::Transfer => ResponseCode::Refused,
        }
    }
}

/// Reads a packet, and the name that it asks for into `key`.
pub(crate) fn decode<'p>(packet: &'p [u8], key: &'p mut Key) -> Result<Query<'p>, Silence> {
    let Some((header, behind)) = packet.split_first_chunk::<HEADER>() else {
        return Err(Silence::Short);
    };
    if header[2] & RESPONSE != 0 {
        return Err(Silence::Response);
    }
    let count = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let mut query = Query {
        id: [header[0], header[1]],
        flags: header[2] & REPEATED,
        octets: &[],
        edns: None,
        signed: false,
        question: Err(Refusal::Questions),
        promise: Promise::default(),
    };
    let mut reader = Reader(behind);
    if count(4) == 1 {
        query.question = question(&mut reader, key);
        if !matches!(query.question, Err(Refusal::Malformed)) {
            query.octets = &behind[..behind.len() - reader.0.len()];
        }
    }
    // Behind a question that can't be read, nothing can.
    if count(4) == 0 || !query.octets.is_empty() {
        let others = u32::from(count(6)) + u32::from(count(8));
        match edns::read(reader, others, count(10)) {
            Ok((None, signed)) => query.signed = signed,
            Ok((Some((edns, fault)), signed)) => {
                query.signed = signed;
                query.edns = Some(edns);
                if let Some(refusal) = fault {
                    query.question = Err(refusal);
                } else if count(4) == 0 && edns.cookie.is_some() {
                    query.question = Err(Refusal::OnlyCookie);
                }
            }
            Err(refusal) => query.question = Err(refusal),
        }
    }
    // RFC 8906 section 3.1.4: whatever else is in it.
    if header[2] & OPERATION != 0 {
        query.question = Err(Refusal::Operation);
    }
    Ok(query)
}

fn question<'p>(reader: &mut Reader<'_>, key: &'p mut Key) -> Result<Question<'p>, Refusal> {
    key.read(reader).ok_or(Refusal::Malformed)?;
    let rtype = reader.u16().ok_or(Refusal::Malformed)?;
    let class = reader.u16().ok_or(Refusal::Malformed)?;
    let chaos = class == CHAOS;
    if class != IN && !chaos {
        return Err(Refusal::Class);
    }
    match RecordType::from(rtype) {
        RecordType::AXFR | RecordType::IXFR => Err(Refusal::Transfer),
        NXNAME => Err(Refusal::NoType),
        rtype => Ok(Question { key, rtype, chaos }),
    }
}
