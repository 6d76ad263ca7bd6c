//! What the tables of a file say about each other.
//!
//! While a file is read, every table leaves its claims (this name, this host, this address is
//! mine); when all are there, they are checked against each other. That works as well for tables
//! that have something wrong in them, so that one error doesn't hide another.

use std::collections::HashMap;
use std::fmt::Display;
use std::hash::Hash;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::{Range, RangeInclusive};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use toml::Spanned;

use crate::reader::{Problems, did_you_mean};
use crate::report::Problem;
use crate::units::{format_duration, overlap};
use crate::{DomainName, Label, Refusal, Region};

/// Everything that a file's tables claim.
#[derive(Default)]
pub(crate) struct Claims {
    pub(crate) zone: Option<Spanned<DomainName>>,
    pub(crate) has_cdn: bool,
    /// Where `[dns]` stands.
    pub(crate) dns: Option<Range<usize>>,
    pub(crate) has_nameserver: bool,
    pub(crate) has_edge: bool,
    pub(crate) has_site: bool,
    pub(crate) has_origin: bool,
    pub(crate) edges: Vec<Spanned<Label>>,
    pub(crate) sites: Vec<Spanned<Label>>,
    pub(crate) nameservers: Vec<Spanned<Label>>,
    pub(crate) zones: Vec<Spanned<DomainName>>,
    pub(crate) secondaries: Vec<Spanned<Label>>,
    pub(crate) networks: Vec<Spanned<IpNet>>,
    pub(crate) hosts: Vec<Spanned<DomainName>>,
    pub(crate) nodes: Vec<Node>,
    /// Countries and continents that rules name.
    pub(crate) regions: Vec<Spanned<Region>>,
    /// Why rules can't work, if they can't.
    pub(crate) rules_need: Option<&'static str>,
    /// Bounds of times to live, and those of sites.
    pub(crate) ttls: Option<RangeInclusive<Duration>>,
    pub(crate) site_ttls: Vec<Spanned<Duration>>,
    /// Names to which sites lead while every edge is down.
    pub(crate) fallbacks: Vec<Spanned<DomainName>>,
    /// Edges that networks and rules name.
    pub(crate) edges_named: Vec<Spanned<Label>>,
    pub(crate) files: Vec<File>,
}

/// The addresses that one node listens on.
pub(crate) struct Node {
    /// Its table.
    table: &'static str,
    /// Its name for messages.
    name: String,
    /// With the key of each.
    listens: Vec<(&'static str, Spanned<SocketAddr>)>,
}

/// A file that must be there.
pub(crate) struct File {
    pub(crate) path: Spanned<PathBuf>,
    pub(crate) key: &'static str,
    pub(crate) what: &'static str,
    pub(crate) remedy: &'static str,
}

impl Node {
    pub(crate) fn new(
        table: &'static str,
        name: &str,
        listen: &[Spanned<SocketAddr>],
        admin: &Spanned<SocketAddr>,
    ) -> Self {
        let listens = listen.iter().map(|address| ("listen", address.clone()));
        Self {
            table,
            name: name.to_owned(),
            listens: listens.chain([("admin", admin.clone())]).collect(),
        }
    }

    /// It listens on these addresses too.
    pub(crate) fn and(mut self, key: &'static str, listen: &[Spanned<SocketAddr>]) -> Self {
        self.listens.extend(listen.iter().map(|address| (key, address.clone())));
        self
    }
}

impl Claims {
    /// Checks the claims against each other.
    pub(crate) fn check(&self, problems: &Problems) {
        self.check_roles(problems);
        let called = |what: &str| format!("two {what} are called");
        let own_name = "give each a name of its own";
        once(problems, "edge.name", &self.edges, &called("edges"), own_name);
        once(problems, "site.name", &self.sites, &called("sites"), own_name);
        let nameservers = called("name servers");
        once(problems, "dns.nameserver.name", &self.nameservers, &nameservers, own_name);
        once(problems, "dns.zone.name", &self.zones, &called("zones"), "keep one of them");
        let keep = "keep one of them";
        once(problems, "dns.secondary.name", &self.secondaries, &called("secondaries"), keep);
        let networks = "two networks have the prefix";
        once(problems, "dns.network.prefix", &self.networks, networks, "keep one of them");
        let regions = "two rules name";
        once(problems, "dns.rule", &self.regions, regions, "keep it in one of them");
        self.check_steering(problems);
        self.check_zones(problems);
        self.check_hosts(problems);
        self.check_networks(problems);
        for node in &self.nodes {
            node.check(problems);
        }
        self.check_nodes(problems);
    }

