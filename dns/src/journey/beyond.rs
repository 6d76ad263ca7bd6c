//! Queries beyond what their network may ask.

use std::net::IpAddr;

use hickory_proto::op::ResponseCode;

use super::{Outcome, Turn};
use crate::decode::Query;
use crate::encode::{Head, bare};
use crate::record::{Limited, Transport};

impl Turn<'_> {
    /// Whether a query is beyond what its network may ask, and what becomes of it.
    pub(super) fn limited(&self, query: &Query<'_>, from: IpAddr) -> Option<Limited> {
        let limits = &self.world.protocol.limits;
        let proven = self.transport != Transport::Udp || query.promise.proven;
        if proven || self.journey.limiter.take(from, self.now, limits.rate) {
            return None;
        }
        Some(match query.promise.cookie {
            Some(_) => Limited::Cookie,
            None if self.journey.limiter.slips(limits.slip) => Limited::Slipped,
            None => Limited::Dropped,
        })
    }
}

/// The answer to a query beyond the rate, if it gets any: never longer than the query by more than
/// what its OPT asks for.
pub(super) fn answer(query: &Query<'_>, limited: Limited, out: &mut Vec<u8>) -> Option<Outcome> {
    let (code, truncated) = match limited {
        Limited::Dropped => return None,
        // RFC 7873 section 5.2.3.
        Limited::Cookie => (ResponseCode::BADCOOKIE, false),
        Limited::Slipped => (ResponseCode::NoError, true),
    };
    bare(query, &Head { code, truncated, ..Head::default() }, out);
    Some(Outcome { truncated, ..Outcome::of_all(code) })
}
