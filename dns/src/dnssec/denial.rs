//! What isn't there (RFC 9824): an NSEC record made for the one name asked for,
//! which says nothing of any other.

use super::{NSEC, RRSIG};
use crate::name::Key;

/// The data of the NSEC record of a name that has records of these types, beside NSEC and RRSIG.
pub(super) fn nsec(owner: &Key, types: impl Iterator<Item = u16>) -> Option<Vec<u8>> {
    // The next name in canonical order: one more label, a null octet (RFC 9824 section 3.1). There
    // is none below the longest names.
    let mut data = [&[1, 0], owner.whole(), &[0]].concat();
    if data.len() > 255 {
        return None;
    }
    let mut types: Vec<u16> = types.chain([RRSIG, NSEC]).collect();
    types.sort_unstable();
    types.dedup();
    // RFC 4034 section 4.1.2.
    for window in types.chunk_by(|one, other| one >> 8 == other >> 8) {
        let mut bits = [0_u8; 32];
        let mut length = 0;
        for rtype in window {
            let [_, low] = rtype.to_be_bytes();
            let at = usize::from(low / 8);
            if let Some(octet) = bits.get_mut(at) {
                *octet |= 0x80 >> (low % 8);
            }
            length = at + 1;
        }
        let number = window.first().map_or(0, |rtype| rtype.to_be_bytes()[0]);
        data.extend([number, u8::try_from(length).unwrap_or(32)]);
        data.extend_from_slice(bits.get(..length).unwrap_or_default());
    }
    Some(data)
}
