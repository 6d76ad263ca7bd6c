//! A name server without sockets, and what is asked of it.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query};
use hickory_proto::rr::rdata::opt::{ClientSubnet, EdnsCode, EdnsOption};
use hickory_proto::rr::{DNSClass, Name, Record, RecordType};
use kingcdn_config::Config;
use kingcdn_config::clock::{Clock, Timestamp};

use super::super::Journey;
use crate::cookies::Cookies;
use crate::record::{Metrics, Transport};
use crate::testing;
use crate::world::{Parts, World};

const ZONE: &str = r#"
$TTL 300
@        SOA ns1 hostmaster 1 1d 2h 4w 60
@        NS  ns1
@        NS  ns2
@        MX  10 mail
ns1      A   192.0.2.53
ns2      A   192.0.2.54
ns2      AAAA 2001:db8::54
video    CNAME netcinema.kingcdn.test.
away     CNAME www.example.org.
gone     CNAME nobody
child    NS  ns.child
ns.child A   192.0.2.55
*.any    A   192.0.2.7
big      TXT "0123456789012345678901234567890123456789012345678901234567890123456789012345678901"
big      TXT "1123456789012345678901234567890123456789012345678901234567890123456789012345678901"
big      TXT "2123456789012345678901234567890123456789012345678901234567890123456789012345678901"
big      TXT "3123456789012345678901234567890123456789012345678901234567890123456789012345678901"
big      TXT "4123456789012345678901234567890123456789012345678901234567890123456789012345678901"
big      TXT "5123456789012345678901234567890123456789012345678901234567890123456789012345678901"
big      TXT "6123456789012345678901234567890123456789012345678901234567890123456789012345678901"
"#;

/// A name server without sockets.
pub(crate) struct Server {
    pub(crate) journey: Journey,
    pub(crate) registry: prometheus::Registry,
    pub(crate) clock: Clock,
    _folder: tempfile::TempDir,
}

impl Server {
    pub(crate) fn new(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = testing::config(folder.path(), &[("netcinema.test", ZONE)]);
        change(&mut config);
        let registry = prometheus::Registry::new();
        let metrics = Metrics::new(&registry).unwrap();
        let clock = Clock::manual(Timestamp::default());
        let parts = Parts::of(&config).unwrap();
        let world = World::build(parts, clock.clone(), &metrics, None);
        let world = world.unwrap_or_else(|errors| panic!("{errors:?}"));
        Self {
            journey: Journey::new(
                Arc::new(ArcSwap::from_pointee(world)),
                metrics,
                clock.clone(),
                Cookies::new(*b"a secret of ours"),
            ),
            registry,
            clock,
            _folder: folder,
        }
    }

    /// The octets that answer a packet, if it gets any.
    pub(crate) fn octets(
        &self,
        packet: &[u8],
        transport: Transport,
        from: &str,
    ) -> Option<Vec<u8>> {
        let (mut tally, mut out) = (self.journey.tally(), Vec::new());
        let mut turn = self.journey.turn(transport, &mut tally);
        turn.answer(packet, from.parse().unwrap(), &mut out);
        turn.end(Duration::ZERO);
        (!out.is_empty()).then_some(out)
    }

    pub(crate) fn ask(&self, query: &Ask<'_>) -> Reading {
        let octets = self.octets(&query.packet(), query.transport, query.from).unwrap();
        Reading { message: Message::from_vec(&octets).unwrap(), octets }
    }
}

/// A query.
pub(crate) struct Ask<'a> {
    pub(crate) name: &'a str,
    pub(crate) rtype: RecordType,
    pub(crate) class: DNSClass,
    pub(crate) operation: OpCode,
    pub(crate) questions: usize,
    /// Payload, version, and `address/source`.
    pub(crate) edns: Option<(u16, u8, Option<&'a str>)>,
    pub(crate) transport: Transport,
    pub(crate) from: &'a str,
}

pub(crate) fn query(name: &str, rtype: RecordType) -> Ask<'_> {
    Ask {
        name,
        rtype,
        class: DNSClass::IN,
        operation: OpCode::Query,
        questions: 1,
        edns: None,
        transport: Transport::Udp,
        from: "192.0.2.1",
    }
}

pub(crate) fn subnet<'a>(name: &'a str, rtype: RecordType, subnet: &'a str) -> Ask<'a> {
    Ask { edns: Some((1232, 0, Some(subnet))), ..query(name, rtype) }
}

impl Ask<'_> {
    pub(crate) fn packet(&self) -> Vec<u8> {
        let mut message = Message::new(4711, MessageType::Query, self.operation);
        message.metadata.recursion_desired = true;
        for _ in 0..self.questions {
            let mut question = Query::query(Name::from_ascii(self.name).unwrap(), self.rtype);
            question.set_query_class(self.class);
            message.add_query(question);
        }
        if let Some((payload, version, subnet)) = self.edns {
            let mut edns = Edns::new();
            edns.set_max_payload(payload).set_version(version).set_dnssec_ok(true);
            if let Some(subnet) = subnet {
                let net: ipnet::IpNet = subnet.parse().unwrap();
                let option = ClientSubnet::from(net);
                let option = EdnsOption::Subnet(option);
                edns.options_mut().insert(option);
            }
            message.edns = Some(edns);
        }
        message.to_vec().unwrap()
    }
}

/// A reply, decoded.
pub(crate) struct Reading {
    pub(crate) message: Message,
    pub(crate) octets: Vec<u8>,
}

impl Reading {
    /// `CODE [aa] [tc] [/scope] | answers | authorities | additionals`, with `SITE` for the steered
    /// name and `~` for the static zone.
    pub(crate) fn summary(&self) -> String {
        let metadata = &self.message.metadata;
        let record = |record: &Record| match record.record_type() {
            RecordType::SOA => format!("SOA {}", record.ttl),
            rtype => format!("{} {rtype} {}", record.name, record.data),
        };
        let section = |records: &[Record]| -> String {
            records.iter().map(record).collect::<Vec<_>>().join(", ")
        };
        let flag = |set, name| if set { name } else { "" };
        let scope = self.scope().map_or(String::new(), |scope| format!(" /{scope}"));
        let summary = format!(
            "{:?}{}{}{scope} | {} | {} | {}",
            metadata.response_code,
            flag(metadata.authoritative, " aa"),
            flag(metadata.truncation, " tc"),
            section(&self.message.answers),
            section(&self.message.authorities),
            section(&self.message.additionals),
        );
        let summary = summary.replace("netcinema.kingcdn.test.", "SITE");
        let summary = summary.replace("netcinema.test.", "~");
        summary.trim_end_matches([' ', '|']).to_owned()
    }

    /// The scope of the client subnet, if there is one.
    pub(crate) fn scope(&self) -> Option<u8> {
        match self.message.edns.as_ref()?.option(EdnsCode::Subnet)? {
            EdnsOption::Subnet(subnet) => Some(subnet.scope_prefix()),
            _ => None,
        }
    }
}
