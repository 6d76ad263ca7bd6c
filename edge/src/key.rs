//! The cache key: which requests mean the same object.
//!
//! A site's rules turn a request's target into the one that stands for all that mean the same
//! ([`KeyRules::target`]). That text is what the origin is asked for when the object is fetched, and
//! with the site's name it is the key's text: what isn't in it can't make the origin answer
//! differently, so nobody can choose by it what others get.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;
use std::hash::{BuildHasher as _, Hasher as _};

use http::header::COOKIE;
use http::uri::{InvalidUri, PathAndQuery};
use http::{HeaderMap, HeaderName};
use kingcdn_config::{CookieName, QueryKey, SiteKey};

use crate::hash::Seeded;

/// Site and target of an object, and the fields and cookies that a site adds, as digests.
///
/// 256 bits of BLAKE3: nobody can make two requests, be they of one site or of two, that share a
/// key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// Of site and target: what a write or a purge names.
    pub(crate) object: ObjectKey,
    /// Of the values of the site's `headers` and `cookies`.
    pub(crate) inputs: Inputs,
}

/// Site and target, as a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ObjectKey([u8; 32]);

/// The values of a site's `headers` and `cookies` in a request, as a digest. Zeros where the site
/// has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Inputs([u8; 32]);

/// How a site's requests become keys: `[site.key]`, ready for use.
#[derive(Debug)]
pub(crate) struct KeyRules {
    query: QueryKey,
    query_sort: bool,
    ignore_case: bool,
    headers: Vec<HeaderName>,
    cookies: Vec<CookieName>,
}

impl Key {
    /// The key of `target` on `site` without any field or cookie.
    pub(crate) fn new(site: &str, target: &str) -> Self {
        Self { object: Recent::key(site, target), inputs: Inputs([0; 32]) }
    }
}

impl ObjectKey {
    fn new(site: &str, target: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(site.as_bytes());
        // A site's name is a label, it holds no NUL: no two pairs run together.
        hasher.update(&[0]);
        hasher.update(target.as_bytes());
        Self(*hasher.finalize().as_bytes())
    }

    /// The digest.
    pub(crate) fn digest(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Inputs {
    /// The digest.
    pub(crate) fn digest(&self) -> &[u8; 32] {
        &self.0
    }

    /// From what [`Inputs::digest`] gave.
    pub(crate) fn from_digest(digest: [u8; 32]) -> Self {
        Self(digest)
    }
}

impl KeyRules {
    /// The rules that the configuration says.
    pub(crate) fn new(key: &SiteKey) -> Self {
        let name = |name: &kingcdn_config::FieldName| name.as_str().parse().ok();
        Self {
            query: key.query.clone(),
            query_sort: key.query_sort,
            ignore_case: key.ignore_case,
            headers: key.headers.iter().filter_map(name).collect(),
            cookies: key.cookies.clone(),
        }
    }

    /// The target that stands for all that mean the same object as `target`. It is the one to fetch
    /// the object with.
    ///
    /// # Errors
    /// None that is known: what is taken out of a target leaves a target.
    pub(crate) fn target(&self, target: &PathAndQuery) -> Result<PathAndQuery, InvalidUri> {
        match self.normal(target.as_str()) {
            Cow::Borrowed(_) => Ok(target.clone()),
            Cow::Owned(normal) => PathAndQuery::try_from(normal),
        }
    }

    /// The key of a request on `site` with these fields; `target` is what [`KeyRules::target`] made
    /// of the client's.
    pub(crate) fn key(&self, site: &str, target: &PathAndQuery, headers: &HeaderMap) -> Key {
        let mut key = Key::new(site, target.as_str());
        if !(self.headers.is_empty() && self.cookies.is_empty()) {
            key.inputs = self.inputs(headers);
        }
        key
    }

    /// Bytes are compared as they are: nothing is decoded, and only `&` parts parameters, as the
    /// origin may see a difference where another reading sees none.
    fn normal<'t>(&self, target: &'t str) -> Cow<'t, str> {
        if self.query == QueryKey::All && !self.query_sort && !self.ignore_case {
            return Cow::Borrowed(target);
        }
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        let mut normal = if self.ignore_case { path.to_ascii_lowercase() } else { path.to_owned() };
        let mut parameters: Vec<&str> = query
            .into_iter()
            .flat_map(|query| query.split('&'))
            .filter(|parameter| self.counts(name_of(parameter)))
            .collect();
        if self.query_sort {
            // Stable: which of two values comes first may matter.
            parameters.sort_by_key(|parameter| name_of(parameter));
        }
        for (index, parameter) in parameters.into_iter().enumerate() {
            normal.push(if index == 0 { '?' } else { '&' });
            normal.push_str(parameter);
        }
        Cow::Owned(normal)
    }

