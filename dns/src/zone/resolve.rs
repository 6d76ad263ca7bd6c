//! A question followed through our zones to its end.

use std::borrow::Cow;

use hickory_proto::rr::rdata::CNAME;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};

use super::{Node, Place, Set, SiteIndex, Zone, Zones};
use crate::name::Key;

/// How many aliases are followed within one answer.
const ALIASES_MAX: usize = 8;

/// Where a question leads.
#[derive(Debug)]
pub(crate) struct Found<'z> {
    /// The aliases on the way. The first belongs to the name asked for.
    pub(crate) aliases: Vec<Cow<'z, Record>>,
    /// The DNAME records from which some of them follow (RFC 6672 section 3.1).
    pub(crate) moves: Vec<&'z Record>,
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
    /// Where this DNAME record leads there can't be such a name.
    TooLong(&'z Record),
    /// A name that isn't ours, or a ring of aliases: the resolver goes on from the last alias.
    Elsewhere,
    /// The question itself isn't about a name of ours.
    NotOurs,
}

/// Follows a question (RFC 1034 section 4.3.2).
pub(crate) fn resolve<'z>(zones: &'z Zones, question: &Key, rtype: RecordType) -> Found<'z> {
    let mut aliases: Vec<Cow<'_, Record>> = Vec::new();
    let mut moves = Vec::new();
    let Some(zone) = zones.find(question, rtype) else {
        return Found { aliases, moves, end: End::NotOurs };
    };
    let mut way = step(zone, question, rtype);
    let end = loop {
        let (alias, moved) = match way {
            // Beyond a delegation we aren't authoritative: the resolver asks there itself.
            Step::End(End::Referral(..)) if !aliases.is_empty() => break End::Elsewhere,
            Step::End(end) => break end,
            Step::Alias(alias, moved) => (alias, moved),
        };
        // Each alias leads to a name that none before it did, or the way is a ring. One that follows
        // from a DNAME record may itself be what is asked for.
        let RData::CNAME(target) = &alias.data else { break End::Elsewhere };
        let next = Key::new(&target.0).filter(|key| {
            let before = aliases.iter().any(|known| known.data == alias.data);
            let asked = matches!(rtype, RecordType::CNAME | RecordType::ANY);
            let more = aliases.len() < ALIASES_MAX;
            !before && !asked && key.whole() != question.whole() && more
        });
        aliases.push(alias);
        moves.extend(moved);
        way = match next.and_then(|key| Some((zones.find(&key, rtype)?, key))) {
            Some((zone, key)) => step(zone, &key, rtype),
            None => Step::End(End::Elsewhere),
        };
    };
    Found { aliases, moves, end }
}

#[allow(clippy::large_enum_variant)] // It lives for a step.
enum Step<'z> {
    End(End<'z>),
    /// An alias, and the DNAME record from which it follows if it does.
    Alias(Cow<'z, Record>, Option<&'z Record>),
}

fn step<'z>(zone: &'z Zone, key: &Key, rtype: RecordType) -> Step<'z> {
    Step::End(match zone.place(key, rtype) {
        Place::Missing => End::NoName(zone),
        Place::Cut(node) => match node.set(RecordType::NS) {
            Some(servers) => End::Referral(zone, servers),
            None => End::NoName(zone),
        },
        Place::Moved(node, labels) => {
            let moved = node.set(RecordType::DNAME).and_then(|set| set.records.first());
            let Some(moved) = moved else { return Step::End(End::NoName(zone)) };
            match implied(moved, key, labels) {
                Some(alias) => return Step::Alias(Cow::Owned(alias), Some(moved)),
                None => End::TooLong(moved),
            }
        }
        Place::Node(node) => match alias(node, rtype) {
            Some(record) => return Step::Alias(Cow::Borrowed(record), None),
            None => at(zone, node, rtype),
        },
    })
}

/// The alias that follows from a DNAME record of so many labels; none where its name would be longer
/// than a name may be.
fn implied(moved: &Record, key: &Key, labels: usize) -> Option<Record> {
    let RData::Unknown { rdata, .. } = &moved.data else { return None };
    let target = Name::read(&mut BinDecoder::new(&rdata.anything)).ok()?;
    let name = key.name();
    let kept = name.iter().take(key.labels() - labels);
    let target = Name::from_labels(kept).ok()?.append_domain(&target).ok()?;
    Some(Record::from_rdata(name, moved.ttl, RData::CNAME(CNAME(target))))
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
fn alias(node: &Node, rtype: RecordType) -> Option<&Record> {
    if matches!(rtype, RecordType::CNAME | RecordType::ANY) {
        return None;
    }
    node.set(RecordType::CNAME)?.records.first()
}
