//! From an answer to a packet that fits.

use hickory_proto::op::{Query as ProtoQuery, ResponseCode};
use hickory_proto::rr::Record;
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder};

use crate::answer::Answer;
use crate::decode::{
    Edns, HEADER, OPT, PAYLOAD_MAX, Query, Question, RESPONSE, write_cookie, write_keepalive,
    write_nsid, write_padding,
};
use crate::hickory;
use crate::record::Transport;

/// What an answer over UDP has without EDNS (RFC 1035 section 4.2.1).
const PAYLOAD_PLAIN: usize = 512;
/// AA and TC, in the first octet of flags.
const AUTHORITATIVE: u8 = 0x04;
const TRUNCATED: u8 = 0x02;
/// DO, in the TTL of OPT (RFC 3225 section 3).
const DNSSEC_OK: u8 = 0x80;
/// Code of the option for an extended error (RFC 8914 section 2).
const EXTENDED: u16 = 15;

/// Padded answers have a multiple of so many octets (RFC 8467 section 4.1).
const BLOCK: usize = 468;

/// What an answer's header says, beside what it repeats of the query's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Head {
    pub(crate) code: ResponseCode,
    /// What more can be said of the code, to clients with EDNS (RFC 8914).
    pub(crate) extended: Option<u16>,
    pub(crate) authoritative: bool,
    pub(crate) truncated: bool,
    /// Records of each section, without OPT.
    pub(crate) counts: [u16; 3],
}

/// How many octets an answer may have.
pub(crate) fn limit(transport: Transport, edns: Option<&Edns>) -> usize {
    match (transport, edns) {
        (Transport::Udp, Some(edns)) => usize::from(edns.payload),
        (Transport::Udp, None) => PAYLOAD_PLAIN,
        (Transport::Tcp | Transport::Tls | Transport::Https, _) => usize::from(u16::MAX),
    }
}

/// Who writes the records of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writer {
    /// We: for answers that are made ahead, and have the client's capitals put in later.
    Ourselves,
    /// hickory-server: for whatever else there is.
    Hickory,
}

/// Writes a whole answer, cut to `limit` octets: whole records, as many as fit, and always OPT.
pub(crate) fn encode(
    query: &Query<'_>,
    answer: &Answer,
    (writer, limit): (Writer, usize),
    out: &mut Vec<u8>,
) -> Head {
    out.clear();
    let mut head = Head {
        code: answer.code,
        extended: answer.extended,
        authoritative: answer.authoritative,
        truncated: false,
        counts: [0; 3],
    };
    match &query.question {
        Ok(question) => {
            let room = limit.saturating_sub(opt_size(query, answer.extended));
            match writer {
                Writer::Ourselves => records(question, answer, room, &mut head, out),
                Writer::Hickory => hickory::records(query, answer, room, &mut head, out),
            }
            let (header, behind) = out.split_at_mut(HEADER);
            header.copy_from_slice(&header_of(query, &head));
            // Names are written against the question in lower case, so that they are the same
            // whatever its capitals; those that point to it have the client's again.
            behind[..query.octets.len()].copy_from_slice(query.octets);
        }
        Err(_) => open(query, &head, out),
    }
    close(query, &head, answer.scope, out);
    head
}

/// Writes an answer without records: what there is to say is in its head.
pub(crate) fn bare(query: &Query<'_>, head: &Head, out: &mut Vec<u8>) {
    out.clear();
    open(query, head, out);
    close(query, head, 0, out);
}

/// Begins an answer: header and question. Records follow, as many as the head says.
pub(crate) fn open(query: &Query<'_>, head: &Head, out: &mut Vec<u8>) {
    out.extend_from_slice(&header_of(query, head));
    out.extend_from_slice(query.octets);
}

