//! What is answered: pure, from what was found.

use std::net::IpAddr;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::{CNAME, HINFO};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use crate::steering::ANSWERS;
use crate::zone::{End, Found, Zone};

/// An extended error (RFC 8914 section 4.21).
const NOT_AUTHORITATIVE: u16 = 20;
/// That those whom the answer would name aren't reached (RFC 8914 section 4.24).
const NETWORK_ERROR: u16 = 23;
/// Seconds for which the answer to ANY may be cached.
const ANY_TTL: u32 = 3600;

/// An answer, before it is a packet.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) code: ResponseCode,
    /// What more can be said of the code (RFC 8914).
    pub(crate) extended: Option<u16>,
    /// AA: we are an authority for the name asked for.
    pub(crate) authoritative: bool,
    pub(crate) answers: Vec<Record>,
    pub(crate) authorities: Vec<Record>,
    pub(crate) additionals: Vec<Record>,
    /// How many bits of the client's address the answer depends on.
    pub(crate) scope: u8,
}

/// What steering says to a question that ends at a site.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Steered<'w> {
    /// These addresses.
    To {
        /// All of the type asked for.
        addresses: EdgeAddresses<'w>,
        /// Seconds for which a client may go there.
        ttl: u32,
        /// How many bits of the client's address this depends on.
        scope: u8,
    },
    /// No edge is up, and clients are led elsewhere.
    Fallback {
        /// The name there.
        name: &'w Name,
        /// Seconds for which they may go there.
        ttl: u32,
    },
    /// No edge has addresses of this type.
    NoAddress,
    /// No edge is up, and none shall be answered.
    AllDown,
}

/// The addresses of the edges in an answer.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct EdgeAddresses<'w> {
    edges: [&'w [IpAddr]; ANSWERS],
    count: usize,
}

impl<'w> EdgeAddresses<'w> {
    /// Adds an edge's, unless there are enough.
    pub(crate) fn push(&mut self, addresses: &'w [IpAddr]) {
        if let Some(free) = self.edges.get_mut(self.count) {
            *free = addresses;
            self.count += 1;
        }
    }

    /// Puts the edges into one of their orders, each as often as the others.
    pub(crate) fn shuffle(&mut self, salt: u16) {
        let mut rest = usize::from(salt);
        for left in (2..=self.count).rev() {
            self.edges.swap(left - 1, rest % left);
            rest /= left;
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &'w IpAddr> {
        self.edges.into_iter().take(self.count).flatten()
    }
}

impl Answer {
    /// An answer that is nothing but a code.
    pub(crate) fn code(code: ResponseCode) -> Self {
        Self { code, ..Self::default() }
    }

    /// The answer to a question that isn't for us.
    pub(crate) fn not_ours() -> Self {
        Self { extended: Some(NOT_AUTHORITATIVE), ..Self::code(ResponseCode::Refused) }
    }

    /// The answer to a question for this name that led to `found`, and there to a site for which steering said
    /// `steered`.
    pub(crate) fn new(asked: &Name, found: &Found<'_>, steered: Steered<'_>) -> Self {
        let mut answer = Self { authoritative: true, ..Self::default() };
        let owner = answer.aliases(asked, found);
        match &found.end {
            End::Records(zone, set) => {
                let records = set.records.iter().map(|record| owned(record, owner));
                answer.answers.extend(records);
                if set.rtype == RecordType::NS {
                    answer.addresses_of_servers(zone, &set.records);
                }
            }
            End::Steered(_, zone) => match steered {
                Steered::To { addresses, ttl, scope } => {
                    let record = |address: &IpAddr| {
                        Record::from_rdata(owner.clone(), ttl, address_data(*address))
                    };
                    answer.answers.extend(addresses.iter().map(record));
                    answer.scope = scope;
                }
                Steered::Fallback { name, ttl } => {
                    let alias = RData::CNAME(CNAME(name.clone()));
                    answer.answers.push(Record::from_rdata(owner.clone(), ttl, alias));
                }
                Steered::NoAddress => answer.authorities.push(zone.negative.clone()),
                // Not even the aliases: SERVFAIL says nothing.
                Steered::AllDown => {
                    let extended = Some(NETWORK_ERROR);
                    return Self { extended, ..Self::code(ResponseCode::ServFail) };
                }
            },
            // RFC 8482 section 4.2.
            End::Anything => {
                let data = RData::HINFO(HINFO::new("RFC8482".to_owned(), String::new()));
                answer.answers.push(Record::from_rdata(owner.clone(), ANY_TTL, data));
            }
            End::NoData(zone) => answer.authorities.push(zone.negative.clone()),
            // Of the last name of the aliases (RFC 6604 section 2.2).
            End::NoName(zone) => {
                answer.code = ResponseCode::NXDomain;
                answer.authorities.push(zone.negative.clone());
            }
            End::Referral(zone, servers) => {
                answer.authoritative = false;
                answer.authorities.extend(servers.records.iter().cloned());
                answer.addresses_of_servers(zone, &servers.records);
            }
            // RFC 6672 section 2.2.
            End::TooLong(moved) => {
                answer.code = ResponseCode::YXDomain;
                answer.answers.push((*moved).clone());
            }
            End::Elsewhere => {}
            End::NotOurs => return Self::not_ours(),
        }
        answer
    }

    /// Adds the aliases; the name to which they lead.
    pub(crate) fn aliases<'a>(&mut self, asked: &'a Name, found: &'a Found<'_>) -> &'a Name {
        let mut owner = asked;
        self.answers.extend(found.moves.iter().map(|moved| (*moved).clone()));
        for alias in &found.aliases {
            self.answers.push(owned(alias, owner));
            if let RData::CNAME(target) = &alias.data {
                owner = &target.0;
            }
        }
        owner
    }

    /// Adds the addresses of name servers, where the zone has them.
    fn addresses_of_servers(&mut self, zone: &Zone, servers: &[Record]) {
        for server in servers {
            if let RData::NS(name) = &server.data {
                for rtype in [RecordType::A, RecordType::AAAA] {
                    let addresses = zone.exactly(&name.0, rtype);
                    self.additionals.extend(addresses.iter().cloned());
                }
            }
        }
    }
}

/// The record with the owner that was asked for, and not `*`.
fn owned(record: &Record, owner: &Name) -> Record {
    let mut record = record.clone();
    record.name = owner.clone();
    record
}

/// An address as a record's data.
pub(crate) fn address_data(address: IpAddr) -> RData {
    match address {
        IpAddr::V4(address) => RData::A(address.into()),
        IpAddr::V6(address) => RData::AAAA(address.into()),
    }
}
