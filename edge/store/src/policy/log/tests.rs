use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

fn id(number: u64) -> Id {
    Id(u128::from(number).to_le_bytes())
}

fn log(segments: u16, segment_bytes: u32, eviction: Eviction) -> Log {
    let capacity_bytes = u64::from(segments) * u64::from(segment_bytes);
    let shape = Shape { segments: 2 * segments, segment_bytes, capacity_bytes };
    Log::new(shape, eviction, Arc::new(Ledger::new(eviction, capacity_bytes)))
}

/// As an I/O shell would: reclaims until there is room. Gives the ids that survived.
fn append(log: &mut Log, number: u64, len: u32, frequency: u8) -> Vec<Id> {
    let mut survived = Vec::new();
    loop {
        match log.append(&id(number), len, frequency) {
            Ok(placement) => {
                assert_eq!(placement.place.len, len);
                return survived;
            }
            Err(NoRoom::Length(_)) => return survived,
            Err(NoRoom::Reclaim) => {
                let reclaim = log.reclaim().expect("something is closed");
                assert_eq!(log.reclaim(), None, "one at a time");
                for survivor in reclaim.survivors {
                    assert_eq!(log.peek(&survivor.id), Some(survivor.from));
                    assert!(log.moved(&survivor.id, survivor.to));
                    assert_eq!(log.peek(&survivor.id), Some(survivor.to));
                    survived.push(survivor.id);
                }
                log.reclaimed(reclaim.victim);
                assert_eq!(log.segment_use(reclaim.victim), Some(Use::Free));
            }
        }
    }
}

#[test]
fn shapes_for_capacities() {
    for (capacity, segments, segment_bytes) in [
        (100 << 20, 128, 1_638_400),
        (1 << 30, 962, 2_228_224),
        (50 << 30, 1024, 100 << 20),
        (1 << 40, 8192, 256 << 20),
    ] {
        let shape = Shape::of(capacity).unwrap();
        assert_eq!((u64::from(shape.segments), shape.segment_bytes), (segments, segment_bytes));
    }
    assert_eq!(Shape::of(1 << 20), Err(TooSmall(1 << 20)));
}

#[test]
fn records_are_appended_one_after_the_other_and_replaced() {
    let mut log = log(8, 100, Eviction::Lfu);
    let first = log.append(&id(1), 60, 1).unwrap();
    assert_eq!((first.place.offset, first.opened.is_some(), first.closed), (0, true, None));
    let second = log.append(&id(2), 40, 1).unwrap();
    assert_eq!((second.place.offset, second.opened), (60, None));
    let third = log.append(&id(1), 50, 1).unwrap();
    assert_eq!((third.place.offset, third.closed), (0, Some(first.place.segment)));
    assert_eq!(log.get(&id(1)), Some(third.place));
    assert_eq!((log.len(), log.live_bytes()), (2, 90));
    assert_eq!(log.append(&id(3), 101, 1), Err(NoRoom::Length(101)));
    assert_eq!(log.append(&id(3), 0, 1), Err(NoRoom::Length(0)));
}

#[test]
fn what_is_asked_for_survives_and_what_is_not_goes() {
    let mut log = log(32, 1000, Eviction::Lfu);
    append(&mut log, 1, 100, 1);
    let mut survived = 0;
    for number in 100..2000 {
        log.get(&id(1)).expect("asked for all the time");
        survived += append(&mut log, number, 100, 1).iter().filter(|it| **it == id(1)).count();
    }
    assert!(survived > 0);
    assert_eq!(log.peek(&id(100)), None);
}

