use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use kingcdn_config::clock::Timestamp;

use super::*;
use crate::caching::{Policy, Response, Times, judge};
use crate::purge::{self, Mode, Scope, Standing};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

fn fields(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    let pair = |&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
    lines.iter().map(pair).collect()
}

fn get(headers: &HeaderMap) -> Request<'_> {
    Request { method: &Method::GET, headers }
}

/// An answer to a request with these fields, fresh for a minute.
fn object(request: &HeaderMap, vary: &'static str, body: &[u8]) -> Arc<Object> {
    let headers = fields(&[("cache-control", "max-age=60"), ("vary", vary)]);
    let response = Response { status: StatusCode::OK, headers: &headers };
    let times = Times { request: NOW, response: NOW };
    let terms = judge(get(request), response, times, &Policy::default()).unwrap();
    let body = Body::Whole(Bytes::copy_from_slice(body));
    let standing = standing(&Ledger::for_tests());
    Arc::new(Object::new(&budget(), StatusCode::OK, headers, terms, body, standing))
}

fn standing(ledger: &Ledger) -> Standing {
    Standing::new(ledger.moment(), "site", "/", &purge::tags(&HeaderMap::new()))
}

fn budget() -> Budget {
    Budget::new(u64::MAX, 0)
}

fn store(capacity_bytes: u64, eviction: Eviction) -> Store {
    let ledger = Arc::new(Ledger::for_tests());
    let beside = Beside(Arc::new(|_, _| ()));
    Store::new(capacity_bytes, eviction, &[], beside, budget(), ledger)
}

fn text(found: Lookup) -> Option<Vec<u8>> {
    let object = found.object()?;
    Some(object.body.find(&(0..object.body.complete_bytes()))?.to_vec())
}

#[test]
fn each_variant_answers_its_own_requests() {
    let store = store(1 << 20, Eviction::Lru);
    let key = Key::new("site", "/");
    let (english, korean) =
        (fields(&[("accept-language", "en")]), fields(&[("accept-language", "ko")]));
    assert!(matches!(store.lookup(&key, get(&english)), Lookup::Nothing));
    store.insert(
        key,
        object(&english, "accept-language", b"hello"),
        get(&english),
        store.ledger().moment(),
    );
    assert!(matches!(store.lookup(&key, get(&korean)), Lookup::OtherVariants(_)));
    store.insert(
        key,
        object(&korean, "accept-language", b"annyeong"),
        get(&korean),
        store.ledger().moment(),
    );
    assert_eq!(text(store.lookup(&key, get(&english))).unwrap(), b"hello");
    assert_eq!(text(store.lookup(&key, get(&korean))).unwrap(), b"annyeong");
    store.insert(
        key,
        object(&english, "accept-language", b"hi"),
        get(&english),
        store.ledger().moment(),
    );
    assert_eq!(text(store.lookup(&key, get(&english))).unwrap(), b"hi");
    assert_eq!(text(store.lookup(&key, get(&korean))).unwrap(), b"annyeong");
    store.invalidate(&key);
    assert!(matches!(store.lookup(&key, get(&korean)), Lookup::Nothing));
}

#[test]
fn a_key_has_a_bounded_number_of_variants() {
    let store = store(1 << 24, Eviction::Lru);
    let key = Key::new("site", "/");
    for number in 0..10 * VARIANTS_MAX {
        let mut request = HeaderMap::new();
        request.insert("x-variant", HeaderValue::from(number));
        store.insert(
            key,
            object(&request, "x-variant", b"."),
            get(&request),
            store.ledger().moment(),
        );
    }
    assert_eq!(store.variants(&key.object).unwrap().all.len(), VARIANTS_MAX);
}

#[test]
fn a_refresh_replaces_just_what_it_was_made_from() {
    let store = store(1 << 20, Eviction::Lru);
    let (key, request) = (Key::new("site", "/"), HeaderMap::new());
    let (first, second) = (object(&request, "", b"1"), object(&request, "", b"2"));
    store.insert(key, Arc::clone(&first), get(&request), store.ledger().moment());
    store.refresh(key, &first, Arc::clone(&second));
    assert_eq!(text(store.lookup(&key, get(&request))).unwrap(), b"2");
    store.refresh(key, &first, Arc::clone(&first));
    assert_eq!(text(store.lookup(&key, get(&request))).unwrap(), b"2", "too late");
    store.invalidate(&key);
    store.refresh(key, &second, Arc::clone(&second));
    assert!(matches!(store.lookup(&key, get(&request)), Lookup::Nothing), "gone stays gone");
}

