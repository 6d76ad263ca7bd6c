//! The crate as the other crates see it.

mod examples;
mod nodes;
mod properties;
mod refused;
mod taken;

use std::path::Path;

use crate::{Config, Loaded, Report};

/// Parses `text` as if it stood among the examples.
fn parse(text: &str) -> Result<Loaded, Report> {
    Config::parse(text, Path::new("kingcdn.toml"))
}

/// The smallest parts of a file, each right.
fn part(name: &str) -> &'static str {
    match name {
        "cdn" => "[cdn]\nzone = \"kingcdn.test\"\n",
        "dns" => "[dns]\n",
        "nameserver" => "[[dns.nameserver]]\nname = \"ns1\"\naddresses = [\"192.0.2.53\"]\n",
        "edge" => {
            "[[edge]]\nname = \"seoul\"\nlocation = [37.57, 126.98]\naddresses = [\"192.0.2.1\"]\n"
        }
        "site" => {
            "[[site]]\nname = \"netcinema\"\nhosts = [\"video.netcinema.test\"]\n\
             origin = [\"http://192.0.2.10\"]\n"
        }
        other => panic!("there is no part {other}"),
    }
}

/// Several parts, one after the other.
fn parts(names: &str) -> String {
    names.split_whitespace().map(part).collect()
}
