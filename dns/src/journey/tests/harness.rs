//! A name server without sockets, and what is asked of it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query};
use hickory_proto::rr::rdata::opt::{ClientSubnet, EdnsCode, EdnsOption};
use hickory_proto::rr::{DNSClass, Name, Record, RecordType};
use hickory_proto::serialize::binary::BinEncoder;
use hickory_server::net::NetError;
use hickory_server::net::xfer::Protocol;
use hickory_server::server::{Request, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::MessageResponse;
use kingcdn_config::Config;
use kingcdn_config::clock::{Clock, Timestamp};
use tokio::sync::mpsc;

use super::super::Journey;
use crate::record::Metrics;
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
pub(super) struct Server {
    pub(super) journey: Journey,
    pub(super) registry: prometheus::Registry,
    _folder: tempfile::TempDir,
}

impl Server {
    pub(super) fn new(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = testing::config(folder.path(), &[("netcinema.test", ZONE)]);
        change(&mut config);
        let registry = prometheus::Registry::new();
        let metrics = Metrics::new(&registry).unwrap();
        let clock = Clock::manual(Timestamp::default());
        let parts = Parts::of(&config).unwrap();
        let world = World::build(parts, clock, &metrics, None);
        let world = world.unwrap_or_else(|errors| panic!("{errors:?}"));
        Self {
            journey: Journey::new(Arc::new(ArcSwap::from_pointee(world)), metrics),
            registry,
            _folder: folder,
        }
    }

    /// The octets that answer a packet, if it gets any.
    pub(super) fn octets(
        &self,
        packet: Vec<u8>,
        protocol: Protocol,
        from: &str,
    ) -> Option<Vec<u8>> {
        let from = SocketAddr::new(from.parse::<IpAddr>().unwrap(), 4711);
        let request = Request::from_bytes(packet, from, protocol).ok()?;
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let reply = self.journey.answer(&request);
        let sent = reply.send(Collect(sender, request.protocol()));
        futures_util::FutureExt::now_or_never(sent).unwrap().unwrap();
        receiver.try_recv().ok()
    }

    pub(super) fn ask(&self, query: &Ask<'_>) -> Reading {
        let octets = self.octets(query.packet(), query.protocol, query.from).unwrap();
        Reading { message: Message::from_vec(&octets).unwrap(), octets }
    }
}

/// Keeps what is sent, encoded as hickory does it.
#[derive(Clone)]
struct Collect(mpsc::UnboundedSender<Vec<u8>>, Protocol);

#[async_trait]
impl ResponseHandler for Collect {
    async fn send_response<'a>(
        &mut self,
        response: MessageResponse<
            '_,
            'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
        >,
    ) -> Result<ResponseInfo, NetError> {
        let mut octets = Vec::new();
        let mut encoder = BinEncoder::new(&mut octets);
        let udp = response.edns().map_or(512, |edns| edns.max_payload());
        encoder.set_max_size(if self.1 == Protocol::Udp { udp } else { u16::MAX });
        let info = response.destructive_emit(&mut encoder)?;
        self.0.send(octets).unwrap();
        Ok(info)
    }
}

/// A query.
pub(super) struct Ask<'a> {
    pub(super) name: &'a str,
    pub(super) rtype: RecordType,
    pub(super) class: DNSClass,
    pub(super) operation: OpCode,
    pub(super) questions: usize,
    /// Payload, version, and `address/source`.
    pub(super) edns: Option<(u16, u8, Option<&'a str>)>,
    pub(super) protocol: Protocol,
    pub(super) from: &'a str,
}

pub(super) fn query(name: &str, rtype: RecordType) -> Ask<'_> {
    Ask {
        name,
        rtype,
        class: DNSClass::IN,
        operation: OpCode::Query,
        questions: 1,
        edns: None,
        protocol: Protocol::Udp,
        from: "192.0.2.1",
    }
}

pub(super) fn subnet<'a>(name: &'a str, rtype: RecordType, subnet: &'a str) -> Ask<'a> {
    Ask { edns: Some((1232, 0, Some(subnet))), ..query(name, rtype) }
}

impl Ask<'_> {
    pub(super) fn packet(&self) -> Vec<u8> {
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
pub(super) struct Reading {
    pub(super) message: Message,
    pub(super) octets: Vec<u8>,
}

impl Reading {
    /// `CODE [aa] [tc] [/scope] | answers | authorities | additionals`, with `SITE` for the steered
    /// name and `~` for the static zone.
    pub(super) fn summary(&self) -> String {
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
    pub(super) fn scope(&self) -> Option<u8> {
        match self.message.edns.as_ref()?.option(EdnsCode::Subnet)? {
            EdnsOption::Subnet(subnet) => Some(subnet.scope_prefix()),
            _ => None,
        }
    }
}
