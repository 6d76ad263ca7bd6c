//! Places on Earth.

use std::fmt;

use thiserror::Error;

use crate::Refusal;

/// A place on Earth, in degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Location {
    /// −90 (south) to 90 (north).
    pub latitude: f64,
    /// −180 (west) to 180 (east).
    pub longitude: f64,
}

impl Location {
    /// The place at these degrees, where there is one.
    pub fn new(latitude: f64, longitude: f64) -> Result<Self, LocationError> {
        // Neither range contains NaN.
        let fits = |latitude: f64, longitude: f64| {
            (-90.0..=90.0).contains(&latitude) && (-180.0..=180.0).contains(&longitude)
        };
        if fits(latitude, longitude) {
            Ok(Self { latitude, longitude })
        } else if fits(longitude, latitude) {
            Err(LocationError::Swapped { latitude, longitude })
        } else if !(-90.0..=90.0).contains(&latitude) {
            Err(LocationError::Latitude(latitude))
        } else {
            Err(LocationError::Longitude(longitude))
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {}]", self.latitude, self.longitude)
    }
}

/// Why degrees are no [`Location`].
#[derive(Debug, Clone, Copy, PartialEq, Error)]
pub enum LocationError {
    /// There are no such degrees of latitude.
    #[error("there is no latitude {0}")]
    Latitude(f64),
    /// There are no such degrees of longitude.
    #[error("there is no longitude {0}")]
    Longitude(f64),
    /// The latitude is out of range, but the two are a place the other way round.
    #[error("there is no latitude {latitude}")]
    Swapped {
        /// As given.
        latitude: f64,
        /// As given.
        longitude: f64,
    },
}

impl Refusal for LocationError {
    fn help(&self) -> String {
        match self {
            Self::Latitude(_) => "latitude goes from -90 (south) to 90 (north)".to_owned(),
            Self::Longitude(_) => "longitude goes from -180 (west) to 180 (east)".to_owned(),
            Self::Swapped { latitude, longitude } => {
                format!("latitude stands first: `[{longitude}, {latitude}]`")
            }
        }
    }
}
