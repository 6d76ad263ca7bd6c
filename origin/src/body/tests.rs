use std::future::poll_fn;

use http::{HeaderMap, Method};
use hyper::body::Body as _;
use prometheus::Registry;

use crate::record::Metrics;

use super::*;

fn body_of(file: &Arc<File>, pieces: impl Into<VecDeque<Piece>>) -> (Body, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::register(&Registry::new()).unwrap());
    let record = Record::begin(Arc::clone(&metrics), &Method::GET, "/", &HeaderMap::new());
    let source = Source { file: Arc::clone(file), stamp: Stamp::of(&file.metadata().unwrap()) };
    (Body::new(pieces.into(), Some(source), record), metrics)
}

async fn frame(body: &mut Body) -> Option<io::Result<Bytes>> {
    let frame = poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await;
    frame.map(|frame| frame.map(|frame| frame.into_data().unwrap()))
}

fn file_of(length: u64) -> Arc<File> {
    let file = tempfile::tempfile().unwrap();
    let bytes: Vec<u8> = (0..length).map(|index| (index % 251) as u8).collect();
    file.write_all_at(&bytes, 0).unwrap();
    Arc::new(file)
}

#[tokio::test]
async fn pieces_go_out_in_order_and_in_chunks() {
    let file = file_of(3 * CHUNK_BYTES);
    let end = 5 + 2 * CHUNK_BYTES;
    let pieces = [Piece::Bytes(Bytes::from_static(b"head")), Piece::File(5..end)];
    let (mut body, metrics) = body_of(&file, pieces);
    let mut sent = Vec::new();
    let mut frames = 0;
    while let Some(bytes) = frame(&mut body).await {
        sent.extend_from_slice(&bytes.unwrap());
        frames += 1;
    }
    let expected: Vec<u8> = (5..end).map(|index| (index % 251) as u8).collect();
    assert_eq!(sent, [b"head".as_slice(), &expected].concat());
    assert_eq!(frames, 3);
    assert!(body.is_end_stream());
    assert_eq!(metrics.bytes(), 4 + 2 * CHUNK_BYTES);
}

#[tokio::test]
async fn a_file_that_changes_under_way_ends_in_an_error() {
    type Change = fn(&File);
    let changes: [(&str, Change); 3] = [
        ("shrinks", |file| file.set_len(CHUNK_BYTES + 1).unwrap()),
        ("grows", |file| file.set_len(3 * CHUNK_BYTES).unwrap()),
        ("other bytes", |file| {
            file.write_all_at(b"x", 2 * CHUNK_BYTES - 1).unwrap();
            // Coarse clocks may give both writes the same time.
            file.set_modified(std::time::UNIX_EPOCH).unwrap();
        }),
    ];
    for (change, make) in changes {
        let file = file_of(2 * CHUNK_BYTES);
        let (mut body, _) = body_of(&file, [Piece::File(0..2 * CHUNK_BYTES)]);
        assert!(frame(&mut body).await.unwrap().is_ok(), "{change}");
        make(&file);
        assert!(frame(&mut body).await.unwrap().is_err(), "{change}");
        assert!(frame(&mut body).await.is_none(), "{change}");
        assert!(!body.is_end_stream(), "{change}: a clean end");
    }
}
