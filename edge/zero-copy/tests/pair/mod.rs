//! Two ends of a connection, and things to send.

#![allow(dead_code)] // Not every test uses all of it.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{IoSlice, Write as _};
use std::path::Path;

use bytes::{Buf as _, Bytes};
use kingcdn_zero_copy::{Mapping, Outgoing, seal};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// Where a frame lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mix {
    Heap,
    Sealed,
    Segment,
}

/// Bytes that differ by place and by `seed`.
pub(crate) fn pattern(len: usize, seed: usize) -> Bytes {
    (0..len).map(|at| ((at * 31 + at / 255 + seed * 7) % 251) as u8).collect::<Vec<_>>().into()
}

/// The ends of a connection over loopback; small buffers make for short writes.
pub(crate) async fn pair(buffer_bytes: Option<usize>) -> (TcpStream, TcpStream) {
    let buffer_bytes = buffer_bytes.map(|bytes| u32::try_from(bytes).unwrap());
    let (listening, connecting) = (TcpSocket::new_v4().unwrap(), TcpSocket::new_v4().unwrap());
    if let Some(bytes) = buffer_bytes {
        listening.set_send_buffer_size(bytes).unwrap();
        connecting.set_recv_buffer_size(bytes).unwrap();
    }
    listening.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener: TcpListener = listening.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let (accepted, connected) = tokio::join!(listener.accept(), connecting.connect(address));
    let ours = accepted.unwrap().0;
    ours.set_nodelay(true).unwrap();
    (ours, connected.unwrap())
}

/// A mapping of a new file with these contents.
pub(crate) fn mapped_file(path: &Path, contents: &[u8]) -> Mapping {
    File::create(path).unwrap().write_all(contents).unwrap();
    Mapping::new(File::open(path).unwrap().into(), contents.len()).unwrap()
}

/// Frames that lie where `mix` says, and their contents; `cut` bytes are cut off each third one,
/// where it has so many.
pub(crate) fn frames(mix: &[(Mix, usize)], cut: usize) -> (Vec<Bytes>, Vec<u8>) {
    let (mut frames, mut expected) = (Vec::new(), Vec::new());
    for (number, &(place, len)) in mix.iter().enumerate() {
        let contents = pattern(len, number);
        let mut frame = match place {
            Mix::Segment if len > 0 => {
                let mut file = tempfile::tempfile().unwrap();
                file.write_all(&contents).unwrap();
                Mapping::new(file.into(), len).unwrap().bytes(0..len).unwrap()
            }
            Mix::Sealed => seal(&[contents.slice(..len / 3), contents.slice(len / 3..)]),
            Mix::Heap | Mix::Segment => contents,
        };
        if number % 3 == 0 && len > cut {
            frame.advance(cut);
        }
        expected.extend_from_slice(&frame);
        frames.push(frame);
    }
    (frames, expected)
}

/// Writes frames as hyper does, and ends the stream.
pub(crate) async fn send(stream: TcpStream, frames: Vec<Bytes>) {
    let mut outgoing = Outgoing::new(stream);
    let mut left: VecDeque<Bytes> = frames.into_iter().filter(|it| !it.is_empty()).collect();
    while !left.is_empty() {
        let slices: Vec<_> = left.iter().take(16).map(|frame| IoSlice::new(frame)).collect();
        let mut written = outgoing.write_vectored(&slices).await.unwrap();
        assert!(written > 0, "nothing was written, and no error");
        while let Some(first) = left.front_mut()
            && written > 0
        {
            let part = written.min(first.len());
            first.advance(part);
            written -= part;
            if first.is_empty() {
                left.pop_front();
            }
        }
    }
    outgoing.shutdown().await.unwrap();
}

/// Reads to the end, at most so many bytes at a time.
pub(crate) async fn receive(mut stream: TcpStream, read_bytes: usize) -> Vec<u8> {
    let (mut all, mut buffer) = (Vec::new(), vec![0; read_bytes]);
    loop {
        match stream.read(&mut buffer).await.unwrap() {
            0 => return all,
            read => all.extend_from_slice(&buffer[..read]),
        }
        // The other end has its turn after each read.
        tokio::task::yield_now().await;
    }
}
