//! Requests that are signed (TSIG, RFC 8945): by secondaries, whose answers are signed too.

use std::net::IpAddr;

use hickory_proto::op::ResponseCode;
use tracing::info;

use super::{Outcome, Turn};
use crate::decode::{Query, Refusal};
use crate::encode::{Head, bare};
use crate::record::TransferEnd;
use crate::transfer::{Chain, Checked, Transfer, check, reject};

impl Turn<'_> {
    /// The answer to a signed request, or the zone that it asks for.
    pub(super) fn signed(
        &self,
        packet: &[u8],
        query: &mut Query<'_>,
        from: IpAddr,
        out: &mut Vec<u8>,
    ) -> (Outcome, Option<Box<Transfer>>) {
        match check(packet, self.world.secondaries.secrets(), self.now) {
            Checked::Good(chain) if matches!(query.question, Err(Refusal::Transfer)) => {
                // A zone hides its length among its messages, each of which is full.
                query.promise.padded = false;
                self.transfer(packet, query, (from, chain), out)
            }
            Checked::Good(mut chain) => {
                query.promise.tail = chain.size();
                let outcome = self.whole(query, from, out);
                chain.sign(out, self.now);
                (outcome, None)
            }
            Checked::Bad(fault, chain) => {
                let head = Head { code: fault.code(), ..Head::default() };
                bare(query, &head, out);
                match chain {
                    Some(mut chain) => chain.sign(out, self.now),
                    None => reject(packet, fault, out, self.now),
                }
                info!(resolver = %from, ?fault, "signature of a request isn't accepted");
                (outcome(head.code), None)
            }
        }
    }

    /// A zone, that there is no newer one, or why it isn't handed out.
    fn transfer(
        &self,
        packet: &[u8],
        query: &Query<'_>,
        (from, mut chain): (IpAddr, Chain),
        out: &mut Vec<u8>,
    ) -> (Outcome, Option<Box<Transfer>>) {
        let stream = self.transport.is_stream();
        let with = (chain.clone(), &self.journey.places);
        let metrics = &self.journey.metrics;
        match Transfer::grant(&self.world, (packet, query), (from, stream), with) {
            Ok(mut granted) => {
                let whole = !granted.short(self.now, out);
                if !whole {
                    metrics.transfer(TransferEnd::Current);
                }
                (outcome(ResponseCode::NoError), whole.then(|| Box::new(granted)))
            }
            Err(why) => {
                metrics.transfer(TransferEnd::Denied);
                info!(secondary = %from, "zone isn't transferred: {why}");
                let (code, extended) = (ResponseCode::Refused, Refusal::Transfer.extended());
                bare(query, &Head { code, extended, ..Head::default() }, out);
                chain.sign(out, self.now);
                (outcome(code), None)
            }
        }
    }
}

fn outcome(code: ResponseCode) -> Outcome {
    Outcome { code, steering: None, scope: 0, truncated: false }
}
