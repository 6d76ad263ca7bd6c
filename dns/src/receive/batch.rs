//! Datagrams in batches: `recvmmsg` and `sendmmsg`.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, UdpSocket};
use std::os::fd::AsRawFd;

use nix::sys::socket::{
    ControlMessage, MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmmsg,
};

/// Datagrams at once.
const SLOTS: usize = 32;
/// The longest query over UDP: what an Ethernet frame holds. What is cut here is malformed.
const QUERY_BYTES: usize = 1472;

/// A batch of datagrams and their answers.
pub(super) struct Batch {
    received: MultiHeaders<SockaddrStorage>,
    sent: MultiHeaders<SockaddrStorage>,
    packets: Box<[[u8; QUERY_BYTES]; SLOTS]>,
    /// From where, and how many octets: as many as there are packets.
    from: Vec<(SockaddrStorage, usize)>,
    answers: [Vec<u8>; SLOTS],
    /// To where: as many as there are answers.
    to: Vec<Option<SockaddrStorage>>,
}

impl Batch {
    pub(super) fn new() -> Self {
        Self {
            received: MultiHeaders::preallocate(SLOTS, None),
            sent: MultiHeaders::preallocate(SLOTS, None),
            packets: Box::new([[0; QUERY_BYTES]; SLOTS]),
            from: Vec::with_capacity(SLOTS),
            answers: std::array::from_fn(|_| Vec::with_capacity(QUERY_BYTES)),
            to: Vec::with_capacity(SLOTS),
        }
    }

    /// Waits for a datagram, and takes those that have come with it.
    pub(super) fn receive(&mut self, socket: &UdpSocket) -> io::Result<()> {
        let mut slices = self.packets.each_mut().map(|packet| [IoSliceMut::new(packet)]);
        let flags = MsgFlags::MSG_WAITFORONE;
        self.from.clear();
        let received = recvmmsg(socket.as_raw_fd(), &mut self.received, &mut slices, flags, None)?;
        let from = received.filter_map(|message| Some((message.address?, message.bytes)));
        self.from.extend(from);
        Ok(())
    }

    /// Answers each datagram. Where the answer is left empty, there is none.
    pub(super) fn answer(&mut self, mut answer: impl FnMut(&[u8], IpAddr, &mut Vec<u8>)) {
        self.to.clear();
        for (packet, (from, length)) in self.packets.iter().zip(&self.from) {
            let Some(out) = self.answers.get_mut(self.to.len()) else { return };
            let (Some(client), Some(packet)) = (ip(from), packet.get(..*length)) else { continue };
            answer(packet, client, out);
            if !out.is_empty() {
                self.to.push(Some(*from));
            }
        }
    }

    /// Sends the answers. How many the system doesn't send: their clients ask again.
    pub(super) fn send(&mut self, socket: &UdpSocket) -> u64 {
        let slices = self.answers.each_ref().map(|answer| [IoSlice::new(answer)]);
        let (mut rest, mut unsent) = (0..self.to.len(), 0);
        while let (Some(slices), Some(to)) =
            (slices.get(rest.clone()).filter(|rest| !rest.is_empty()), self.to.get(rest.clone()))
        {
            let none: [ControlMessage<'_>; 0] = [];
            let flags = MsgFlags::empty();
            let sent = sendmmsg(socket.as_raw_fd(), &mut self.sent, slices, to, none, flags);
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
}

fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    match (address.as_sockaddr_in(), address.as_sockaddr_in6()) {
        (Some(v4), _) => Some(IpAddr::V4(v4.ip())),
        (_, Some(v6)) => Some(IpAddr::V6(v6.ip())),
        _ => None,
    }
}
