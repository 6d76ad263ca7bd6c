//! City databases in MaxMind's format: MaxMind's own, and those of others who
//! keep the same facts elsewhere in the record.
//!
//! Of many networks a city database knows no more than the country, and puts
//! them at the country's middle: the forests of Siberia, a reservoir in
//! Kansas. It makes no difference to them; so they are placed amid the
//! networks of their country of which more is known.

mod record;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use maxminddb::{MaxMindDbError, Reader, Within, WithinOptions};

use crate::steering::Point;
use record::Record;

/// Databases give their middle of a country with few digits, not always the same ones.
const SAME_DEGREES: f64 = 0.05;
/// The last second that a date of four digits of year can tell.
const YEAR_9999: Duration = Duration::from_secs(253_402_300_799);

/// A database that has been read once, to know its countries.
pub(super) struct Mmdb {
    reader: Reader<Vec<u8>>,
    /// Where each record says that its networks are. Many networks share a record.
    places: HashMap<usize, Point>,
    /// In which country and on which continent.
    regions: HashMap<usize, Regions>,
    country_networks: usize,
    countries: Countries,
}

/// What is learnt of a database's countries: with it, a record alone tells where its networks are.
#[derive(Debug, Default)]
pub(crate) struct Countries {
    /// By their codes.
    numbers: HashMap<String, usize>,
    learnt: Vec<Country>,
}

/// Where a network is, by the codes of its country and its continent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Regions {
    pub(super) country: Option<[u8; 2]>,
    pub(super) continent: Option<[u8; 2]>,
}

/// A record with a place.
#[derive(Debug, Clone, Copy)]
struct Used {
    place: Point,
    /// The number of its country.
    country: Option<usize>,
    /// Whether it names nothing inside the country.
    nameless: bool,
    /// How many networks have it.
    networks: usize,
}

/// What is learnt of a country.
#[derive(Debug, Default)]
struct Country {
    /// Where it is put when no more is known: the place of most networks without a name of more.
    middle: Option<(usize, Point)>,
    /// The sum of the directions of the networks of which more is known.
    sum: [f64; 3],
}

impl Mmdb {
    /// Reads a database once.
    pub(super) fn survey(octets: Vec<u8>) -> Result<Self, MaxMindDbError> {
        let reader = Reader::from_source(octets)?;
        let mut numbers = HashMap::new();
        let mut used: HashMap<usize, Option<Used>> = HashMap::new();
        let mut regions = HashMap::new();
        for found in networks(&reader)? {
            let found = found?;
            let Some(offset) = found.offset() else { continue };
            match used.entry(offset) {
                Entry::Occupied(mut known) => {
                    if let Some(used) = known.get_mut() {
                        used.networks += 1;
                    }
                }
                Entry::Vacant(new) => {
                    let record: Record = found.decode()?.unwrap_or_default();
                    regions.extend(Regions::of(&record).map(|regions| (offset, regions)));
                    let next = numbers.len();
                    let number = |code: &str| *numbers.entry(code.to_owned()).or_insert(next);
                    new.insert(Used::new(&record, record.country().map(number)));
                }
            }
        }
        let learnt = countries(numbers.len(), used.values().flatten());
        let countries = Countries { numbers, learnt };
        let mut country_networks = 0;
        let places = used.into_iter().filter_map(|(offset, used)| {
            let used = used?;
            let amid = countries.amid(&used);
            country_networks += if amid.is_some() { used.networks } else { 0 };
            Some((offset, amid.unwrap_or(used.place)))
        });
        let places = places.collect();
        Ok(Self { reader, places, regions, country_networks, countries })
    }

    /// What was learnt of its countries.
    pub(super) fn countries(self) -> Countries {
        self.countries
    }

    /// Its kind and its date.
    pub(super) fn edition(&self) -> String {
        let about = self.reader.metadata();
        let built = Duration::from_secs(about.build_epoch).min(YEAR_9999);
        let mut date =
            humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + built).to_string();
        date.truncate("2026-06-01".len());
        format!("{} {date}", about.database_type)
    }

    /// How many networks are placed amid their country.
    pub(super) fn country_networks(&self) -> usize {
        self.country_networks
    }

    /// Gives `each` every network that has a place, first and last address, by address.
    pub(super) fn each<E: From<MaxMindDbError>>(
        &self,
        mut each: impl FnMut(IpAddr, IpAddr, Point) -> Result<(), E>,
    ) -> Result<(), E> {
        self.each_known(|first, last, place, _| {
            place.map_or(Ok(()), |place| each(first, last, place))
        })
    }

    /// The same, also for networks of which only the country or the continent is known.
    pub(super) fn each_known<E: From<MaxMindDbError>>(
        &self,
        mut each: impl FnMut(IpAddr, IpAddr, Option<Point>, Regions) -> Result<(), E>,
    ) -> Result<(), E> {
        for found in networks(&self.reader)? {
            let found = found?;
            let Some(offset) = found.offset() else { continue };
            let place = self.places.get(&offset).copied();
            let regions = self.regions.get(&offset).copied().unwrap_or_default();
            if place.is_some() || regions != Regions::default() {
                let network = found.network()?;
                each(network.network(), network.broadcast(), place, regions)?;
            }
        }
        Ok(())
    }
}

