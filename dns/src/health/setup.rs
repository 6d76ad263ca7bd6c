//! What a configuration says of the edges, and what is known of them from before.

use std::net::SocketAddr;
use std::sync::Arc;

use kingcdn_config::clock::Timestamp;
use kingcdn_config::{Config, HealthCheck, HealthPolicy};

use super::{Known, Machine, Monitor, Prober, Target, Teller};
use crate::steering::{Groups, Member, Work, seed};

/// Every address of every edge, on the port that is checked.
pub(super) fn targets(config: &Config, policy: &HealthPolicy) -> Vec<Target> {
    let edges = config.edges.iter().zip(0..);
    edges
        .flat_map(|(edge, index)| {
            let name: Arc<str> = edge.name.as_str().into();
            let usual = || edge.listen.first().map_or(80, SocketAddr::port);
            let port = policy.port.unwrap_or_else(usual);
            edge.addresses.iter().map(move |address| Target {
                edge: index,
                name: Arc::clone(&name),
                service: SocketAddr::new(*address, port),
            })
        })
        .collect()
}

impl Teller {
    pub(super) fn of(edge: &kingcdn_config::Edge) -> Self {
        // Where it is every address, it is the one that clients get, too.
        let mut admin = edge.admin;
        if let (true, Some(own)) = (admin.ip().is_unspecified(), edge.addresses.first()) {
            admin.set_ip(*own);
        }
        Self { name: edge.name.as_str().into(), admin }
    }
}

/// The machine of every target: one that is known from before, where nothing of it has changed.
pub(super) fn machines(
    targets: &[Target],
    prober: &Prober,
    before: Option<&Monitor>,
    now: Timestamp,
) -> Vec<Machine> {
    let known: Vec<(Target, Machine)> = before
        .filter(|before| before.prober.is_like(prober))
        .map(|before| before.targets.iter().cloned().zip(before.known().machines.clone()).collect())
        .unwrap_or_default();
    let machine = |target: &Target| {
        let same = |(known, _): &&(Target, Machine)| {
            known.name == target.name && known.service == target.service
        };
        let known = known.iter().find(same).map(|(_, machine)| machine.clone());
        known.unwrap_or_else(|| match prober.how() {
            HealthCheck::None => Machine::always_up(now),
            HealthCheck::Http | HealthCheck::Https | HealthCheck::Tcp => Machine::new(now),
        })
    };
    targets.iter().map(machine).collect()
}

/// Something of every edge: what was known before of the same one.
pub(super) fn of_before<T: Clone + Default>(
    before: Option<&Monitor>,
    tellers: &[Teller],
    what: impl Fn(&Known) -> &Vec<T>,
) -> Vec<T> {
    let known = before.map(|before| (&before.tellers, what(&before.known()).clone()));
    let of = |teller: &Teller| {
        let (tellers, values) = known.as_ref()?;
        values.get(tellers.iter().position(|known| known == teller)?).cloned()
    };
    tellers.iter().map(|teller| of(teller).unwrap_or_default()).collect()
}

pub(super) fn work(capacity: &kingcdn_config::Capacity) -> Work {
    #[allow(clippy::cast_precision_loss)] // Below 2^52.
    let number = |number: Option<u64>| number.map(|number| number as f64);
    Work {
        requests_per_second: number(capacity.requests_per_second),
        egress_bits_per_second: number(capacity.egress_bits_per_second),
        cpu_share: capacity.cpu_share,
    }
}

/// The edges of a configuration, grouped by where they are.
pub(crate) fn groups(config: &Config) -> Groups {
    let member = |edge: &kingcdn_config::Edge| Member {
        place: crate::locate::point(edge.location),
        weight: edge.weight,
        seed: seed(edge.name.as_str()),
    };
    Groups::new(config.edges.iter().map(member).collect::<Vec<_>>())
}
