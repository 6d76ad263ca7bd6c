//! All zones of a configuration.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hickory_proto::rr::{Name, RData, Record, RecordType};
use kingcdn_config::{Cdn, Config, Dns};

use super::error::{Fault, ZoneError};
use super::master::Sourced;
use super::{Zone, Zones, master, own};
use crate::dnssec::{Signer, keys};
use crate::name::Key;

/// The zones of a configuration, or everything that is wrong with its files.
pub(crate) fn load(config: &Config, cdn: &Cdn, dns: &Dns) -> Result<Zones, Vec<ZoneError>> {
    let mut zones = Zones::default();
    let mut errors = Vec::new();
    errors.extend(own::add_zone(&mut zones, config, cdn, dns).err());
    for zone in &dns.zones {
        let key = absolute(zone.name.as_str()).as_ref().and_then(Key::new);
        let twice = key.as_ref().is_some_and(|key| zones.by_apex.contains_key(key.whole()));
        if twice {
            errors.push(ZoneError {
                file: zone.file.clone(),
                line: None,
                fault: Fault::Twice(zone.name.to_string()),
            });
            continue;
        }
        let read = read(zone.name.as_str(), &zone.file).and_then(|(key, mut read)| {
            sign(&mut read, &key, zone.name.as_str(), dns)?;
            Ok((key, read))
        });
        match read {
            Ok((key, zone)) => zones.insert(&key, zone),
            Err(error) => errors.push(error),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    own::add_hosts(&mut zones, config, dns);
    Ok(zones)
}

fn read(apex: &str, file: &Path) -> Result<(Key, Zone), ZoneError> {
    let whole = |fault| at(file, None, fault);
    let bad_name = || Fault::Name { name: apex.to_owned(), reason: "it is too long".to_owned() };
    let name = absolute(apex).ok_or_else(bad_name).map_err(whole)?;
    let records = master::read(file, &name)?;
    build(&name, records, file)
}

/// The zone that a file's text makes by itself.
#[cfg(any(test, fuzzing))]
pub(crate) fn load_text(apex: &Name, text: &str) -> Result<Zones, ZoneError> {
    let file = Path::new("");
    let (key, zone) = build(apex, master::read_text(text, apex)?, file)?;
    let mut zones = Zones::default();
    zones.insert(&key, zone);
    Ok(zones)
}

/// The zone of these records.
fn build(name: &Name, records: Vec<Sourced>, file: &Path) -> Result<(Key, Zone), ZoneError> {
    let whole = |fault| at(file, None, fault);
    let too_long = || Fault::Name { name: name.to_ascii(), reason: "it is too long".to_owned() };
    let mut soa = None;
    for sourced in &records {
        if sourced.record.record_type() != RecordType::SOA {
            continue;
        }
        if soa.is_some() || sourced.record.name != *name {
            return Err(at(&sourced.file, Some(sourced.line), Fault::StraySoa));
        }
        soa = Some(&sourced.record);
    }
    let soa = soa.ok_or(Fault::NoSoa).map_err(whole)?;
    let (key, mut zone) = zone(name, soa).ok_or_else(too_long).map_err(whole)?;
    for sourced in records {
        add_record(&mut zone, name, sourced.record)
            .map_err(|fault| at(&sourced.file, Some(sourced.line), fault))?;
    }
    if let Some(name) = below_moved(&zone) {
        return Err(whole(Fault::BelowDname(name)));
    }
    let apex = zone.nodes.get(key.whole());
    if apex.and_then(|node| node.set(RecordType::NS)).is_none() {
        return Err(whole(Fault::NoNs));
    }
    Ok((key, zone))
}

/// Has a zone signed, if there are keys for it.
pub(super) fn sign(zone: &mut Zone, key: &Key, name: &str, dns: &Dns) -> Result<(), ZoneError> {
    let Some(folder) = &dns.protocol.dnssec_keys else { return Ok(()) };
    let keys = keys::of_zone(name, folder).map_err(|error| at(folder, None, error.into()))?;
    if keys.is_empty() {
        return Ok(());
    }
    let signer = Signer::new(key, keys);
    let apex = key.name();
    for record in signer.records(&apex) {
        add_record(zone, &apex, record).map_err(|fault| at(folder, None, fault))?;
    }
    zone.signer = Some(Arc::new(signer));
    Ok(())
}

/// A name below one whose names are another's (RFC 6672 section 2.4).
fn below_moved(zone: &Zone) -> Option<String> {
    if !zone.nodes.values().any(|node| node.moved) {
        return None;
    }
    let moved = |ending: &[u8]| zone.nodes.get(ending).is_some_and(|node| node.moved);
    zone.nodes.keys().filter_map(|name| Key::of_wire(name)).find_map(|key| {
        let above = zone.labels..key.labels();
        let below = above.into_iter().any(|labels| moved(key.ending(labels)));
        below.then(|| key.name().to_ascii())
    })
}

/// A zone without names.
pub(super) fn zone(apex: &Name, soa: &Record) -> Option<(Key, Zone)> {
    let key = Key::new(apex)?;
    let mut negative = soa.clone();
    if let RData::SOA(data) = &soa.data {
        negative.ttl = negative.ttl.min(data.minimum);
    }
    let zone = Zone {
        labels: key.labels(),
        negative,
        signer: None,
        nodes: [(key.whole().into(), super::Node::default())].into(),
    };
    Some((key, zone))
}

/// Adds a record to its name.
pub(super) fn add_record(zone: &mut Zone, apex: &Name, record: Record) -> Result<(), Fault> {
    let name = || record.name.to_ascii();
    let Some(key) = Key::new(&record.name).filter(|_| apex.zone_of(&record.name)) else {
        return Err(Fault::OutOfZone(name()));
    };
    let rtype = record.record_type();
    if record.name.is_wildcard() {
        if rtype == RecordType::NS {
            return Err(Fault::WildcardDelegation);
        }
        if let Some(name) = Key::new(&record.name.base_name()) {
            zone.node(&name).wildcard_below = true;
        }
    }
    let below_apex = key.labels() > zone.labels;
    let node = zone.node(&key);
    // RFC 1034 section 3.6.2.
    let alias = node.set(RecordType::CNAME);
    let clash = match rtype {
        RecordType::CNAME => match alias {
            Some(set) => set.records.iter().any(|known| known.data != record.data),
            None => !node.sets.is_empty(),
        },
        _ => alias.is_some(),
    };
    if clash {
        return Err(Fault::AliasAndMore(name()));
    }
    node.moved |= rtype == RecordType::DNAME;
    node.cut |= rtype == RecordType::NS && below_apex;
    node.add(record);
    Ok(())
}

/// A name of the configuration, which has no final dot.
pub(super) fn absolute(name: &str) -> Option<Name> {
    master::name(&format!("{name}."), &Name::root()).ok()
}

fn at(file: &Path, line: Option<usize>, fault: Fault) -> ZoneError {
    ZoneError { file: PathBuf::from(file), line, fault }
}
