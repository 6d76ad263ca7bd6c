//! How a database is made: from tables of ranges, or from a city database.

use std::collections::HashMap;
use std::io::{self, BufRead, Read as _};
use std::net::IpAddr;

use kingcdn_config::LocationError;
use maxminddb::MaxMindDbError;
use thiserror::Error;

use super::format::{self, WriteError};
use super::mmdb::Mmdb;
use super::table::{Family, Place, Table};

/// What a database says about itself, each in at most 255 octets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// What it is, and of when.
    pub edition: String,
    /// What its licence wants to be said.
    pub attribution: String,
}

/// Why no database can be made.
#[derive(Debug, Error)]
pub enum BuildError {
    /// Something can't be read.
    #[error(transparent)]
    Unreadable(#[from] io::Error),
    /// A line isn't right.
    #[error("line {line}: {fault}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        fault: LineFault,
    },
    /// The city database can't be read.
    #[error("it isn't a city database in MaxMind's format: {0}")]
    Mmdb(#[from] MaxMindDbError),
    /// What was read doesn't fit.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// Nothing has a place.
    #[error("nothing in it has a place")]
    Placeless,
}

/// What is wrong with a line.
#[derive(Debug, Error)]
pub enum LineFault {
    /// It is longer than any right one.
    #[error("it is longer than {MOST_LINE} octets")]
    Long,
    /// It isn't an address and two numbers.
    #[error("`{0}` isn't `first address,latitude,longitude` of this family")]
    Form(String),
    /// Its address isn't above that of the line before.
    #[error("`{0}` isn't above the address of the line before")]
    Order(IpAddr),
    /// Its place isn't on Earth.
    #[error(transparent)]
    Place(#[from] LocationError),
}

const MOST_LINE: u64 = 256;

/// Makes a database of two tables, IPv4's and IPv6's: lines `first address,latitude,longitude`, by
/// address. A range runs to just before the next line's address; without degrees it is nowhere.
/// Places are rounded to a tenth of a degree, addresses of IPv6 to networks of 48 bits.
///
/// # Errors
///
/// If a line isn't right, or there are too many places or ranges.
pub fn from_csv(
    ipv4: impl BufRead,
    ipv6: impl BufRead,
    about: &About,
) -> Result<Vec<u8>, BuildError> {
    write(&[csv(Family::V4, ipv4)?, csv(Family::V6, ipv6)?], about)
}

/// Makes a database of a city database in MaxMind's format. Networks whose places are in the same
/// cell of one by one degree are put at the mean of the cell's, by the number of their addresses.
/// What the database says of itself stands where `about` says nothing.
///
/// # Errors
///
/// If it isn't one.
pub fn from_mmdb(octets: Vec<u8>, about: &About) -> Result<Vec<u8>, BuildError> {
    let database = Mmdb::survey(octets)?;
    let mut about = about.clone();
    if about.edition.is_empty() {
        about.edition = database.edition();
    }
    write(&cells(&database)?, &about)
}

fn write(tables: &[Table; 2], about: &About) -> Result<Vec<u8>, BuildError> {
    if tables.iter().all(|table| table.places().is_empty()) {
        return Err(BuildError::Placeless);
    }
    Ok(format::write(tables, &about.edition, &about.attribution)?)
}

fn csv(family: Family, mut input: impl BufRead) -> Result<Table, BuildError> {
    let mut table = Table::new(family);
    let mut before = None;
    let mut text = String::new();
    for line in 1.. {
        text.clear();
        input.by_ref().take(MOST_LINE).read_line(&mut text)?;
        let fault = |fault| BuildError::Line { line, fault };
        if text.is_empty() {
            break;
        }
        if text.len() as u64 == MOST_LINE {
            return Err(fault(LineFault::Long));
        }
        let (address, place) = csv_line(family, text.trim_end()).map_err(fault)?;
        if before.replace(address).is_some_and(|before| before >= address) {
            return Err(fault(LineFault::Order(address)));
        }
        table.begin(address, place);
    }
    Ok(table.finish())
}

fn csv_line(family: Family, line: &str) -> Result<(IpAddr, Option<Place>), LineFault> {
    let form = || LineFault::Form(line.to_owned());
    let mut fields = line.split(',');
    let (Some(address), Some(latitude), Some(longitude), None) =
        (fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return Err(form());
    };
    let address: IpAddr = address.parse().map_err(|_| form())?;
    if !family.has(address) {
        return Err(form());
    }
    if latitude.is_empty() && longitude.is_empty() {
        return Ok((address, None));
    }
    let degrees = |text: &str| text.parse().map_err(|_| form());
    Ok((address, Some(Place::at(degrees(latitude)?, degrees(longitude)?)?)))
}

/// What is summed up of a cell.
#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    weight: f64,
    latitude: f64,
    longitude: f64,
}

fn cells(database: &Mmdb) -> Result<[Table; 2], BuildError> {
    #[allow(clippy::cast_possible_truncation)] // Degrees on Earth.
    let cell = |address: IpAddr, place: crate::steering::Point| {
        (address.is_ipv4(), place.latitude.floor() as i16, place.longitude.floor() as i16)
    };
    let mut cells: HashMap<_, Cell> = HashMap::new();
    database.each(|first, last, place| {
        let sum = cells.entry(cell(first, place)).or_default();
        let weight = addresses(first, last);
        sum.weight += weight;
        sum.latitude += place.latitude * weight;
        sum.longitude += place.longitude * weight;
        Ok::<_, BuildError>(())
    })?;
    let mut tables = Family::ALL.map(Table::new);
    let mut ends: [Option<IpAddr>; 2] = [None; 2];
    database.each(|first, last, place| {
        let Some(sum) = cells.get(&cell(first, place)) else { return Ok(()) };
        let mean = |sum_of: f64| sum_of / sum.weight;
        let place = Place::at(mean(sum.latitude), mean(sum.longitude));
        let family = usize::from(first.is_ipv6());
        let table = &mut tables[family];
        // Between two networks that don't meet is nothing.
        if let Some(end) = ends[family].filter(|end| *end != first) {
            table.begin(end, None);
        }
        table.begin(first, place.ok());
        ends[family] = next(last);
        Ok::<_, BuildError>(())
    })?;
    for (table, end) in tables.iter_mut().zip(ends) {
        if let Some(end) = end {
            table.begin(end, None);
        }
    }
    Ok(tables.map(Table::finish))
}

/// How many addresses there are from the first to the last.
#[allow(clippy::cast_precision_loss)] // A weight.
fn addresses(first: IpAddr, last: IpAddr) -> f64 {
    match (first, last) {
        (IpAddr::V4(first), IpAddr::V4(last)) => f64::from(last.to_bits() - first.to_bits()) + 1.0,
        (IpAddr::V6(first), IpAddr::V6(last)) => (last.to_bits() - first.to_bits()) as f64 + 1.0,
        _ => 0.0,
    }
}

/// The address after this one, if there is one.
pub(super) fn next(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) => address.to_bits().checked_add(1).map(|bits| IpAddr::V4(bits.into())),
        IpAddr::V6(address) => address.to_bits().checked_add(1).map(|bits| IpAddr::V6(bits.into())),
    }
}
