//! One fill for many requests.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use kingcdn_config::clock::Timestamp;

use crate::fill::Fill;
use crate::key::Key;
use crate::purge::{Ledger, Moment, Standing, Tags, Verdict};

/// How long a key is remembered whose answers can't be shared. Without this every burst on it
/// would wait for one answer after the other.
const UNSHARED_FOR: Duration = Duration::from_secs(60);
/// The same where the reason may be gone at once (an origin's error, memory): then a burst is
/// best collapsed again.
const UNSHARED_BRIEFLY_FOR: Duration = Duration::from_secs(1);
/// How long a failed refresh behind a stale answer isn't tried again. The stale answer is served
/// meanwhile, until its window ends.
const REFRESH_RESTS_FOR: Duration = Duration::from_secs(2);
/// Keys so remembered at once; the least recently used is forgotten first.
const REMEMBERED_MAX: u64 = 65_536;

/// The fills under way, by key.
pub(crate) struct Collapse {
    fills: Arc<Fills>,
    /// Keys whose answers to requests of this kind can't be shared, until when.
    unshared: moka::sync::Cache<(Key, Kind), Timestamp>,
    /// Keys of large objects without a strong validator: no part of them can be put together with
    /// another.
    unsliceable: moka::sync::Cache<Key, ()>,
    /// Keys whose refresh behind a stale answer has failed, until when it isn't tried again.
    resting: moka::sync::Cache<Key, Timestamp>,
}

#[derive(Default)]
struct Fills(Mutex<HashMap<Flight, UnderWay>>);

/// A fill, and what purges know it by.
struct UnderWay {
    fill: Arc<Fill>,
    standing: Standing,
}

/// What a request is for.
#[derive(Clone, Copy)]
pub(crate) struct Wish<'a> {
    pub(crate) key: &'a Key,
    pub(crate) kind: Kind,
    /// Where it is for a part of the object.
    pub(crate) place: Option<Place>,
    /// Which variant, where it is known what answers vary by.
    pub(crate) variant: Option<u64>,
    /// The site's name, and path and query of the key.
    pub(crate) site: &'a str,
    pub(crate) target: &'a str,
}

/// What requests have in common whose answers can be shared, or can't: nobody can keep others from
/// sharing by a request of another kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Kind {
    /// They carry credentials, so that an answer may be for one user.
    credentials: bool,
    /// They are for a range, which may be out of place where the whole isn't.
    part: bool,
}

impl Kind {
    /// Of a client's request for a part, or for all.
    pub(crate) fn of(client: &HeaderMap, part: bool) -> Self {
        Self { credentials: client.contains_key(AUTHORIZATION), part }
    }
}

/// What requests for a part have in common that one fetch serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    /// They begin in this slice.
    Slice(u64),
    /// They are for so many bytes at the end, wherever that is.
    Last(u64),
}

/// What is fetched: all of an object, or a part, of one of its variants.
type Flight = (Key, Kind, Option<Place>, Option<u64>);

/// What a request that needs the origin does.
pub(crate) enum Join {
    /// Fetches, for itself and everybody who comes while it does.
    Lead(Lead),
    /// Follows a fill under way.
    Follow(Arc<Fill>),
    /// Fetches for itself: what this key gives can't be shared.
    Alone,
}

/// The right to fetch a key. Others follow [`Lead::fill`] until it is dropped.
pub(crate) struct Lead {
    fills: Arc<Fills>,
    flight: Flight,
    fill: Arc<Fill>,
    began: Moment,
}

/// What is remembered of so many keys, and no more.
fn remembered<K, V>() -> moka::sync::Cache<K, V>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    moka::sync::Cache::builder()
        .max_capacity(REMEMBERED_MAX)
        .eviction_policy(moka::policy::EvictionPolicy::lru())
        .build()
}

