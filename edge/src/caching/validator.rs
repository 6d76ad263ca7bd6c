//! Validators (RFC 9110 section 8.8).

use http::HeaderValue;

/// An entity tag (RFC 9110 section 8.8.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ETag(HeaderValue);

impl ETag {
    /// As a field value.
    pub fn as_header_value(&self) -> &HeaderValue {
        &self.0
    }
}
