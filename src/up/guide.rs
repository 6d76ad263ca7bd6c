//! What `kingcdn up` prints: what runs, and what to try, ready to paste.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use kingcdn_config::units::format_duration;
use kingcdn_config::{Config, Location, NetworkTarget, Site};
use kingcdn_dns::steering::{MapBuilder, Placement, Point};

use super::folder::Folder;

/// A file of the sample site whose freshness lasts for a while.
const FILE: &str = "captions.vtt";

/// The guide. Writing to a `String` can't fail, so results of `writeln!` are dropped.
pub(super) fn text(
    config: &Config,
    folder: &Folder,
    processes: &[(String, u32)],
    restart_after: Duration,
) -> String {
    let mut text = String::from("KingCDN: a whole CDN on this machine\n\n");
    what_runs(&mut text, config, processes);
    let site = config.sites.first();
    if let Some((host, site)) = site.and_then(|site| Some((site.hosts.first()?.as_str(), site))) {
        ask_dns(&mut text, config, host);
        fetch(&mut text, config, host);
        watch_film(&mut text, config, site, host);
    }
    look_inside(&mut text, config);
    break_it(&mut text, config, processes, restart_after);
    let path = folder.path().display();
    let _ = match folder.is_temporary() {
        true => writeln!(text, "Configuration and logs are in {path} until the end."),
        false => writeln!(text, "Configuration and logs are in {path}."),
    };
    text.push_str("Ctrl-C ends it all.");
    text
}

fn what_runs(text: &mut String, config: &Config, processes: &[(String, u32)]) {
    let mut line = |name: &str, what: &str, listen: &[SocketAddr]| {
        let id = processes.iter().find(|(known, _)| known == name).map_or(0, |(_, id)| *id);
        let listen: Vec<String> = listen.iter().map(ToString::to_string).collect();
        let listen = listen.join(" ");
        let _ = writeln!(text, "  {name:<10} {what:<30} {listen:<17} process {id}");
    };
    if let Some(origin) = &config.origin {
        line("origin", "netcinema, a video site", &origin.listen);
    }
    for edge in &config.edges {
        line(edge.name.as_str(), "an edge, caches", &edge.listen);
    }
    if let Some(dns) = &config.dns {
        line("dns", "names the nearest edge", &dns.listen);
    }
}

/// A client of each of the operator's networks, with the edge that is nearest to it.
fn ask_dns(text: &mut String, config: &Config, host: &str) {
    let Some((dns, server)) = config.dns.as_ref().and_then(|dns| Some((dns, dns.listen.first()?)))
    else {
        return;
    };
    let point = |place: Location| Point { latitude: place.latitude, longitude: place.longitude };
    let edges: Vec<Point> = config.edges.iter().map(|edge| point(edge.location)).collect();
    let near = |target: &NetworkTarget| match target {
        NetworkTarget::Location(place) => Some(Placement::Near(point(*place))),
        NetworkTarget::Edges(_) => None,
    };
    let networks = dns.networks.iter().filter_map(|it| Some((it.prefix, near(&it.target)?)));
    let Ok(map) = MapBuilder::new(&edges, networks).map(MapBuilder::build) else {
        return;
    };
    text.push_str("\nAsk DNS, as a client somewhere in the world:\n");
    for network in &dns.networks {
        let located = map.locate(network.prefix.network(), network.prefix.prefix_len());
        let nearest = located.list.first().and_then(|it| config.edges.get(usize::from(it)));
        let nearest = nearest.map_or("", |edge| edge.name.as_str());
        let kind = match network.prefix.network() {
            IpAddr::V4(_) => "",
            IpAddr::V6(_) => " (a client with IPv6)",
        };
        let (ip, port, subnet) = (server.ip(), server.port(), network.prefix.to_string());
        let _ =
            writeln!(text, "  dig @{ip} -p {port} {host} +subnet={subnet:<18}  # {nearest}{kind}");
    }
}

fn fetch(text: &mut String, config: &Config, host: &str) {
    let Some(listen) = config.edges.first().and_then(|edge| edge.listen.first()) else {
        return;
    };
    let _ = writeln!(
        text,
        "\nFetch from an edge, twice: Cache-Status is a miss, then a hit:\n  \
         curl -so /dev/null -D - -H 'Host: {host}' http://{listen}/{FILE}"
    );
}

/// Browsers send every name below `localhost` to 127.0.0.1 (RFC 6761 section 6.3).
fn watch_film(text: &mut String, config: &Config, site: &Site, host: &str) {
    let local = site.hosts.iter().find(|host| host.as_str().ends_with(".localhost"));
    let mut listens = config.edges.iter().flat_map(|edge| &edge.listen);
    let loopback = listens.find(|listen| listen.ip() == IpAddr::from([127, 0, 0, 1]));
    text.push_str("\nWatch the film through an edge:\n");
    let _ = match (local, loopback, config.edges.first().and_then(|edge| edge.listen.first())) {
        (Some(local), Some(listen), _) => {
            writeln!(text, "  http://{local}:{}/   in a browser", listen.port())
        }
        (_, _, Some(listen)) => writeln!(
            text,
            "  chromium --user-data-dir=/tmp/kingcdn-browser \
             --host-resolver-rules='MAP {host} {}' http://{host}:{}/",
            listen.ip(),
            listen.port()
        ),
        _ => Ok(()),
    };
}

fn look_inside(text: &mut String, config: &Config) {
    text.push_str("\nMetrics, and at /status what each is doing:\n");
    let edges = config.edges.iter().map(|edge| edge.admin);
    let dns = config.dns.iter().map(|dns| dns.admin);
    let origin = config.origin.iter().map(|origin| origin.admin);
    for admin in edges.chain(dns).chain(origin) {
        let _ = writeln!(text, "  http://{admin}/metrics");
    }
}

fn break_it(
    text: &mut String,
    config: &Config,
    processes: &[(String, u32)],
    restart_after: Duration,
) {
    let edge = config.edges.first();
    let process =
        edge.and_then(|edge| processes.iter().find(|(name, _)| name == edge.name.as_str()));
    if let (Some((name, id)), Some(dns)) = (process, &config.dns) {
        let _ = writeln!(
            text,
            "\nKill {name}: within {} DNS names the next nearest; {} later it is started again:\n  \
             kill -9 {id}",
            format_duration(dns.health.notice()),
            format_duration(restart_after)
        );
    }
    text.push('\n');
}