/// Ends an answer: OPT in answer to OPT (RFC 6891 section 7), a client subnet in answer to one (RFC
/// 7871 section 7.2.1), and what else we have to say.
pub(crate) fn close(query: &Query<'_>, head: &Head, scope: u8, out: &mut Vec<u8>) {
    let Some(edns) = &query.edns else { return };
    let [opt, payload] = [OPT, PAYLOAD_MAX].map(u16::to_be_bytes);
    let flags = if edns.dnssec_ok { DNSSEC_OK } else { 0 };
    let high = head.code.high();
    out.extend_from_slice(&[0, opt[0], opt[1], payload[0], payload[1], high, 0, flags, 0]);
    let options = options_size(edns, query, head.extended);
    let padding = if query.promise.padded { padding(out.len() + 2 + options, query) } else { None };
    let length = options + padding.map_or(0, |octets| 4 + usize::from(octets));
    #[allow(clippy::cast_possible_truncation)] // Below two blocks.
    out.extend_from_slice(&(length as u16).to_be_bytes());
    if let Some(subnet) = &edns.subnet {
        subnet.echo(scope, out);
    }
    if let Some(cookie) = &query.promise.cookie {
        write_cookie(cookie, out);
    }
    if let Some(tenths) = query.promise.keepalive {
        write_keepalive(tenths, out);
    }
    if let Some(identity) = &query.promise.identity {
        write_nsid(identity, out);
    }
    if let Some(extended) = head.extended {
        let [code, extended] = [EXTENDED, extended].map(u16::to_be_bytes);
        out.extend_from_slice(&[code[0], code[1], 0, 2, extended[0], extended[1]]);
    }
    if let Some(octets) = padding {
        write_padding(octets, out);
    }
}

/// The octets of padding in an answer that has `size` without it, so that it is as long as many
/// others, signature and all; none where there is no room.
fn padding(size: usize, query: &Query<'_>) -> Option<u16> {
    let size = size + 4 + query.promise.tail;
    let room = usize::from(u16::MAX).checked_sub(size)?;
    u16::try_from((size.next_multiple_of(BLOCK) - size).min(room)).ok()
}

/// Octets of what [`close`] writes.
pub(crate) fn opt_size(query: &Query<'_>, extended: Option<u16>) -> usize {
    query.edns.as_ref().map_or(0, |edns| 11 + options_size(edns, query, extended))
}

fn options_size(edns: &Edns, query: &Query<'_>, extended: Option<u16>) -> usize {
    edns.subnet.map_or(0, |subnet| subnet.size())
        + query.promise.cookie.map_or(0, |cookie| 4 + cookie.len())
        + query.promise.keepalive.map_or(0, |_| 6)
        + query.promise.identity.as_ref().map_or(0, |identity| 4 + identity.len())
        + extended.map_or(0, |_| 6)
}

fn header_of(query: &Query<'_>, head: &Head) -> [u8; HEADER] {
    let flag = |set, bit| if set { bit } else { 0 };
    let flags = RESPONSE
        | query.flags
        | flag(head.authoritative, AUTHORITATIVE)
        | flag(head.truncated, TRUNCATED);
    let [answers, authorities, additionals] = head.counts;
    let [an, ns] = [answers, authorities].map(u16::to_be_bytes);
    let ar = (additionals + u16::from(query.edns.is_some())).to_be_bytes();
    let questions = u8::from(!query.octets.is_empty());
    // RA, Z, AD and CD are clear: we recurse for nobody and validate nothing (RFC 4035
    // section 3.1.6).
    let [a, b] = query.id;
    [a, b, flags, head.code.low(), 0, questions, an[0], an[1], ns[0], ns[1], ar[0], ar[1]]
}

/// Writes room for a header, the question in lower case, and the records that fit into `room` octets
/// with both.
fn records(
    question: &Question<'_>,
    answer: &Answer,
    room: usize,
    head: &mut Head,
    out: &mut Vec<u8>,
) {
    let mut encoder = BinEncoder::new(out);
    let asked = ProtoQuery::query(question.key.name(), question.rtype);
    // A header and a question are shorter than any limit.
    let _fits = encoder.emit_vec(&[0; HEADER]).and_then(|()| asked.emit(&mut encoder));
    encoder.set_max_size(u16::try_from(room).unwrap_or(u16::MAX));
    let [answers, authorities, additionals] = &mut head.counts;
    for record in &answer.answers {
        if !whole(std::slice::from_ref(record), &mut encoder, answers) {
            head.truncated = true;
            return;
        }
    }
    if !whole(&answer.authorities, &mut encoder, authorities) {
        head.truncated = true;
    } else if !whole(&answer.additionals, &mut encoder, additionals) {
        // Without addresses of name servers an answer is complete, a referral isn't (RFC 9471).
        head.truncated = !answer.authoritative;
    }
}

/// Writes all of these records, or none of them; whether they fit.
fn whole(records: &[Record], encoder: &mut BinEncoder<'_>, count: &mut u16) -> bool {
    let start = encoder.offset();
    if records.iter().try_for_each(|record| record.emit(encoder)).is_err() {
        encoder.set_offset(start);
        encoder.trim();
        return false;
    }
    // In a packet of 65,535 octets there are fewer records.
    *count = count.saturating_add(u16::try_from(records.len()).unwrap_or(u16::MAX));
    true
}
