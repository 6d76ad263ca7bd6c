//! A zone as messages, one at a time: never more of it in memory than is under way.

use std::iter::once;
use std::sync::Arc;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::Record;
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder};
use kingcdn_config::clock::{Clock, Timestamp};
use tokio::sync::mpsc;

use super::Transfer;
use crate::decode::{HEADER, RESPONSE};

/// Octets that a message should have: as far as names can be pointed to, so that no more would be
/// saved (RFC 1035 section 4.1.4).
const OCTETS: usize = 16 << 10;
/// Messages that wait for a slow reader.
const WAITING: usize = 4;
/// AA.
const AUTHORITATIVE: u8 = 0x04;

/// Makes the messages of a transfer, at the pace at which they are taken. None is
/// the last: where it doesn't come, one couldn't be made, and the zone isn't whole.
pub(crate) fn send(mut transfer: Transfer, clock: Clock) -> mpsc::Receiver<Option<Vec<u8>>> {
    let (sender, receiver) = mpsc::channel(WAITING);
    tokio::task::spawn_blocking(move || {
        let world = Arc::clone(&transfer.world);
        let Some(zone) = world.zones.at(&transfer.zone) else { return };
        let Some(soa) = zone.soa() else { return };
        let mut records = once(soa).chain(zone.records()).chain(once(soa)).peekable();
        let mut first = true;
        while records.peek().is_some() {
            let mut message = Vec::with_capacity(OCTETS + 1024);
            let taken = write(&mut transfer, &mut records, (first, clock.now()), &mut message);
            first = false;
            // Whoever read it is gone.
            if taken.is_none() || sender.blocking_send(Some(message)).is_err() {
                return;
            }
        }
        let _whoever_read_it_is_gone = sender.blocking_send(None);
    });
    receiver
}

/// The message that says that there is nothing newer (RFC 1995 section 2).
pub(super) fn current(transfer: &mut Transfer, now: Timestamp, out: &mut Vec<u8>) -> Option<()> {
    let world = Arc::clone(&transfer.world);
    let soa = world.zones.at(&transfer.zone)?.soa()?;
    write(transfer, &mut once(soa).peekable(), (true, now), out)
}

/// Writes a message of as many records as it should have, at least one.
fn write<'z>(
    transfer: &mut Transfer,
    records: &mut std::iter::Peekable<impl Iterator<Item = &'z Record>>,
    (first, now): (bool, Timestamp),
    out: &mut Vec<u8>,
) -> Option<()> {
    let question: &[u8] = if first { &transfer.question } else { &[] };
    let opt: &[u8] = if first { &transfer.opt } else { &[] };
    let behind = opt.len() + transfer.chain.size();
    let mut encoder = BinEncoder::new(out);
    encoder.emit_vec(&[0; HEADER]).and_then(|()| encoder.emit_vec(question)).ok()?;
    encoder.set_max_size(u16::try_from(usize::from(u16::MAX) - behind).ok()?);
    let mut count = 0_u16;
    while let Some(record) = records.peek() {
        let start = encoder.offset();
        if record.emit(&mut encoder).is_err() {
            encoder.set_offset(start);
            encoder.trim();
            break;
        }
        count += 1;
        records.next();
        if encoder.offset() + behind >= OCTETS {
            break;
        }
    }
    if count == 0 {
        return None;
    }
    let [a, b] = transfer.id;
    let [high, low] = count.to_be_bytes();
    let flags = RESPONSE | transfer.flags | AUTHORITATIVE;
    let code = ResponseCode::NoError.low();
    let (questions, additionals) = (u8::from(first), u8::from(!opt.is_empty()));
    let header = [a, b, flags, code, 0, questions, high, low, 0, 0, 0, additionals];
    out.get_mut(..HEADER)?.copy_from_slice(&header);
    out.extend_from_slice(opt);
    transfer.chain.sign(out, now);
    Some(())
}
