//! What a simulation says.

use std::fmt::Write as _;

use kingcdn_config::units::format_size;
use kingcdn_store::replay::{Counts, Tier};

use super::curve::Curve;
use super::trace::LeftOut;

/// Of one size.
pub(crate) fn of_one(counts: &Counts, left_out: LeftOut) -> String {
    let mut text = String::new();
    let percent = |share: f64| format!("{:.2} %", share * 100.0);
    let mut row = |cells: [&str; 5]| {
        let [name, requests, objects, bytes, share] = cells;
        // Writing to a string can't fail.
        let _ = writeln!(text, "{name:<8}{requests:>14}{objects:>12}{bytes:>14}{share:>12}");
    };
    row(["", "requests", "", "bytes", ""]);
    let tiers = [("memory", Tier::Memory), ("disk", Tier::Disk), ("missed", Tier::Origin)];
    for (name, tier) in tiers {
        row([
            name,
            &counts.requests[tier as usize].to_string(),
            &percent(counts.object_share(tier)),
            &format_bytes(counts.bytes[tier as usize]),
            &percent(counts.byte_share(tier)),
        ]);
    }
    row(["all", &counts.requested().to_string(), "", &format_bytes(counts.requested_bytes()), ""]);
    let lines = [
        ("object hit ratio", percent(1.0 - counts.object_share(Tier::Origin))),
        ("byte hit ratio", percent(1.0 - counts.byte_share(Tier::Origin))),
        ("written to disk", format_bytes(counts.written_bytes + counts.rewritten_bytes)),
        ("  of that again", format_bytes(counts.rewritten_bytes)),
        ("write amplification", format!("{:.3}", counts.write_amplification())),
        ("left memory", format!("{} records", counts.memory_evictions)),
        ("left disk", format!("{} records", counts.disk_evictions)),
        ("most bytes held", format!("{} ({})", counts.peak_bytes, format_bytes(counts.peak_bytes))),
    ];
    text.push('\n');
    for (name, value) in lines {
        let _ = writeln!(text, "{name:<22}{value}");
    }
    add_left_out(&mut text, left_out);
    text
}

/// Of many sizes: misses in percent.
pub(crate) fn of_curve(curve: &Curve, left_out: LeftOut) -> String {
    let mut text = String::new();
    let footprint = format_bytes(curve.footprint_bytes);
    let _ = writeln!(text, "{} objects, {footprint} together", curve.objects);
    let _ = writeln!(
        text,
        "{:>8}{:>14}{:>14}{:>16}{:>14}{:>8}",
        "share", "memory", "disk", "object misses", "byte misses", "WA"
    );
    for point in &curve.points {
        #[allow(clippy::cast_precision_loss)]
        let share = point.share as f64 / 10.0;
        let (memory, disk) =
            (format_bytes(point.sizes.memory_bytes), format_bytes(point.sizes.disk_bytes));
        let _ = write!(text, "{share:>6.1} %{memory:>14}{disk:>14}");
        let _ = match &point.counts {
            Some(counts) => writeln!(
                text,
                "{:>14.2} %{:>12.2} %{:>8.3}",
                counts.object_share(Tier::Origin) * 100.0,
                counts.byte_share(Tier::Origin) * 100.0,
                counts.write_amplification()
            ),
            None => writeln!(text, "  the disk would be too small"),
        };
    }
    add_left_out(&mut text, left_out);
    text
}

/// Three figures are enough for people.
fn format_bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format_size(bytes);
    }
    #[allow(clippy::cast_precision_loss)]
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.2} {}", UNITS[unit])
}

fn add_left_out(text: &mut String, left_out: LeftOut) {
    let LeftOut { other_lines, not_whole } = left_out;
    if other_lines + not_whole > 0 {
        let _ = writeln!(
            text,
            "left out: {not_whole} requests that aren't a complete GET of a whole object that may \
             be stored, {other_lines} other lines"
        );
    }
}
