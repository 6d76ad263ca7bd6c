use super::*;

fn content(slices: u64) -> (Arrivals, Arc<Arrival>) {
    let arrivals = Arrivals::default();
    let arrival = arrivals.open(Sliced::fresh(slices * SLICE_BYTES));
    (arrivals, arrival)
}

fn nothing_held(_: u64) -> bool {
    false
}

#[test]
fn each_slice_is_claimed_once() {
    let (_arrivals, arrival) = content(10);
    let held = |number| number == 5;
    let first = arrival.claim(0..10, held).unwrap();
    assert_eq!(*first.slices(), 0..5, "up to the next that is held");
    let second = arrival.claim(0..10, held).unwrap();
    assert_eq!(*second.slices(), 6..10);
    assert!(arrival.claim(0..10, held).is_none());
    drop(first);
    assert_eq!(*arrival.claim(3..10, held).unwrap().slices(), 3..5, "what was given up");
}

#[test]
fn readers_follow_a_slice_as_it_comes() {
    let (_arrivals, arrival) = content(2);
    let seat = arrival.sit(0..2);
    assert_eq!(arrival.next(0, 0), Next::Missing(0));
    let claim = arrival.claim(0..2, nothing_held).unwrap();
    assert_eq!(arrival.next(0, 0), Next::NotYet);
    claim.append(0, Bytes::from_static(b"0123"));
    claim.append(0, Bytes::from_static(b"45"));
    for (within, expected) in [(0, "0123"), (3, "3"), (4, "45"), (5, "5")] {
        assert_eq!(arrival.next(0, within), Next::Frame(expected.into()));
    }
    assert_eq!(arrival.next(0, 6), Next::NotYet);
    claim.complete(0, Bytes::from_static(b"012345"), true);
    assert_eq!(arrival.next(0, 1), Next::Frame("12345".into()), "stays for who wants it");
    seat.move_to(1..2);
    assert_eq!(arrival.next(0, 1), Next::Missing(0), "read by all");
    claim.append(1, Bytes::from_static(b"6"));
    claim.complete(1, Bytes::from_static(b"6"), true);
    drop(seat);
    assert_eq!(arrival.next(1, 0), Next::Missing(0), "wanted by nobody");
}

#[test]
fn a_run_that_ends_early_gives_up_what_has_not_come() {
    let (_arrivals, arrival) = content(3);
    let _seat = arrival.sit(0..3);
    let mut claim = arrival.claim(0..3, nothing_held).unwrap();
    claim.append(0, Bytes::from_static(b"0"));
    claim.complete(0, Bytes::from_static(b"0"), true);
    claim.append(1, Bytes::from_static(b"1"));
    claim.fail();
    drop(claim);
    assert_eq!(arrival.next(0, 0), Next::Frame("0".into()));
    assert_eq!(arrival.next(1, 0), Next::Missing(1), "and one failure");
    let again = arrival.claim(1..3, nothing_held).unwrap();
    assert!(*again.slices() == (1..3) && again.resumes());
    arrival.outdate();
    assert_eq!(arrival.next(1, 0), Next::NotYet);
    drop(again);
    assert_eq!(arrival.next(1, 0), Next::Outdated);
    assert!(arrival.claim(1..3, nothing_held).is_none());
}

#[test]
fn where_memory_is_short_only_what_is_read_right_now_stays() {
    let count = 2 * AHEAD_SLICES;
    let (arrivals, arrival) = content(count);
    let _slow = arrival.sit(0..count);
    let claim = arrival.claim(0..count, nothing_held).unwrap();
    for number in 0..count {
        claim.append(number, Bytes::from_static(b"."));
        claim.complete(number, Bytes::from_static(b"."), true);
    }
    let here = |number: &u64| matches!(arrival.next(*number, 0), Next::Frame(_));
    assert_eq!((0..count).filter(here).count() as u64, count);
    arrivals.let_go();
    assert_eq!((0..count).filter(here).collect::<Vec<_>>(), [0]);
}

#[tokio::test]
async fn a_run_waits_for_readers_within_reach() {
    let (_arrivals, arrival) = content(100);
    let is_wanted = |arrival: &Arc<Arrival>, number, now| {
        let arrival = Arc::clone(arrival);
        tokio::spawn(async move { arrival.wanted(number, now).await })
    };
    let soon = is_wanted(&arrival, 20, false);
    let now = is_wanted(&arrival, 20, true);
    let seat = arrival.sit(4..100);
    tokio::task::yield_now().await;
    assert!(!soon.is_finished(), "{AHEAD_SLICES} slices behind");
    seat.move_to(5..100);
    soon.await.unwrap();
    tokio::task::yield_now().await;
    assert!(!now.is_finished());
    seat.move_to(20..100);
    now.await.unwrap();
    assert!(!arrival.lock().wants(19, 1));
    seat.move_to(60..100);
    assert!(!arrival.lock().wants(20, AHEAD_SLICES), "far ahead: it fetches for itself");
    let claim = arrival.claim(20..30, nothing_held).unwrap();
    claim.comes_in_order();
    assert!(arrival.lock().wants(20, AHEAD_SLICES), "it can do nothing but wait");
    assert_eq!(arrival.next(60, 0), Next::NotYet);
    assert!(arrival.claim(60..70, nothing_held).is_none());
}

#[test]
fn a_content_is_forgotten_when_nobody_is_about() {
    let (arrivals, arrival) = content(1);
    let sliced = *arrival.sliced();
    assert!(Arc::ptr_eq(&arrival, &arrivals.open(sliced)));
    drop(arrival);
    assert!(arrivals.0.lock().is_empty());
}
