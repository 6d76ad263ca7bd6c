//! Request fields in which a client says what only a proxy knows, or what request it would rather
//! have made: some origins believe them. None is part of a key, so whoever sends one to an origin
//! whose answer is shared would choose what others get.
//!
//! Names are compared in lower case, with `_` for `-` too: through CGI and its kin both arrive as
//! the same variable.

/// What the edge says itself, or nobody.
const SPOKEN_FOR: [&str; 13] = [
    "client-ip",
    "forwarded",
    "front-end-https",
    "true-client-ip",
    "x-client-ip",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-forwarded-scheme",
    "x-forwarded-server",
    "x-forwarded-ssl",
    "x-real-ip",
];

/// What makes some origins answer another request than the one that was made.
const STEERING: [&str; 15] = [
    "base-url",
    // CGI's HTTP_PROXY is where its scripts send requests of their own.
    "proxy",
    "proxy-host",
    "request-uri",
    "x-backend-host",
    "x-host",
    "x-http-host-override",
    "x-http-method",
    "x-method-override",
    "x-middleware-subrequest",
    "x-proxy-url",
    "x-request-uri",
    "x-script-name",
    "x-url-scheme",
    "x-wap-profile",
];

/// As [`STEERING`], whatever follows.
const STEERING_FAMILIES: [&str; 6] =
    ["x-forwarded-", "x-http-method-", "x-http-path-", "x-original-", "x-rewrite-", "x-override-"];

/// Whether only the edge says this: a client's is never sent on.
pub fn is_spoken_for(name: &str) -> bool {
    with_name(name, |name| SPOKEN_FOR.contains(&name))
}

/// Whether this may change what an origin answers, though it is part of no key: a client's isn't
/// sent where others get the answer.
pub fn steers(name: &str) -> bool {
    with_name(name, |name| {
        STEERING.contains(&name) || STEERING_FAMILIES.iter().any(|family| name.starts_with(family))
    })
}

fn with_name(name: &str, test: impl Fn(&str) -> bool) -> bool {
    if name.bytes().any(|byte| byte == b'_' || byte.is_ascii_uppercase()) {
        test(&name.to_ascii_lowercase().replace('_', "-"))
    } else {
        test(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hearsay_is_known_in_every_spelling() {
        for name in ["x-forwarded-host", "X-Forwarded-Host", "x_forwarded_host", "HTTP-X"] {
            assert_eq!(is_spoken_for(name), name != "HTTP-X", "{name}");
        }
        for (name, expected) in [
            ("x-forwarded-path", true),
            ("x_original_url", true),
            ("X-HTTP-Method-Override", true),
            ("x-rewrite-url", true),
            ("x-hosted", false),
            ("accept", false),
            ("x-device", false),
        ] {
            assert_eq!(steers(name), expected, "{name}");
        }
    }
}
