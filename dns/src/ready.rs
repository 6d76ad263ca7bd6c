//! Answers made ahead: for every name of our zones the records of the usual
//! types in wire form, to follow any question for it.
//!
//! What [`answer`](crate::answer) and [`encode`](crate::encode) make of a
//! question is kept, so that there is one place that knows what is answered.
//! What isn't kept here, they make when it is asked for.

mod body;
mod names;
mod sealed;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

pub(crate) use body::Addresses;
use body::Body;
use names::Names;
use sealed::Sealed;

use crate::answer::{Answer, Steered};
use crate::decode::{Query, Question};
use crate::dnssec::Signer;
use crate::name::Key;
use crate::zone::{End, SiteIndex, Zone, Zones, resolve};

/// What is asked for at any name, whether it stands there or not.
const USUAL: [RecordType; 3] = [RecordType::A, RecordType::AAAA, RecordType::HTTPS];
/// A type that stands nowhere: from the range for private use (RFC 6895 section 3.1).
const NOWHERE: RecordType = RecordType::Unknown(65_280);
/// A label that stands hardly anywhere. Where it does, names beside it are looked for on demand.
const NOBODY: &[u8] = b"\x01\x00";

/// All answers that were made ahead, for one set of zones.
pub(crate) struct Ready {
    /// None where they are too many to be numbered: then every answer is made on demand.
    names: Option<Names>,
    /// By the names' numbers.
    named: Vec<Named>,
    /// That the question isn't for us.
    refused: Body,
}

/// Answers for one name.
struct Named {
    kind: Kind,
    /// With proofs, that there is nothing of most types, no IPv4 and no IPv6 addresses.
    sealed: [Sealed; 3],
}

enum Kind {
    /// A site's addresses and nothing else: almost every name of a large CDN. All that isn't the
    /// site's own is kept once.
    Site(u32, Arc<Plain>),
    Mixed(Box<Mixed>),
}

/// What sites' names of one zone have in common.
struct Plain {
    steered: Steering,
    /// For all types but addresses.
    others: Arc<Body>,
    below: Option<Arc<Body>>,
}

/// Answers for one name, whatever they are.
struct Mixed {
    /// For the types that stand there, and those that are usual.
    by_type: Vec<Typed>,
    /// For all other types: that there is nothing.
    others: Option<Arc<Body>>,
    /// For all names below it that aren't in the table: that there is none. None where something
    /// else is said of them, such as what a wildcard says.
    below: Option<Arc<Body>>,
}

struct Typed {
    rtype: RecordType,
    /// None where the answer is too long to be kept.
    kept: Option<Kept>,
    /// The same, with signatures; of addresses, that there are none.
    sealed: Sealed,
}

/// An answer.
enum Kept {
    /// All of it.
    Whole(Body),
    /// There is nothing of this type at this name.
    Nothing(Arc<Body>),
    /// Addresses of a site's edges.
    Steered(u32, Box<Steering>),
}

struct Steering {
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
    /// Where the same is kept with signatures, once it was asked for so.
    sealed: Option<&'r Sealed>,
}

/// Makes [`Ready`].
struct Builder<'z> {
    zones: &'z Zones,
    /// That there is nothing, by the zone's apex.
    nothing: HashMap<&'z [u8], Arc<Body>>,
    /// By the zone's apex.
    plain: HashMap<&'z [u8], Arc<Plain>>,
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
            Some((apex, Arc::new(body.movable()?)))
        });
        let mut builder = Builder { zones, nothing: nothing.collect(), plain: HashMap::new() };
        // A name may come twice: as a zone's apex, and where its parent delegates it.
        let mut types: HashMap<&[u8], Vec<RecordType>> = HashMap::new();
        for (name, more) in zones.iter().flat_map(|(_, zone)| zone.names()) {
            types.entry(name).or_default().extend(more);
        }
        let (mut keys, mut named) = (Vec::new(), Vec::new());
        for (name, types) in types {
            if let Some(key) = Key::of_wire(name) {
                keys.push((name, key.labels()));
                named.push(builder.named(&key, types));
            }
        }
        let names = Names::new(keys.into_iter());
        Self { names, named, refused: Body::empty(&Answer::not_ours()) }
    }

    /// What stands ready for a question, if anything does.
    pub(crate) fn find<'r>(&'r self, question: &Question<'_>) -> Option<Found<'r>> {
        let Question { key, rtype, .. } = question;
        let names = self.names.as_ref()?;
        if let Some(number) = names.find(key.whole()) {
            return self.named.get(number)?.get(*rtype, key);
        }
        // All names between an apex and a name are there (RFC 4592 section 2.2.2), so the first of
        // those above it that is there knows.
        let above = (0..key.labels().min(names.longest() + 1)).rev();
        let closest = above.map(|labels| key.ending(labels)).find_map(|name| names.find(name));
        let Some(number) = closest else { return Some(Found::Whole(Sent::new(&self.refused))) };
        let body = self.named.get(number)?.below()?;
        Some(Found::Whole(Sent { code: ResponseCode::NXDomain, ..Sent::moved(body, key) }))
    }

    /// Keeps the signed answer to a question whose answer stands ready without signatures: until
    /// this second, in serial arithmetic.
    pub(crate) fn keep_sealed(&self, question: &Question<'_>, answer: &Answer, until: u32) {
        let number = self.names.as_ref().and_then(|names| names.find(question.key.whole()));
        let named = number.and_then(|number| self.named.get(number));
        let found = named.and_then(|named| named.get(question.rtype, question.key));
        let sealed = match found {
            Some(Found::Whole(sent)) => sent.sealed,
            Some(Found::Steered { no_address, .. }) => no_address.sealed,
            None => None,
        };
        if let Some(sealed) = sealed {
            sealed.keep(question.key, answer, until);
        }
    }
}

