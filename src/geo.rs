//! `kingcdn geo`: location databases.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write as _};
use std::path::Path;

use anyhow::{Context as _, anyhow};
use kingcdn_dns::geo::{self, About};

use crate::cli::{GeoCommand, GeoOptions};
use crate::failure::Failure;

/// Does what the command says.
pub(crate) fn run(command: &GeoCommand) -> Result<(), Failure> {
    let GeoCommand::Build(options) = command;
    build(options).map_err(Failure::Running)
}

fn build(options: &GeoOptions) -> anyhow::Result<()> {
    let about =
        About { edition: options.edition.clone(), attribution: options.attribution.clone() };
    let database = match (&options.mmdb, &options.ipv4, &options.ipv6) {
        (Some(mmdb), ..) => {
            let octets = fs::read(mmdb).with_context(|| mmdb.display().to_string())?;
            geo::from_mmdb(octets, &about).with_context(|| mmdb.display().to_string())?
        }
        (None, Some(ipv4), Some(ipv6)) => geo::from_csv(table(ipv4)?, table(ipv6)?, &about)
            .with_context(|| format!("{} and {}", ipv4.display(), ipv6.display()))?,
        _ => return Err(anyhow!("give --ipv4 and --ipv6, or --mmdb")),
    };
    let file = &options.output;
    fs::write(file, &database).with_context(|| file.display().to_string())?;
    writeln!(io::stdout().lock(), "{}: {} bytes", file.display(), database.len())?;
    Ok(())
}

fn table(file: &Path) -> anyhow::Result<Box<dyn BufRead>> {
    let context = || file.display().to_string();
    let input = File::open(file).with_context(context)?;
    if file.extension().is_some_and(|extension| extension == "zst") {
        let input = ruzstd::decoding::StreamingDecoder::new(BufReader::new(input));
        return Ok(Box::new(BufReader::new(input.with_context(context)?)));
    }
    Ok(Box::new(BufReader::new(input)))
}
