//! From an answer to a packet that fits.

use hickory_proto::op::{Edns as ReplyEdns, Metadata, ResponseCode};
use hickory_proto::rr::rdata::opt::EdnsOption;
use hickory_proto::rr::{Name, RData, Record};
use hickory_proto::serialize::binary::BinEncoder;
use hickory_server::net::NetError;
use hickory_server::net::xfer::Protocol;
use hickory_server::server::{Request, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::{MessageResponse, MessageResponseBuilder};

use crate::answer::Answer;
use crate::decode::{Edns, PAYLOAD_MAX};

/// What an answer over UDP has without EDNS (RFC 1035 section 4.2.1).
const PAYLOAD_PLAIN: usize = 512;
/// Code of the client subnet option.
const SUBNET: u16 = 8;
/// Octets of a header.
const HEADER: usize = 12;
/// Octets of an OPT record with the longest client subnet.
const OPT_WITH_SUBNET: usize = 11 + 4 + 4 + 16;

/// A packet's parts, which fit.
pub(crate) struct Reply<'r> {
    request: &'r Request,
    metadata: Metadata,
    answer: Answer,
    edns: Option<ReplyEdns>,
}

impl<'r> Reply<'r> {
    /// The reply to a request, cut to what its transport and its client take.
    pub(crate) fn new(request: &'r Request, edns: Option<&Edns>, answer: Answer) -> Self {
        let mut metadata = Metadata::response_from_request(&request.metadata);
        metadata.response_code = answer.code;
        metadata.authoritative = answer.authoritative;
        // We validate nothing, so there is nothing whose checking could be disabled (RFC 4035
        // section 3.1.6).
        metadata.checking_disabled = false;
        let limit = match (request.protocol(), edns) {
            (Protocol::Udp, Some(edns)) => usize::from(edns.payload),
            (Protocol::Udp, None) => PAYLOAD_PLAIN,
            _ => usize::from(u16::MAX),
        };
        let edns = edns.map(|edns| reply_edns(edns, &answer));
        let mut reply = Self { request, metadata, answer, edns };
        reply.fit(limit);
        reply
    }

    /// Sends it.
    pub(crate) async fn send(
        &self,
        mut to: impl ResponseHandler,
    ) -> Result<ResponseInfo, NetError> {
        to.send_response(self.message()).await
    }

    fn message<'a>(
        &'a self,
    ) -> MessageResponse<
        'a,
        'a,
        impl Iterator<Item = &'a Record> + Send + 'a,
        impl Iterator<Item = &'a Record> + Send + 'a,
        impl Iterator<Item = &'a Record> + Send + 'a,
        impl Iterator<Item = &'a Record> + Send + 'a,
    > {
        MessageResponseBuilder::new(&self.request.queries, self.edns.as_ref()).build(
            self.metadata,
            &self.answer.answers,
            &self.answer.authorities,
            [],
            &self.answer.additionals,
        )
    }

    /// Leaves out whole records until the packet fits, and OPT never.
    fn fit(&mut self, limit: usize) {
        if self.surely_fits(limit) || self.size() <= limit {
            return;
        }
        // Without addresses of name servers an answer is complete, a referral isn't (RFC 9471).
        self.metadata.truncation = !self.metadata.authoritative;
        self.answer.additionals.clear();
        if self.size() <= limit {
            return;
        }
        self.metadata.truncation = true;
        self.answer.authorities.clear();
        let records = std::mem::take(&mut self.answer.answers);
        // The most records that fit, by halving.
        let (mut fits, mut too_many) = (0, records.len() + 1);
        while too_many - fits > 1 {
            let count = fits.midpoint(too_many);
            self.answer.answers = records[..count].to_vec();
            if self.size() <= limit {
                fits = count;
            } else {
                too_many = count;
            }
        }
        self.answer.answers = records;
        self.answer.answers.truncate(fits);
    }

    /// Whether it needs no measuring: what most answers are made of is small, even uncompressed.
    fn surely_fits(&self, limit: usize) -> bool {
        let answer = &self.answer;
        let records = answer.answers.iter().chain(&answer.authorities).chain(&answer.additionals);
        let fixed = HEADER + OPT_WITH_SUBNET + self.request.queries.as_bytes().len();
        let size = records.map(bound).fold(fixed, usize::saturating_add);
        size <= limit
    }

    /// Octets of the packet.
    fn size(&self) -> usize {
        let mut octets = Vec::with_capacity(usize::from(PAYLOAD_MAX));
        let mut encoder = BinEncoder::new(&mut octets);
        let Ok(info) = self.message().destructive_emit(&mut encoder) else {
            return usize::MAX;
        };
        // What is more than any packet holds, hickory leaves out.
        let (counts, answer) = (info.counts(), &self.answer);
        let whole = usize::from(counts.answers) == answer.answers.len()
            && usize::from(counts.authorities) == answer.authorities.len()
            && usize::from(counts.additionals)
                == answer.additionals.len() + usize::from(self.edns.is_some());
        if whole { octets.len() } else { usize::MAX }
    }

    /// The code that it carries.
    pub(crate) fn code(&self) -> ResponseCode {
        self.metadata.response_code
    }

    /// Whether something was left out.
    pub(crate) fn truncated(&self) -> bool {
        self.metadata.truncation
    }

    /// The answer in it.
    pub(crate) fn answer(&self) -> &Answer {
        &self.answer
    }
}

/// Octets that a record has at most, where that is quickly said.
fn bound(record: &Record) -> usize {
    // Type, class, TTL and length; names with length octets and root.
    let name = |name: &Name| name.len() + 2;
    let data = match &record.data {
        RData::A(_) => 4,
        RData::AAAA(_) => 16,
        RData::CNAME(target) => name(&target.0),
        RData::SOA(soa) => name(&soa.mname) + name(&soa.rname) + 20,
        _ => return usize::MAX,
    };
    name(&record.name) + 10 + data
}

/// OPT in answer to OPT (RFC 6891 section 7), a client subnet in answer to one (RFC 7871
/// section 7.2.1).
fn reply_edns(edns: &Edns, answer: &Answer) -> ReplyEdns {
    let mut reply = ReplyEdns::new();
    // To hickory this is the packet's limit, which `fit` has kept already; to the client it says
    // what we take.
    reply.set_max_payload(PAYLOAD_MAX);
    reply.set_version(0);
    reply.set_dnssec_ok(edns.dnssec_ok);
    if let Some(subnet) = &edns.subnet {
        // A client that wants not to be known gets no scope (RFC 7871 section 7.1.2).
        let scope = if subnet.source == 0 { 0 } else { answer.scope };
        let option = EdnsOption::Unknown(SUBNET, subnet.echo(scope));
        reply.options_mut().insert(option);
    }
    reply
}