#[test]
fn a_survivor_that_is_removed_or_replaced_meanwhile_stays_so() {
    let mut log = log(16, 1000, Eviction::Lfu);
    let mut number = 0;
    let reclaim = loop {
        number += 1;
        if log.append(&id(number), 100, 5) == Err(NoRoom::Reclaim) {
            let reclaim = log.reclaim().unwrap();
            if reclaim.survivors.len() >= 3 {
                break reclaim;
            }
            reclaim.survivors.iter().for_each(|it| assert!(log.moved(&it.id, it.to)));
            log.reclaimed(reclaim.victim);
        }
    };
    let [removed, lost, ..] = reclaim.survivors[..] else { unreachable!() };
    log.remove(&removed.id);
    assert!(!log.moved(&removed.id, removed.to));
    // Never moved: evicted with its segment.
    log.reclaimed(reclaim.victim);
    assert_eq!((log.peek(&removed.id), log.peek(&lost.id)), (None, None));
    assert_eq!(log.segment_use(reclaim.victim), Some(Use::Free));
}

#[test]
fn a_segment_that_fails_takes_only_its_own_records_along() {
    let mut log = log(8, 100, Eviction::Lfu);
    let first = log.append(&id(1), 100, 1).unwrap().place;
    log.append(&id(2), 100, 1).unwrap();
    log.fail(first.segment);
    assert_eq!((log.peek(&id(1)), log.peek(&id(2)).is_some()), (None, true));
    assert_eq!(log.segment_use(first.segment), Some(Use::Free));
}

#[test]
fn a_restored_log_has_the_same_records_and_the_same_worth() {
    let mut before = log(16, 1000, Eviction::Lfu);
    for number in 0..500 {
        append(&mut before, number, 90, 1);
        (0..number % 7).for_each(|_| assert!(before.get(&id(number)).is_some()));
    }
    let mut after = log(16, 1000, Eviction::Lfu);
    after.restore_state(before.state());
    for segment in 0..before.shape().segments {
        if before.segment_use(segment) != Some(Use::Free) {
            let entries = before.entries_of(segment);
            assert_eq!(after.restore_segment(segment, 1000, &entries), entries.len());
            assert_eq!(after.restore_segment(segment, 1000, &entries), 0, "not twice");
            assert_eq!(after.entries_of(segment), entries);
        }
    }
    assert_eq!((after.len(), after.live_bytes()), (before.len(), before.live_bytes()));
    assert_eq!(after.worth.kept(), before.worth.kept());
    (1000..2000).for_each(|number| drop(append(&mut after, number, 90, 1)));
}

#[test]
fn entries_that_lie_outside_of_their_segment_are_refused() {
    let mut log = log(8, 100, Eviction::Lfu);
    let entry = |segment, offset, len| Entry {
        id: id(1),
        place: Place { segment, offset, len },
        frequency: 1,
        value: u32::MAX,
    };
    let bad = [entry(1, 0, 10), entry(0, 95, 10), entry(0, u32::MAX, 10), entry(0, 0, 0)];
    assert_eq!(log.restore_segment(0, 100, &bad), 0);
    assert_eq!(log.restore_segment(60_000, 100, &bad), 0);
    assert_eq!(log.restore_segment(2, 100, &[entry(2, 0, 10), entry(2, 10, 10)]), 2);
    assert_eq!(log.peek(&id(1)).unwrap().offset, 10, "the later one counts");
}

/// Index, segments and the remembered frequencies, with every record of a mean size.
#[test]
fn a_record_takes_at_most_64_bytes_of_memory() {
    assert_eq!(size_of::<Record>(), 32);
    let shape = Shape::of(20 << 30).unwrap();
    let ledger = Arc::new(Ledger::new(Eviction::Lfu, shape.capacity_bytes));
    let mut log = Log::new(shape, Eviction::Lfu, Arc::clone(&ledger));
    let mut worst = 0.0_f64;
    for number in 0..1_300_000 {
        append(&mut log, number, 64 << 10, 1);
        if number > 100_000 && number % 10_000 == 0 {
            let bytes = log.bytes() + ledger.bytes();
            worst = worst.max(bytes as f64 / log.len() as f64);
        }
    }
    assert!(worst <= 64.0, "{worst}");
}

