//! Nearness on a sphere.

use super::EdgeIndex;

/// A place on Earth, in degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// −90 (south) to 90 (north).
    pub latitude: f64,
    /// −180 (west) to 180 (east).
    pub longitude: f64,
}

/// The Earth's mean radius in kilometres (IUGG).
const EARTH_KM: f64 = 6371.0;

impl Point {
    /// Kilometres to another place along the great circle.
    pub fn km(self, other: Self) -> f64 {
        let (from, to) = (Direction::of(self), Direction::of(other));
        let square = |axis: usize| (from.0[axis] - to.0[axis]).powi(2);
        let chord = (square(0) + square(1) + square(2)).sqrt();
        2.0 * EARTH_KM * (chord / 2.0).min(1.0).asin()
    }
}

/// A place as a vector from the middle of a sphere of radius 1.
///
/// The straight line between two of them grows with the great circle between them, so it orders
/// edges just the same and costs no trigonometry. There is no seam at the antimeridian and no
/// singularity at the poles.
#[derive(Debug, Clone, Copy)]
pub(super) struct Direction([f64; 3]);

impl Direction {
    pub(super) fn of(point: Point) -> Self {
        let (sin_lat, cos_lat) = point.latitude.to_radians().sin_cos();
        let (sin_lon, cos_lon) = point.longitude.to_radians().sin_cos();
        Self([cos_lat * cos_lon, cos_lat * sin_lon, sin_lat])
    }

    /// The square of the straight line to `other`, 0 to 4, in steps of 10⁻¹²: about 6 metres where
    /// it matters least and less than one beyond a kilometre. Places closer than a step are one.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 to 4 × 10¹².
    fn nearness(self, other: Self) -> u64 {
        let square = |axis: usize| (self.0[axis] - other.0[axis]).powi(2);
        ((square(0) + square(1) + square(2)) * 1e12).round() as u64
    }
}

/// The `count` edges that are nearest to `place`, nearest first; equally near ones in their
/// default order.
pub(super) fn nearest(place: Point, edges: &[Direction], count: usize) -> Vec<EdgeIndex> {
    let place = Direction::of(place);
    let mut order: Vec<(u64, EdgeIndex)> =
        edges.iter().zip(0..).map(|(edge, index)| (place.nearness(*edge), index)).collect();
    if count < order.len() {
        order.select_nth_unstable(count);
        order.truncate(count);
    }
    order.sort_unstable();
    order.into_iter().map(|(_, index)| index).collect()
}
