//! From names to numbers: a table that is made once, of few cache lines. A look-up touches one for
//! the place, and one or two for the name and its number, which stand side by side.

use twox_hash::XxHash3_64;

/// Octets of a name's number, behind the name.
const NUMBER: usize = 4;

/// Names in wire form and lower case, each with its number.
pub(super) struct Names {
    /// At least half of them free, so that every search ends. Their number is a power of two.
    places: Box<[Place]>,
    /// Each name's length, the name, its number.
    octets: Vec<u8>,
    /// Labels of the longest name.
    longest: usize,
}

#[derive(Clone, Copy, Default)]
struct Place {
    /// Half of the name's hash.
    tag: u32,
    /// Where in the octets the name stands, and 1; 0 where the place is free.
    at: u32,
}

impl Names {
    /// A table of these names, with their labels, numbered as they come. None if they are more than
    /// four gigabytes.
    ///
    /// Nobody but the operator adds names, so nobody can choose them to collide; whoever asks only
    /// finds out how long the longest run of taken places is.
    pub(super) fn new<'n>(names: impl Iterator<Item = (&'n [u8], usize)>) -> Option<Self> {
        let (mut octets, mut starts, mut longest) = (Vec::new(), Vec::new(), 0);
        for ((name, labels), number) in names.zip(0_u32..) {
            starts.push((u32::try_from(octets.len() + 1).ok()?, hash(name)));
            octets.push(u8::try_from(name.len()).ok()?);
            octets.extend_from_slice(name);
            octets.extend_from_slice(&number.to_le_bytes());
            longest = longest.max(labels);
        }
        octets.shrink_to_fit();
        let count = (starts.len() * 2).next_power_of_two();
        let mut table = Self { places: vec![Place::default(); count].into(), octets, longest };
        for (at, hash) in starts {
            let free = table.run(hash).find(|index| table.places[*index].at == 0)?;
            table.places[free] = Place { tag: tag(hash), at };
        }
        Some(table)
    }

    /// Labels of the longest name.
    pub(super) fn longest(&self) -> usize {
        self.longest
    }

    /// A name's number.
    pub(super) fn find(&self, name: &[u8]) -> Option<usize> {
        let hash = hash(name);
        for index in self.run(hash) {
            let place = self.places[index];
            if place.at == 0 {
                return None;
            }
            if place.tag == tag(hash)
                && let Some(number) = self.number(place, name)
            {
                return Some(number as usize);
            }
        }
        None
    }

    /// The number of the name that stands at a place, if it is this one.
    fn number(&self, place: Place, name: &[u8]) -> Option<u32> {
        let (length, rest) = self.octets.get(place.at as usize - 1..)?.split_first()?;
        let (held, rest) = rest.split_at_checked(usize::from(*length))?;
        let number = rest.first_chunk::<NUMBER>()?;
        (held == name).then(|| u32::from_le_bytes(*number))
    }

    /// The places that a name may have, in their order: all of them.
    #[allow(clippy::cast_possible_truncation)] // Any part of a hash is one.
    fn run(&self, hash: u64) -> impl Iterator<Item = usize> + use<> {
        let mask = self.places.len() - 1;
        (0..=mask).map(move |step| (hash as usize).wrapping_add(step) & mask)
    }
}

fn hash(name: &[u8]) -> u64 {
    XxHash3_64::oneshot(name)
}

#[allow(clippy::cast_possible_truncation)] // What is left of it.
fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_its_number_and_others_have_none() {
        let names: Vec<Vec<u8>> = (0..5000_u32)
            .map(|n| [&[4][..], &n.to_le_bytes(), b"\x04test"].concat())
            .chain([Vec::new(), vec![b'x'; 254]])
            .collect();
        let table = Names::new(names.iter().map(|name| (&name[..], 2))).unwrap();
        for (number, name) in names.iter().enumerate() {
            assert_eq!(table.find(name), Some(number), "{name:?}");
            let other = [name, &b"x"[..]].concat();
            assert_eq!(table.find(&other), None, "{other:?}");
        }
        assert_eq!(table.longest(), 2);
        assert_eq!(Names::new(std::iter::empty()).unwrap().find(b"\x04test"), None);
    }
}
