//! Answers made ahead: for every name of our zones the records of the usual
//! types in wire form, to follow any question for it.
//!
//! What [`answer`](crate::answer) and [`encode`](crate::encode) make of a
//! question is kept, so that there is one place that knows what is answered.
//! What isn't kept here, they make when it is asked for.

mod body;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

pub(crate) use body::Addresses;
use body::Body;

use crate::answer::{Answer, Steered};
use crate::decode::{Query, Question};
use crate::dnssec::Signer;
use crate::name::Key;
use crate::zone::{End, SiteIndex, Zone, Zones, resolve};

/// What is asked for at any name, whether it stands there or not.
const USUAL: [RecordType; 3] = [RecordType::A, RecordType::AAAA, RecordType::HTTPS];
/// A type that stands nowhere: from the range for private use (RFC 6895 section 3.1).
const NOWHERE: RecordType = RecordType::Unknown(65_280);

/// All answers that were made ahead, for one set of zones.
pub(crate) struct Ready {
    names: HashMap<Box<[u8]>, Named>,
    /// That there is nothing, by the zone's apex.
    nothing: HashMap<Box<[u8]>, Arc<Body>>,
    /// That the question isn't for us.
    refused: Body,
}

/// Answers for one name.
#[derive(Default)]
struct Named {
    /// For the types that stand there, and those that are usual. None where the answer is too long
    /// to be kept.
    by_type: Vec<(RecordType, Option<Kept>)>,
    /// For all other types.
    others: Option<Kept>,
}

/// An answer.
enum Kept {
    /// All of it.
    Whole(Body),
    /// There is nothing of this type at this name.
    Nothing(Arc<Body>),
    /// Addresses of a site's edges.
    Steered(Box<KeptSteered>),
}

struct KeptSteered {
    site: SiteIndex,
    signer: Option<Arc<Signer>>,
    /// The aliases on the way.
    aliases: Body,
    /// Where the name stands to which they lead.
    owner: u16,
    /// The answer while no edge has such an address.
    no_address: Arc<Body>,
}

/// What stands ready for a question.
pub(crate) enum Found<'r> {
    /// The whole answer.
    Whole(Sent<'r>),
    /// The answer, once it is known which addresses go into it.
    Steered {
        site: SiteIndex,
        /// Who signs the addresses, where that is known and nothing else is to be signed.
        signer: Option<&'r Signer>,
        aliases: Sent<'r>,
        /// Where the addresses' name stands in the packet.
        owner: u16,
        no_address: Sent<'r>,
    },
}

/// A body as it is to be sent.
#[derive(Clone, Copy)]
pub(crate) struct Sent<'r> {
    body: &'r Body,
    pub(crate) code: ResponseCode,
    /// By how many octets the question's name is longer than the one for which it was made.
    shift: u16,
}

impl Ready {
    /// Makes answers for all names.
    pub(crate) fn new(zones: &Zones) -> Self {
        let nothing = zones.iter().filter_map(|(apex, zone)| {
            let answer = Answer {
                authoritative: true,
                authorities: vec![zone.negative.clone()],
                ..Answer::default()
            };
            let body = Body::new(&Key::of_wire(apex)?, &answer)?;
            Some((apex.into(), Arc::new(body.movable()?)))
        });
        let mut ready = Self {
            names: HashMap::new(),
            nothing: nothing.collect(),
            refused: Body::empty(&Answer::not_ours()),
        };
        for (_, zone) in zones.iter() {
            for (name, types) in zone.names() {
                if let Some(key) = Key::of_wire(name) {
                    ready.add(zones, &key, types);
                }
            }
        }
        ready
    }

