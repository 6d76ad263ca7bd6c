//! What fuzzers call: every decoder of what is on disk, on bytes as they are and with their
//! checksums put right. Panics where a decoder does, and where it contradicts its encoder.

use twox_hash::XxHash3_64;

use super::history_file;
use super::meta::{Decoded, Meta};
use super::record::{self, HEADER_BYTES, Header, Spot};
use super::segment::{SegmentHeader, VERSION};
use super::snapshot::{BLOCK_BYTES, HEAD_BYTES, Head};
use crate::Id;

const SPOT: Spot = Spot { seed: 1, segment: 2, offset: 3 };

/// Decodes `data` as all that it could be.
pub fn decode(data: &[u8]) {
    header(data);
    head(data);
    let _ = history_file::decode(data.to_vec());
    let _ = record::verified(data, SPOT, Id([0; 16]));
    if let Some(mut bytes) = data.first_chunk::<HEADER_BYTES>().copied() {
        bytes[..4].copy_from_slice(b"KREC");
        let checksum = record::own_checksum(&bytes, SPOT);
        bytes[HEADER_BYTES - 8..].copy_from_slice(&checksum.to_le_bytes());
        header(&bytes);
    }
    if let Some(bytes) = put_right::<64>(data, b"KCDN-SEG") {
        let header = SegmentHeader::decode(&bytes);
        assert_eq!(header.and_then(|it| SegmentHeader::decode(&it.encode())), header);
        assert!(header.is_some());
    }
    if let Some(bytes) = put_right::<64>(data, b"KCDN-DSK") {
        let Decoded::Right(meta) = Meta::decode(&bytes) else { panic!("refused its own") };
        assert_eq!(Meta::decode(&meta.encode()), Decoded::Right(meta));
    }
    if let Some(bytes) = put_right::<HEAD_BYTES>(data, b"KCDN-SNP") {
        let mut bytes = [&bytes[..], &data[HEAD_BYTES..]].concat();
        // As many marks as there is room for.
        let marks = (bytes.len() - HEAD_BYTES) / 16;
        bytes[12..16].copy_from_slice(&u32::try_from(marks).unwrap_or(0).to_le_bytes());
        let len = Head::len_bytes(&bytes).unwrap_or_default();
        bytes.truncate(len);
        bytes[HEAD_BYTES - 8..HEAD_BYTES].fill(0);
        let checksum = XxHash3_64::oneshot(&bytes);
        bytes[HEAD_BYTES - 8..HEAD_BYTES].copy_from_slice(&checksum.to_le_bytes());
        head(&bytes);
    }
}

/// The first bytes, with this magic number, our version, and the checksum that files' first bytes
/// end with.
fn put_right<const LEN: usize>(data: &[u8], magic: &[u8; 8]) -> Option<[u8; LEN]> {
    let mut bytes: [u8; LEN] = *data.first_chunk()?;
    bytes[..8].copy_from_slice(magic);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    let checksum = XxHash3_64::oneshot(&bytes[..LEN - 8]);
    bytes[LEN - 8..].copy_from_slice(&checksum.to_le_bytes());
    Some(bytes)
}

fn header(data: &[u8]) {
    if let Some(header) = Header::decode(data, SPOT) {
        assert_eq!(Header::decode(&header.encode(SPOT), SPOT), Some(header));
    }
}

fn head(data: &[u8]) {
    let Some(head) = Head::decode(data) else { return };
    assert_eq!(Head::decode(&head.encode()).as_ref(), Some(&head));
    // What follows is a block, right or not.
    let mut block = data[HEAD_BYTES.min(data.len())..].to_vec();
    let _ = head.decode_block(1, 1, &mut block);
    if let Some(len) = Head::block_len_bytes(&block, 1).filter(|len| *len <= block.len()) {
        let mut block = block[..len].to_vec();
        block[BLOCK_BYTES - 8..BLOCK_BYTES].fill(0);
        let _ = head.decode_block(1, 1, &mut block);
    }
}
