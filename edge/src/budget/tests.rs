use super::*;

#[test]
fn never_more_than_the_total_is_taken_and_all_comes_back() {
    let budget = Budget::new(100, 80);
    let mut first = budget.reservation();
    let mut second = budget.reservation();
    assert!(first.grow_to(60, Need::Answer));
    assert!(!second.grow_to(41, Need::Answer));
    assert!(second.grow_to(40, Need::Answer));
    assert!(first.grow_to(10, Need::Answer), "a smaller wish is met already");
    assert!(!first.grow_to(61, Need::Answer));
    assert_eq!(budget.used_bytes(), 100);
    first.shrink_to(70);
    assert_eq!(first.bytes(), 60);
    first.shrink_to(10);
    assert_eq!((first.bytes(), budget.used_bytes()), (10, 50));
    drop(first);
    assert!(second.grow_to(100, Need::Answer));
    assert!(!second.grow_to(u64::MAX, Need::Answer));
    drop(second);
    assert_eq!(budget.used_bytes(), 0);
}

#[test]
fn what_is_large_and_stays_leaves_room_for_what_is_small() {
    let budget = Budget::new(100, 80);
    let needs = [Need::Ahead, Need::Slice, Need::Stream, Need::Connection, Need::Answer];
    let mut held = Vec::new();
    for (number, need) in needs.into_iter().enumerate() {
        let limit = budget.limit(need);
        assert_eq!(budget.is_ample(), number == 0);
        held.push(budget.reserve(limit - budget.used_bytes(), need).unwrap());
        for earlier in &needs[..=number] {
            assert!(budget.reserve(1, *earlier).is_none(), "{earlier:?} after {need:?}");
        }
    }
    assert_eq!(budget.used_bytes(), 100);
    held.clear();
    assert!(budget.is_ample());
}

#[test]
fn bytes_count_until_the_last_piece_of_them_is_gone() {
    let budget = Budget::new(100, 80);
    let whole = budget.reserve(4, Need::Answer).unwrap().attach(Bytes::from_static(b"1234"));
    let piece = whole.slice(3..);
    drop(whole);
    assert_eq!((&piece[..], budget.used_bytes()), (&b"4"[..], 4));
    drop(piece);
    assert_eq!(budget.used_bytes(), 0);
}

#[test]
fn pieces_keep_the_memory_that_they_share_with_others() {
    let budget = Budget::new(100, 80);
    let memory = Arc::new(budget.reserve(8, Need::Slice).unwrap());
    let (one, two) =
        (memory.cover(Bytes::from_static(b"1")), memory.cover(Bytes::from_static(b"2")));
    drop((memory, one));
    assert_eq!(budget.used_bytes(), 8);
    drop(two);
    assert_eq!(budget.used_bytes(), 0);
}

#[tokio::test]
async fn who_waits_for_memory_is_woken_when_there_is_some() {
    let budget = Budget::new(100, 80);
    let held = budget.charge(120);
    let waiter = tokio::spawn({
        let budget = budget.clone();
        async move { budget.wait(|| budget.reserve(100, Need::Answer)).await.bytes }
    });
    tokio::task::yield_now().await;
    assert!(!waiter.is_finished());
    drop(held);
    assert_eq!(waiter.await.unwrap(), 100);
}
