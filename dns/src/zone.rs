//! Zones: what we are authoritative for, and what stands there.

mod data;
mod error;
mod lexer;
mod load;
mod master;
mod own;
mod resolve;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use hickory_proto::rr::{Name, RData, Record, RecordType};

pub use error::{Fault, ZoneError};
pub(crate) use load::load;
#[cfg(any(test, fuzzing))]
pub(crate) use load::load_text;
pub(crate) use resolve::{End, Found, resolve};

use crate::dnssec::Signer;
use crate::name::Key;

/// A site, by its place in the configuration.
pub(crate) type SiteIndex = usize;

/// Every zone that is served.
#[derive(Debug, Default)]
pub(crate) struct Zones {
    by_apex: HashMap<Box<[u8]>, Zone>,
    /// Labels of the longest apex.
    longest: usize,
    signed: bool,
}

/// A zone: its names, each with its records.
///
/// Every name between the apex and a name that has records is there too, without any (RFC 4592
/// section 2.2.2). So where a name is missing, all names below it are missing.
#[derive(Debug)]
pub(crate) struct Zone {
    /// Labels of the apex.
    labels: usize,
    /// The SOA record as negative answers carry it: its TTL is the lesser of its own and its
    /// minimum (RFC 2308 section 5).
    pub(crate) negative: Record,
    /// Who signs it, if it is signed.
    pub(crate) signer: Option<Arc<Signer>>,
    nodes: HashMap<Box<[u8]>, Node>,
}

/// What stands at a name.
#[derive(Debug, Default)]
pub(crate) struct Node {
    sets: Vec<Set>,
    /// The site whose edges are the addresses of this name.
    pub(crate) site: Option<SiteIndex>,
    /// Whether `*` stands below it.
    wildcard_below: bool,
    /// Whether it is a delegation.
    cut: bool,
    /// Whether all names below it are another's (DNAME, RFC 6672).
    moved: bool,
}

/// The records of one type at a name (RFC 2181 section 5).
#[derive(Debug)]
pub(crate) struct Set {
    pub(crate) rtype: RecordType,
    pub(crate) records: Vec<Record>,
}