impl<'z> Builder<'z> {
    /// Makes the answers for a name at which records of these types stand.
    fn named(&mut self, key: &Key, types: Vec<RecordType>) -> Named {
        let sealed = Default::default();
        if types.is_empty()
            && let Some((site, plain)) = self.plain(key)
        {
            return Named { kind: Kind::Site(site, plain), sealed };
        }
        let mut by_type: Vec<Typed> = Vec::new();
        for rtype in types.into_iter().chain(USUAL) {
            if !by_type.iter().any(|typed| typed.rtype == rtype) {
                let kept = self.keep(key, rtype);
                by_type.push(Typed { rtype, kept, sealed: Sealed::default() });
            }
        }
        // Where an alias stands, each type may lead elsewhere.
        let others = match self.keep(key, NOWHERE) {
            Some(Kept::Nothing(body)) => Some(body),
            _ => None,
        };
        if others.is_some() {
            by_type.retain(|typed| !matches!(typed.kept, Some(Kept::Nothing(_))));
        }
        by_type.shrink_to_fit();
        let below = self.below(key).map(|(_, body)| body);
        Named { kind: Kind::Mixed(Box::new(Mixed { by_type, others, below })), sealed }
    }

    /// A site's name at which nothing else stands.
    fn plain(&mut self, key: &Key) -> Option<(u32, Arc<Plain>)> {
        let End::Steered(site, zone) = resolve(self.zones, key, RecordType::A).end else {
            return None;
        };
        let site = u32::try_from(site).ok()?;
        let others = self.nothing(key, zone)?;
        // What is below a site's name is as rare as it is usual that nothing is.
        let below = self.below(key).filter(|(of, _)| std::ptr::eq(*of, zone));
        let (_, below) = below?;
        let make = || {
            let (_, steered) = self.steered(key, RecordType::A)?;
            Some(Arc::new(Plain { steered, others, below: Some(below) }))
        };
        let apex = self.zones.iter().find(|(_, other)| std::ptr::eq(*other, zone))?.0;
        if let Some(plain) = self.plain.get(apex) {
            return Some((site, Arc::clone(plain)));
        }
        let plain = make()?;
        self.plain.insert(apex, Arc::clone(&plain));
        Some((site, plain))
    }

    fn keep(&self, key: &Key, rtype: RecordType) -> Option<Kept> {
        let found = resolve(self.zones, key, rtype);
        match &found.end {
            End::Steered(..) => {
                let (site, steered) = self.steered(key, rtype)?;
                Some(Kept::Steered(site, Box::new(steered)))
            }
            End::NoData(zone) if found.aliases.is_empty() => {
                self.nothing(key, zone).map(Kept::Nothing)
            }
            _ => {
                let answer = Answer::new(&key.name(), &found, Steered::NoAddress);
                Body::new(key, &answer).map(Kept::Whole)
            }
        }
    }

