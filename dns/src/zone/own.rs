//! The CDN's own zone, and its sites' hosts in the other zones.

use std::net::IpAddr;
use std::time::Duration;

use hickory_proto::rr::rdata::svcb::{Alpn, SvcParamKey, SvcParamValue};
use hickory_proto::rr::rdata::{HTTPS, NS, SOA, SVCB};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use kingcdn_config::{Cdn, Config, Dns, Site, SiteHttps};

use super::load::{absolute, add_record, sign, zone};
use super::{SiteIndex, ZoneError, Zones};
use crate::answer::address_data;
use crate::name::Key;
use crate::world::ttl_seconds;

/// Seconds for which the zone's fixed records may be cached.
const TTL: u32 = 3600;
/// Seconds for which it may be cached that something isn't there.
const NEGATIVE_TTL: u32 = 60;
/// What secondaries would do, in seconds (RIPE-203). We have none.
const REFRESH: i32 = 86_400;
const RETRY: i32 = 7_200;
const EXPIRE: i32 = 3_600_000;

/// Adds the CDN's zone: SOA, name servers with their addresses, sites.
pub(super) fn add_zone(
    zones: &mut Zones,
    config: &Config,
    cdn: &Cdn,
    dns: &Dns,
) -> Result<(), ZoneError> {
    let Some(apex) = absolute(cdn.zone.as_str()) else { return Ok(()) };
    let servers: Vec<(Name, &[IpAddr])> = dns
        .nameservers
        .iter()
        .filter_map(|server| {
            let name = absolute(&format!("{}.{}", server.name, cdn.zone))?;
            Some((name, server.addresses.as_slice()))
        })
        .collect();
    let soa = soa(&apex, servers.first().map(|(name, _)| name), cdn, serial(config, cdn, dns));
    let Some((key, mut zone)) = zone(&apex, &soa) else { return Ok(()) };
    let mut records = vec![soa];
    for (name, addresses) in servers {
        let ns = RData::NS(NS(name.clone()));
        records.push(Record::from_rdata(apex.clone(), TTL, ns));
        for address in addresses {
            records.push(Record::from_rdata(name.clone(), TTL, address_data(*address)));
        }
    }
    for record in records {
        // All of these are in the zone, and none is an alias.
        let _added = add_record(&mut zone, &apex, record);
    }
    sign(&mut zone, &key, cdn.zone.as_str(), dns)?;
    zones.insert(&key, zone);
    for (index, site) in config.sites.iter().enumerate() {
        let name = config.site_name(site);
        steer(zones, name.as_deref().and_then(absolute).as_ref(), (index, site), dns);
    }
    Ok(())
}

/// Steers the hosts of sites that lie in zones of ours, at the apex too.
///
/// The zone has the first word: where its file gives a host an address or an alias of its own, or
/// delegates it, that stays.
pub(super) fn add_hosts(zones: &mut Zones, config: &Config, dns: &Dns) {
    for (index, site) in config.sites.iter().enumerate() {
        for host in &site.hosts {
            steer(zones, absolute(host.as_str()).as_ref(), (index, site), dns);
        }
    }
}

fn steer(zones: &mut Zones, name: Option<&Name>, (index, site): (SiteIndex, &Site), dns: &Dns) {
    let Some(key) = name.and_then(Key::new) else { return };
    let labels = (0..=zones.longest.min(key.labels())).rev();
    let mut endings = labels.map(|labels| key.ending(labels));
    let Some(apex) = endings.find(|ending| zones.by_apex.contains_key(*ending)) else { return };
    if let Some(zone) = zones.by_apex.get_mut(apex) {
        let node = zone.node(&key);
        if node.has_address() {
            return;
        }
        node.site = Some(index);
        if let Some(https) = &site.dns.https
            && node.set(RecordType::HTTPS).is_none()
        {
            node.add(https_record(key.name(), https, site.dns.ttl.unwrap_or(dns.ttl)));
        }
    }
}

/// A site's HTTPS record, in service mode for the name itself. It has no addresses: clients ask for
/// them as well, and hints "SHOULD NOT" stand where the target is the owner (RFC 9460 section 7.3).
fn https_record(owner: Name, https: &SiteHttps, ttl: Duration) -> Record {
    let alpn = (!https.alpn.is_empty())
        .then(|| (SvcParamKey::Alpn, SvcParamValue::Alpn(Alpn(https.alpn.clone()))));
    let port = https.port.map(|port| (SvcParamKey::Port, SvcParamValue::Port(port)));
    let data = SVCB::new(1, Name::root(), alpn.into_iter().chain(port).collect());
    Record::from_rdata(owner, ttl_seconds(ttl), RData::HTTPS(HTTPS(data)))
}

fn soa(apex: &Name, primary: Option<&Name>, cdn: &Cdn, serial: u32) -> Record {
    // RFC 1035 section 8: the user is one label, whatever dots it has.
    let mailbox = absolute(cdn.contact.host.as_str())
        .and_then(|host| host.prepend_label(cdn.contact.user.as_bytes()).ok());
    let data = SOA::new(
        primary.unwrap_or(apex).clone(),
        mailbox.unwrap_or_else(|| apex.clone()),
        serial,
        REFRESH,
        RETRY,
        EXPIRE,
        NEGATIVE_TTL,
    );
    Record::from_rdata(apex.clone(), TTL, RData::SOA(data))
}

/// A number that stays while what the zone says stays, on every node and over restarts: FNV-1a of
/// all that goes into the zone's records. Nobody transfers the zone, so it needn't count upwards.
fn serial(config: &Config, cdn: &Cdn, dns: &Dns) -> u32 {
    let servers = dns.nameservers.iter().map(|server| format!("{server:?}"));
    let sites = config.sites.iter().map(|site| format!("{} {:?}", site.name, site.hosts));
    let edges = config.edges.iter().map(|edge| format!("{} {:?}", edge.name, edge.addresses));
    let zone = [format!("{} {:?}", cdn.zone, cdn.contact)];
    zone.into_iter()
        .chain(servers)
        .chain(sites)
        .chain(edges)
        .flat_map(|text| text.into_bytes().into_iter().chain([0]))
        .fold(0x811c_9dc5, |hash: u32, octet| (hash ^ u32::from(octet)).wrapping_mul(0x0100_0193))
}
