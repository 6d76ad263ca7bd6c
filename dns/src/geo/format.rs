//! The file: what is in it, and how it is read without trust.
//!
//! ```text
//! KingGeo\x01          magic and version
//! 32 octets            BLAKE3 of all that follows
//! edition, attribution each an octet of length, and UTF-8
//! of IPv4, then of IPv6, numbers little-endian:
//!   u16 places         at most 65534
//!   u32 ranges         at most 2^24
//!   u32 octets of code
//!   places             latitude and longitude, each i16, in tenths of a degree
//!   code               see `model`: for each range the rank of its place and its length
//! ```
//!
//! Ranks begin with no place at all, then the places as they are listed.

use std::net::IpAddr;

use thiserror::Error;

use super::coder::{Decoder, Encoder};
use super::model::{Model, RANKS};
use super::table::{Family, Place, Table};

const MAGIC: &[u8; 7] = b"KingGeo";
const VERSION: u8 = 1;
const DIGEST: usize = 32;
/// Three times what the largest city databases have.
const MOST_RANGES: usize = 1 << 24;

/// Why octets are no database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FormatError {
    /// They begin otherwise.
    #[error("it doesn't begin as one")]
    Magic,
    /// A version that isn't known here.
    #[error("it is of version {0}, and only version 1 is known here")]
    Version(u8),
    /// They aren't as they were written.
    #[error("its checksum is wrong: it is damaged")]
    Checksum,
    /// The checksum is right, but the rest makes no sense.
    #[error("it makes no sense: {0}")]
    Malformed(&'static str),
}

/// Why a table can't be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum WriteError {
    /// More places than ranks.
    #[error("{0} different places to a tenth of a degree are more than the 65534 that fit")]
    Places(usize),
    /// More ranges than a reader takes.
    #[error("{0} ranges are more than the {MOST_RANGES} that fit")]
    Ranges(usize),
    /// A text that is too long.
    #[error("edition and attribution may have 255 octets each")]
    Text,
}

/// A database, checked as far as is possible without decoding it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Database<'d> {
    pub(crate) edition: &'d str,
    pub(crate) attribution: &'d str,
    parts: [Part<'d>; 2],
}

/// One family's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part<'d> {
    family: Family,
    places: &'d [[u8; 4]],
    ranges: usize,
    code: &'d [u8],
}

/// Whether octets mean to be a database.
pub(crate) fn is_database(octets: &[u8]) -> bool {
    octets.starts_with(MAGIC)
}

impl<'d> Database<'d> {
    pub(crate) fn parse(octets: &'d [u8]) -> Result<Self, FormatError> {
        let mut rest = Rest(octets);
        if rest.take(MAGIC.len()) != Ok(MAGIC) {
            return Err(FormatError::Magic);
        }
        match rest.array()? {
            [VERSION] => {}
            [other] => return Err(FormatError::Version(other)),
        }
        let digest: [u8; DIGEST] = rest.array()?;
        if blake3::hash(rest.0) != digest {
            return Err(FormatError::Checksum);
        }
        let (edition, attribution) = (rest.text()?, rest.text()?);
        let parts = [rest.part(Family::V4)?, rest.part(Family::V6)?];
        match rest.0 {
            [] => Ok(Self { edition, attribution, parts }),
            _ => Err(FormatError::Malformed("there is more than belongs to it")),
        }
    }

    /// IPv4's and IPv6's.
    pub(crate) fn parts(&self) -> &[Part<'d>; 2] {
        &self.parts
    }
}

impl Part<'_> {
    /// Its places.
    pub(crate) fn places(&self) -> Result<Vec<Place>, FormatError> {
        let place = |[a, b, c, d]: [u8; 4]| {
            Place::of_tenths(i16::from_le_bytes([a, b]), i16::from_le_bytes([c, d]))
        };
        let places = self.places.iter().map(|octets| place(*octets));
        places.collect::<Option<_>>().ok_or(FormatError::Malformed("a place isn't on Earth"))
    }

    /// Gives `each` every range that is somewhere, by address: its first and last, and what `places`
    /// has for its place.
    pub(crate) fn decode<P: Copy, E: From<FormatError>>(
        &self,
        places: &[P],
        mut each: impl FnMut(IpAddr, IpAddr, P) -> Result<(), E>,
    ) -> Result<(), E> {
        let family = self.family;
        let mut recent: Vec<Option<P>> =
            [None].into_iter().chain(places.iter().copied().map(Some)).collect();
        let bad = FormatError::Malformed;
        let mut decoder = Decoder::new(self.code).ok_or(bad("a code doesn't begin as one"))?;
        let mut model = Model::new();
        let mut start = 0;
        for _ in 0..self.ranges {
            let rank = model.rank(&mut decoder, 0) as usize;
            let place = *recent.get(rank).ok_or(bad("a rank is beyond the places"))?;
            recent.copy_within(..rank, 1);
            recent[0] = place;
            // Both are below 2^63.
            let next = start + model.length(&mut decoder, start, 1);
            if next > family.units() {
                return Err(bad("a range ends beyond the last address").into());
            }
            if let Some(place) = place {
                each(family.first(start), family.last(next - 1), place)?;
            }
            start = next;
        }
        if start != family.units() || !decoder.at_end() {
            return Err(bad("the ranges don't end where the addresses end").into());
        }
        Ok(())
    }
}