    fn counts(&self, name: &str) -> bool {
        match &self.query {
            QueryKey::All => true,
            QueryKey::None => false,
            QueryKey::Keep(kept) => kept.iter().any(|pattern| pattern.matches(name)),
            QueryKey::Drop(dropped) => !dropped.iter().any(|pattern| pattern.matches(name)),
        }
    }

    /// A digest of what the fields and cookies of this key say. Each is told with its name, the
    /// number of its values and each value's length: no two requests run together, and an empty
    /// value isn't an absent one.
    fn inputs(&self, headers: &HeaderMap) -> Inputs {
        let mut digest = Digest(blake3::Hasher::new());
        digest.number(self.headers.len());
        for name in &self.headers {
            digest.piece(name.as_str().as_bytes());
            let lines = headers.get_all(name);
            digest.number(lines.iter().count());
            lines.iter().for_each(|line| digest.piece(line.as_bytes()));
        }
        for name in &self.cookies {
            digest.piece(name.as_str().as_bytes());
            digest.number(cookies(headers, name.as_str()).count());
            cookies(headers, name.as_str()).for_each(|value| digest.piece(value));
        }
        Inputs(*digest.0.finalize().as_bytes())
    }
}

/// What tells parameters apart: everything before the first `=`.
fn name_of(parameter: &str) -> &str {
    parameter.split_once('=').map_or(parameter, |(name, _)| name)
}

/// The values of all cookies of this name, in order (RFC 6265 section 4.2.1). A name counts with
/// white space around it, too, because some origins take it so.
fn cookies<'h>(headers: &'h HeaderMap, name: &str) -> impl Iterator<Item = &'h [u8]> {
    headers
        .get_all(COOKIE)
        .iter()
        .flat_map(|line| line.as_bytes().split(|&byte| byte == b';'))
        .filter_map(move |pair| {
            let equals = pair.iter().position(|&byte| byte == b'=')?;
            let (found, value) = (&pair[..equals], &pair[equals + 1..]);
            (found.trim_ascii() == name.as_bytes()).then(|| value.trim_ascii())
        })
}

/// A digest of pieces that can't run together.
struct Digest(blake3::Hasher);

impl Digest {
    fn number(&mut self, number: usize) {
        self.0.update(&(number as u64).to_le_bytes());
    }

    fn piece(&mut self, piece: &[u8]) {
        self.number(piece.len());
        self.0.update(piece);
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.object.0[..8].iter().chain(&self.inputs.0[..4]) {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// Digests that this thread has worked out lately: most requests are for what was just asked for,
/// and to compare a target with another costs a tenth of digesting it.
struct Recent {
    hasher: Seeded,
    slots: Box<[Slot]>,
}

/// One of them, in place of the one before.
#[derive(Clone)]
struct Slot {
    site: String,
    target: String,
    key: ObjectKey,
}

impl Recent {
    const SLOTS: usize = 1024;
    /// Longer targets are digested each time.
    const TARGET_BYTES_MAX: usize = 256;

    fn key(site: &str, target: &str) -> ObjectKey {
        thread_local! {
            static RECENT: RefCell<Recent> = RefCell::new(Recent::new());
        }
        if target.len() > Self::TARGET_BYTES_MAX {
            return ObjectKey::new(site, target);
        }
        // Not there while the thread ends.
        let key = RECENT.try_with(|recent| recent.borrow_mut().get(site, target));
        key.unwrap_or_else(|_| ObjectKey::new(site, target))
    }

    fn new() -> Self {
        let none = Slot { site: String::new(), target: String::new(), key: ObjectKey::new("", "") };
        Self { hasher: Seeded::new(), slots: vec![none; Self::SLOTS].into() }
    }

    fn get(&mut self, site: &str, target: &str) -> ObjectKey {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(target.as_bytes());
        #[allow(clippy::cast_possible_truncation)] // It is well mixed.
        let slot = &mut self.slots[hasher.finish() as usize % Self::SLOTS];
        if slot.target != target || slot.site != site {
            for (held, new) in [(&mut slot.target, target), (&mut slot.site, site)] {
                held.clear();
                held.push_str(new);
            }
            slot.key = ObjectKey::new(site, target);
        }
        slot.key
    }
}

#[cfg(test)]
mod tests;
