//! Secondaries are told of zones that changed (RFC 1996), until they say that they heard.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hickory_proto::rr::RecordType;
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder};
use kingcdn_config::clock::Clock;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{info, warn};

use super::{Chain, Secret};
use crate::decode::{HEADER, RESPONSE};
use crate::name::Key;
use crate::record::Metrics;
use crate::world::World;

/// How long an answer is waited for the first time; then twice as long each time.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often a secondary is told, until it answers (RFC 1996 section 3.6).
const ATTEMPTS: u32 = 5;
/// Notices under way to one secondary.
const AT_ONCE: usize = 64;
/// The operation and AA, in the first octet of flags (RFC 1996 section 4.5).
const NOTIFY: u8 = 4 << 3;
const AUTHORITATIVE: u8 = 0x04;

/// Serials by address and zone.
type Told = HashMap<(SocketAddr, Box<[u8]>), u32>;

/// What secondaries know.
#[derive(Debug, Default)]
pub(crate) struct Notifier {
    /// What each address has confirmed. Held for a look or a change.
    told: Mutex<Told>,
}

/// A zone's serial, to be told.
struct Notice {
    zone: Key,
    serial: u32,
    packet: Vec<u8>,
}

impl Notifier {
    /// Starts telling each secondary what it hasn't confirmed. The tasks end by themselves, and with
    /// the set.
    pub(crate) fn start(
        self: &Arc<Self>,
        world: &World,
        clock: &Clock,
        metrics: &Arc<Metrics>,
    ) -> JoinSet<()> {
        self.forget(world);
        let mut tasks = JoinSet::new();
        for secondary in &world.secondaries.list {
            for address in &secondary.addresses {
                let notices = self.notices(world, *address, &secondary.secret, clock);
                if notices.is_empty() {
                    continue;
                }
                let name = secondary.name.clone();
                let (notifier, metrics) = (Arc::clone(self), Arc::clone(metrics));
                let address = *address;
                tasks.spawn(async move {
                    let left = notifier.tell(address, notices, &metrics).await;
                    match left {
                        Ok(0) => info!(secondary = &*name, %address, "knows of every zone"),
                        Ok(left) => {
                            warn!(secondary = &*name, %address, zones = left, "doesn't answer NOTIFY");
                        }
                        Err(error) => {
                            warn!(secondary = &*name, %address, %error, "can't be told of zones");
                        }
                    }
                });
            }
        }
        tasks
    }

    /// Forgets zones and addresses that are no more.
    fn forget(&self, world: &World) {
        let known = &world.secondaries;
        self.told().retain(|(address, zone), _| {
            let listed = known.list.iter().any(|known| known.addresses.contains(address));
            listed && known.zones.contains(zone)
        });
    }

    /// What an address hasn't confirmed.
    fn notices(
        &self,
        world: &World,
        address: SocketAddr,
        secret: &Arc<Secret>,
        clock: &Clock,
    ) -> Vec<Notice> {
        let told = self.told();
        let zones = world.secondaries.zones.iter().filter_map(|apex| {
            let zone = Key::of_wire(apex)?;
            let serial = world.zones.at(&zone)?.serial()?;
            let known = told.get(&(address, apex.clone())) == Some(&serial);
            (!known).then_some((zone, serial))
        });
        let notice = |(zone, serial): (Key, u32)| {
            let mut id = [0; 2];
            SystemRandom::new().fill(&mut id).ok()?;
            let packet = packet(world, &zone, id, secret, clock)?;
            Some(Notice { zone, serial, packet })
        };
        zones.filter_map(notice).collect()
    }

    /// Tells an address; how many zones it hasn't confirmed in the end.
    async fn tell(
        &self,
        address: SocketAddr,
        mut notices: Vec<Notice>,
        metrics: &Metrics,
    ) -> std::io::Result<usize> {
        let any: IpAddr = match address {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((any, 0)).await?;
        socket.connect(address).await?;
        for attempt in 0..ATTEMPTS {
            let mut left = Vec::new();
            let mut waiting = notices.into_iter().peekable();
            while waiting.peek().is_some() {
                let mut under_way: Vec<Notice> = waiting.by_ref().take(AT_ONCE).collect();
                for notice in &under_way {
                    // What isn't sent is sent again.
                    let _sent = socket.send(&notice.packet).await;
                }
                let answers = self.hear(&socket, address, &mut under_way, metrics);
                let _late = timeout(PATIENCE * 2_u32.pow(attempt), answers).await;
                left.append(&mut under_way);
            }
            if left.is_empty() {
                return Ok(0);
            }
            notices = left;
        }
        metrics.notified(false, notices.len());
        Ok(notices.len())
    }

    /// Hears answers until there is one to each of these notices, which go with theirs.
    ///
    /// An answer's id and address are believed. Who forges one delays a zone until the secondary
    /// asks by itself.
    async fn hear(
        &self,
        socket: &UdpSocket,
        address: SocketAddr,
        notices: &mut Vec<Notice>,
        metrics: &Metrics,
    ) {
        let mut answer = [0; 4096];
        while !notices.is_empty() {
            // Nobody is there yet: that is heard at once, and is no reason to ask again at once.
            let Ok(length) = socket.recv(&mut answer).await else {
                tokio::time::sleep(PATIENCE / 4).await;
                continue;
            };
            let Some(header) = answer.get(..length).and_then(|octets| octets.get(..HEADER)) else {
                continue;
            };
            if header[2] & (RESPONSE | 0x78) != RESPONSE | NOTIFY {
                continue;
            }
            let is_to = |notice: &mut Notice| notice.packet.get(..2) == header.get(..2);
            for notice in notices.extract_if(.., is_to) {
                // NOTIMP, REFUSED and the like: it won't listen the next time either.
                metrics.notified(header[3] & 0x0f == 0, 1);
                self.told().insert((address, notice.zone.whole().into()), notice.serial);
            }
        }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// That a zone has changed, with its SOA record as a hint (RFC 1996 section 3.7), signed.
fn packet(
    world: &World,
    zone: &Key,
    id: [u8; 2],
    secret: &Arc<Secret>,
    clock: &Clock,
) -> Option<Vec<u8>> {
    let soa = world.zones.at(zone)?.soa()?;
    let header = [id[0], id[1], NOTIFY | AUTHORITATIVE, 0, 0, 1, 0, 1, 0, 0, 0, 0];
    let [high, low] = u16::from(RecordType::SOA).to_be_bytes();
    let question = [&header[..], zone.whole(), &[0, high, low, 0, 1]].concat();
    let mut packet = Vec::new();
    let mut encoder = BinEncoder::new(&mut packet);
    encoder.emit_vec(&question).and_then(|()| soa.emit(&mut encoder)).ok()?;
    Chain::request(Arc::clone(secret), id).sign(&mut packet, clock.now());
    Some(packet)
}
