//! Names as keys of tables.

use hickory_proto::rr::Name;

use crate::decode::Reader;

/// Octets of the longest name without its root label (RFC 1035 section 2.3.4).
const OCTETS: usize = 254;
/// Octets of the longest label (RFC 1035 section 2.3.4).
const LABEL_OCTETS: usize = 63;
/// Labels of the longest name: each takes two octets at least.
const LABELS: usize = 127;

/// A name in wire form and lower case, without the root label: looked up in tables by its endings,
/// without a copy.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    octets: [u8; OCTETS],
    length: usize,
    /// Where each label begins.
    starts: [u8; LABELS],
    labels: usize,
}

impl Key {
    /// The root's.
    pub(crate) const fn root() -> Self {
        Self { octets: [0; OCTETS], length: 0, starts: [0; LABELS], labels: 0 }
    }

    /// The key of a name; none for what is longer than a name may be.
    pub(crate) fn new(name: &Name) -> Option<Self> {
        let mut key = Self::root();
        for label in name {
            key.push(label)?;
        }
        Some(key)
    }

    /// Takes the place of this one: a question's name, which has no pointers, since nothing stands
    /// before it. None for what is no name.
    pub(crate) fn read(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let (mut at, mut labels) = (0, 0);
        loop {
            let length = usize::from(*reader.0.get(at)?);
            if length == 0 {
                break;
            }
            // RFC 1035 section 2.3.4.
            if length > LABEL_OCTETS {
                return None;
            }
            *self.starts.get_mut(labels)? = u8::try_from(at).ok()?;
            at += 1 + length;
            labels += 1;
        }
        let octets = self.octets.get_mut(..at)?;
        octets.copy_from_slice(reader.take(at)?);
        // What says how long a label is, is below any letter.
        octets.make_ascii_lowercase();
        reader.take(1)?;
        (self.length, self.labels) = (at, labels);
        Some(())
    }

    /// The key of a name in wire form and lower case, without the root label.
    pub(crate) fn of_wire(octets: &[u8]) -> Option<Self> {
        let mut key = Self::root();
        let mut reader = Reader(octets);
        while !reader.0.is_empty() {
            key.push(reader.label()?)?;
        }
        Some(key)
    }

    /// The name, in lower case.
    pub(crate) fn name(&self) -> Name {
        let ends = self.starts[..self.labels].iter().skip(1).map(|start| usize::from(*start));
        let starts = self.starts[..self.labels].iter().map(|start| usize::from(*start) + 1);
        let labels =
            starts.zip(ends.chain([self.length])).map(|(start, end)| &self.octets[start..end]);
        // A key is never longer than a name may be.
        Name::from_labels(labels).unwrap_or_default()
    }

    /// The key of `*.<ending>` (RFC 4592 section 2.1.1).
    pub(crate) fn wildcard(ending: &[u8]) -> Option<Self> {
        let mut key = Self::root();
        key.push(b"*")?;
        // Only ever looked up as a whole: where its other labels begin doesn't matter.
        let end = key.length + ending.len();
        key.octets.get_mut(key.length..end)?.copy_from_slice(ending);
        key.length = end;
        Some(key)
    }

    fn push(&mut self, label: &[u8]) -> Option<()> {
        let end = self.length + 1 + label.len();
        let (first, rest) = self.octets.get_mut(self.length..end)?.split_first_mut()?;
        *first = u8::try_from(label.len()).ok()?;
        rest.copy_from_slice(label);
        rest.make_ascii_lowercase();
        *self.starts.get_mut(self.labels)? = u8::try_from(self.length).ok()?;
        self.length = end;
        self.labels += 1;
        Some(())
    }

    /// How many labels it has.
    pub(crate) fn labels(&self) -> usize {
        self.labels
    }

    /// Its last `labels` labels.
    pub(crate) fn ending(&self, labels: usize) -> &[u8] {
        match self.labels.checked_sub(labels) {
            Some(skipped) if skipped < self.labels => {
                &self.octets[usize::from(self.starts[skipped])..self.length]
            }
            Some(_) => &[],
            None => self.whole(),
        }
    }

    /// All of it.
    pub(crate) fn whole(&self) -> &[u8] {
        &self.octets[..self.length]
    }
}
