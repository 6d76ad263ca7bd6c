//! `kingcdn check`: is this configuration right?

use std::io::{self, Write as _};

use kingcdn_config::Files;

use crate::cli::CheckOptions;
use crate::failure::Failure;
use crate::node;
use crate::role::Role;

/// Tells what is in a right file, or every error of a wrong one.
pub(crate) fn run(options: &CheckOptions) -> Result<(), Failure> {
    let files = options.role.map_or(Files::Checked, Role::files);
    let config = node::read(&options.file, files)?;
    if files == Files::Checked {
        kingcdn_dns::check(&config).map_err(|errors| {
            let lines: Vec<String> = errors.iter().map(|error| format!("error: {error}")).collect();
            Failure::Config(lines.join("\n"))
        })?;
    }
    let mut out = io::stdout().lock();
    let said = writeln!(
        out,
        "{} is right: {} edge{}, {} site{}{}",
        options.file.display(),
        config.edges.len(),
        plural(config.edges.len()),
        config.sites.len(),
        plural(config.sites.len()),
        config.cdn.as_ref().map(|cdn| format!(", zone {}", cdn.zone)).unwrap_or_default(),
    );
    said.map_err(|error| Failure::Running(error.into()))
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}