#[test]
fn what_is_forgotten_leaves_nothing_behind() {
    let store = store(1 << 20, Eviction::Lru);
    let (key, request) = (Key::new("site", "/"), HeaderMap::new());
    let held = object(&request, "", b"1");
    store.insert(key, Arc::clone(&held), get(&request), store.ledger().moment());
    store.forget(key, &object(&request, "", b"1"));
    assert!(matches!(store.lookup(&key, get(&request)), Lookup::Found(_)), "not this one");
    store.forget(key, &held);
    store.maintain();
    assert_eq!(store.keys(), 0);
}

#[test]
fn the_capacity_holds_overhead_included() {
    for eviction in [Eviction::Lfu, Eviction::Lru] {
        let capacity = 1 << 20;
        let store = store(capacity, eviction);
        let request = HeaderMap::new();
        for number in 0..10_000 {
            let key = Key::new("site", &format!("/{number}"));
            store.insert(
                key,
                object(&request, "", &[0; 100]),
                get(&request),
                store.ledger().moment(),
            );
        }
        store.maintain();
        assert!(store.held_bytes() <= capacity, "{eviction:?}: {}", store.held_bytes());
        let weight = object(&request, "", &[0; 100]).weight_bytes();
        assert!(store.keys() >= capacity / weight / 2, "{eviction:?}: {}", store.keys());
    }
}

#[test]
fn lfu_keeps_what_is_asked_for_often_and_lru_what_was_asked_for_last() {
    let survives = |eviction| {
        let store = store(1 << 20, eviction);
        let request = HeaderMap::new();
        let ask = |name: &str| {
            let key = Key::new("site", name);
            let found = matches!(store.lookup(&key, get(&request)), Lookup::Found(_));
            if !found {
                store.insert(
                    key,
                    object(&request, "", &[0; 1000]),
                    get(&request),
                    store.ledger().moment(),
                );
            }
            store.maintain();
            found
        };
        for number in 0..500 {
            ask(&format!("/first/{number}"));
        }
        for _ in 0..50 {
            ask("/popular");
        }
        // More than fits, each asked for once.
        for number in 0..600 {
            ask(&format!("/once/{number}"));
        }
        ask("/popular")
    };
    assert!(survives(Eviction::Lfu));
    assert!(!survives(Eviction::Lru));
}

#[test]
fn what_was_asked_for_before_a_write_is_not_kept_after_it() {
    let store = store(1 << 20, Eviction::Lru);
    let (key, request) = (Key::new("site", "/"), HeaderMap::new());
    let held = object(&request, "", b"1");
    let before = store.ledger().moment();
    store.invalidate(&key);
    store.insert(key, Arc::clone(&held), get(&request), before);
    assert!(matches!(store.lookup(&key, get(&request)), Lookup::Nothing));
    store.insert(key, held, get(&request), store.ledger().moment());
    assert!(matches!(store.lookup(&key, get(&request)), Lookup::Found(_)));
}

/// Else the readers of a busy disk disturb each other until none finds what is there.
#[test]
fn what_comes_back_into_memory_changes_nothing_and_what_is_new_does() {
    let store = store(1 << 20, Eviction::Lru);
    let id = Key::new("site", "/").object.id();
    let entry = || Entry::Slice(Bytes::from_static(b"content"));
    let changes = store.tiers.changes(&id);
    store.tiers.turn().bring(id, entry());
    assert_eq!(store.tiers.changes(&id), changes);
    store.tiers.turn().keep(id, entry());
    assert_ne!(store.tiers.changes(&id), changes);
}

#[test]
fn slices_are_kept_one_by_one() {
    let store = store(3 * SLICE_BYTES, Eviction::Lru);
    let [one, two] = [Sliced::fresh(2 * SLICE_BYTES), Sliced::fresh(2 * SLICE_BYTES)];
    let slice = |number: u8| Bytes::from(vec![number; SLICE_BYTES as usize]);
    for (sliced, number) in [(&one, 0), (&one, 1), (&two, 0)] {
        store.put_slice(sliced, number, slice(number as u8));
    }
    assert!(!store.has_slice(one.content, 0), "no room for three and what they need beside");
    assert!(matches!(store.slice(one.content, 1), Slice::Held(bytes) if bytes == slice(1)));
    assert!(matches!(store.slice(two.content, 0), Slice::Held(bytes) if bytes == slice(0)));
    assert!(matches!(store.slice(ContentId::fresh(), 1), Slice::Missing));
    assert!(store.all_slices(&two).is_none());
    assert_eq!((store.slices(), store.keys()), (2, 0));
}

