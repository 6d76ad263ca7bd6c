//! Dates in fields (RFC 9110 section 5.6.7).

use std::time::{Duration, UNIX_EPOCH};

use http::HeaderValue;
use kingcdn_config::clock::Timestamp;

/// `moment` as IMF-fixdate, for `Date` and the like. Moments before 1970 become 1970.
pub fn format(moment: Timestamp) -> HeaderValue {
    let secs = u64::try_from(moment.as_secs()).unwrap_or(0).min(253_402_300_799);
    let text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(secs));
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("0"))
}