    /// What stands ready for a question, if anything does.
    pub(crate) fn find<'r>(&'r self, zones: &Zones, question: &Question) -> Option<Found<'r>> {
        let Question { key, rtype, .. } = question;
        if let Some(named) = self.names.get(key.whole()) {
            return named.get(*rtype).map(|kept| kept.found(key));
        }
        let found = resolve(zones, key, *rtype);
        if !found.aliases.is_empty() {
            return None;
        }
        let (zone, code) = match found.end {
            End::NoName(zone) => (zone, ResponseCode::NXDomain),
            End::NoData(zone) => (zone, ResponseCode::NoError),
            End::NotOurs => {
                return Some(Found::Whole(Sent::new(&self.refused)));
            }
            _ => return None,
        };
        let body = self.nothing.get(key.ending(zone.labels()))?;
        Some(Found::Whole(Sent { code, ..Sent::moved(body, key) }))
    }

    /// Makes the answers for a name. It may come twice: as a zone's apex, and where its parent
    /// delegates it.
    fn add(&mut self, zones: &Zones, key: &Key, types: impl Iterator<Item = RecordType>) {
        let mut named = self.names.remove(key.whole()).unwrap_or_default();
        for rtype in types.chain(USUAL) {
            if !named.by_type.iter().any(|(known, _)| *known == rtype) {
                named.by_type.push((rtype, self.keep(zones, key, rtype)));
            }
        }
        // Where an alias stands, each type may lead elsewhere.
        let others = self.keep(zones, key, NOWHERE);
        named.others = others.filter(|kept| matches!(kept, Kept::Nothing(_)));
        if named.others.is_some() {
            named.by_type.retain(|(_, kept)| !matches!(kept, Some(Kept::Nothing(_))));
        }
        named.by_type.shrink_to_fit();
        self.names.insert(key.whole().into(), named);
    }

    fn keep(&self, zones: &Zones, key: &Key, rtype: RecordType) -> Option<Kept> {
        let found = resolve(zones, key, rtype);
        let name = key.name();
        let whole = || Body::new(key, &Answer::new(&name, &found, Steered::NoAddress));
        match &found.end {
            End::Steered(site, zone) => {
                let mut answer = Answer { authoritative: true, ..Answer::default() };
                answer.aliases(&name, &found);
                let aliases = Body::new(key, &answer)?;
                Some(Kept::Steered(Box::new(KeptSteered {
                    site: *site,
                    signer: zone.signer.clone().filter(|_| found.aliases.is_empty()),
                    owner: aliases.last_data(key)?,
                    no_address: match found.aliases.is_empty() {
                        true => self.nothing(key, zone)?,
                        false => Arc::new(whole()?),
                    },
                    aliases,
                })))
            }
            End::NoData(zone) if found.aliases.is_empty() => {
                self.nothing(key, zone).map(Kept::Nothing)
            }
            _ => whole().map(Kept::Whole),
        }
    }

    fn nothing(&self, key: &Key, zone: &Zone) -> Option<Arc<Body>> {
        self.nothing.get(key.ending(zone.labels())).cloned()
    }
}

impl Named {
    fn get(&self, rtype: RecordType) -> Option<&Kept> {
        let listed = self.by_type.iter().find(|(known, _)| *known == rtype);
        match (listed, rtype) {
            (Some((_, kept)), _) => kept.as_ref(),
            // Of all types together, or the parent zone's business.
            (None, RecordType::ANY | RecordType::DS) => None,
            (None, _) => self.others.as_ref(),
        }
    }
}

impl Kept {
    fn found(&self, key: &Key) -> Found<'_> {
        match self {
            Self::Whole(body) => Found::Whole(Sent::new(body)),
            Self::Nothing(body) => Found::Whole(Sent::moved(body, key)),
            Self::Steered(steered) => Found::Steered {
                site: steered.site,
                signer: steered.signer.as_deref(),
                aliases: Sent::new(&steered.aliases),
                owner: steered.owner,
                no_address: Sent::moved(&steered.no_address, key),
            },
        }
    }
}

impl<'r> Sent<'r> {
    /// Writes it, with these addresses, unless it would be longer than the limit; whether it did.
    pub(crate) fn write(
        &self,
        query: &Query<'_>,
        addresses: Option<Addresses<'_>>,
        (scope, limit): (u8, usize),
        out: &mut Vec<u8>,
    ) -> bool {
        self.body.write(query, (self.code, self.shift), addresses, (scope, limit), out)
    }

    fn new(body: &'r Body) -> Self {
        Self { body, code: body.code(), shift: 0 }
    }

    fn moved(body: &'r Body, key: &Key) -> Self {
        Self { shift: body.shift(key), ..Self::new(body) }
    }
}