#[test]
fn a_purge_is_seen_at_the_next_look() {
    let site = Scope::Site("site");
    let (key, request) = (Key::new("site", "/"), HeaderMap::new());
    for mode in [Mode::Soft, Mode::Hard] {
        let store = store(1 << 20, Eviction::Lru);
        let before = store.ledger().moment();
        let old = object(&request, "", b"1");
        store.insert(key, Arc::clone(&old), get(&request), before);
        store.ledger().purge(Scope::Site("other"), mode).unwrap();
        assert!(matches!(store.lookup(&key, get(&request)), Lookup::Found(_)));
        store.ledger().purge(site, mode).unwrap();
        match (store.lookup(&key, get(&request)), mode) {
            (Lookup::Purged(_), Mode::Soft) | (Lookup::Nothing, Mode::Hard) => {}
            _ => panic!("{mode:?}"),
        }
        store.insert(key, Arc::clone(&old), get(&request), before);
        let found = store.lookup(&key, get(&request));
        assert!(!matches!(found, Lookup::Found(_)), "it was on its way in");
    }
}

#[test]
fn slices_of_what_was_purged_have_no_name_any_more() {
    let store = store(1 << 24, Eviction::Lru);
    let (key, request) = (Key::new("site", "/"), HeaderMap::new());
    let insert = |sliced| {
        let headers = fields(&[("cache-control", "max-age=60"), ("etag", "\"v1\"")]);
        let response = Response { status: StatusCode::OK, headers: &headers };
        let times = Times { request: NOW, response: NOW };
        let terms = judge(get(&request), response, times, &Policy::default()).unwrap();
        let standing = standing(store.ledger());
        let body = Body::Sliced(sliced);
        let object = Object::new(&budget(), StatusCode::OK, headers, terms, body, standing);
        let kept = store.insert(key, Arc::new(object), get(&request), store.ledger().moment());
        let Body::Sliced(sliced) = kept.body else { panic!("in slices") };
        sliced.content
    };
    let first = insert(Sliced::fresh(10 * SLICE_BYTES));
    assert_eq!(insert(Sliced::fresh(10 * SLICE_BYTES)), first, "the same content");
    store.ledger().purge(Scope::Everything, Mode::Hard).unwrap();
    assert_ne!(insert(Sliced::fresh(10 * SLICE_BYTES)), first, "however alike it looks");
}

#[test]
fn in_order_of_the_last_request_what_is_larger_than_the_store_is_not_kept() {
    for (eviction, keeps) in [(Eviction::Lru, false), (Eviction::Lfu, true)] {
        let store = store(3 * SLICE_BYTES, eviction);
        let sliced = Sliced::fresh(10 * SLICE_BYTES);
        store.put_slice(&sliced, 0, Bytes::from(vec![0; SLICE_BYTES as usize]));
        assert_eq!(store.has_slice(sliced.content, 0), keeps, "{eviction:?}");
    }
}

/// Whether it was held.
fn ask(store: &Store, name: &str, bytes: usize) -> bool {
    let (key, request) = (Key::new("site", name), HeaderMap::new());
    let found = matches!(store.lookup(&key, get(&request)), Lookup::Found(_));
    if !found {
        let object = object(&request, "", &vec![0; bytes]);
        store.insert(key, object, get(&request), store.ledger().moment());
    }
    found
}

/// Popular objects, each of which is asked for several times, with five that are asked for once
/// after each of these requests; in a store for 10,000. The share of hits in the last round.
fn hits_of_popular_objects(eviction: Eviction) -> f64 {
    const POPULAR: usize = 2500;
    let weight = object(&HeaderMap::new(), "", &[0; 100]).weight_bytes();
    let store = store(10_000 * weight, eviction);
    let (mut hits, mut once) = (0, 0);
    for round in 0..4 {
        for number in 0..POPULAR {
            let hit = ask(&store, &format!("/popular/{number}"), 100);
            hits += usize::from(hit && round == 3);
            for _ in 0..5 {
                once += 1;
                ask(&store, &format!("/once/{once}"), 100);
            }
        }
    }
    hits as f64 / POPULAR as f64
}

#[test]
fn what_is_asked_for_once_does_not_push_out_what_is_popular() {
    let (lfu, lru) = (Eviction::Lfu, Eviction::Lru);
    let (lfu, lru) = (hits_of_popular_objects(lfu), hits_of_popular_objects(lru));
    assert!(lfu > 0.9 && lru < 0.1, "{lfu} {lru}");
}

#[test]
fn a_large_popular_object_gets_its_place() {
    let weight = object(&HeaderMap::new(), "", &[0; 100]).weight_bytes();
    let store = store(10_000 * weight, Eviction::Lfu);
    for number in 0..30_000 {
        ask(&store, &format!("/small/{}", number % 10_000), 100);
    }
    let mut hits = 0;
    for round in 0..50 {
        hits += u32::from(ask(&store, "/large", SLICE_BYTES as usize));
        for number in 0..20 {
            ask(&store, &format!("/small/{}", round * 20 + number), 100);
        }
        store.maintain();
    }
    assert!(hits >= 30, "{hits}");
}
