//! How a site's requests become cache keys, as the file says.

use crate::{CookieName, FieldName, ParameterPattern};

/// `[site.key]`: which requests of a site mean the same object.
///
/// The default is site, path and query, byte by byte. Whatever is taken out of the key isn't sent to
/// the origin either when an object is fetched: otherwise one client could choose, by what only the
/// origin sees, what all others get.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SiteKey {
    /// Which parameters of the query count.
    pub query: QueryKey,
    /// Whether parameters count in the order of their names. Those of one name keep their order.
    pub query_sort: bool,
    /// Fields whose values belong to the key, each once.
    pub headers: Vec<FieldName>,
    /// Cookies whose values belong to the key, each once.
    pub cookies: Vec<CookieName>,
    /// Whether capitals in the path are small letters.
    pub ignore_case: bool,
}

/// Which parameters of a query belong to the key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum QueryKey {
    /// All.
    #[default]
    All,
    /// None: the query doesn't count.
    None,
    /// Those alone. At least one.
    Keep(Vec<ParameterPattern>),
    /// All but those. At least one.
    Drop(Vec<ParameterPattern>),
}
