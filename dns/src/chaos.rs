//! Questions about the name server itself, of class CHAOS (RFC 4892).

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::TXT;
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use kingcdn_config::Identity;

use crate::answer::Answer;
use crate::decode::Question;

/// What there is to be told.
const VERSION: &str = concat!("KingCDN ", env!("CARGO_PKG_VERSION"));
/// The longest identity, as the configuration has it.
const IDENTITY_MAX: usize = kingcdn_config::IDENTITY_MAX;

/// What the name server calls itself, for NSID (RFC 5001).
pub(crate) fn identity(configured: Option<&Identity>) -> Option<Box<[u8]>> {
    let octets = match configured? {
        Identity::Text(text) => text.clone().into_bytes(),
        Identity::Hostname => nix::unistd::gethostname().ok()?.into_encoded_bytes(),
    };
    let length = octets.len().min(IDENTITY_MAX);
    octets.get(..length).filter(|octets| !octets.is_empty()).map(Box::from)
}

/// The answer to a question of class CHAOS. What isn't to be told is refused, as what isn't there.
pub(crate) fn answer(question: &Question<'_>, identity: Option<&[u8]>, version: bool) -> Answer {
    let name = question.key.name();
    let text = match name.to_ascii().as_str() {
        "version.bind." | "version.server." if version => Some(VERSION.as_bytes()),
        "id.server." | "hostname.bind." => identity,
        _ => None,
    };
    let asked = matches!(question.rtype, RecordType::TXT | RecordType::ANY);
    match text.filter(|_| asked) {
        Some(text) => {
            Answer { authoritative: true, answers: vec![record(name, text)], ..Answer::default() }
        }
        None => Answer::code(ResponseCode::Refused),
    }
}

fn record(name: Name, text: &[u8]) -> Record {
    let mut record = Record::from_rdata(name, 0, RData::TXT(TXT::from_bytes(vec![text])));
    record.dns_class = DNSClass::CH;
    record
}
