//! Why a question for a name is answered as it is, step by step.

mod text;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::net::IpAddr;

use hickory_proto::rr::{Name, RecordType};
use ipnet::IpNet;
use kingcdn_config::{Geoip, NetworkTarget};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::answer::Steered;
use crate::geo;
use crate::health::Snapshot;
use crate::journey::steer::{Client, ask, family, placed, steer};
use crate::locate::Geography;
use crate::name::Key;
use crate::status::word;
use crate::steering::{EdgeIndex, GroupIndex, Located, Point, Source, Unit, order};
use crate::world::{Policy, World};
use crate::zone::{End, SiteIndex, resolve};

/// Every step from a question to its answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// The name asked for.
    pub name: String,
    /// The type asked for.
    #[serde(rename = "type")]
    pub rtype: String,
    /// The client's network, or the resolver's address.
    pub client: String,
    /// Whether a running name server says so: with the health that it knows.
    pub live: bool,
    /// The zone that has the name; none where it isn't ours.
    pub zone: Option<String>,
    /// The names to which aliases lead, one after the other.
    pub aliases: Vec<String>,
    /// What stands at the end: `edges of a site`, or what else.
    pub end: Cow<'static, str>,
    /// How the edges of a site were chosen.
    pub steering: Option<SteeringSteps>,
}

/// From a site to its edges.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SteeringSteps {
    /// The site.
    pub site: String,
    /// What placed the client: `network`, `rule`, `geo` or `default`.
    pub placed_by: Cow<'static, str>,
    /// The operator's network that matched: the longest prefix.
    pub network: Option<String>,
    /// Where the client is, latitude and longitude, where that is known.
    pub place: Option<[f64; 2]>,
    /// The edges in their order, until enough were found.
    pub edges: Vec<EdgeStep>,
    /// What decided: as `kingcdn_dns_decisions_total` counts it.
    pub decision: Option<Cow<'static, str>>,
    /// What is answered.
    pub answer: Vec<String>,
    /// Seconds for which it may be cached.
    pub ttl: Option<u32>,
    /// Whether that is short because edges come and go.
    pub degraded: bool,
    /// Bits of the client's address on which the answer depends.
    pub scope: Option<u8>,
    /// Whether a subnet that the resolver tells places the client, and not the resolver.
    pub client_subnet: bool,
}

/// One edge on the way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EdgeStep {
    /// Its name.
    pub edge: String,
    /// Kilometres from the client's place.
    pub km: Option<u32>,
    /// Whether it is answered.
    pub answered: bool,
    /// Why not.
    pub why_not: Option<Cow<'static, str>>,
}

/// Why nothing can be explained.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ExplainError {
    /// No name of the DNS.
    #[error("`{0}` is no name")]
    Name(String),
    /// Neither an address nor a network.
    #[error("`{0}` is neither an address nor a network: write `203.0.113.7` or `203.0.113.0/24`")]
    Client(String),
    /// A type that no edge has.
    #[error("`{0}` isn't the type of an address: ask for `A` or `AAAA`")]
    Type(String),
}

/// What is asked to be explained.
pub(crate) struct Case {
    name: Name,
    key: Key,
    rtype: RecordType,
    client: IpNet,
}

impl Case {
    /// A question by its words: a name, a type (A without one), and an address or a network.
    pub(crate) fn parse(
        name: &str,
        rtype: Option<&str>,
        client: Option<&str>,
    ) -> Result<Self, ExplainError> {
        let wrong = || ExplainError::Name(name.chars().take(255).collect());
        let absolute = format!("{}.", name.trim_end_matches('.'));
        let parsed = Name::from_ascii(&absolute).map_err(|_| wrong())?;
        let key = Key::new(&parsed).ok_or_else(wrong)?;
        let text = client.unwrap_or("0.0.0.0");
        let client = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        let client: IpNet = client.map_err(|_| ExplainError::Client(text.to_owned()))?;
        let rtype = match rtype.map(str::to_ascii_uppercase).as_deref() {
            None | Some("A") => RecordType::A,
            Some("AAAA") => RecordType::AAAA,
            Some(other) => return Err(ExplainError::Type(other.to_owned())),
        };
        Ok(Self { name: parsed, key, rtype, client: client.trunc() })
    }
}

