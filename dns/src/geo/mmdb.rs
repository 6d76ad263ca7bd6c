//! City databases in MaxMind's format: MaxMind's own, and those of others who
//! keep the same facts elsewhere in the record.
//!
//! Of many networks a city database knows no more than the country, and puts
//! them at the country's middle: the forests of Siberia, a reservoir in
//! Kansas. It makes no difference to them; so they are placed amid the
//! networks of their country of which more is known.

mod record;

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use maxminddb::{MaxMindDbError, Reader, Within, WithinOptions};

use crate::steering::Point;
use record::Record;

/// Databases give their middle of a country with few digits, not always the same ones.
const SAME_DEGREES: f64 = 0.05;
/// A network that may be so far away is somewhere in a country.
const COUNTRY_KM: f64 = 500.0;
/// The last second that a date of four digits of year can tell.
const YEAR_9999: Duration = Duration::from_secs(253_402_300_799);

/// A database that has been read once, to know its countries.
pub(super) struct Mmdb {
    reader: Reader<Vec<u8>>,
    /// Where each record says that its networks are. Many networks share a record.
    places: HashMap<usize, Point>,
    country_networks: usize,
}

/// A record with a place, and how many networks have it.
struct Used {
    record: Record,
    place: Point,
    networks: usize,
}

/// What is learnt of a country.
#[derive(Default)]
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
        let mut used: HashMap<usize, Option<Used>> = HashMap::new();
        for found in networks(&reader)? {
            let found = found?;
            let Some(offset) = found.offset() else { continue };
            if let Some(known) = used.get_mut(&offset) {
                if let Some(used) = known {
                    used.networks += 1;
                }
                continue;
            }
            let record: Record = found.decode()?.unwrap_or_default();
            let place = record.place();
            used.insert(offset, place.map(|place| Used { record, place, networks: 1 }));
        }
        let used: HashMap<usize, Used> =
            used.into_iter().filter_map(|(offset, used)| Some((offset, used?))).collect();
        let countries = countries(used.values());
        let mut country_networks = 0;
        let places = used.iter().map(|(offset, used)| {
            let country = used.record.country().and_then(|code| countries.get(code));
            let place = match country {
                Some(country) if country.is_all_of(used) => {
                    country_networks += used.networks;
                    country.amid().unwrap_or(used.place)
                }
                _ => used.place,
            };
            (*offset, place)
        });
        let places = places.collect();
        Ok(Self { reader, places, country_networks })
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
        for found in networks(&self.reader)? {
            let found = found?;
            let place = found.offset().and_then(|offset| self.places.get(&offset));
            if let Some(place) = place {
                let network = found.network()?;
                each(network.network(), network.broadcast(), *place)?;
            }
        }
        Ok(())
    }
}

fn networks(reader: &Reader<Vec<u8>>) -> Result<Within<'_, Vec<u8>>, MaxMindDbError> {
    reader.networks(WithinOptions::default())
}

fn countries<'u>(used: impl Iterator<Item = &'u Used> + Clone) -> HashMap<&'u str, Country> {
    let mut countries: HashMap<&str, Country> = HashMap::new();
    let known = used.filter_map(|used| Some((used.record.country()?, used)));
    for (code, used) in known.clone().filter(|(_, used)| !used.record.names_more()) {
        let middle = &mut countries.entry(code).or_default().middle;
        // Of equally frequent ones always the same.
        let rank = |place: &Point| (place.latitude, place.longitude);
        let wins = middle.is_none_or(|(networks, place)| {
            used.networks > networks
                || used.networks == networks && rank(&used.place) < rank(&place)
        });
        if wins {
            *middle = Some((used.networks, used.place));
        }
    }
    for (code, used) in known {
        let country = countries.entry(code).or_default();
        if !country.is_all_of(used) {
            country.add(used);
        }
    }
    countries
}

impl Country {
    /// Whether the country is all that a record knows.
    fn is_all_of(&self, used: &Used) -> bool {
        let near = |a: f64, b: f64| (a - b).abs() <= SAME_DEGREES;
        let at_middle = self.middle.is_some_and(|(_, middle)| {
            near(middle.latitude, used.place.latitude)
                && near(middle.longitude, used.place.longitude)
        });
        let anywhere = used.record.radius_km().is_some_and(|radius| radius >= COUNTRY_KM);
        !used.record.names_more() || at_middle || anywhere
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
