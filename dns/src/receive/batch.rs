//! Datagrams in batches: `recvmmsg` and `sendmmsg`.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, UdpSocket};
use std::os::fd::AsRawFd;

use nix::cmsg_space;
use nix::libc::{in_pktinfo, in6_pktinfo};
use nix::sys::socket::sockopt::{Ipv4PacketInfo, Ipv6RecvPacketInfo};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, RecvMsg, SockaddrIn, SockaddrIn6,
    SockaddrLike, recvmmsg, sendmmsg, sendmsg, setsockopt,
};

/// Datagrams at once.
pub(super) const SLOTS: usize = 32;
/// The longest query over UDP: what an Ethernet frame holds. What is cut here is malformed.
const QUERY_BYTES: usize = 1472;

/// Addresses of one family, in few octets: they are copied for every query.
pub(super) trait Peer: SockaddrLike + Copy {
    fn ip(&self) -> IpAddr;
}

impl Peer for SockaddrIn {
    fn ip(&self) -> IpAddr {
        IpAddr::V4(SockaddrIn::ip(self))
    }
}

impl Peer for SockaddrIn6 {
    fn ip(&self) -> IpAddr {
        IpAddr::V6(SockaddrIn6::ip(self))
    }
}

/// A batch of datagrams and their answers.
pub(super) struct Batch<P> {
    socket: UdpSocket,
    /// Whether the socket has all of the host's addresses: then the system doesn't know by itself
    /// from which of them an answer is expected.
    any_address: bool,
    received: MultiHeaders<P>,
    sent: MultiHeaders<P>,
    packets: Box<[[u8; QUERY_BYTES]; SLOTS]>,
    /// As many as there are packets.
    arrivals: Vec<Arrival<P>>,
    answers: [Vec<u8>; SLOTS],
    /// As many as there are answers.
    departures: Vec<Option<P>>,
    /// From which of our addresses each answer goes, where that isn't known.
    senders: Vec<Option<Local>>,
}

/// How a packet came.
struct Arrival<P> {
    from: P,
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

impl<P: Peer> Batch<P> {
    pub(super) fn new(socket: UdpSocket) -> io::Result<Self> {
        let address = socket.local_addr()?.ip();
        let any_address = address.is_unspecified();
        match address {
            IpAddr::V4(_) if any_address => setsockopt(&socket, Ipv4PacketInfo, &true)?,
            IpAddr::V6(_) if any_address => setsockopt(&socket, Ipv6RecvPacketInfo, &true)?,
            _ => {}
        }
        // As much as one takes, since the system reads all of it.
        let room = |any_address: bool| {
            any_address.then(|| match address {
                IpAddr::V4(_) => cmsg_space!(in_pktinfo),
                IpAddr::V6(_) => cmsg_space!(in6_pktinfo),
            })
        };
        Ok(Self {
            socket,
            any_address,
            received: MultiHeaders::preallocate(SLOTS, room(any_address)),
            sent: MultiHeaders::preallocate(SLOTS, room(any_address)),
            packets: Box::new([[0; QUERY_BYTES]; SLOTS]),
            arrivals: Vec::with_capacity(SLOTS),
            answers: std::array::from_fn(|_| Vec::with_capacity(QUERY_BYTES)),
            departures: Vec::with_capacity(SLOTS),
            senders: Vec::with_capacity(SLOTS),
        })
    }

    /// Takes the datagrams that have come, and says how many; waits for the first as `waiting` says.
    pub(super) fn receive(&mut self, waiting: Waiting) -> io::Result<usize> {
        let mut packets = self.packets.iter_mut();
        let mut slices: [_; SLOTS] = std::array::from_fn(|_| {
            let packet: &mut [u8] = packets.next().map_or(&mut [], |packet| packet);
            [IoSliceMut::new(packet)]
        });
        let (socket, flags) = (self.socket.as_raw_fd(), waiting.flags());
        self.arrivals.clear();
        let received = recvmmsg(socket, &mut self.received, &mut slices, flags, None)?;
        let any_address = self.any_address;
        self.arrivals.extend(received.filter_map(|message| {
            let to = if any_address { local(&message) } else { None };
            Some(Arrival { from: message.address?, octets: message.bytes, to })
        }));
        Ok(self.arrivals.len())
    }

    /// Answers each datagram. Where the answer is left empty, there is none.
    pub(super) fn answer(&mut self, mut answer: impl FnMut(&[u8], IpAddr, &mut Vec<u8>)) {
        self.departures.clear();
        self.senders.clear();
        for (packet, arrival) in self.packets.iter().zip(&self.arrivals) {
            let Some(out) = self.answers.get_mut(self.departures.len()) else { return };
            let Some(packet) = packet.get(..arrival.octets) else { continue };
            answer(packet, arrival.from.ip(), out);
            if !out.is_empty() {
                self.departures.push(Some(arrival.from));
                self.senders.push(arrival.to);
            }
        }
    }

    /// Sends the answers. How many the system doesn't send: their clients ask again.
    pub(super) fn send(&mut self) -> u64 {
        let mut answers = self.answers.iter();
        let slices: [_; SLOTS] =
            std::array::from_fn(|_| [IoSlice::new(answers.next().map_or(&[], |answer| answer))]);
        let (socket, flags) = (self.socket.as_raw_fd(), MsgFlags::empty());
        let (mut rest, mut unsent) = (0..self.departures.len(), 0);
        while let Some(from) = self.senders.get(rest.start).filter(|_| !rest.is_empty()) {
            // Each answer goes from the address to which the query went, since clients take it from
            // no other: at once as many as go from the same one.
            let same = self.senders.iter().skip(rest.start).take_while(|other| *other == from);
            let run = rest.start..rest.start + same.count();
            let (Some(slices), Some(to)) = (slices.get(run.clone()), self.departures.get(run))
            else {
                break;
            };
            let control = from.as_ref().map(Local::control);
            let control = control.as_slice();
            let sent = match (from, to) {
                // There is room for what isn't told, and it must not be sent empty.
                (None, [to, ..]) if self.any_address => {
                    sendmsg(socket, &slices[0], &[], flags, to.as_ref()).map(|_| 1)
                }
                _ => sendmmsg(socket, &mut self.sent, slices, to, control, flags)
                    .map(Iterator::count),
            };
            // It stops before one that can't be sent, and fails when that is the first.
            match sent {
                Ok(count @ 1..) => rest.start += count,
                _ => {
                    unsent += 1;
                    rest.start += 1;
                }
            }
        }
        unsent
    }
}

impl Local {
    fn control(&self) -> ControlMessage<'_> {
        match self {
            Self::V4(from) => ControlMessage::Ipv4PacketInfo(from),
            Self::V6(from) => ControlMessage::Ipv6PacketInfo(from),
        }
    }
}

impl PartialEq for Local {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::V4(one), Self::V4(other)) => {
                let parts = |of: &in_pktinfo| (of.ipi_spec_dst.s_addr, of.ipi_addr.s_addr);
                parts(one) == parts(other)
            }
            (Self::V6(one), Self::V6(other)) => {
                let parts = |of: &in6_pktinfo| (of.ipi6_addr.s6_addr, of.ipi6_ifindex);
                parts(one) == parts(other)
            }
            _ => false,
        }
    }
}

/// To which of our addresses a packet went.
fn local<P>(message: &RecvMsg<'_, '_, P>) -> Option<Local> {
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
