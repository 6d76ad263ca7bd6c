//! The access log, as the edge hands it to whoever writes it.

use std::net::IpAddr;
use std::sync::Arc;

use http::Uri;

/// Takes one line for each request that was answered, on the thread that answered it: it should
/// not wait for anything.
pub type AccessLog = Arc<dyn Fn(&Line<'_>) + Send + Sync>;

/// What is told of a request.
#[derive(Debug)]
pub struct Line<'a> {
    /// Whose it is.
    pub site: &'a str,
    /// Who asked.
    pub client: IpAddr,
    /// How.
    pub method: &'a str,
    /// For what.
    pub uri: &'a Uri,
    /// The answer's status.
    pub status: u16,
    /// What the cache did: `hit`, `miss` and so on.
    pub cache: &'static str,
    /// Why.
    pub reason: &'static str,
    /// Body bytes handed over.
    pub bytes: u64,
    /// Microseconds from the request's head to the last byte handed over.
    pub micros: u64,
    /// Whether the client got all of it.
    pub complete: bool,
}