    /// Opens the files that must be there.
    pub(crate) fn check_files(&self, problems: &Problems) {
        for file in &self.files {
            let path = file.path.get_ref();
            // Asked first, because to open a named pipe would wait for its writer.
            let is_file = std::fs::metadata(path).map(|metadata| metadata.is_file());
            let reason = match is_file {
                Ok(false) => "it isn't a file".to_owned(),
                Ok(true) => match std::fs::File::open(path) {
                    Ok(_) => continue,
                    Err(error) => error.to_string(),
                },
                Err(error) => error.to_string(),
            };
            let message = format!("{} `{}` can't be read: {reason}", file.what, path.display());
            let help = file.remedy.to_owned();
            problems.push(Problem::error(Some(file.path.span()), file.key, message, help));
        }
    }

    /// Whether there is something to run, and what each role needs is there.
    fn check_roles(&self, problems: &Problems) {
        let error = |span, key, message: &str, help: &str| {
            problems.push(Problem::error(span, key, message.to_owned(), help.to_owned()));
        };
        if self.dns.is_none() && !self.has_edge && !self.has_origin {
            let message = "there is nothing to run: no `[dns]`, no `[[edge]]`, no `[origin]`";
            error(None, "", message, "describe at least one edge and one site");
        }
        if self.has_edge && !self.has_site {
            let message = "there is no `[[site]]`: edges refuse every request".to_owned();
            let help = "add `[[site]]` with `name`, `hosts` and `origin`".to_owned();
            problems.push(Problem::error(None, "site", message, help).warning());
        }
        let Some(dns) = &self.dns else { return };
        let dns = || Some(dns.clone());
        if !self.has_cdn {
            let message = "`[dns]` needs `[cdn]`: there is no zone to answer for";
            error(dns(), "cdn", message, "add `[cdn]` with `zone = \"cdn.example.net\"`");
        }
        if !self.has_nameserver {
            let message = "`[dns]` has no `[[dns.nameserver]]`: a zone needs NS records";
            let help = "add `[[dns.nameserver]]` with `name = \"ns1\"` and its `addresses`";
            error(dns(), "dns.nameserver", message, help);
        }
        if !self.has_edge {
            let message = "`[dns]` has no edge to answer with";
            error(dns(), "edge", message, "add `[[edge]]`, once for each edge");
        }
    }

    /// Whether rules have countries, and sites their times to live and ways out.
    fn check_steering(&self, problems: &Problems) {
        if let (Some(region), Some(reason)) = (self.regions.first(), self.rules_need) {
            let message = format!("no network is known to be in `{}`: {reason}", region.get_ref());
            let help = "give `geoip` in `[dns]` a database in MaxMind's format that names \
                        countries, or say it with `[[dns.network]]`";
            let place = Some(region.span());
            problems.push(Problem::error(place, "dns.rule", message, help.to_owned()));
        }
        let bounds = self.ttls.clone().unwrap_or(Duration::ZERO..=Duration::MAX);
        for ttl in self.site_ttls.iter().filter(|ttl| !bounds.contains(ttl.get_ref())) {
            let message = format!("`{}` is out of range", format_duration(*ttl.get_ref()));
            let help = format!(
                "write a value from `{}` to `{}`, which are `ttl_min` and `ttl_max` of `[dns]`",
                format_duration(*bounds.start()),
                format_duration(*bounds.end())
            );
            problems.push(Problem::error(Some(ttl.span()), "site.dns.ttl", message, help));
        }
        for name in &self.fallbacks {
            let own = self.zone.as_ref().filter(|zone| is_in(name.get_ref(), zone.get_ref()));
            let host = self.hosts.iter().find(|host| host.get_ref() == name.get_ref());
            let why = match (own, host) {
                (Some(zone), _) => (zone.span(), "the CDN's zone"),
                (None, Some(host)) => (host.span(), "a host of a site"),
                (None, None) => continue,
            };
            let message = format!("`{}` is down when every edge is", name.get_ref());
            let help = "name a server that isn't of this CDN".to_owned();
            let place = Some(name.span());
            let problem = Problem::error(place, "site.dns.all_down", message, help);
            problems.push(problem.related(why.0, why.1));
        }
    }

    fn check_zones(&self, problems: &Problems) {
        let Some(own) = &self.zone else { return };
        for zone in self.zones.iter().filter(|zone| zone.get_ref() == own.get_ref()) {
            let message = format!("`{}` is the CDN's own zone", own.get_ref());
            let help = "remove this zone: its records come from the configuration".to_owned();
            let problem = Problem::error(Some(zone.span()), "dns.zone.name", message, help);
            problems.push(problem.related(own.span(), "the CDN's zone"));
        }
    }

