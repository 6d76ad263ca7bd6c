//! Datagrams in batches: `recvmmsg` and `sendmmsg`.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, UdpSocket};
use std::os::fd::AsRawFd;

use nix::cmsg_space;
use nix::libc::{in_pktinfo, in6_pktinfo};
use nix::sys::socket::sockopt::{Ipv4PacketInfo, Ipv6RecvPacketInfo};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, RecvMsg, SockaddrStorage,
    recvmmsg, sendmmsg, sendmsg, setsockopt,
};

/// Datagrams at once.
const SLOTS: usize = 32;
/// The longest query over UDP: what an Ethernet frame holds. What is cut here is malformed.
const QUERY_BYTES: usize = 1472;

/// A batch of datagrams and their answers.
pub(super) struct Batch {
    socket: UdpSocket,
    /// Whether the socket has all of the host's addresses: then the system doesn't know by itself
    /// from which of them an answer is expected.
    any_address: bool,
    received: MultiHeaders<SockaddrStorage>,
    sent: MultiHeaders<SockaddrStorage>,
    packets: Box<[[u8; QUERY_BYTES]; SLOTS]>,
    /// As many as there are packets.
    arrivals: Vec<Arrival>,
    answers: [Vec<u8>; SLOTS],
    /// As many as there are answers.
    departures: Vec<Option<SockaddrStorage>>,
    /// From which of our addresses each answer goes, where that isn't known.
    senders: Vec<Option<Local>>,
}

/// How a packet came.
struct Arrival {
    from: SockaddrStorage,
    octets: usize,
    to: Option<Local>,
}

/// One of our addresses, as the system names it.
#[derive(Clone, Copy)]
enum Local {
    V4(in_pktinfo),
    V6(in6_pktinfo),
}

/// Whether a first datagram is waited for. It is said of each call, since the socket may be a
/// successor's as well.
#[derive(Debug, Clone, Copy)]
pub(super) enum Waiting {
    /// As long as the socket's time-out.
    Patient,
    /// Not at all.
    Not,
}

impl Waiting {
    fn flags(self) -> MsgFlags {
        match self {
            Self::Patient => MsgFlags::MSG_WAITFORONE,
            Self::Not => MsgFlags::MSG_DONTWAIT,
        }
    }
}

impl Batch {
    pub(super) fn new(socket: UdpSocket) -> io::Result<Self> {
        let address = socket.local_addr()?.ip();
        let any_address = address.is_unspecified();
        match address {
            IpAddr::V4(_) if any_address => setsockopt(&socket, Ipv4PacketInfo, &true)?,
            IpAddr::V6(_) if any_address => setsockopt(&socket, Ipv6RecvPacketInfo, &true)?,
            _ => {}
        }
        let room = any_address.then(|| cmsg_space!(in6_pktinfo));
        Ok(Self {
            socket,
            any_address,
            received: MultiHeaders::preallocate(SLOTS, room),
            sent: MultiHeaders::preallocate(SLOTS, None),
            packets: Box::new([[0; QUERY_BYTES]; SLOTS]),
            arrivals: Vec::with_capacity(SLOTS),
            answers: std::array::from_fn(|_| Vec::with_capacity(QUERY_BYTES)),
            departures: Vec::with_capacity(SLOTS),
            senders: Vec::with_capacity(SLOTS),
        })
    }

    /// Takes the datagrams that have come; waits for the first as `waiting` says.
    pub(super) fn receive(&mut self, waiting: Waiting) -> io::Result<()> {
        let mut slices = self.packets.each_mut().map(|packet| [IoSliceMut::new(packet)]);
        let (socket, flags) = (self.socket.as_raw_fd(), waiting.flags());
        self.arrivals.clear();
        let received = recvmmsg(socket, &mut self.received, &mut slices, flags, None)?;
        let any_address = self.any_address;
        self.arrivals.extend(received.filter_map(|message| {
            let to = if any_address { local(&message) } else { None };
            Some(Arrival { from: message.address?, octets: message.bytes, to })
        }));
        Ok(())
    }

    /// Answers each datagram. Where the answer is left empty, there is none.
    pub(super) fn answer(&mut self, mut answer: impl FnMut(&[u8], IpAddr, &mut Vec<u8>)) {
        self.departures.clear();
        self.senders.clear();
        for (packet, arrival) in self.packets.iter().zip(&self.arrivals) {
            let Some(out) = self.answers.get_mut(self.departures.len()) else { return };
            let Some(packet) = packet.get(..arrival.octets) else { continue };
            let Some(client) = ip(&arrival.from) else { continue };
            answer(packet, client, out);
            if !out.is_empty() {
                self.departures.push(Some(arrival.from));
                self.senders.push(arrival.to);
            }
        }
    }

    /// Sends the answers. How many the system doesn't send: their clients ask again.
    pub(super) fn send(&mut self) -> u64 {
        if self.any_address { self.send_each() } else { self.send_all() }
    }

    fn send_all(&mut self) -> u64 {
        let slices = self.answers.each_ref().map(|answer| [IoSlice::new(answer)]);
        let (socket, flags) = (self.socket.as_raw_fd(), MsgFlags::empty());
        let (mut rest, mut unsent) = (0..self.departures.len(), 0);
        while let (Some(slices), Some(to)) = (
            slices.get(rest.clone()).filter(|rest| !rest.is_empty()),
            self.departures.get(rest.clone()),
        ) {
            let none: [ControlMessage<'_>; 0] = [];
            let sent = sendmmsg(socket, &mut self.sent, slices, to, none, flags);
            // It stops before one that can't be sent, and fails when that is the first.
            match sent.map_or(0, Iterator::count) {
                0 => {
                    unsent += 1;
                    rest.start += 1;
                }
                count => rest.start += count,
            }
        }
        unsent
    }

    /// Each answer from the address to which the query went: clients take it from no other.
    fn send_each(&self) -> u64 {
        let (socket, flags) = (self.socket.as_raw_fd(), MsgFlags::empty());
        let answers = self.answers.iter().zip(&self.departures).zip(&self.senders);
        let unsent = answers.filter(|((answer, to), from)| {
            let from = match from {
                Some(Local::V4(from)) => &[ControlMessage::Ipv4PacketInfo(from)][..],
                Some(Local::V6(from)) => &[ControlMessage::Ipv6PacketInfo(from)],
                None => &[],
            };
            sendmsg(socket, &[IoSlice::new(answer)], from, flags, to.as_ref()).is_err()
        });
        unsent.count() as u64
    }
}

/// To which of our addresses a packet went.
fn local(message: &RecvMsg<'_, '_, SockaddrStorage>) -> Option<Local> {
    message.cmsgs().ok()?.find_map(|control| match control {
        // The way back is the system's choice, whichever way it came.
        ControlMessageOwned::Ipv4PacketInfo(to) => {
            Some(Local::V4(in_pktinfo { ipi_ifindex: 0, ..to }))
        }
        // A link-local address is one only with its interface.
        ControlMessageOwned::Ipv6PacketInfo(to) => Some(Local::V6(to)),
        _ => None,
    })
}

fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    match (address.as_sockaddr_in(), address.as_sockaddr_in6()) {
        (Some(v4), _) => Some(IpAddr::V4(v4.ip())),
        (_, Some(v6)) => Some(IpAddr::V6(v6.ip())),
        _ => None,
    }
}
