//! All variants of an object as a record on disk, and back.
//!
//! ```text
//! version, length of the head; head: key, number of variants, each of them without its content;
//! then all contents, one after another
//! ```
//!
//! The record around it has a checksum. Whatever a record holds that isn't this is taken for
//! nothing.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use kingcdn_config::clock::Timestamp;
use kingcdn_store::disk::RECORD_MAX_BYTES;

use super::{Body, ContentId, Object, SLICE_BYTES, Sliced, VARIANTS_MAX, Variant, Variants};
use crate::budget::Budget;
use crate::caching::Terms;
use crate::caching::stored::{Reader, Writer};
use crate::key::{Inputs, ObjectKey};
use crate::purge::Standing;

/// Of the bytes. What can't be read by it is absent.
const VERSION: u64 = 1;

/// More fields than an answer may have.
const FIELDS_MAX: usize = 1024;

/// The record's parts, one after another. The oldest variants are left out where all would be too
/// long for one record.
pub(super) fn encode(variants: &Variants) -> Vec<Bytes> {
    let mut newest_first = Vec::new();
    let mut contents = Vec::new();
    let mut length = 128;
    for variant in variants.all.iter().rev() {
        let (mut head, pieces) = (Writer::default(), variant.1.body.contents());
        write_variant(variant, &mut head);
        length += head.0.len() + pieces.iter().map(|(_, piece)| piece.len()).sum::<usize>();
        if length > RECORD_MAX_BYTES as usize {
            break;
        }
        newest_first.push(head.0);
        contents.extend(pieces.into_iter().map(|(_, piece)| piece));
    }
    let mut head = Writer::default();
    head.bytes(variants.key.digest());
    head.number(newest_first.len() as u64);
    newest_first.iter().for_each(|variant| head.bytes(variant));
    let mut record = Writer::default();
    record.number(VERSION);
    record.piece(&head.0);
    std::iter::once(record.0.into()).chain(contents).collect()
}

fn write_variant(Variant(inputs, object): &Variant, out: &mut Writer) {
    out.bytes(inputs.digest());
    out.number(u64::from(object.status.as_u16()));
    out.number(object.headers.len() as u64);
    for (name, value) in &object.headers {
        out.piece(name.as_str().as_bytes());
        out.piece(value.as_bytes());
    }
    object.terms.write(out);
    object.standing.write(out);
    out.number(object.body.complete_bytes());
    if let Body::Sliced(sliced) = &object.body {
        out.bytes(&[1]);
        out.bytes(&sliced.content.0.to_le_bytes());
        return;
    }
    let pieces = object.body.contents();
    out.bytes(&[0]);
    out.number(pieces.len() as u64);
    for (start, piece) in pieces {
        out.number(start);
        out.number(piece.len() as u64);
    }
}

/// What a record says of the object `key`; nothing if it is another's, or none at all. What is
/// from the future is left out: the clock was set back since.
pub(super) fn decode(
    record: &Bytes,
    key: &ObjectKey,
    budget: &Budget,
    now: Timestamp,
) -> Option<Variants> {
    let mut from = Reader(record);
    if from.number()? != VERSION {
        return None;
    }
    let mut head = Reader(from.piece()?);
    let mut contents = record.slice_ref(from.0);
    if head.array::<32>()? != *key.digest() {
        return None;
    }
    let mut all = head.several(|head| read_variant(head, &mut contents, budget))?;
    if all.len() > VARIANTS_MAX || !head.0.is_empty() || !contents.is_empty() {
        return None;
    }
    all.retain(|variant| !variant.1.terms.is_of_the_future(now));
    all.reverse();
    (!all.is_empty()).then_some(Variants { key: *key, all, on_disk: true })
}

fn read_variant(from: &mut Reader<'_>, contents: &mut Bytes, budget: &Budget) -> Option<Variant> {
    let inputs = Inputs::from_digest(from.array()?);
    let status = StatusCode::from_u16(u16::try_from(from.number()?).ok()?).ok()?;
    let fields = from.several(|from| {
        let name = HeaderName::from_bytes(from.piece()?).ok()?;
        Some((name, HeaderValue::from_bytes(from.piece()?).ok()?))
    })?;
    if fields.len() > FIELDS_MAX {
        return None;
    }
    let mut headers = HeaderMap::try_with_capacity(fields.len()).ok()?;
    for (name, value) in fields {
        headers.try_append(name, value).ok()?;
    }
    let terms = Terms::read(from)?;
    let standing = Standing::read(from)?;
    let complete_bytes = from.number()?;
    let body = match from.tag()? {
        0 => {
            let pieces = from.several(|from| {
                let (start, length) = (from.number()?, usize::try_from(from.number()?).ok()?);
                (length <= contents.len()).then(|| (start, contents.split_to(length)))
            })?;
            Body::of_contents(pieces, complete_bytes)?
        }
        1 if complete_bytes > SLICE_BYTES => {
            let content = ContentId(u128::from_le_bytes(from.array()?));
            Body::Sliced(Sliced { content, complete_bytes })
        }
        _ => return None,
    };
    let object = Object::new(budget, status, headers, terms, body, standing);
    Some(Variant(inputs, Arc::new(object)))
}

pub(super) mod fuzz;
#[cfg(test)]
mod tests;