/// Explains what `world` answers while its fleet is so.
pub(crate) fn explain(world: &World, fleet: &Snapshot, case: &Case, live: bool) -> Explanation {
    let found = resolve(&world.zones, &case.key, case.rtype);
    let aliases: Vec<String> = found
        .aliases
        .iter()
        .map(|alias| alias.data.to_string().trim_end_matches('.').to_owned())
        .collect();
    let (zone, end) = match &found.end {
        End::Records(zone, _) => (Some(*zone), "records of the zone"),
        End::Steered(_, zone) => (Some(*zone), "edges of a site"),
        End::Anything => (None, "what any type gets"),
        End::NoData(zone) => (Some(*zone), "nothing of this type"),
        End::NoName(zone) => (Some(*zone), "no such name"),
        End::Referral(zone, _) => (Some(*zone), "a referral to other name servers"),
        End::TooLong(_) => (None, "a name that would be too long: YXDOMAIN"),
        End::Elsewhere => (None, "a name elsewhere"),
        End::NotOurs => (None, "not a zone of ours: REFUSED"),
    };
    let steering = match &found.end {
        End::Steered(site, zone) => {
            let apex = zone.negative.name.to_string();
            let owner = aliases.last().cloned().unwrap_or_else(|| case.name.to_string());
            let may_alias = owner.trim_end_matches('.') != apex.trim_end_matches('.');
            world.policy(*site).map(|policy| steps(world, fleet, case, (*site, policy), may_alias))
        }
        _ => None,
    };
    Explanation {
        name: case.name.to_string().trim_end_matches('.').to_owned(),
        rtype: case.rtype.to_string(),
        client: case.client.to_string(),
        live,
        zone: zone.map(|zone| zone.negative.name.to_string().trim_end_matches('.').to_owned()),
        aliases,
        end: end.into(),
        steering,
    }
}

fn steps(
    world: &World,
    fleet: &Snapshot,
    case: &Case,
    (site, policy): (SiteIndex, &Policy),
    may_alias: bool,
) -> SteeringSteps {
    let (address, known) = (case.client.network(), case.client.prefix_len());
    let client = Client { address, known, rtype: case.rtype, salt: 0, may_alias };
    let geography = world.geography();
    let located = geography.map.locate(address, known);
    let (steered, steering) = steer(world, &geography.map, fleet, client, site);
    let (network, place) = place(world, &geography, &located, case);
    let picked: Vec<EdgeIndex> = steering
        .and_then(|steering| steering.picks)
        .map(|picks| picks.edges().to_vec())
        .unwrap_or_default();
    let (answer, ttl, scope) = match steered {
        Steered::To { addresses, ttl, scope } => {
            (addresses.iter().map(ToString::to_string).collect(), Some(ttl), Some(scope))
        }
        Steered::Fallback { name, ttl } => {
            (vec![format!("CNAME {}", name.to_string().trim_end_matches('.'))], Some(ttl), Some(0))
        }
        Steered::NoAddress => (Vec::new(), None, Some(0)),
        Steered::AllDown => (vec!["SERVFAIL".to_owned()], None, None),
    };
    SteeringSteps {
        site: world.site(site).to_owned(),
        placed_by: placed(located.source).as_str().into(),
        network,
        place: place.map(|place| [place.latitude, place.longitude]),
        edges: edges(world, fleet, case, (&located, policy), &picked, place),
        decision: steering.map(|steering| steering.by.as_str().into()),
        answer,
        ttl,
        degraded: fleet.degraded,
        scope,
        client_subnet: policy.client_subnet,
    }
}

/// The operator's network around the client, and where he is.
fn place(
    world: &World,
    geography: &Geography,
    located: &Located<'_>,
    case: &Case,
) -> (Option<String>, Option<Point>) {
    match located.source {
        Source::Operator => {
            let networks = world.dns.networks.iter();
            let around = networks.filter(|network| network.prefix.contains(&case.client.network()));
            let Some(longest) = around.max_by_key(|network| network.prefix.prefix_len()) else {
                return (None, None);
            };
            let place = match &longest.target {
                NetworkTarget::Location(place) => Some(crate::locate::point(*place)),
                NetworkTarget::Edges(_) => None,
            };
            (Some(longest.prefix.to_string()), place)
        }
        Source::Database if world.dns.geoip != Geoip::None => {
            let countries = &geography.countries;
            (None, geo::place(&world.dns.geoip, countries, case.client.network()))
        }
        Source::Database | Source::Rule | Source::Default => (None, None),
    }
}

/// Every edge in the client's order, until as many were found as are answered.
fn edges(
    world: &World,
    fleet: &Snapshot,
    case: &Case,
    (located, policy): (&Located<'_>, &Policy),
    picked: &[EdgeIndex],
    place: Option<Point>,
) -> Vec<EdgeStep> {
    let fleet = &family(fleet, case.rtype).fleet;
    let ask = ask(located, policy, case.client.network());
    let unit = Unit::of(ask.client, ask.scope);
    let mut steps = Vec::new();
    let mut missing = picked.len();
    let mut seen: Vec<EdgeIndex> = Vec::new();
    let of = |group: GroupIndex| fleet.groups().of(group).iter().copied();
    for group in order(located.list.groups(), fleet.groups()) {
        if missing == 0 && !picked.is_empty() {
            break;
        }
        for edge in of(group) {
            if seen.contains(&edge) {
                continue;
            }
            seen.push(edge);
            let answered = picked.contains(&edge);
            missing -= usize::from(answered);
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 to 20,016.
            let km = place.map(|place| place.km(world.place(edge)).round() as u32);
            let why_not = (!answered).then(|| word(fleet.verdict(edge, unit)).into());
            steps.push(EdgeStep { edge: world.edge(edge).to_owned(), km, answered, why_not });
        }
    }
    steps
}
