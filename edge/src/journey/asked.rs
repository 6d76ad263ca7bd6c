//! What an origin is asked for a request.

use std::sync::Arc;

use http::header::{HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Request, Uri};

use super::Visit;
use crate::caching::{self, ETag, Forward};
use crate::collapse::{Kind, Place, Wish};
use crate::fetch::{Fetch, Supply};
use crate::forward::{self, Hop};
use crate::store::Object;
use crate::upstream::RequestBody;
use crate::wanted::Wanted;

impl Visit {
    /// What the origin is asked past the cache.
    pub(super) fn passing(
        &self,
        parts: &Parts,
        body: RequestBody,
        why: Forward,
    ) -> Request<RequestBody> {
        let mut request = Request::new(body);
        *request.method_mut() = parts.method.clone();
        // A write goes where the client said; a part or a HEAD is of the same object as the whole.
        let target = if why == Forward::Method { &self.target } else { &self.object };
        *request.uri_mut() = Uri::from(target.clone());
        *request.headers_mut() = match self.site.upstream.host() {
            Some(_) => forward::pass(&parts.headers, self.hop(&self.site.fetch_host)),
            None => forward::pass(&parts.headers, self.hop(&self.host)),
        };
        request
    }

    /// What others may want, too: all of the object, or a part.
    pub(super) fn wish(
        &self,
        client: &HeaderMap,
        place: Option<Place>,
        variant: Option<u64>,
    ) -> Wish<'_> {
        let kind = Kind::of(client, place.is_some());
        let (site, target) = (&*self.site.name, self.object.as_str());
        Wish { key: &self.key, kind, place, variant, site, target }
    }

    /// What it takes to fetch what is `wanted` of the object.
    pub(super) fn fetch(&self, parts: &Parts, held: Vec<Arc<Object>>, wanted: Wanted) -> Fetch {
        let (range, place) = match wanted {
            Wanted::Whole | Wanted::Little => (None, None),
            Wanted::Part(range) => (Some(range), None),
            Wanted::Shared(range, place) => (Some(range), Some(place)),
        };
        let mut upstream = forward::fetch(&parts.headers, self.hop(&self.site.fetch_host));
        if held.is_empty() && range.is_none() {
            forward::ask_about_the_clients_copy(&mut upstream, &parts.headers);
        }
        let variant = variant(parts, &held);
        Fetch {
            site: Arc::clone(&self.site),
            key: self.key,
            target: self.object.clone(),
            client: parts.headers.clone(),
            upstream,
            range,
            place,
            variant,
            held,
            interims: None,
        }
    }

    /// What it takes to fetch slices of the object that `etag` names.
    pub(super) fn supply(&self, parts: &Parts, etag: ETag) -> Supply {
        Supply {
            node: Arc::clone(&self.node),
            site: Arc::clone(&self.site),
            key: self.key,
            target: self.object.clone(),
            client: parts.headers.clone(),
            upstream: forward::fetch(&parts.headers, self.hop(&self.site.fetch_host)),
            etag,
        }
    }

    pub(super) fn hop<'a>(&'a self, host: &'a HeaderValue) -> Hop<'a> {
        let (node, via, trace) = (&self.node.name, &self.node.via, self.trace.as_ref());
        Hop { client: self.client.address, host, node, via, trace }
    }
}

/// Which variant a request is for, going by what is held.
pub(super) fn variant(parts: &Parts, held: &[Arc<Object>]) -> Option<u64> {
    let request = caching::Request { method: &parts.method, headers: &parts.headers };
    held.first().and_then(|object| object.terms.variant_of(request))
}
