//! From a request to a question, or to the reason why it gets none answered.

mod edns;

#[cfg(test)]
mod tests;

use hickory_proto::op::{OpCode, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RecordType};
use hickory_server::server::Request;
use thiserror::Error;

pub(crate) use edns::{Edns, PAYLOAD_MAX, Subnet};

use crate::name::Key;

/// What a client asks.
pub(crate) struct Question<'r> {
    /// The name, in the client's own capitals.
    pub(crate) name: &'r Name,
    pub(crate) key: Key,
    pub(crate) rtype: RecordType,
}

/// A request, read.
pub(crate) struct Decoded<'r> {
    /// What the client can do, where it says so and we can read it.
    pub(crate) edns: Option<Edns>,
    pub(crate) question: Result<Question<'r>, Refusal>,
}

/// Why a request isn't answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum Refusal {
    #[error("the operation isn't a query")]
    Operation,
    #[error("it hasn't one question")]
    Questions,
    #[error("the name is too long")]
    Name,
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
    #[error("the class isn't IN")]
    Class,
    #[error("zones aren't transferred")]
    Transfer,
}

impl Refusal {
    pub(crate) fn code(self) -> ResponseCode {
        match self {
            Self::Operation => ResponseCode::NotImp,
            // RFC 7871 section 7.1.2 and RFC 9619 section 4.
            Self::Questions
            | Self::Name
            | Self::Edns
            | Self::SubnetBits
            | Self::SubnetLength
            | Self::SubnetScope
            | Self::SubnetFamily
            | Self::SubnetTwice => ResponseCode::FormErr,
            // RFC 6891 section 6.1.3.
            Self::EdnsVersion => ResponseCode::BADVERS,
            Self::Class | Self::Transfer => ResponseCode::Refused,
        }
    }
}

/// Reads a request, which is no response.
pub(crate) fn decode(request: &Request) -> Decoded<'_> {
    let (edns, fault) = match edns::read(request.as_slice()) {
        Ok(None) => (None, None),
        Ok(Some((edns, fault))) => (Some(edns), fault),
        Err(refusal) => (None, Some(refusal)),
    };
    let question = match fault {
        _ if request.metadata.op_code != OpCode::Query => Err(Refusal::Operation),
        Some(refusal) => Err(refusal),
        None => question(request),
    };
    Decoded { edns, question }
}

fn question(request: &Request) -> Result<Question<'_>, Refusal> {
    let [query] = request.queries.queries() else {
        return Err(Refusal::Questions);
    };
    let name = query.original().name();
    let key = Key::new(name).ok_or(Refusal::Name)?;
    if query.query_class() != DNSClass::IN {
        return Err(Refusal::Class);
    }
    match query.query_type() {
        RecordType::AXFR | RecordType::IXFR => Err(Refusal::Transfer),
        rtype => Ok(Question { name, key, rtype }),
    }
}