    fn check_hosts(&self, problems: &Problems) {
        let help = "a host belongs to one site: remove it from one of them";
        once(problems, "site.hosts", &self.hosts, "two sites claim the host", help);
        let Some(zone) = &self.zone else { return };
        for nameserver in &self.nameservers {
            let name = match zone.get_ref().below(nameserver.get_ref()) {
                Ok(name) => name,
                Err(error) => {
                    let message = format!("below the CDN's zone, {error}");
                    let place = Some(nameserver.span());
                    let key = "dns.nameserver.name";
                    problems.push(Problem::error(place, key, message, error.help()));
                    continue;
                }
            };
            if let Some(host) = self.hosts.iter().find(|host| *host.get_ref() == name) {
                let message = format!("`{name}` is the name of a name server");
                let help = "give the site or the name server another name".to_owned();
                let place = Some(host.span());
                let problem = Problem::error(place, "site.hosts", message, help);
                problems.push(problem.related(nameserver.span(), "the name server"));
            }
        }
    }

    /// Whether the edges that networks name are there.
    fn check_networks(&self, problems: &Problems) {
        let known = || self.edges.iter().map(|edge| edge.get_ref().as_str());
        for named in &self.edges_named {
            let name = named.get_ref().as_str();
            if known().any(|edge| edge == name) {
                continue;
            }
            let message = format!("there is no edge `{name}`");
            let help = did_you_mean(name, known()).unwrap_or_else(|| {
                let all: Vec<_> = known().map(|edge| format!("`{edge}`")).collect();
                match all.as_slice() {
                    [] => "add an `[[edge]]` of this name".to_owned(),
                    _ => format!("the edges are {}", all.join(", ")),
                }
            });
            let place = Some(named.span());
            problems.push(Problem::error(place, "dns.network.edges", message, help));
        }
    }

    /// Whether two nodes want one address.
    fn check_nodes(&self, problems: &Problems) {
        let mut first: HashMap<SocketAddr, (&Node, &Spanned<SocketAddr>)> = HashMap::new();
        for node in &self.nodes {
            let shareable = |address: SocketAddr| address.port() == 0 || on_every_machine(address);
            for (key, address) in &node.listens {
                if shareable(*address.get_ref()) {
                    continue;
                }
                let (earlier, place) = *first.entry(*address.get_ref()).or_insert((node, address));
                if std::ptr::eq(earlier, node) {
                    continue;
                }
                let message = format!(
                    "{} and {} both listen on `{}`",
                    earlier.name,
                    node.name,
                    address.get_ref()
                );
                let help = "give each an address or a port of its own".to_owned();
                let key = format!("{}.{key}", node.table);
                let problem = Problem::error(Some(address.span()), &key, message, help);
                problems.push(problem.related(place.span(), "taken here first"));
            }
        }
    }
}

impl Node {
    /// Whether one node wants an address twice.
    fn check(&self, problems: &Problems) {
        for (index, (key, address)) in self.listens.iter().enumerate() {
            let mut before = self.listens[..index].iter();
            let Some((earlier_key, earlier)) =
                before.find(|(_, earlier)| overlap(*earlier.get_ref(), *address.get_ref()))
            else {
                continue;
            };
            let message = format!(
                "{} can't have `{}` for `{earlier_key}` and `{}` for `{key}`",
                self.name,
                earlier.get_ref(),
                address.get_ref()
            );
            let help = "change the address or the port of one of them".to_owned();
            let key = format!("{}.{key}", self.table);
            let problem = Problem::error(Some(address.span()), &key, message, help);
            problems.push(problem.related(earlier.span(), "taken here first"));
        }
    }
}

/// Whether a name is in a zone.
fn is_in(name: &DomainName, zone: &DomainName) -> bool {
    let rest = name.as_str().strip_suffix(zone.as_str());
    rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Whether every machine has this address, so that nodes on different machines may share it.
fn on_every_machine(address: SocketAddr) -> bool {
    let ip = address.ip();
    ip.is_unspecified() || ip == Ipv4Addr::LOCALHOST || ip == Ipv6Addr::LOCALHOST
}

/// Whether each of `claims` stands once.
fn once<T: Eq + Hash + Display>(
    problems: &Problems,
    key: &str,
    claims: &[Spanned<T>],
    what: &str,
    help: &str,
) {
    let mut first: HashMap<&T, Range<usize>> = HashMap::new();
    for claim in claims {
        let Some(earlier) = first.get(claim.get_ref()) else {
            first.insert(claim.get_ref(), claim.span());
            continue;
        };
        let message = format!("{what} `{}`", claim.get_ref());
        let problem = Problem::error(Some(claim.span()), key, message, help.to_owned());
        problems.push(problem.related(earlier.clone(), "the first is here"));
    }
}
