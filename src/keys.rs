//! `kingcdn dns keys`: keys of signed zones, and what the parent zone has to be told.

use std::io::{self, Write as _};

use anyhow::{Context as _, anyhow};
use kingcdn_config::{Config, Files};
use kingcdn_dns::keys;

use crate::cli::KeysOptions;
use crate::failure::Failure;
use crate::node;

/// Makes a key where there is none or another is wanted, and prints the DS records of all.
pub(crate) fn run(options: &KeysOptions) -> Result<(), Failure> {
    let config = node::read(&options.config, Files::Unchecked)?;
    let (folder, zone) = zone(&config, options.zone.as_deref())?;
    tell(&folder, &zone, options.new).map_err(Failure::Running)
}

/// The folder of the keys and the zone that is meant.
fn zone(config: &Config, wanted: Option<&str>) -> Result<(std::path::PathBuf, String), Failure> {
    let usage = |text: String| Err(Failure::Usage(text));
    let (Some(cdn), Some(dns)) = (&config.cdn, &config.dns) else {
        return usage("the configuration has no `[cdn]` or no `[dns]`".to_owned());
    };
    let Some(folder) = &dns.protocol.dnssec_keys else {
        return usage("say where keys are kept: `[dns.dnssec]` with `keys = \"keys\"`".to_owned());
    };
    let zones: Vec<&str> = [&cdn.zone]
        .into_iter()
        .chain(dns.zones.iter().map(|z| &z.name))
        .map(|n| n.as_str())
        .collect();
    let wanted = wanted.unwrap_or(cdn.zone.as_str()).trim_end_matches('.').to_ascii_lowercase();
    match zones.iter().find(|zone| zone.eq_ignore_ascii_case(&wanted)) {
        Some(zone) => Ok((folder.clone(), (*zone).to_owned())),
        None => usage(format!("`{wanted}` isn't a zone of ours; they are {}", zones.join(", "))),
    }
}

fn tell(folder: &std::path::Path, zone: &str, new: bool) -> anyhow::Result<()> {
    let known = if folder.exists() { keys::of_zone(zone, folder)? } else { Vec::new() };
    if new && known.len() >= 2 {
        return Err(anyhow!("`{zone}` has two keys: a roll-over is under way; remove the old one"));
    }
    let mut err = io::stderr().lock();
    if new || known.is_empty() {
        let made = keys::make(zone, folder).context("no key was made")?;
        writeln!(
            err,
            "made {}; copy it to every name server, then reload them",
            made.file.display()
        )?;
    }
    writeln!(err, "DS records of {zone}, for its parent zone:")?;
    let mut out = io::stdout().lock();
    for key in keys::of_zone(zone, folder)? {
        writeln!(out, "{}", key.ds(zone))?;
    }
    Ok(())
}
