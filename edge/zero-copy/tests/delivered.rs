//! What arrives at the other end of a real socket is what was written, whatever it lies in.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests.

mod pair;

use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use kingcdn_zero_copy::{Outgoing, SEAL_MIN_BYTES, SENDFILE_MIN_BYTES, seal};
use pair::{Mix, frames, mapped_file, pair, pattern, receive, send};
use proptest::prelude::*;
use tokio::io::{AsyncWrite as _, AsyncWriteExt as _};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn mixes() -> impl Strategy<Value = Vec<(Mix, usize)>> {
    let mix = prop_oneof![Just(Mix::Heap), Just(Mix::Sealed), Just(Mix::Segment)];
    let len = prop_oneof![
        0..100_usize,
        SENDFILE_MIN_BYTES - 2..SENDFILE_MIN_BYTES + 2,
        SEAL_MIN_BYTES - 2..SEAL_MIN_BYTES + 2,
        100_000..400_000_usize,
    ];
    proptest::collection::vec((mix, len), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_mix_arrives_as_it_was_written(
        mix in mixes(),
        cut in 1..80_000_usize,
        buffer_bytes in prop_oneof![Just(None), (2_000..60_000_usize).prop_map(Some)],
        read_bytes in 1_000..100_000_usize,
    ) {
        let (frames, expected) = frames(&mix, cut);
        let received = runtime().block_on(async {
            let (ours, theirs) = pair(buffer_bytes).await;
            let (received, ()) = tokio::join!(receive(theirs, read_bytes), send(ours, frames));
            received
        });
        prop_assert!(received == expected, "{mix:?}");
    }
}

#[tokio::test]
async fn what_is_dropped_and_unlinked_while_it_waits_in_a_socket_arrives() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("segment");
    let all = pattern(4 << 20, 3);
    let mapping = mapped_file(&path, &all);
    let (segment, sealed) =
        (mapping.bytes(0..all.len()).unwrap(), seal(std::slice::from_ref(&all)));
    let (ours, theirs) = pair(None).await;
    let mut ours = Outgoing::new(ours);
    let mut expected = Vec::new();
    // As much as the sockets hold, or all there is where they hold more; nobody reads yet.
    let mut cx = Context::from_waker(Waker::noop());
    for bytes in [&segment, &sealed].into_iter().cycle() {
        let at = expected.len();
        if at == all.len() {
            break;
        }
        let piece = bytes.slice(at..all.len().min(at + 90_000));
        let polled = Pin::new(&mut ours).poll_write_vectored(&mut cx, &[IoSlice::new(&piece)]);
        let Poll::Ready(sent) = polled else { break };
        expected.extend_from_slice(&piece[..sent.unwrap()]);
    }
    assert!(expected.len() > 180_000, "the sockets took {} bytes", expected.len());
    std::fs::remove_file(&path).unwrap();
    drop((mapping, segment, sealed));
    // These would come to lie where those lay, were their pages free.
    let others: Vec<_> = (0..8).map(|_| seal(&[Bytes::from(vec![0xff; 1 << 20])])).collect();
    ours.shutdown().await.unwrap();
    let received = receive(theirs, 100_000).await;
    assert!(received == expected, "{} of {} bytes", received.len(), expected.len());
    drop(others);
}

#[tokio::test]
async fn many_connections_share_one_mapping_that_goes_while_they_read() {
    let folder = tempfile::tempdir().unwrap();
    let all = pattern(3 << 20, 5);
    let mapping = mapped_file(&folder.path().join("segment"), &all);
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..60_usize {
        let (ours, theirs) = pair((number % 3 == 0).then_some(8_000)).await;
        let part = number * 1_117..all.len() - number * 13;
        let (frame, expected) = (mapping.bytes(part.clone()).unwrap(), all.slice(part));
        clients.spawn(send(ours, vec![frame]));
        clients.spawn(async move {
            assert!(receive(theirs, 10_000 + number * 977).await == expected, "client {number}");
        });
    }
    std::fs::remove_dir_all(folder.path()).unwrap();
    drop(mapping);
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
}

#[tokio::test]
async fn a_file_that_is_too_short_by_now_ends_the_connection() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("segment");
    let mapping = mapped_file(&path, &pattern(200_000, 1));
    let (ours, _theirs) = pair(None).await;
    std::fs::File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
    let mut ours = Outgoing::new(ours);
    let error = ours.write_all(&mapping.bytes(0..100_000).unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn a_peer_that_goes_away_is_an_error_and_one_that_reads_nothing_is_waited_for() {
    let (ours, theirs) = pair(Some(4_000)).await;
    let mut ours = Outgoing::new(ours);
    let sealed = seal(&[pattern(16 << 20, 2)]);
    let full = tokio::time::timeout(Duration::from_millis(50), ours.write_all(&sealed)).await;
    assert!(full.is_err(), "nobody reads, and all was sent");
    drop(theirs);
    assert!(ours.write_all(&sealed).await.is_err());
}
