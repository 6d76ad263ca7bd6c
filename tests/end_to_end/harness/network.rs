//! A part of the loopback network for one test.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU8, Ordering};

/// 127.x.y.0/24: x from the process, y from the test.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Network {
    x: u8,
    y: u8,
}

impl Network {
    /// One that no other test has.
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU8 = AtomicU8::new(1);
        let process = u8::try_from(std::process::id() % 200).expect("below 200");
        Self { x: 50 + process, y: NEXT.fetch_add(1, Ordering::Relaxed) }
    }

    pub(crate) fn address(self, host: u8) -> IpAddr {
        Ipv4Addr::new(127, self.x, self.y, host).into()
    }

    /// An address with a port that is free for TCP and UDP.
    pub(crate) fn socket(self, host: u8) -> SocketAddr {
        for _ in 0..100 {
            let tcp = TcpListener::bind((self.address(host), 0)).expect("a free port");
            let socket = tcp.local_addr().expect("its address");
            if UdpSocket::bind(socket).is_ok() {
                return socket;
            }
        }
        panic!("no port is free for both TCP and UDP");
    }
}