impl Countries {
    /// Where an address is, by the database from which they were learnt.
    pub(super) fn locate(&self, octets: &[u8], client: IpAddr) -> Option<Point> {
        let record: Record =
            Reader::from_source(octets).ok()?.lookup(client).ok()?.decode().ok()??;
        let country = record.country().and_then(|code| self.numbers.get(code));
        let used = Used::new(&record, country.copied())?;
        Some(self.amid(&used).unwrap_or(used.place))
    }

    /// Amid its country, where a record knows no more than that.
    fn amid(&self, used: &Used) -> Option<Point> {
        let country = self.learnt.get(used.country?)?;
        country.is_all_of(used).then(|| country.amid().unwrap_or(used.place))
    }
}

fn networks(reader: &Reader<Vec<u8>>) -> Result<Within<'_, Vec<u8>>, MaxMindDbError> {
    reader.networks(WithinOptions::default())
}

impl Regions {
    fn of(record: &Record) -> Option<Self> {
        let code = |text: Option<&str>| text?.as_bytes().try_into().ok();
        let regions = Self { country: code(record.country()), continent: code(record.continent()) };
        (regions != Self::default()).then_some(regions)
    }
}

impl Used {
    /// A record, and the number of its country.
    fn new(record: &Record, country: Option<usize>) -> Option<Self> {
        Some(Self { place: record.place()?, country, nameless: !record.names_more(), networks: 1 })
    }
}

fn countries<'u>(count: usize, used: impl Iterator<Item = &'u Used> + Clone) -> Vec<Country> {
    let mut countries: Vec<Country> = Vec::new();
    countries.resize_with(count, Country::default);
    for used in used.clone().filter(|used| used.nameless) {
        let country = used.country.and_then(|country| countries.get_mut(country));
        country.into_iter().for_each(|country| country.see_nameless(used));
    }
    for used in used {
        let country = used.country.and_then(|country| countries.get_mut(country));
        if let Some(country) = country.filter(|country| !country.is_all_of(used)) {
            country.add(used);
        }
    }
    countries
}

impl Country {
    fn see_nameless(&mut self, used: &Used) {
        // Of equally frequent ones always the same.
        let rank = |networks, place: Point| (networks, place.latitude, place.longitude);
        let new = rank(used.networks, used.place);
        if self.middle.is_none_or(|(networks, place)| rank(networks, place) < new) {
            self.middle = Some((used.networks, used.place));
        }
    }

    /// Whether the country is all that a record knows.
    fn is_all_of(&self, used: &Used) -> bool {
        let near = |a: f64, b: f64| (a - b).abs() <= SAME_DEGREES;
        let at_middle = self.middle.is_some_and(|(_, middle)| {
            near(middle.latitude, used.place.latitude)
                && near(middle.longitude, used.place.longitude)
        });
        used.nameless || at_middle
    }

    #[allow(clippy::cast_precision_loss)] // Fewer networks than 2^52.
    fn add(&mut self, used: &Used) {
        let (sin_lat, cos_lat) = used.place.latitude.to_radians().sin_cos();
        let (sin_lon, cos_lon) = used.place.longitude.to_radians().sin_cos();
        let direction = [cos_lat * cos_lon, cos_lat * sin_lon, sin_lat];
        for (sum, axis) in self.sum.iter_mut().zip(direction) {
            *sum += axis * used.networks as f64;
        }
    }

    /// Amid its networks of which more is known, if there are any.
    fn amid(&self) -> Option<Point> {
        let [x, y, z] = self.sum;
        let latitude = z.atan2(x.hypot(y)).to_degrees();
        let longitude = y.atan2(x).to_degrees();
        (self.sum != [0.0; 3]).then_some(Point { latitude, longitude })
    }
}
