//! A network's record, as far as it matters.

use kingcdn_config::Location;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::steering::Point;

/// MaxMind keeps the degrees in `location` and the country's code in a table; flat databases keep
/// all of it side by side.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Record {
    location: Coordinates,
    latitude: Number,
    longitude: Number,
    country: Country,
    country_code: Country,
    continent: Country,
    continent_code: Country,
    city: Name,
    subdivisions: Name,
    state1: Name,
    postal: Name,
    postcode: Name,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Coordinates {
    latitude: Number,
    longitude: Number,
}

/// Of any type: some databases have floats where MaxMind's have doubles.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Number {
    Number(f64),
    None(IgnoredAny),
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Country {
    Code(String),
    Table {
        #[serde(alias = "code")]
        iso_code: String,
    },
    None(IgnoredAny),
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Name {
    Text(String),
    Table(IgnoredAny),
}

impl Record {
    /// Its place, where it has one that is on Earth.
    pub(super) fn place(&self) -> Option<Point> {
        let latitude = self.location.latitude.get().or(self.latitude.get())?;
        let longitude = self.location.longitude.get().or(self.longitude.get())?;
        Location::new(latitude, longitude).ok()?;
        Some(Point { latitude, longitude })
    }

    /// The country's code.
    pub(super) fn country(&self) -> Option<&str> {
        self.country.code().or(self.country_code.code())
    }

    /// The continent's code.
    pub(super) fn continent(&self) -> Option<&str> {
        self.continent.code().or(self.continent_code.code())
    }

    /// Whether it names anything inside the country.
    pub(super) fn names_more(&self) -> bool {
        [&self.city, &self.subdivisions, &self.state1, &self.postal, &self.postcode]
            .into_iter()
            .any(|name| !matches!(name, Name::Text(text) if text.is_empty()))
    }
}

impl Number {
    fn get(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::None(_) => None,
        }
    }
}

impl Country {
    fn code(&self) -> Option<&str> {
        match self {
            Self::Code(code) | Self::Table { iso_code: code } => {
                Some(code.as_str()).filter(|code| !code.is_empty())
            }
            Self::None(_) => None,
        }
    }
}

impl Default for Number {
    fn default() -> Self {
        Self::None(IgnoredAny)
    }
}

impl Default for Country {
    fn default() -> Self {
        Self::None(IgnoredAny)
    }
}

impl Default for Name {
    fn default() -> Self {
        Self::Text(String::new())
    }
}
