use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

fn id(number: u64) -> Id {
    Id(u128::from(number).to_le_bytes())
}

fn alone(capacity: u64, eviction: Eviction) -> Memory {
    Memory::new(capacity, 1, eviction, Arc::new(Ledger::new(eviction, 0)))
}

fn insert(memory: &Memory, number: u64, weight: u64) -> Vec<u64> {
    let mut victims = Vec::new();
    memory.insert(&id(number), weight, &mut victims);
    let numbers = victims.iter().map(|victim| {
        assert_eq!(memory.leave(victim), Leave::Drop, "there is no disk");
        u64::from_le_bytes(victim.id.0[..8].try_into().unwrap())
    });
    numbers.collect()
}

#[test]
fn in_order_of_the_last_request_the_oldest_goes() {
    let memory = alone(30, Eviction::Lru);
    assert!(insert(&memory, 1, 10).is_empty());
    assert!(insert(&memory, 2, 10).is_empty());
    assert!(insert(&memory, 3, 10).is_empty());
    memory.hit(&id(1));
    assert_eq!(insert(&memory, 4, 10), [2]);
    assert_eq!(insert(&memory, 5, 20), [3, 1]);
}

#[test]
fn what_is_asked_for_often_outlives_what_is_asked_for_once() {
    let memory = alone(30, Eviction::Lfu);
    insert(&memory, 1, 10);
    (0..5).for_each(|_| memory.hit(&id(1)));
    for number in 100..103 {
        assert!(!insert(&memory, number, 10).contains(&1));
    }
    // But not for ever, once others are asked for again.
    assert!((0..20).any(|_| (200..204).any(|number| insert(&memory, number, 10).contains(&1))));
}

#[test]
fn a_scan_of_what_is_asked_for_once_leaves_what_is_popular_alone() {
    let memory = alone(1000, Eviction::Lfu);
    for number in 0..100 {
        insert(&memory, number, 10);
        (0..5).for_each(|_| memory.hit(&id(number)));
    }
    let gone = (1000..11_000).flat_map(|number| insert(&memory, number, 10));
    // One makes room; a fingerprint that two share may cost another.
    assert!(gone.filter(|number| *number < 1000).count() <= 3);
}

#[test]
fn what_was_evicted_is_remembered() {
    let memory = alone(30, Eviction::Lfu);
    insert(&memory, 1, 10);
    (0..9).for_each(|_| memory.hit(&id(1)));
    assert!(insert(&memory, 1000, 30).contains(&1));
    insert(&memory, 1, 10);
    let mut victims = Vec::new();
    memory.insert(&id(5000), 30, &mut victims);
    assert_eq!(victims.iter().find(|it| it.id == id(1)).unwrap().frequency, 11);
}

#[test]
fn of_two_asked_for_as_often_the_larger_goes() {
    let memory = alone(1100, Eviction::Lfu);
    insert(&memory, 1, 100);
    insert(&memory, 2, 1000);
    assert_eq!(insert(&memory, 3, 100), [2]);
}

#[test]
fn a_record_too_heavy_goes_at_once_and_alone() {
    let memory = alone(30, Eviction::Lfu);
    insert(&memory, 1, 10);
    assert_eq!(insert(&memory, 2, 31), [2]);
    assert_eq!((memory.len(), memory.held_bytes()), (1, 10));
    assert_eq!(memory.first_stop(31, 31), FirstStop::Nowhere);
}

#[test]
fn another_weight_is_no_request_and_may_push_others_out() {
    let memory = alone(30, Eviction::Lru);
    insert(&memory, 1, 10);
    insert(&memory, 2, 10);
    assert_eq!(insert(&memory, 2, 25), [1]);
    assert_eq!(memory.held_bytes(), 25);
}

#[test]
fn in_front_of_a_disk_what_leaves_is_written_if_it_is_worth_it() {
    let ledger = Arc::new(Ledger::new(Eviction::Lfu, 1000));
    let memory = Memory::new(80, 1, Eviction::Lfu, Arc::clone(&ledger));
    assert_eq!(memory.first_stop(11, 11), FirstStop::Disk);
    assert_eq!(memory.first_stop(10, 10), FirstStop::Memory);
    let victim = |frequency| Victim { id: id(1), weight_bytes: 10, frequency };
    assert_eq!(memory.leave(&victim(2)), Leave::Write { frequency: 2 });
    assert_eq!(memory.leave(&victim(1)), Leave::Drop, "no tokens");
    assert_eq!(ledger.frequency(&id(1)), 1);
    ledger.requested(100);
    assert_eq!(memory.leave(&victim(1)), Leave::Write { frequency: 1 });
    ledger.wrote(500);
    assert_eq!(memory.leave(&victim(1)), Leave::Drop);
}

#[test]
fn hits_from_many_threads_are_counted_or_lost_but_never_waited_for() {
    let memory = Memory::new(100, 4, Eviction::Lfu, Arc::new(Ledger::new(Eviction::Lfu, 0)));
    let mut victims = Vec::new();
    memory.insert(&id(1), 10, &mut victims);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..50_000).for_each(|_| memory.hit(&id(1))));
        }
    });
    assert!(memory.hits_lost() > 0);
    memory.maintain(&mut victims);
    memory.insert(&id(2), 100, &mut victims);
    assert_eq!(victims[0].frequency, 255);
}

#[derive(Debug, Clone)]
enum Step {
    Insert(u64, u64),
    Hit(u64),
    Removed(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..40u64, 1..60u64).prop_map(|(number, weight)| Step::Insert(number, weight)),
        4 => (0..40u64).prop_map(Step::Hit),
        1 => (0..40u64).prop_map(Step::Removed),
    ];
    prop::collection::vec(step, 1..300)
}

proptest! {
    /// The map that a caller keeps and the policy agree after every step.
    #[test]
    fn the_map_and_the_policy_agree(steps in steps(), lru: bool) {
        let memory = alone(200, if lru { Eviction::Lru } else { Eviction::Lfu });
        let mut map: HashMap<u64, u64> = HashMap::new();
        for step in steps {
            match step {
                Step::Insert(number, weight) => {
                    map.insert(number, weight);
                    for victim in insert(&memory, number, weight) {
                        prop_assert!(map.remove(&victim).is_some(), "{} twice", victim);
                    }
                }
                Step::Hit(number) => memory.hit(&id(number)),
                Step::Removed(number) => {
                    memory.removed(&id(number));
                    map.remove(&number);
                }
            }
            prop_assert_eq!(memory.len(), map.len());
            prop_assert_eq!(memory.held_bytes(), map.values().sum::<u64>());
            prop_assert!(memory.held_bytes() <= 200);
        }
    }
}
