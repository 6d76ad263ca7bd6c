//! `kingcdn prometheus-targets`: the nodes of a configuration, for Prometheus to scrape.

use std::io::{self, Write as _};
use std::net::SocketAddr;

use kingcdn_config::{Config, Files};
use serde_json::{Value, json};

use crate::cli::TargetsOptions;
use crate::failure::Failure;
use crate::node;
use crate::role::Role;

/// Writes them as JSON, which Prometheus takes from a file and over HTTP alike.
pub(crate) fn run(options: &TargetsOptions) -> Result<(), Failure> {
    let config = node::read(&options.config, Files::Unchecked)?;
    let targets = Value::from(targets(&config, options.role));
    let said = writeln!(io::stdout().lock(), "{targets:#}");
    said.map_err(|error| Failure::Running(error.into()))
}

/// One group a node: <https://prometheus.io/docs/prometheus/latest/http_sd/>.
fn targets(config: &Config, only: Option<Role>) -> Vec<Value> {
    let wanted = |role| only.is_none_or(|only| only == role);
    let mut groups = Vec::new();
    if let Some(dns) = config.dns.as_ref().filter(|_| wanted(Role::Dns)) {
        for (name, address) in dns.admins() {
            let labels = json!({ "role": "dns", "node": name, "nameserver": name });
            groups.push(json!({ "targets": [address.to_string()], "labels": labels }));
        }
    }
    for edge in config.edges.iter().filter(|_| wanted(Role::Edge)) {
        let name = edge.name.as_str();
        let address = reachable(edge.admin, edge.addresses.first().copied());
        let labels = json!({
            "role": "edge",
            "node": name,
            "edge": name,
            "location": format!("{},{}", edge.location.latitude, edge.location.longitude),
            "region": kingcdn_dns::region(edge.location),
        });
        groups.push(json!({ "targets": [address.to_string()], "labels": labels }));
    }
    if let Some(origin) = config.origin.as_ref().filter(|_| wanted(Role::Origin)) {
        let labels = json!({ "role": "origin", "node": "origin" });
        groups.push(json!({ "targets": [origin.admin.to_string()], "labels": labels }));
    }
    groups
}

/// A node that answers at every address is asked at its first.
fn reachable(admin: SocketAddr, first: Option<std::net::IpAddr>) -> SocketAddr {
    let ip = first.filter(|_| admin.ip().is_unspecified()).unwrap_or(admin.ip());
    SocketAddr::new(ip, admin.port())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use kingcdn_config::Config;
    use serde_json::json;

    use super::targets;
    use crate::role::Role;

    const FILE: &str = r#"
[cdn]
zone = "kingcdn.test"
[dns]
geoip = "none"
admin = "0.0.0.0:9153"
[[dns.nameserver]]
name = "ns1"
addresses = ["192.0.2.53"]
[[dns.nameserver]]
name = "ns2"
addresses = ["198.51.100.53"]
[[edge]]
name = "seoul"
location = [37.57, 126.98]
addresses = ["192.0.2.11"]
admin = "10.0.0.11:9180"
[[site]]
name = "www"
origin = ["http://192.0.2.80"]
"#;

    #[test]
    fn every_node_is_a_target_with_its_labels() {
        let config = Config::parse(FILE, Path::new("kingcdn.toml")).expect("a right file").config;
        let seoul = json!({
            "targets": ["10.0.0.11:9180"],
            "labels": {
                "role": "edge", "node": "seoul", "edge": "seoul",
                "location": "37.57,126.98", "region": "asia",
            },
        });
        assert_eq!(targets(&config, Some(Role::Edge)), [seoul]);
        let names = targets(&config, Some(Role::Dns));
        let addresses: Vec<_> = names.iter().map(|group| &group["targets"][0]).collect();
        assert_eq!(addresses, ["192.0.2.53:9153", "198.51.100.53:9153"]);
        assert_eq!(
            names[1]["labels"],
            json!({ "role": "dns", "node": "ns2", "nameserver": "ns2" })
        );
        assert_eq!(targets(&config, None).len(), 3);
    }
}