/// Where a name leads within a zone.
enum Place<'z> {
    /// To its node, or to that of the wildcard that stands for it.
    Node(&'z Node),
    /// Out of the zone, at this delegation.
    Cut(&'z Node),
    /// Below this node of so many labels, whose DNAME record says where to.
    Moved(&'z Node, usize),
    /// Nowhere.
    Missing,
}

impl Zones {
    fn insert(&mut self, key: &Key, zone: Zone) {
        self.longest = self.longest.max(zone.labels);
        self.signed |= zone.signer.is_some();
        self.by_apex.insert(key.whole().into(), zone);
    }

    /// Whether any of them is signed.
    pub(crate) fn signed(&self) -> bool {
        self.signed
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.by_apex.len()
    }

    /// The zone of this name, with its key.
    pub(crate) fn named(&self, name: &str) -> Option<(Key, &Zone)> {
        let key = load::absolute(name).as_ref().and_then(Key::new)?;
        let zone = self.at(&key)?;
        Some((key, zone))
    }

    /// The zone with this apex.
    pub(crate) fn at(&self, apex: &Key) -> Option<&Zone> {
        self.by_apex.get(apex.whole())
    }

    /// Every zone with the key of its apex.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], &Zone)> {
        self.by_apex.iter().map(|(apex, zone)| (&**apex, zone))
    }

    /// The zone in which a name lies. The parent's, for what only the parent knows of a zone's apex
    /// (RFC 4035 section 3.1.4.1), where both are ours.
    pub(crate) fn find(&self, key: &Key, rtype: RecordType) -> Option<&Zone> {
        let labels = (0..=self.longest.min(key.labels())).rev();
        let mut zones = labels.filter_map(|labels| self.by_apex.get(key.ending(labels)));
        let zone = zones.next()?;
        match rtype {
            RecordType::DS if zone.labels == key.labels() => Some(zones.next().unwrap_or(zone)),
            _ => Some(zone),
        }
    }
}

impl Zone {
    /// RFC 1034 section 4.3.2 step 3: label by label from the apex down.
    fn place(&self, key: &Key, rtype: RecordType) -> Place<'_> {
        let mut above = None;
        for labels in self.labels..=key.labels() {
            let Some(node) = self.nodes.get(key.ending(labels)) else {
                return self.wildcard(above, key.ending(labels - 1));
            };
            // What the parent knows of a delegated name, it answers itself.
            let ours = rtype == RecordType::DS && labels == key.labels();
            if node.cut && !ours {
                return Place::Cut(node);
            }
            if node.moved && labels < key.labels() {
                return Place::Moved(node, labels);
            }
            above = Some(node);
        }
        above.map_or(Place::Missing, Place::Node)
    }

    /// The wildcard below the closest name that exists, if there is one (RFC 4592 section 3.3.1).
    fn wildcard(&self, encloser: Option<&Node>, name: &[u8]) -> Place<'_> {
        if !encloser.is_some_and(|node| node.wildcard_below) {
            return Place::Missing;
        }
        let key = Key::wildcard(name);
        let node = key.and_then(|key| self.nodes.get(key.whole()));
        node.map_or(Place::Missing, Place::Node)
    }

    /// The types that a name has records of, or that steering may have addresses of for it.
    pub(crate) fn types(&self, key: &Key) -> Vec<u16> {
        // As the parent of what it delegates.
        let Place::Node(node) = self.place(key, RecordType::DS) else { return Vec::new() };
        let steered = node.site.filter(|_| !node.cut).map(|_| [RecordType::A, RecordType::AAAA]);
        // Glue at a delegation isn't the parent's (RFC 4035 section 2.3).
        let ours =
            |rtype: &RecordType| !node.cut || matches!(rtype, RecordType::NS | RecordType::DS);
        let sets = node.sets.iter().map(|set| set.rtype).filter(ours);
        sets.chain(steered.into_iter().flatten()).map(u16::from).collect()
    }

    /// Whether these records are another zone's, and only shown by this one.
    pub(crate) fn delegates(&self, key: &Key, rtype: RecordType) -> bool {
        matches!(self.place(key, rtype), Place::Cut(_))
    }

    /// Labels of its apex.
    pub(crate) fn labels(&self) -> usize {
        self.labels
    }

    /// Every name in it, as a key, with the types that have records there.
    pub(crate) fn names(&self) -> impl Iterator<Item = (&[u8], impl Iterator<Item = RecordType>)> {
        let types = |node: &'_ Node| node.sets.iter().map(|set| set.rtype).collect::<Vec<_>>();
        self.nodes.iter().map(move |(key, node)| (&**key, types(node).into_iter()))
    }

    /// Whether sites' hosts are in it.
    pub(crate) fn steers(&self) -> bool {
        self.steered().next().is_some()
    }

    /// The names that are steered, as keys, each to its site.
    pub(crate) fn steered(&self) -> impl Iterator<Item = (&[u8], SiteIndex)> {
        self.nodes.iter().filter_map(|(name, node)| Some((&**name, node.site?)))
    }

    /// Its SOA record.
    pub(crate) fn soa(&self) -> Option<&Record> {
        self.exactly(&self.negative.name, RecordType::SOA).first()
    }

    /// Its serial (RFC 1035 section 3.3.13).
    pub(crate) fn serial(&self) -> Option<u32> {
        match &self.negative.data {
            RData::SOA(soa) => Some(soa.serial),
            _ => None,
        }
    }

    /// Every record but SOA, delegations and their glue among them.
    pub(crate) fn records(&self) -> impl Iterator<Item = &Record> {
        let sets = self.nodes.values().flat_map(|node| &node.sets);
        sets.filter(|set| set.rtype != RecordType::SOA).flat_map(|set| &set.records)
    }

    /// The records of a type at exactly this name, below delegations too: glue.
    pub(crate) fn exactly(&self, name: &Name, rtype: RecordType) -> &[Record] {
        let node = Key::new(name).and_then(|key| self.nodes.get(key.whole()));
        let set = node.and_then(|node| node.set(rtype));
        set.map_or(&[], |set| &set.records)
    }

    fn node(&mut self, key: &Key) -> &mut Node {
        for labels in self.labels..key.labels() {
            self.nodes.entry(key.ending(labels).into()).or_default();
        }
        self.nodes.entry(key.whole().into()).or_default()
    }
}

impl Node {
    /// Its records of a type.
    pub(crate) fn set(&self, rtype: RecordType) -> Option<&Set> {
        self.sets.iter().find(|set| set.rtype == rtype)
    }

    /// Whether the zone says itself where clients go.
    fn has_address(&self) -> bool {
        let addresses = [RecordType::A, RecordType::AAAA, RecordType::CNAME];
        addresses.iter().any(|rtype| self.set(*rtype).is_some())
    }

    /// Whether it is only there because something stands below it.
    fn is_empty(&self) -> bool {
        self.sets.is_empty() && self.site.is_none()
    }

    fn add(&mut self, record: Record) {
        let rtype = record.record_type();
        match self.sets.iter_mut().find(|set| set.rtype == rtype) {
            Some(set) => {
                // One set has one TTL, and no record twice (RFC 2181 sections 5 and 5.2).
                let ttl = set.records.iter().map(|r| r.ttl).fold(record.ttl, u32::min);
                if !set.records.iter().any(|known| known.data == record.data) {
                    set.records.push(record);
                }
                set.records.iter_mut().for_each(|record| record.ttl = ttl);
            }
            None => self.sets.push(Set { rtype, records: vec![record] }),
        }
    }
}
