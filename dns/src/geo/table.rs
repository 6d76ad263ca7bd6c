//! A database while it is made: of each family the addresses where the place changes.

use std::collections::HashMap;
use std::net::IpAddr;

use kingcdn_config::{Location, LocationError};

/// A place to a tenth of a degree: 11 kilometres at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    /// Tenths of a degree, -900 to 900.
    pub(super) latitude: i16,
    /// Tenths of a degree, -1800 to 1800.
    pub(super) longitude: i16,
}

impl Place {
    /// The place at these degrees, where there is one.
    pub(super) fn at(latitude: f64, longitude: f64) -> Result<Self, LocationError> {
        let location = Location::new(latitude, longitude)?;
        #[allow(clippy::cast_possible_truncation)] // -1800 to 1800.
        let tenths = |degrees: f64| (degrees * 10.0).round() as i16;
        Ok(Self { latitude: tenths(location.latitude), longitude: tenths(location.longitude) })
    }

    /// None if it isn't on Earth.
    pub(super) fn of_tenths(latitude: i16, longitude: i16) -> Option<Self> {
        let on_earth = latitude.unsigned_abs() <= 900 && longitude.unsigned_abs() <= 1800;
        on_earth.then_some(Self { latitude, longitude })
    }
}

/// How a family's addresses are counted: in networks of `bits` bits, of which a location database
/// places each as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// Single addresses.
    V4,
    /// Networks of 48 bits: what a site gets (RFC 6177).
    V6,
}

impl Family {
    pub(super) const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// The unit at which no network of the Internet's begins any more: multicast and reserved
    /// addresses follow (RFC 5771), or such as are kept back (RFC 4291 section 2.4).
    const fn end(self) -> u64 {
        match self {
            Self::V4 => 224 << 24,
            Self::V6 => 0x4000 << 32,
        }
    }

    /// How many units there are.
    pub(super) const fn units(self) -> u64 {
        match self {
            Self::V4 => 1 << 32,
            Self::V6 => 1 << 48,
        }
    }

    /// Whether an address is of this family.
    pub(super) fn has(self, address: IpAddr) -> bool {
        address.is_ipv4() == (self == Self::V4)
    }

    /// The first unit that begins at or after an address, or the one after the last.
    fn unit(self, address: IpAddr) -> u64 {
        match address {
            IpAddr::V4(address) => address.to_bits().into(),
            #[allow(clippy::cast_possible_truncation)] // At most 2^48.
            IpAddr::V6(address) => address.to_bits().div_ceil(1 << 80) as u64,
        }
    }

    /// The address that a unit begins with.
    pub(super) fn first(self, unit: u64) -> IpAddr {
        match self {
            #[allow(clippy::cast_possible_truncation)] // Below 2^32.
            Self::V4 => IpAddr::V4((unit as u32).into()),
            Self::V6 => IpAddr::V6((u128::from(unit) << 80).into()),
        }
    }

    /// The address that a unit ends with.
    pub(super) fn last(self, unit: u64) -> IpAddr {
        match self {
            Self::V4 => self.first(unit),
            Self::V6 => IpAddr::V6((u128::from(unit) << 80 | ((1 << 80) - 1)).into()),
        }
    }
}

/// One family's places, by the unit where each begins. The first begins at 0, no neighbours are
/// equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    family: Family,
    begins: Vec<(u64, Option<Place>)>,
}

impl Table {
    /// No address is anywhere.
    pub(super) fn new(family: Family) -> Self {
        Self { family, begins: vec![(0, None)] }
    }

    /// From `address` on, addresses are at `place`. Addresses never go back. A unit is where its
    /// first address is.
    pub(super) fn begin(&mut self, address: IpAddr, place: Option<Place>) {
        let unit = self.family.unit(address);
        if unit < self.family.end() {
            self.begin_unit(unit, place);
        }
    }

    /// The whole table: what ends no table ends here.
    pub(super) fn finish(mut self) -> Self {
        self.begin_unit(self.family.end(), None);
        self
    }

    fn begin_unit(&mut self, unit: u64, place: Option<Place>) {
        if self.begins.last().is_some_and(|(last, _)| *last == unit) {
            self.begins.pop();
        }
        if self.begins.last().is_none_or(|(_, last)| *last != place) {
            self.begins.push((unit, place));
        }
    }

    pub(super) fn family(&self) -> Family {
        self.family
    }

    /// Where each place begins.
    pub(super) fn begins(&self) -> &[(u64, Option<Place>)] {
        &self.begins
    }

    /// Every place, the most frequent first.
    pub(super) fn places(&self) -> Vec<Place> {
        let mut counts = HashMap::<Place, usize>::new();
        for place in self.begins.iter().filter_map(|(_, place)| *place) {
            *counts.entry(place).or_default() += 1;
        }
        let mut places: Vec<Place> = counts.keys().copied().collect();
        places.sort_unstable_by_key(|place| (usize::MAX - counts[place], *place));
        places
    }
}
