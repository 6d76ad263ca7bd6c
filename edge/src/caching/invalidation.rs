//! What a write makes useless (RFC 9111 section 4.4).

use http::header::{CONTENT_LOCATION, LOCATION};
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, StatusCode, Uri};

/// The methods that IANA's registry calls safe. All others may have changed something, also those
/// that nobody knows.
const SAFE: [&str; 9] =
    ["GET", "HEAD", "OPTIONS", "TRACE", "PRI", "PROPFIND", "QUERY", "REPORT", "SEARCH"];

/// Whether an answer with `status` to `method` invalidates what is stored for the request's URI
/// and for [`targets`].
pub fn invalidates(method: &Method, status: StatusCode) -> bool {
    let changes = !SAFE.contains(&method.as_str());
    changes && (status.is_success() || status.is_redirection())
}

/// The further URIs that such an answer invalidates: those in Location and Content-Location, where
/// they are of the same origin as `target`, the request's absolute URI. Otherwise anybody could
/// invalidate what isn't his.
pub fn targets(target: &Uri, headers: &HeaderMap) -> Vec<PathAndQuery> {
    [LOCATION, CONTENT_LOCATION]
        .iter()
        .filter_map(|name| headers.get(name)?.to_str().ok())
        .filter_map(|reference| resolve(target, reference.trim()))
        .collect()
}

/// Path and query of `reference` as seen from `base` (RFC 3986 section 5.2); `None` where it is
/// invalid or of another origin.
fn resolve(base: &Uri, reference: &str) -> Option<PathAndQuery> {
    let reference = reference.split_once('#').map_or(reference, |(uri, _)| uri);
    if let Some(scheme) = scheme_of(reference) {
        let of_base = base.scheme_str()?;
        let hierarchy = &reference[scheme.len() + 1..];
        return scheme.eq_ignore_ascii_case(of_base).then(|| on_same_authority(base, hierarchy))?;
    }
    if reference.starts_with("//") {
        return on_same_authority(base, reference);
    }
    let (path, query) = match reference.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (reference, None),
    };
    match path {
        "" => path_and_query(base.path(), query.or(base.query())),
        absolute if absolute.starts_with('/') => path_and_query(absolute, query),
        relative => {
            let folder = base.path().rsplit_once('/').map_or("", |(folder, _)| folder);
            path_and_query(&format!("{folder}/{relative}"), query)
        }
    }
}

/// The scheme that a reference begins with, if it has one.
fn scheme_of(reference: &str) -> Option<&str> {
    let (scheme, _) = reference.split_once(':')?;
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    let valid = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(letters);
    valid.then_some(scheme)
}

/// Path and query of `//authority/path?query`, if the authority is the base's.
fn on_same_authority(base: &Uri, hierarchy: &str) -> Option<PathAndQuery> {
    let rest = hierarchy.strip_prefix("//")?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    let authority: http::uri::Authority = authority.parse().ok()?;
    let held = base.authority()?;
    let default_port = match base.scheme_str() {
        Some("https") => 443,
        _ => 80,
    };
    let port = |authority: &http::uri::Authority| authority.port_u16().unwrap_or(default_port);
    if !authority.host().eq_ignore_ascii_case(held.host()) || port(&authority) != port(held) {
        return None;
    }
    match rest.split_once('?') {
        Some((path, query)) => path_and_query(path, Some(query)),
        None => path_and_query(rest, None),
    }
}

fn path_and_query(path: &str, query: Option<&str>) -> Option<PathAndQuery> {
    let path = without_dots(path);
    let text = match query {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    PathAndQuery::try_from(text).ok()
}

/// RFC 3986 section 5.2.4.
fn without_dots(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    let mut rest = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
    while let Some(segment) = rest.next() {
        let is_last = rest.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    segments.pop();
                }
                // A folder's name ends with a slash.
                if is_last {
                    segments.push("");
                }
            }
            _ => segments.push(segment),
        }
    }
    format!("/{}", segments.join("/"))
}

#[cfg(test)]
mod tests;