/// What is still to be read.
struct Rest<'d>(&'d [u8]);

impl<'d> Rest<'d> {
    fn take(&mut self, count: usize) -> Result<&'d [u8], FormatError> {
        let cut = FormatError::Malformed("it ends too early");
        let (taken, rest) = self.0.split_at_checked(count).ok_or(cut)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn text(&mut self) -> Result<&'d str, FormatError> {
        let [length] = self.array()?;
        let text = std::str::from_utf8(self.take(length.into())?);
        text.map_err(|_| FormatError::Malformed("a text isn't UTF-8"))
    }

    fn size(&mut self) -> Result<usize, FormatError> {
        let size = u32::from_le_bytes(self.array()?);
        usize::try_from(size).map_err(|_| FormatError::Malformed("it is too large"))
    }

    fn part(&mut self, family: Family) -> Result<Part<'d>, FormatError> {
        let places = usize::from(u16::from_le_bytes(self.array()?));
        let (ranges, code) = (self.size()?, self.size()?);
        if ranges > MOST_RANGES {
            return Err(FormatError::Malformed("it has more ranges than there may be"));
        }
        let (places, _) = self.take(places * 4)?.as_chunks();
        Ok(Part { family, places, ranges, code: self.take(code)? })
    }
}

/// Writes a database of these tables, IPv4's and IPv6's.
pub(super) fn write(
    tables: &[Table; 2],
    edition: &str,
    attribution: &str,
) -> Result<Vec<u8>, WriteError> {
    let mut body = Vec::new();
    for text in [edition, attribution] {
        body.push(u8::try_from(text.len()).map_err(|_| WriteError::Text)?);
        body.extend(text.as_bytes());
    }
    for table in tables {
        write_part(table, &mut body)?;
    }
    let digest = blake3::hash(&body);
    Ok([MAGIC.as_slice(), &[VERSION], digest.as_bytes(), &body].concat())
}

fn write_part(table: &Table, out: &mut Vec<u8>) -> Result<(), WriteError> {
    let places = table.places();
    let ranges = table.begins();
    let too_many = |_| WriteError::Places(places.len());
    if places.len() >= RANKS {
        return Err(WriteError::Places(places.len()));
    }
    if ranges.len() > MOST_RANGES {
        return Err(WriteError::Ranges(ranges.len()));
    }
    let code = encode(table.family(), ranges, &places);
    out.extend(u16::try_from(places.len()).map_err(too_many)?.to_le_bytes());
    for size in [ranges.len(), code.len()] {
        let size = u32::try_from(size).map_err(|_| WriteError::Ranges(ranges.len()))?;
        out.extend(size.to_le_bytes());
    }
    for place in places {
        out.extend(place.latitude.to_le_bytes());
        out.extend(place.longitude.to_le_bytes());
    }
    out.extend(code);
    Ok(())
}

fn encode(family: Family, ranges: &[(u64, Option<Place>)], places: &[Place]) -> Vec<u8> {
    let mut recent: Vec<Option<Place>> =
        [None].into_iter().chain(places.iter().copied().map(Some)).collect();
    let (mut encoder, mut model) = (Encoder::default(), Model::new());
    let ends = ranges.iter().skip(1).map(|(start, _)| *start).chain([family.units()]);
    for ((start, place), end) in ranges.iter().zip(ends) {
        // Every place of a range is among the places.
        let rank = recent.iter().position(|recent| recent == place).unwrap_or_default();
        recent[..=rank].rotate_right(1);
        #[allow(clippy::cast_possible_truncation)] // Below RANKS.
        model.rank(&mut encoder, rank as u32);
        model.length(&mut encoder, *start, end - start);
    }
    encoder.finish()
}
