//! Where the world's clients are, by a few of its large cities.

use crate::steering::Point;

/// A city that stands for its part of the world.
#[derive(Debug, Clone, Copy)]
pub(crate) struct City {
    pub(crate) name: &'static str,
    /// ISO 3166-1.
    pub(crate) country: &'static str,
    /// As location databases abbreviate it.
    pub(crate) continent: &'static str,
    pub(crate) place: Point,
}

const fn city(
    name: &'static str,
    country: &'static str,
    continent: &'static str,
    latitude: f64,
    longitude: f64,
) -> City {
    City { name, country, continent, place: Point { latitude, longitude } }
}

/// Some of each continent on which people live.
pub(crate) const CITIES: [City; 32] = [
    city("Seoul", "KR", "AS", 37.6, 127.0),
    city("Tokyo", "JP", "AS", 35.7, 139.7),
    city("Beijing", "CN", "AS", 39.9, 116.4),
    city("Hong Kong", "HK", "AS", 22.3, 114.2),
    city("Singapore", "SG", "AS", 1.3, 103.8),
    city("Jakarta", "ID", "AS", -6.2, 106.8),
    city("Mumbai", "IN", "AS", 19.1, 72.9),
    city("Dubai", "AE", "AS", 25.2, 55.3),
    city("Istanbul", "TR", "EU", 41.0, 29.0),
    city("Moscow", "RU", "EU", 55.8, 37.6),
    city("Helsinki", "FI", "EU", 60.2, 24.9),
    city("Warsaw", "PL", "EU", 52.2, 21.0),
    city("Frankfurt", "DE", "EU", 50.1, 8.7),
    city("Paris", "FR", "EU", 48.9, 2.4),
    city("London", "GB", "EU", 51.5, -0.1),
    city("Madrid", "ES", "EU", 40.4, -3.7),
    city("Cairo", "EG", "AF", 30.0, 31.2),
    city("Lagos", "NG", "AF", 6.5, 3.4),
    city("Nairobi", "KE", "AF", -1.3, 36.8),
    city("Johannesburg", "ZA", "AF", -26.2, 28.0),
    city("New York", "US", "NA", 40.7, -74.0),
    city("Toronto", "CA", "NA", 43.7, -79.4),
    city("Chicago", "US", "NA", 41.9, -87.6),
    city("Los Angeles", "US", "NA", 34.1, -118.2),
    city("Mexico City", "MX", "NA", 19.4, -99.1),
    city("Bogotá", "CO", "SA", 4.7, -74.1),
    city("São Paulo", "BR", "SA", -23.5, -46.6),
    city("Buenos Aires", "AR", "SA", -34.6, -58.4),
    city("Santiago", "CL", "SA", -33.4, -70.7),
    city("Sydney", "AU", "OC", -33.9, 151.2),
    city("Perth", "AU", "OC", -32.0, 115.9),
    city("Auckland", "NZ", "OC", -36.8, 174.8),
];