    /// A question that ends at a site.
    fn steered(&self, key: &Key, rtype: RecordType) -> Option<(u32, Steering)> {
        let (name, found) = (key.name(), resolve(self.zones, key, rtype));
        let End::Steered(site, zone) = found.end else { return None };
        let mut answer = Answer { authoritative: true, ..Answer::default() };
        answer.aliases(&name, &found);
        let aliases = Body::new(key, &answer)?;
        let steering = Steering {
            signer: zone.signer.clone().filter(|_| found.aliases.is_empty()),
            owner: aliases.last_data(key)?,
            no_address: match found.aliases.is_empty() {
                true => self.nothing(key, zone)?,
                false => {
                    let answer = Answer::new(&name, &found, Steered::NoAddress);
                    Arc::new(Body::new(key, &answer)?)
                }
            },
            aliases,
        };
        Some((site.try_into().ok()?, steering))
    }

    /// What is said of names below this one that nobody has, where that is that they aren't there.
    fn below(&self, key: &Key) -> Option<(&'z Zone, Arc<Body>)> {
        let nobody = Key::of_wire(&[NOBODY, key.whole()].concat())?;
        let found = resolve(self.zones, &nobody, NOWHERE);
        let End::NoName(zone) = found.end else { return None };
        let body = self.nothing(key, zone)?;
        found.aliases.is_empty().then_some((zone, body))
    }

    fn nothing(&self, key: &Key, zone: &Zone) -> Option<Arc<Body>> {
        self.nothing.get(key.ending(zone.labels())).cloned()
    }
}

impl Named {
    /// The answer for a type.
    fn get(&self, rtype: RecordType, key: &Key) -> Option<Found<'_>> {
        let [nothing, no_v4, no_v6] = &self.sealed;
        match (&self.kind, rtype) {
            (Kind::Site(site, plain), RecordType::A) => {
                Some(plain.steered.found(*site, key, no_v4))
            }
            (Kind::Site(site, plain), RecordType::AAAA) => {
                Some(plain.steered.found(*site, key, no_v6))
            }
            (Kind::Site(..), rtype) if rare(rtype) => None,
            (Kind::Site(_, plain), _) => Some(whole(&plain.others, key, nothing)),
            (Kind::Mixed(mixed), _) => mixed.get(rtype, key, nothing),
        }
    }

    fn below(&self) -> Option<&Body> {
        match &self.kind {
            Kind::Site(_, plain) => plain.below.as_deref(),
            Kind::Mixed(mixed) => mixed.below.as_deref(),
        }
    }
}

impl Mixed {
    fn get<'r>(&'r self, rtype: RecordType, key: &Key, nothing: &'r Sealed) -> Option<Found<'r>> {
        let Some(typed) = self.by_type.iter().find(|typed| typed.rtype == rtype) else {
            let others = self.others.as_deref()?;
            return (!rare(rtype)).then(|| whole(others, key, nothing));
        };
        Some(match typed.kept.as_ref()? {
            Kept::Whole(body) => {
                Found::Whole(Sent { sealed: Some(&typed.sealed), ..Sent::new(body) })
            }
            Kept::Nothing(body) => whole(body, key, &typed.sealed),
            Kept::Steered(site, steered) => steered.found(*site, key, &typed.sealed),
        })
    }
}

/// Whether a type is of all types together, the parent zone's business, or what proves that another
/// isn't there.
fn rare(rtype: RecordType) -> bool {
    matches!(rtype, RecordType::ANY | RecordType::DS | RecordType::NSEC | RecordType::RRSIG)
}

/// That there is nothing.
fn whole<'r>(body: &'r Body, key: &Key, sealed: &'r Sealed) -> Found<'r> {
    Found::Whole(Sent { sealed: Some(sealed), ..Sent::moved(body, key) })
}

impl Steering {
    fn found<'r>(&'r self, site: u32, key: &Key, sealed: &'r Sealed) -> Found<'r> {
        Found::Steered {
            site: site as usize,
            signer: self.signer.as_deref(),
            aliases: Sent::new(&self.aliases),
            owner: self.owner,
            no_address: Sent { sealed: Some(sealed), ..Sent::moved(&self.no_address, key) },
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

    /// Writes it with its signatures, unless there are none that are good at this second, or it
    /// would be longer than the limit; whether it did.
    pub(crate) fn write_sealed(
        &self,
        query: &Query<'_>,
        (now, limit): (u32, usize),
        out: &mut Vec<u8>,
    ) -> bool {
        self.sealed.is_some_and(|sealed| sealed.write(query, (now, limit), out))
    }

    fn new(body: &'r Body) -> Self {
        Self { body, code: body.code(), shift: 0, sealed: None }
    }

    fn moved(body: &'r Body, key: &Key) -> Self {
        Self { shift: body.shift(key), ..Self::new(body) }
    }
}
