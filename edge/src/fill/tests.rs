use std::task::{Context, Poll, Waker};

use super::*;
use crate::fetch::NotStored;

fn head(terms: Result<Terms, NotStored>) -> Outcome {
    Outcome::Answer(Arc::new(Head {
        status: StatusCode::OK,
        headers: HeaderMap::new(),
        shared: HeaderMap::new(),
        length: None,
        terms,
    }))
}

fn unstorable() -> Outcome {
    head(Err(NotStored::TooLarge))
}

/// What `reader` can have at once.
fn read(reader: &mut Reader) -> Vec<u8> {
    let mut cx = Context::from_waker(Waker::noop());
    let mut all = Vec::new();
    while let Poll::Ready(Some(Ok(frame))) = reader.poll_frame(&mut cx) {
        all.extend_from_slice(&frame);
    }
    all
}

fn ends(reader: &mut Reader) -> Option<bool> {
    let mut cx = Context::from_waker(Waker::noop());
    match reader.poll_frame(&mut cx) {
        Poll::Ready(None) => Some(true),
        Poll::Ready(Some(Err(_))) => Some(false),
        Poll::Ready(Some(Ok(_))) | Poll::Pending => None,
    }
}

fn frame(bytes: usize) -> Bytes {
    Bytes::from(vec![7; bytes])
}

#[test]
fn readers_follow_at_their_own_pace_from_the_start() {
    let fill = Arc::new(Fill::default());
    let mut early = fill.read().unwrap();
    assert_eq!(read(&mut early), b"");
    fill.append(Bytes::from_static(b"one "));
    assert_eq!(read(&mut early), b"one ");
    fill.append(Bytes::from_static(b"two"));
    let mut late = fill.read().unwrap();
    assert_eq!(read(&mut late), b"one two");
    assert_eq!(read(&mut early), b"two");
    assert_eq!(ends(&mut early), None);
    fill.complete();
    assert_eq!((ends(&mut early), ends(&mut late)), (Some(true), Some(true)));
    assert_eq!(fill.frames().concat().len(), 7);
}

#[test]
fn an_abort_is_seen_after_what_came_before_it() {
    let fill = Arc::new(Fill::default());
    let mut reader = fill.read().unwrap();
    fill.append(Bytes::from_static(b"half"));
    fill.abort();
    fill.complete();
    assert_eq!(read(&mut reader), b"half");
    assert_eq!(ends(&mut reader), Some(false), "an abort can't be taken back");
}

#[tokio::test]
async fn a_reader_that_waits_is_woken_by_each_step() {
    let fill = Arc::new(Fill::default());
    let mut reader = fill.read().unwrap();
    let follower = tokio::spawn(async move {
        assert!(matches!(reader.outcome().await, Outcome::Answer(_)));
        let mut all = Vec::new();
        while let Some(frame) = std::future::poll_fn(|cx| reader.poll_frame(cx)).await {
            all.extend_from_slice(&frame.unwrap());
        }
        all
    });
    for step in 0..3 {
        tokio::task::yield_now().await;
        if step == 0 {
            fill.announce(unstorable());
        }
        fill.append(Bytes::from_static(b"."));
    }
    fill.complete();
    assert_eq!(follower.await.unwrap(), b"...");
}

#[tokio::test]
async fn whoever_waits_for_a_head_that_never_comes_is_told() {
    let fill = Arc::new(Fill::default());
    let reader = fill.read().unwrap();
    let waiting = tokio::spawn(async move { reader.outcome().await });
    tokio::task::yield_now().await;
    fill.abort();
    assert!(matches!(waiting.await.unwrap(), Outcome::Failed(FetchError::Aborted)));
}

#[tokio::test]
async fn a_window_holds_little_and_waits_for_its_slowest_reader() {
    let fill = Arc::new(Fill::default());
    let (mut slow, mut fast) = (fill.read().unwrap(), fill.read().unwrap());
    fill.announce(unstorable());
    let half = WINDOW_BYTES as usize / 2;
    for _ in 0..2 {
        assert_eq!(fill.room().await, Ok(()));
        fill.append(frame(half));
        assert_eq!(read(&mut fast).len(), half);
    }
    let full = tokio::spawn({
        let fill = Arc::clone(&fill);
        async move { fill.room().await }
    });
    tokio::task::yield_now().await;
    assert!(!full.is_finished(), "the slow reader has not passed anything");
    assert!(fill.read().is_ok(), "all is there still");
    assert_eq!(read(&mut slow).len(), 2 * half);
    assert_eq!(full.await.unwrap(), Ok(()));
    assert_eq!(fill.lock().held_bytes(), 0);
    assert_eq!(fill.read().err(), Some(Gone), "what is gone can't be followed from the start");
    drop(slow);
    fill.append(frame(10));
    assert_eq!(read(&mut fast).len(), 10, "one that leaves holds up nobody");
}

#[tokio::test]
async fn a_window_without_readers_is_given_up_and_a_kept_fill_is_not() {
    let window = Arc::new(Fill::default());
    let reader = window.read().unwrap();
    window.announce(unstorable());
    assert_eq!(window.room().await, Ok(()));
    drop(reader);
    window.abandoned().await;
    assert_eq!(window.room().await, Err(Abandoned));

    let kept = Arc::new(Fill::default());
    drop(kept.read().unwrap());
    kept.append(frame(2 * WINDOW_BYTES as usize));
    assert_eq!(kept.room().await, Ok(()), "a kept fill waits for nobody");
    let mut late = kept.read().unwrap();
    kept.become_window(WINDOW_BYTES);
    assert!(!kept.lock().is_abandoned());
    assert_eq!(read(&mut late).len(), 2 * WINDOW_BYTES as usize, "it still gets all");
}
