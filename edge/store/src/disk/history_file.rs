//! What the ledger remembers of records that aren't held, in a file: so that a start doesn't take
//! everything for new.

use std::fs;
use std::io;
use std::path::Path;

use twox_hash::XxHash3_64;

use super::counters::{Counters, add, count};
use super::device::Device;
use super::error::Reason;
use super::record::{u32_at, u64_at};
use super::segment::VERSION;
use super::snapshot_file;
use crate::policy::Ledger;

const NAME: &str = "history";
const MAGIC: &[u8; 8] = b"KCDN-HST";
const HEAD_BYTES: usize = 32;

/// Reads it, where the ledger remembers nothing yet. Without a good one it goes on as it is.
pub(crate) fn load(folder: &Path, ledger: &Ledger, counters: &Counters) {
    let bytes = match fs::read(folder.join(NAME)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return,
        Err(_) => return count(&counters.bad_snapshots),
    };
    match decode(bytes) {
        Some(words) => ledger.remember(words),
        None => {
            count(&counters.bad_snapshots);
            tracing::warn!(folder = %folder.display(), "the history is damaged");
        }
    }
}

/// Writes it.
pub(crate) fn write(
    device: &dyn Device,
    folder: &Path,
    ledger: &Ledger,
    counters: &Counters,
) -> Result<(), Reason> {
    let bytes = encode(&ledger.remembered());
    let path = folder.join(NAME);
    snapshot_file::replace(device, folder, NAME, &bytes).map_err(Reason::io("write", &path))?;
    add(&counters.bytes_overhead, bytes.len() as u64);
    Ok(())
}

fn encode(words: &[Vec<u32>; 2]) -> Vec<u8> {
    let len = words.iter().map(Vec::len).sum::<usize>();
    let mut bytes = Vec::with_capacity(HEAD_BYTES + len * 4);
    bytes.extend(MAGIC);
    bytes.extend(VERSION.to_le_bytes());
    for words in words {
        bytes.extend(u32::try_from(words.len()).unwrap_or(u32::MAX).to_le_bytes());
    }
    bytes.resize(HEAD_BYTES, 0);
    words.iter().flatten().for_each(|word| bytes.extend(word.to_le_bytes()));
    let checksum = XxHash3_64::oneshot(&bytes);
    bytes[HEAD_BYTES - 8..HEAD_BYTES].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

pub(super) fn decode(mut bytes: Vec<u8>) -> Option<[Vec<u32>; 2]> {
    if bytes.len() < HEAD_BYTES || &bytes[..8] != MAGIC || u32_at(&bytes, 8) != VERSION {
        return None;
    }
    let checksum = u64_at(&bytes, HEAD_BYTES - 8);
    bytes[HEAD_BYTES - 8..HEAD_BYTES].fill(0);
    if XxHash3_64::oneshot(&bytes) != checksum {
        return None;
    }
    let mut words = bytes[HEAD_BYTES..].chunks_exact(4).map(|word| u32_at(word, 0));
    let mut next = |at| -> Option<Vec<u32>> {
        let len = usize::try_from(u32_at(&bytes, at)).ok()?;
        let taken: Vec<u32> = words.by_ref().take(len).collect();
        (taken.len() == len).then_some(taken)
    };
    Some([next(12)?, next(16)?])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_written_is_read_and_nothing_else(
            one in prop::collection::vec(any::<u32>(), 0..50),
            two in prop::collection::vec(any::<u32>(), 0..50),
            at in any::<prop::sample::Index>(),
            flip in 1..=255_u8,
        ) {
            let words = [one, two];
            let mut bytes = encode(&words);
            prop_assert_eq!(decode(bytes.clone()), Some(words));
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            prop_assert_eq!(decode(bytes), None);
        }
    }
}
