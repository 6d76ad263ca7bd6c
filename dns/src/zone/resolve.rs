//! A question followed through our zones to its end.

use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::{Node, Place, Set, SiteIndex, Zone, Zones};
use crate::name::Key;

/// How many aliases are followed within one answer.
const ALIASES_MAX: usize = 8;

/// Where a question leads.
#[derive(Debug)]
pub(crate) struct Found<'z> {
    /// The aliases on the way. The first belongs to the name asked for.
    pub(crate) aliases: Vec<&'z Record>,
    pub(crate) end: End<'z>,
}

/// What stands at the end of the way.
#[derive(Debug)]
pub(crate) enum End<'z> {
    /// These records.
    Records(&'z Zone, &'z Set),
    /// The edges of this site.
    Steered(SiteIndex, &'z Zone),
    /// Something, of all types, which one answer need not list (RFC 8482).
    Anything,
    /// The name, but nothing of this type.
    NoData(&'z Zone),
    /// No such name.
    NoName(&'z Zone),
    /// A delegation: the name servers there know more.
    Referral(&'z Zone, &'z Set),
    /// A name that isn't ours, or a ring of aliases: the resolver goes on from the last alias.
    Elsewhere,
    /// The question itself isn't about a name of ours.
    NotOurs,
}

/// Follows a question (RFC 1034 section 4.3.2).
pub(crate) fn resolve<'z>(zones: &'z Zones, question: &Key, rtype: RecordType) -> Found<'z> {
    let mut aliases: Vec<&Record> = Vec::new();
    let Some(zone) = zones.find(question, rtype) else {
        return Found { aliases, end: End::NotOurs };
    };
    let mut end = step(zone, question, rtype);
    while let Step::Alias(record, target) = end {
        // Each alias leads to a name that none before it did, or the way is a ring.
        let next = Key::new(target).filter(|key| {
            let before = aliases.iter().any(|alias| alias.data == record.data);
            !before && key.whole() != question.whole() && aliases.len() < ALIASES_MAX
        });
        aliases.push(record);
        end = match next.and_then(|key| Some((zones.find(&key, rtype)?, key))) {
            Some((zone, key)) => step(zone, &key, rtype),
            None => Step::End(End::Elsewhere),
        };
        // Beyond a delegation we aren't authoritative: the resolver asks there itself.
        if let Step::End(End::Referral(..)) = end {
            end = Step::End(End::Elsewhere);
        }
    }
    let end = match end {
        Step::End(end) => end,
        Step::Alias(..) => End::Elsewhere,
    };
    Found { aliases, end }
}

enum Step<'z> {
    End(End<'z>),
    Alias(&'z Record, &'z Name),
}

fn step<'z>(zone: &'z Zone, key: &Key, rtype: RecordType) -> Step<'z> {
    Step::End(match zone.place(key, rtype) {
        Place::Missing => End::NoName(zone),
        Place::Cut(node) => match node.set(RecordType::NS) {
            Some(servers) => End::Referral(zone, servers),
            None => End::NoName(zone),
        },
        Place::Node(node) => match alias(node, rtype) {
            Some((record, target)) => return Step::Alias(record, target),
            None => at(zone, node, rtype),
        },
    })
}

/// What a node has for this type, where it is no alias.
fn at<'z>(zone: &'z Zone, node: &'z Node, rtype: RecordType) -> End<'z> {
    if let Some(set) = node.set(rtype) {
        return End::Records(zone, set);
    }
    match (rtype, node.site) {
        (RecordType::A | RecordType::AAAA, Some(site)) => End::Steered(site, zone),
        (RecordType::ANY, _) if !node.is_empty() => match node.set(RecordType::CNAME) {
            Some(set) => End::Records(zone, set),
            None => End::Anything,
        },
        _ => End::NoData(zone),
    }
}

/// The alias that a question of this type follows.
fn alias(node: &Node, rtype: RecordType) -> Option<(&Record, &Name)> {
    if matches!(rtype, RecordType::CNAME | RecordType::ANY) {
        return None;
    }
    let record = node.set(RecordType::CNAME)?.records.first()?;
    match &record.data {
        RData::CNAME(target) => Some((record, &target.0)),
        _ => None,
    }
}