impl Collapse {
    /// Nothing under way.
    pub(crate) fn new() -> Self {
        Self {
            fills: Arc::default(),
            unshared: remembered(),
            unsliceable: remembered(),
            resting: remembered(),
        }
    }

    /// What a request does. It doesn't follow what began before a purge that may concern it.
    pub(crate) fn join(&self, wish: Wish<'_>, ledger: &Ledger, now: Timestamp) -> Join {
        if self.unshared.get(&(*wish.key, wish.kind)).is_some_and(|until| now < until) {
            return Join::Alone;
        }
        let mut fills = self.fills.lock();
        let flight = (*wish.key, wish.kind, wish.place, wish.variant);
        if let Some(UnderWay { fill, standing }) = fills.get(&flight)
            && ledger.verdict(standing) == Verdict::Live
        {
            return Join::Follow(Arc::clone(fill));
        }
        let fill = Arc::new(Fill::default());
        let began = ledger.moment();
        let standing = Standing::new(began, wish.site, wish.target, &Tags::unknown());
        fills.insert(flight, UnderWay { fill: Arc::clone(&fill), standing });
        drop(fills);
        Join::Lead(Lead { fills: Arc::clone(&self.fills), flight, fill, began })
    }

    /// The fetch that refreshes an object behind a stale answer, unless one is under way or has
    /// just failed.
    pub(crate) fn lead_refresh(
        &self,
        wish: Wish<'_>,
        ledger: &Ledger,
        now: Timestamp,
    ) -> Option<Lead> {
        if self.resting.get(wish.key).is_some_and(|until| now < until) {
            return None;
        }
        match self.join(wish, ledger, now) {
            Join::Lead(lead) => Some(lead),
            Join::Follow(_) | Join::Alone => None,
        }
    }

    /// What is held of `key` could not be refreshed.
    pub(crate) fn rest(&self, key: &Key, now: Timestamp) {
        self.resting.insert(*key, now.plus(REFRESH_RESTS_FOR));
    }

    /// From now on nobody follows the fills of `key`'s object that are under way: they began before a write.
    pub(crate) fn part_from(&self, key: &Key) {
        self.fills.lock().retain(|(other, ..), _| other.object != key.object);
    }

    /// Remembers that an answer of `key` could not be shared; briefly where that is `soon_over`.
    pub(crate) fn remember_unshared(&self, key: &Key, kind: Kind, soon_over: bool, now: Timestamp) {
        let time = if soon_over { UNSHARED_BRIEFLY_FOR } else { UNSHARED_FOR };
        self.unshared.insert((*key, kind), now.plus(time));
    }

    /// Remembers that a part of `key` came without a strong validator.
    pub(crate) fn remember_unsliceable(&self, key: &Key) {
        self.unsliceable.insert(*key, ());
    }

    /// Whether parts of `key` may be put together, as far as is known.
    pub(crate) fn is_sliceable(&self, key: &Key) -> bool {
        !self.unsliceable.contains_key(key)
    }

    /// An answer of `key` could be shared after all.
    pub(crate) fn forget_unshared(&self, key: &Key, kind: Kind) {
        self.unshared.invalidate(&(*key, kind));
    }
}

impl Lead {
    /// When it began.
    pub(crate) fn began(&self) -> Moment {
        self.began
    }

    /// The fill that others follow.
    pub(crate) fn fill(&self) -> &Arc<Fill> {
        &self.fill
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        let mut fills = self.fills.lock();
        // Another one may lead by now.
        if fills.get(&self.flight).is_some_and(|other| Arc::ptr_eq(&other.fill, &self.fill)) {
            fills.remove(&self.flight);
        }
    }
}

impl Fills {
    fn lock(&self) -> MutexGuard<'_, HashMap<Flight, UnderWay>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;

    const PLAIN: Kind = Kind { credentials: false, part: false };

    fn join(collapse: &Collapse, key: &Key, place: Option<Place>, now: Timestamp) -> Join {
        join_as(collapse, key, Kind { credentials: false, part: place.is_some() }, place, now)
    }

