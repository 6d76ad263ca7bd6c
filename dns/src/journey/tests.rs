use std::net::{IpAddr, SocketAddr};

use hickory_proto::op::{Message, MessageType, Metadata, OpCode, Query};
use hickory_proto::rr::{DNSClass, Name};
use hickory_proto::serialize::binary::BinEncoder;
use hickory_server::net::NetError;
use hickory_server::zone_handler::MessageResponse;
use kingcdn_config::clock::{Clock, Timestamp};
use kingcdn_config::{AllDown, Config, HealthCheck};
use proptest::prelude::*;
use tokio::sync::mpsc;

use super::*;
use crate::health::CheckError;
use crate::testing;
use crate::world::Parts;

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
struct Server {
    journey: Journey,
    registry: prometheus::Registry,
    _folder: tempfile::TempDir,
}

impl Server {
    fn new(change: impl FnOnce(&mut Config)) -> Self {
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
    fn octets(&self, packet: Vec<u8>, protocol: Protocol, from: &str) -> Option<Vec<u8>> {
        let from = SocketAddr::new(from.parse::<IpAddr>().unwrap(), 4711);
        let request = Request::from_bytes(packet, from, protocol).ok()?;
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let reply = self.journey.answer(&request);
        let sent = reply.send(Collect(sender, request.protocol()));
        futures_util::FutureExt::now_or_never(sent).unwrap().unwrap();
        receiver.try_recv().ok()
    }

    fn ask(&self, query: &Ask<'_>) -> Reading {
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
            impl Iterator<Item = &'a hickory_proto::rr::Record> + Send + 'a,
            impl Iterator<Item = &'a hickory_proto::rr::Record> + Send + 'a,
            impl Iterator<Item = &'a hickory_proto::rr::Record> + Send + 'a,
            impl Iterator<Item = &'a hickory_proto::rr::Record> + Send + 'a,
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
struct Ask<'a> {
    name: &'a str,
    rtype: RecordType,
    class: DNSClass,
    operation: OpCode,
    questions: usize,
    /// Payload, version, and `address/source`.
    edns: Option<(u16, u8, Option<&'a str>)>,
    protocol: Protocol,
    from: &'a str,
}

fn query(name: &str, rtype: RecordType) -> Ask<'_> {
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

fn subnet<'a>(name: &'a str, rtype: RecordType, subnet: &'a str) -> Ask<'a> {
    Ask { edns: Some((1232, 0, Some(subnet))), ..query(name, rtype) }
}

impl Ask<'_> {
    fn packet(&self) -> Vec<u8> {
        let mut message = Message::new(4711, MessageType::Query, self.operation);
        message.metadata = Metadata::new(4711, MessageType::Query, self.operation);
        message.metadata.recursion_desired = true;
        for _ in 0..self.questions {
            let mut question = Query::query(Name::from_ascii(self.name).unwrap(), self.rtype);
            question.set_query_class(self.class);
            message.add_query(question);
        }
        if let Some((payload, version, subnet)) = self.edns {
            let mut edns = hickory_proto::op::Edns::new();
            edns.set_max_payload(payload).set_version(version).set_dnssec_ok(true);
            if let Some(subnet) = subnet {
                let net: ipnet::IpNet = subnet.parse().unwrap();
                let option = hickory_proto::rr::rdata::opt::ClientSubnet::from(net);
                let option = hickory_proto::rr::rdata::opt::EdnsOption::Subnet(option);
                edns.options_mut().insert(option);
            }
            message.edns = Some(edns);
        }
        message.to_vec().unwrap()
    }
}

/// A reply, decoded.
struct Reading {
    message: Message,
    octets: Vec<u8>,
}

impl Reading {
    /// `CODE [aa] [tc] | answers | authorities | additionals`, with the scope if there is one.
    fn summary(&self) -> String {
        let m = &self.message;
        let records = |records: &[hickory_proto::rr::Record]| {
            let record = |r: &hickory_proto::rr::Record| match r.record_type() {
                RecordType::SOA => format!("SOA {}", r.ttl),
                rtype => format!("{} {rtype} {}", r.name, r.data),
            };
            records.iter().map(record).collect::<Vec<_>>().join(", ")
        };
        let aa = if m.metadata.authoritative { " aa" } else { "" };
        let tc = if m.metadata.truncation { " tc" } else { "" };
        let scope = self.scope().map_or(String::new(), |scope| format!(" /{scope}"));
        let sections = [&m.answers, &m.authorities, &m.additionals].map(|s| records(s));
        let code = format!("{:?}", m.metadata.response_code);
        format!("{code}{aa}{tc}{scope} | {}", sections.join(" | "))
            .trim_end_matches([' ', '|'])
            .to_owned()
    }

    fn scope(&self) -> Option<u8> {
        let option =
            self.message.edns.as_ref()?.option(hickory_proto::rr::rdata::opt::EdnsCode::Subnet)?;
        match option {
            hickory_proto::rr::rdata::opt::EdnsOption::Subnet(subnet) => {
                Some(subnet.scope_prefix())
            }
            _ => None,
        }
    }
}

#[test]
fn answers() {
    use RecordType as T;
    let server = Server::new(|_| ());
    let cases = [
        // Steered, by subnet or by resolver, with the true scope.
        (
            subnet("netcinema.kingcdn.test.", T::A, "10.1.2.0/24"),
            "NoError aa /16 | netcinema.kingcdn.test. A 127.0.0.12",
        ),
        (
            subnet("netcinema.kingcdn.test.", T::A, "10.2.3.0/24"),
            "NoError aa /20 | netcinema.kingcdn.test. A 127.0.0.13",
        ),
        (
            subnet("netcinema.kingcdn.test.", T::A, "10.9.9.0/24"),
            "NoError aa /13 | netcinema.kingcdn.test. A 127.0.0.11",
        ),
        (
            subnet("netcinema.kingcdn.test.", T::A, "2001:db8:f:1::/56"),
            "NoError aa /48 | netcinema.kingcdn.test. A 127.0.0.12",
        ),
        (
            query("netcinema.kingcdn.test.", T::A),
            "NoError aa | netcinema.kingcdn.test. A 127.0.0.11",
        ),
        (
            Ask { from: "10.1.9.9", ..query("netcinema.kingcdn.test.", T::A) },
            "NoError aa | netcinema.kingcdn.test. A 127.0.0.12",
        ),
        (
            Ask { from: "::ffff:10.1.9.9", ..query("netcinema.kingcdn.test.", T::A) },
            "NoError aa | netcinema.kingcdn.test. A 127.0.0.12",
        ),
        // A client that doesn't want to be known: the resolver's place, and no scope.
        (
            Ask { from: "10.1.9.9", ..subnet("netcinema.kingcdn.test.", T::A, "0.0.0.0/0") },
            "NoError aa /0 | netcinema.kingcdn.test. A 127.0.0.12",
        ),
        // No edge has such an address.
        (subnet("netcinema.kingcdn.test.", T::AAAA, "10.1.2.0/24"), "NoError aa /0 |  | SOA 60"),
        (query("netcinema.kingcdn.test.", T::HTTPS), "NoError aa |  | SOA 60"),
        // The client's capitals.
        (
            query("NetCinema.KINGcdn.test.", T::A),
            "NoError aa | NetCinema.KINGcdn.test. A 127.0.0.11",
        ),
        (query("NS1.netcinema.TEST.", T::A), "NoError aa | NS1.netcinema.TEST. A 192.0.2.53"),
        // Aliases into the steered name, with its scope.
        (
            subnet("Video.netcinema.test.", T::A, "10.1.2.0/24"),
            "NoError aa /16 | Video.netcinema.test. CNAME netcinema.kingcdn.test., netcinema.kingcdn.test. A 127.0.0.12",
        ),
        (
            query("away.netcinema.test.", T::A),
            "NoError aa | away.netcinema.test. CNAME www.example.org.",
        ),
        (
            query("gone.netcinema.test.", T::A),
            "NXDomain aa | gone.netcinema.test. CNAME nobody.netcinema.test. | SOA 60",
        ),
        // At the apex, beside what the file has there.
        (query("netcinema.test.", T::A), "NoError aa | netcinema.test. A 127.0.0.11"),
        (
            query("netcinema.test.", T::MX),
            "NoError aa | netcinema.test. MX 10 mail.netcinema.test.",
        ),
        // Static: nothing depends on the client.
        (
            subnet("x.any.netcinema.test.", T::A, "10.1.2.0/24"),
            "NoError aa /0 | x.any.netcinema.test. A 192.0.2.7",
        ),
        (subnet("no.netcinema.test.", T::A, "10.1.2.0/24"), "NXDomain aa /0 |  | SOA 60"),
        (
            query("netcinema.test.", T::NS),
            "NoError aa | netcinema.test. NS ns1.netcinema.test., netcinema.test. NS ns2.netcinema.test. |  | \
             ns1.netcinema.test. A 192.0.2.53, ns2.netcinema.test. A 192.0.2.54, ns2.netcinema.test. AAAA 2001:db8::54",
        ),
        (
            query("www.child.netcinema.test.", T::A),
            "NoError |  | child.netcinema.test. NS ns.child.netcinema.test. | ns.child.netcinema.test. A 192.0.2.55",
        ),
        (
            query("netcinema.kingcdn.test.", T::ANY),
            "NoError aa | netcinema.kingcdn.test. HINFO RFC8482 ",
        ),
        // What isn't for us.
        (query("example.org.", T::A), "Refused"),
        (subnet("example.org.", T::A, "10.1.2.0/24"), "Refused /0"),
        (query("netcinema.test.", T::AXFR), "Refused"),
        (query("netcinema.test.", T::IXFR), "Refused"),
        (Ask { class: DNSClass::CH, ..query("version.bind.", T::TXT) }, "Refused"),
        (Ask { class: DNSClass::ANY, ..query("netcinema.test.", T::A) }, "Refused"),
        (Ask { questions: 0, ..query("netcinema.test.", T::A) }, "FormErr"),
        (Ask { questions: 2, ..query("netcinema.test.", T::A) }, "FormErr"),
        (Ask { operation: OpCode::Status, ..query("netcinema.test.", T::A) }, "NotImp"),
        (Ask { operation: OpCode::Notify, ..query("netcinema.test.", T::SOA) }, "NotImp"),
        (Ask { operation: OpCode::Unknown(15), ..query("netcinema.test.", T::A) }, "NotImp"),
        // BADVERS, which hickory reads as the other name of 16.
        (Ask { edns: Some((1232, 1, None)), ..query("netcinema.test.", T::A) }, "BADSIG"),
    ];
    for (ask, expected) in cases {
        let reply = server.ask(&ask);
        let expected = expected.replace("HINFO RFC8482 ", "HINFO RFC8482");
        assert_eq!(reply.summary(), expected, "{} {}", ask.name, ask.rtype);
        let m = &reply.message;
        assert_eq!((m.metadata.id, m.metadata.message_type), (4711, MessageType::Response));
        assert_eq!(m.metadata.op_code, ask.operation);
        assert!(m.metadata.recursion_desired && !m.metadata.recursion_available);
        // EDNS in answer to EDNS, and only then; version and payload are ours, DO is theirs.
        assert_eq!(m.edns.is_some(), ask.edns.is_some(), "{}", ask.name);
        if let Some(edns) = &m.edns {
            assert_eq!((edns.version(), edns.max_payload()), (0, 1232));
            assert!(edns.flags().dnssec_ok);
        }
        // The question as it came, to the octet.
        let question = 12..reply.octets.len().min(12 + 1 + ask.name.len() + 4);
        assert_eq!(reply.octets[question.clone()], ask.packet()[question.clone()]);
    }
}

#[test]
fn answers_are_cut_between_records() {
    let server = Server::new(|_| ());
    let big = |payload: Option<u16>, protocol| Ask {
        edns: payload.map(|payload| (payload, 0, Some("10.1.2.0/24"))),
        protocol,
        ..query("big.netcinema.test.", RecordType::TXT)
    };
    let cases = [
        (None, Protocol::Udp, 512, 4),
        (Some(512), Protocol::Udp, 512, 4),
        (Some(0), Protocol::Udp, 512, 4),
        (Some(600), Protocol::Udp, 600, 5),
        (Some(1232), Protocol::Udp, 1232, 7),
        (Some(65535), Protocol::Udp, 1232, 7),
        (None, Protocol::Tcp, 65535, 7),
    ];
    for (payload, protocol, limit, records) in cases {
        let reply = server.ask(&big(payload, protocol));
        assert!(reply.octets.len() <= limit, "{} > {limit}", reply.octets.len());
        assert_eq!(reply.message.answers.len(), records, "{payload:?}");
        assert_eq!(reply.message.metadata.truncation, records < 7, "{payload:?}");
        // OPT stays, with the subnet in it.
        assert_eq!(reply.scope(), payload.map(|_| 0));
    }
}

#[test]
fn health_and_family_decide() {
    let server = Server::new(|config| {
        let dns = config.dns.as_mut().unwrap();
        dns.health.check = HealthCheck::Http;
        config.edges[1].addresses.push("2001:db8::12".parse().unwrap());
    });
    let world = server.journey.world.load_full();
    // Targets: seoul 0, frankfurt 1 and 2 (AAAA), ashburn 3.
    let observe = |target, times, result: Result<(), CheckError>| {
        (0..times).for_each(|_| world.monitor.observe(target, result));
    };
    let edge = |rtype, client| {
        let reply = server.ask(&subnet("netcinema.kingcdn.test.", rtype, client));
        let records = &reply.message.answers;
        records.iter().map(|r| r.data.to_string()).collect::<Vec<_>>().join(" ")
    };
    let (a, aaaa) = (RecordType::A, RecordType::AAAA);
    // Nothing is known: the nearest.
    assert_eq!(edge(a, "10.1.2.0/24"), "127.0.0.12");
    // One is known to be up: it, wherever it is.
    observe(3, 1, Ok(()));
    assert_eq!(edge(a, "10.1.2.0/24"), "127.0.0.13");
    observe(1, 1, Ok(()));
    assert_eq!(edge(a, "10.1.2.0/24"), "127.0.0.12");
    assert_eq!(edge(a, "10.9.0.0/24"), "127.0.0.12");
    // Only one has version 6.
    assert_eq!(edge(aaaa, "10.9.0.0/24"), "2001:db8::12");
    observe(1, 3, Err(CheckError::Timeout));
    assert_eq!(edge(a, "10.1.2.0/24"), "127.0.0.13");
    // All down: each its nearest, as if they were up.
    observe(3, 3, Err(CheckError::Timeout));
    observe(0, 3, Err(CheckError::Timeout));
    observe(2, 3, Err(CheckError::Timeout));
    assert_eq!(edge(a, "10.1.2.0/24"), "127.0.0.12");
    assert_eq!(edge(aaaa, "10.9.0.0/24"), "2001:db8::12");
    let text = prometheus::TextEncoder::new().encode_to_string(&server.registry.gather()).unwrap();
    for line in [
        r#"kingcdn_dns_queries_total{rcode="NOERROR",transport="udp",type="A"} 6"#,
        r#"kingcdn_dns_answers_total{edge="frankfurt",site="netcinema"} 6"#,
        r#"kingcdn_dns_decisions_total{by="network"} 4"#,
        r#"kingcdn_dns_decisions_total{by="all-down"} 2"#,
        "kingcdn_dns_ecs_queries_total 8",
        "kingcdn_dns_query_seconds_count 8",
        r#"kingcdn_edge_up{edge="seoul"} 0"#,
        "kingcdn_dns_zones 2",
    ] {
        assert!(text.contains(line), "{line} isn't in\n{text}");
    }
}

#[test]
fn all_down_may_mean_failure() {
    let server = Server::new(|config| {
        let dns = config.dns.as_mut().unwrap();
        dns.health.check = HealthCheck::Http;
        dns.health.all_down = AllDown::Fail;
    });
    let world = server.journey.world.load_full();
    for target in 0..3 {
        (0..3).for_each(|_| world.monitor.observe(target, Err(CheckError::Timeout)));
    }
    let reply = server.ask(&subnet("video.netcinema.test.", RecordType::A, "10.1.2.0/24"));
    assert_eq!(reply.summary(), "ServFail /0");
}

proptest! {
    /// Whatever comes, over UDP nothing large goes out in return: without EDNS never more than 512
    /// octets, and never more than 1232.
    #[test]
    fn hostile_packets_gain_nothing(
        start in 0_usize..3,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        tail in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        thread_local! {
            static SERVER: Server = Server::new(|_| ());
        }
        let mut packet = match start {
            0 => subnet("video.netcinema.test.", RecordType::A, "10.1.2.0/24").packet(),
            1 => Ask { edns: Some((65535, 0, None)), ..query("big.netcinema.test.", RecordType::TXT) }.packet(),
            _ => Vec::new(),
        };
        for (index, octet) in changes {
            if !packet.is_empty() {
                *index.get_mut(&mut packet) = octet;
            }
        }
        packet.extend(tail);
        let reply = SERVER.with(|server| server.octets(packet.clone(), Protocol::Udp, "192.0.2.1"));
        if let Some(reply) = reply {
            let edns = crate::decode::decode(&Request::from_bytes(packet, "192.0.2.1:1".parse().unwrap(), Protocol::Udp).unwrap()).edns;
            prop_assert!(reply.len() <= edns.map_or(512, |edns| usize::from(edns.payload)));
            prop_assert!(Message::from_vec(&reply).is_ok());
        }
    }
}
