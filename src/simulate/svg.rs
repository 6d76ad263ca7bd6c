//! A curve as a picture.

use std::fmt::Write as _;

use kingcdn_store::replay::{Counts, Tier};

use super::curve::Curve;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 420.0;
/// Left, top, right, bottom.
const MARGIN: [f64; 4] = [64.0, 36.0, 24.0, 56.0];

/// Misses over the cache's share of the footprint, which grows by powers.
pub(crate) fn of(curve: &Curve) -> String {
    let points: Vec<(f64, Counts)> = curve
        .points
        .iter()
        .filter_map(|point| {
            #[allow(clippy::cast_precision_loss)]
            let share = point.share as f64 / 10.0;
            Some((share, point.counts?))
        })
        .collect();
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n"
    );
    let (first, last) = match (points.first(), points.last()) {
        (Some((first, _)), Some((last, _))) if first < last => (*first, *last),
        _ => (0.5, 50.0),
    };
    let x = |share: f64| {
        let along = (share / first).ln() / (last / first).ln();
        MARGIN[0] + along * (WIDTH - MARGIN[0] - MARGIN[2])
    };
    let y = |misses: f64| HEIGHT - MARGIN[3] - misses * (HEIGHT - MARGIN[1] - MARGIN[3]);
    grid(&mut svg, &points, x, y);
    let object = |counts: &Counts| counts.object_share(Tier::Origin);
    let byte = |counts: &Counts| counts.byte_share(Tier::Origin);
    line(&mut svg, "#1f5fbf", points.iter().map(|(share, it)| (x(*share), y(object(it)))));
    line(&mut svg, "#c2571a", points.iter().map(|(share, it)| (x(*share), y(byte(it)))));
    for (at, colour, name) in [(0.0, "#1f5fbf", "object misses"), (130.0, "#c2571a", "byte misses")]
    {
        let left = MARGIN[0] + at;
        let _ = writeln!(
            svg,
            "<rect x=\"{left}\" y=\"12\" width=\"12\" height=\"12\" fill=\"{colour}\"/>\
             <text x=\"{}\" y=\"22\">{name}</text>",
            left + 18.0
        );
    }
    svg.push_str("</svg>\n");
    svg
}

fn grid(
    svg: &mut String,
    points: &[(f64, Counts)],
    x: impl Fn(f64) -> f64,
    y: impl Fn(f64) -> f64,
) {
    for step in 0..=5 {
        let misses = f64::from(step) / 5.0;
        let (left, right, at) = (MARGIN[0], WIDTH - MARGIN[2], y(misses));
        let _ = writeln!(
            svg,
            "<path d=\"M{left} {at:.1}H{right}\" stroke=\"#ddd\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{:.0} %</text>",
            left - 8.0,
            at + 4.0,
            misses * 100.0
        );
    }
    for (share, _) in points {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{share}</text>",
            x(*share),
            HEIGHT - MARGIN[3] + 18.0
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">size of the cache, % of all objects' \
         bytes</text>",
        WIDTH / 2.0,
        HEIGHT - 12.0
    );
}

fn line(svg: &mut String, colour: &str, points: impl Iterator<Item = (f64, f64)>) {
    let places: Vec<String> = points.map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let _ = writeln!(
        svg,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
        places.join(" ")
    );
}