    fn join_as(
        collapse: &Collapse,
        key: &Key,
        kind: Kind,
        place: Option<Place>,
        now: Timestamp,
    ) -> Join {
        let wish = Wish { key, kind, place, variant: None, site: "s", target: "/" };
        static LEDGER: LazyLock<Ledger> = LazyLock::new(Ledger::in_memory);
        collapse.join(wish, &LEDGER, now)
    }

    #[test]
    fn one_leads_the_others_follow_until_it_is_over() {
        let collapse = Collapse::new();
        let (key, now) = (Key::new("s", "/"), Timestamp::from_secs(0));
        let Join::Lead(lead) = join(&collapse, &key, None, now) else { panic!("the first leads") };
        let Join::Follow(fill) = join(&collapse, &key, None, now) else {
            panic!("the second follows")
        };
        assert!(Arc::ptr_eq(lead.fill(), &fill));
        assert!(matches!(join(&collapse, &Key::new("s", "/other"), None, now), Join::Lead(_)));
        assert!(matches!(join(&collapse, &key, Some(Place::Slice(9)), now), Join::Lead(_)));
        let last = join(&collapse, &key, Some(Place::Last(9)), now);
        assert!(matches!(last, Join::Lead(_)), "a part is apart");
        drop(last);
        drop(lead);
        assert!(matches!(join(&collapse, &key, None, now), Join::Lead(_)));
        assert!(collapse.fills.lock().is_empty());
    }

    #[test]
    fn who_comes_after_a_write_does_not_follow_what_began_before() {
        let collapse = Collapse::new();
        let (key, now) = (Key::new("s", "/"), Timestamp::from_secs(0));
        let Join::Lead(before) = join(&collapse, &key, None, now) else {
            panic!("the first leads")
        };
        collapse.part_from(&key);
        let Join::Lead(after) = join(&collapse, &key, None, now) else { panic!("leads anew") };
        drop(before);
        assert!(
            matches!(join(&collapse, &key, None, now), Join::Follow(fill) if Arc::ptr_eq(&fill, after.fill()))
        );
    }

    #[test]
    fn what_cannot_be_shared_is_fetched_by_each_alone_for_a_bounded_time() {
        let collapse = Collapse::new();
        let key = Key::new("s", "/");
        for (soon_over, time) in [(false, UNSHARED_FOR), (true, UNSHARED_BRIEFLY_FOR)] {
            let now = Timestamp::from_secs(1000);
            collapse.remember_unshared(&key, PLAIN, soon_over, now);
            assert!(matches!(join(&collapse, &key, None, now), Join::Alone));
            let over = now.plus(time);
            assert!(matches!(join(&collapse, &key, None, over), Join::Lead(_)));
        }
        let now = Timestamp::from_secs(0);
        collapse.remember_unshared(&key, PLAIN, false, now);
        collapse.forget_unshared(&key, PLAIN);
        assert!(matches!(join(&collapse, &key, None, now), Join::Lead(_)));
    }

    #[test]
    fn requests_of_another_kind_keep_nobody_from_sharing() {
        let (collapse, key) = (Collapse::new(), Key::new("s", "/"));
        let now = Timestamp::from_secs(0);
        let others =
            [Kind { credentials: true, part: false }, Kind { credentials: false, part: true }];
        for other in others {
            collapse.remember_unshared(&key, other, false, now);
            assert!(matches!(join_as(&collapse, &key, other, None, now), Join::Alone));
        }
        let Join::Lead(_lead) = join(&collapse, &key, None, now) else { panic!("the first leads") };
        let credentials = Kind { credentials: true, part: false };
        collapse.forget_unshared(&key, credentials);
        let apart = join_as(&collapse, &key, credentials, None, now);
        assert!(matches!(apart, Join::Lead(_)), "it doesn't follow either");
    }
}
