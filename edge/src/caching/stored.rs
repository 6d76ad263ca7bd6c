//! Terms as bytes, for what outlives the process.
//!
//! Times are absolute, so they mean the same after a restart. What changes here, or in the normal
//! forms of Vary's values, needs another version of the record around it.

use http::HeaderValue;
use kingcdn_config::clock::Timestamp;

use super::ETag;
use super::terms::{LastModified, Reuse, Terms};
use super::validator::Tag;
use super::vary::Selecting;

/// Writes numbers and pieces one after another.
#[derive(Debug, Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

/// Reads what a [`Writer`] wrote. Whatever the bytes are, it gives nothing rather than panic, and
/// takes no more memory than they have.
#[derive(Debug)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl Writer {
    pub(crate) fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    /// Bytes whose number the reader knows.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn piece(&mut self, piece: &[u8]) {
        self.number(piece.len() as u64);
        self.bytes(piece);
    }

    pub(crate) fn time(&mut self, time: Timestamp) {
        self.number(time.as_millis().cast_unsigned());
    }

    pub(crate) fn option<T>(&mut self, option: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.0.push(u8::from(option.is_some()));
        if let Some(it) = option {
            write(self, it);
        }
    }
}

impl<'a> Reader<'a> {
    pub(crate) fn number(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }

    pub(crate) fn piece(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (piece, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(piece)
    }

    pub(crate) fn time(&mut self) -> Option<Timestamp> {
        self.number().map(|millis| Timestamp::from_millis(millis.cast_signed()))
    }

    pub(crate) fn tag(&mut self) -> Option<u8> {
        self.array::<1>().map(|[tag]| tag)
    }

    pub(crate) fn option<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<Option<T>> {
        match self.tag()? {
            0 => Some(None),
            1 => read(self).map(Some),
            _ => None,
        }
    }

    /// A number, and so many of something that takes at least a byte.
    pub(crate) fn several<T>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Option<T>,
    ) -> Option<Vec<T>> {
        let count = usize::try_from(self.number()?).ok()?;
        if count > self.0.len() {
            return None;
        }
        (0..count).map(|_| read(self)).collect()
    }
}

impl Terms {
    /// Writes all of it.
    pub(crate) fn write(&self, out: &mut Writer) {
        out.time(self.born);
        out.time(self.fresh_until);
        match self.reuse {
            Reuse::Validated => out.bytes(&[0]),
            Reuse::Fresh => out.bytes(&[1]),
            Reuse::Stale { refresh_until, error_until } => {
                out.bytes(&[2]);
                out.time(refresh_until);
                out.time(error_until);
            }
        }
        out.bytes(&[u8::from(self.immutable)]);
        out.time(self.date);
        out.option(self.etag.as_ref(), |out, etag| out.piece(etag.as_header_value().as_bytes()));
        out.option(self.last_modified.as_ref(), |out, modified| {
            out.time(modified.at);
            out.piece(modified.text.as_bytes());
        });
        out.option(self.selecting.as_deref(), |out, selecting| selecting.write(out));
    }

    /// Reads them back; none where they aren't that.
    pub(crate) fn read(from: &mut Reader<'_>) -> Option<Self> {
        let (born, fresh_until) = (from.time()?, from.time()?);
        let reuse = match from.tag()? {
            0 => Reuse::Validated,
            1 => Reuse::Fresh,
            2 => Reuse::Stale { refresh_until: from.time()?, error_until: from.time()? },
            _ => return None,
        };
        let immutable = match from.tag()? {
            0 => false,
            1 => true,
            _ => return None,
        };
        Some(Self {
            born,
            fresh_until,
            reuse,
            immutable,
            date: from.time()?,
            etag: from.option(|from| {
                let text = from.piece()?;
                Tag::parse(text)?;
                HeaderValue::from_bytes(text).ok().map(ETag)
            })?,
            last_modified: from.option(|from| {
                let at = from.time()?;
                let text = HeaderValue::from_bytes(from.piece()?).ok()?;
                Some(LastModified { at, text })
            })?,
            selecting: from.option(Selecting::read)?.map(Box::new),
        })
    }

    /// Whether it was born after `now`: then the clock was set back meanwhile, and its times say
    /// nothing. A second more or less is no sign of that.
    pub(crate) fn is_of_the_future(&self, now: Timestamp) -> bool {
        self.born.as_millis() > now.as_millis().saturating_add(1000)
    }
}