#[derive(Debug, Clone)]
enum Step {
    Append(u64, u32),
    Get(u64),
    Remove(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..60u64, 1..=100u32).prop_map(|(number, len)| Step::Append(number, len)),
        4 => (0..60u64).prop_map(Step::Get),
        1 => (0..60u64).prop_map(Step::Remove),
    ];
    prop::collection::vec(step, 1..400)
}

/// All books of a log say the same.
fn check(log: &Log) -> Result<(), TestCaseError> {
    let (mut records, mut live, mut kept) = (0, 0, 0);
    for (number, segment) in log.segments.all() {
        let entries = log.entries_of(number);
        let bytes: u64 = entries.iter().map(|it| u64::from(it.place.len)).sum();
        let worth = entries.iter().filter(|it| log.threshold.keeps(it.value));
        let worth: u64 = worth.map(|it| u64::from(it.place.len)).sum();
        prop_assert_eq!(segment.live, bytes);
        prop_assert_eq!(segment.worth.kept(), worth);
        let mut places: Vec<_> = entries.iter().map(|it| (it.place.offset, it.place.len)).collect();
        places.sort_unstable();
        prop_assert!(places.windows(2).all(|two| two[0].0 + two[0].1 <= two[1].0), "overlap");
        for entry in &entries {
            prop_assert_eq!(log.peek(&entry.id), Some(entry.place));
        }
        (records, live, kept) = (records + entries.len(), live + bytes, kept + worth);
    }
    prop_assert_eq!((log.len(), log.live_bytes(), log.worth.kept()), (records, live, kept));
    prop_assert!(log.occupied_bytes() <= log.shape().capacity_bytes);
    Ok(())
}

proptest! {
    #[test]
    fn index_and_segments_never_disagree(steps in steps(), lru: bool) {
        let mut log = log(10, 120, if lru { Eviction::Lru } else { Eviction::Lfu });
        let mut lens: HashMap<u64, u32> = HashMap::new();
        let mut threshold = 0;
        for step in steps {
            match step {
                Step::Append(number, len) => {
                    append(&mut log, number, len, 1);
                    lens.insert(number, len);
                    prop_assert!(log.peek(&id(number)).is_some());
                }
                Step::Get(number) => {
                    if let Some(place) = log.get(&id(number)) {
                        prop_assert_eq!(Some(&place.len), lens.get(&number));
                    }
                }
                Step::Remove(number) => {
                    log.remove(&id(number));
                    lens.remove(&number);
                }
            }
            prop_assert!(log.threshold.bin() >= threshold, "the threshold only rises");
            threshold = log.threshold.bin();
            check(&log)?;
        }
        let stats = log.stats();
        prop_assert!(stats.reinserted_bytes * 2 <= stats.appended_bytes);
    }

    #[test]
    fn the_victim_has_the_least_worth_keeping(gets in prop::collection::vec(0..80u64, 0..200)) {
        let mut log = log(12, 100, Eviction::Lfu);
        (0..80).for_each(|number| drop(append(&mut log, number, 20, 1)));
        for number in gets {
            log.get(&id(number));
        }
        while log.worth.kept() > log.steering.kept_most_bytes() {
            log.threshold.raise();
            log.worth.risen(log.threshold.bin());
            log.segments.risen(log.threshold.bin());
        }
        let kept = |log: &Log, segment: u16| {
            let entries = log.entries_of(segment).into_iter();
            let kept = entries.filter(|it| log.threshold.keeps(it.value));
            kept.map(|it| it.place.len).sum::<u32>()
        };
        let closed = (0..24).filter(|it| log.segment_use(*it) == Some(Use::Closed));
        let least = closed.map(|it| kept(&log, it)).min();
        let mut after = log;
        let before: Vec<u32> = (0..24).map(|it| kept(&after, it)).collect();
        if let Some(reclaim) = after.reclaim() {
            prop_assert_eq!(Some(before[usize::from(reclaim.victim)]), least);
        }
    }
}
