//! Records of an answer as hickory-server writes them: the full path, for whatever wasn't made ahead.
//!
//! What is made ahead is written by ourselves (`encode`). Both must say the same, and the tests of
//! `ready` compare them.

use hickory_proto::op::{MessageType, Metadata, OpCode};
use hickory_proto::rr::{Name, Record};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder, BinEncoder};
use hickory_server::zone_handler::{MessageResponseBuilder, Queries};

use crate::answer::Answer;
use crate::decode::{HEADER, Query};
use crate::encode::Head;

/// The sections of an answer, which may lose records until they fit.
struct Sections<'a> {
    queries: Queries,
    answers: &'a [Record],
    authorities: &'a [Record],
    additionals: &'a [Record],
}

/// Writes room for a header, the question, and the records that fit into `room` octets with both.
pub(crate) fn records(
    query: &Query<'_>,
    answer: &Answer,
    room: usize,
    head: &mut Head,
    out: &mut Vec<u8>,
) {
    *out = [&[0; HEADER], query.octets].concat();
    // A question that we could read and hickory can't is answered with the header alone.
    let Ok(queries) = Queries::read(&mut BinDecoder::new(query.octets), 1) else { return };
    let asked = Name::read(&mut BinDecoder::new(query.octets)).unwrap_or_default();
    // The question's owner in the client's own capitals, as in the question.
    let answers: Vec<Record> =
        answer.answers.iter().map(|record| capitals(record, &asked)).collect();
    let mut sections = Sections {
        queries,
        answers: &answers,
        authorities: &answer.authorities,
        additionals: &answer.additionals,
    };
    head.truncated = sections.fit(room, answer.authoritative);
    sections.write(out);
    head.counts = sections.counts();
}

fn capitals(record: &Record, asked: &Name) -> Record {
    let mut record = record.clone();
    if record.name == *asked {
        record.name = asked.clone();
    }
    record
}

impl Sections<'_> {
    /// Leaves out whole records until the rest fits; whether that has to be said.
    fn fit(&mut self, room: usize, authoritative: bool) -> bool {
        if self.size() <= room {
            return false;
        }
        let additionals = std::mem::take(&mut self.additionals);
        if self.size() <= room {
            // Without addresses of name servers an answer is complete, a referral isn't (RFC 9471).
            return !additionals.is_empty() && !authoritative;
        }
        self.authorities = &[];
        let all = self.answers;
        // The most records that fit, by halving.
        let (mut fits, mut too_many) = (0, all.len() + 1);
        while too_many - fits > 1 {
            let count = fits.midpoint(too_many);
            self.answers = all.get(..count).unwrap_or_default();
            if self.size() <= room {
                fits = count;
            } else {
                too_many = count;
            }
        }
        self.answers = all.get(..fits).unwrap_or_default();
        true
    }

    /// Octets of header, question and records.
    fn size(&self) -> usize {
        let mut octets = Vec::new();
        if self.write(&mut octets) { octets.len() } else { usize::MAX }
    }

    /// Writes all; whether nothing was left out.
    fn write(&self, out: &mut Vec<u8>) -> bool {
        out.clear();
        let metadata = Metadata::new(0, MessageType::Response, OpCode::Query);
        let message = MessageResponseBuilder::new(&self.queries, None).build(
            metadata,
            self.answers,
            self.authorities,
            [],
            self.additionals,
        );
        let written = message.destructive_emit(&mut BinEncoder::new(out));
        // What is more than any packet holds, hickory leaves out.
        written.is_ok_and(|info| {
            let counts = info.counts();
            [counts.answers, counts.authorities, counts.additionals] == self.counts()
        })
    }

    fn counts(&self) -> [u16; 3] {
        [self.answers, self.authorities, self.additionals]
            .map(|records| u16::try_from(records.len()).unwrap_or(u16::MAX))
    }
}
