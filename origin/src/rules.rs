//! What a file's name says about it: its media type and how long caches may keep it.

use std::collections::BTreeMap;

use http::HeaderValue;

/// Media type by the ending of a lower-case file name.
const MEDIA_TYPES: &[(&str, &str)] = &[
    (".aac", "audio/aac"),
    (".avif", "image/avif"),
    (".css", "text/css; charset=utf-8"),
    (".gif", "image/gif"),
    (".htm", "text/html; charset=utf-8"),
    (".html", "text/html; charset=utf-8"),
    (".ico", "image/vnd.microsoft.icon"),
    (".jpeg", "image/jpeg"),
    (".jpg", "image/jpeg"),
    (".js", "text/javascript; charset=utf-8"),
    (".json", "application/json"),
    (".m3u8", "application/vnd.apple.mpegurl"),
    (".m4a", "audio/mp4"),
    (".m4s", "video/iso.segment"),
    (".m4v", "video/mp4"),
    (".mjs", "text/javascript; charset=utf-8"),
    (".mp3", "audio/mpeg"),
    (".mp4", "video/mp4"),
    (".mpd", "application/dash+xml"),
    (".ogg", "audio/ogg"),
    (".pdf", "application/pdf"),
    (".png", "image/png"),
    (".svg", "image/svg+xml"),
    (".ts", "video/mp2t"),
    (".txt", "text/plain; charset=utf-8"),
    (".vtt", "text/vtt; charset=utf-8"),
    (".wasm", "application/wasm"),
    (".webm", "video/webm"),
    (".webmanifest", "application/manifest+json"),
    (".webp", "image/webp"),
    (".woff2", "font/woff2"),
    (".xml", "application/xml"),
];

/// `Cache-Control` by the ending of a lower-case file name, where the operator doesn't say.
///
/// A segment's name stands for its bytes for ever; a manifest may name new segments any moment.
const CACHE_CONTROL: &[(&str, &str)] = &[
    ("", "public, max-age=60"),
    (".m3u8", "public, max-age=4"),
    (".m4s", "public, max-age=31536000, immutable"),
    (".mpd", "public, max-age=4"),
    (".ts", "public, max-age=31536000, immutable"),
];

/// The media type of a file, as `Content-Type` says it.
pub(crate) fn media_type(file_name: &str) -> &'static str {
    MEDIA_TYPES
        .iter()
        .find(|(ending, _)| file_name.ends_with(ending))
        .map_or("application/octet-stream", |(_, media_type)| media_type)
}

/// Which `Cache-Control` goes with which file.
#[derive(Debug)]
pub(crate) struct CacheRules(BTreeMap<String, HeaderValue>);

/// A rule whose value can't be sent in a header field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InvalidRule {
    pub(crate) ending: String,
    pub(crate) value: String,
}

impl CacheRules {
    /// The built-in rules, and the operator's in their place or beside them.
    ///
    /// # Errors
    /// The first rule that can't be sent.
    pub(crate) fn new(operators: &BTreeMap<String, String>) -> Result<Self, InvalidRule> {
        let built_in = CACHE_CONTROL
            .iter()
            .map(|&(ending, value)| (ending.to_owned(), HeaderValue::from_static(value)));
        let mut rules: BTreeMap<String, HeaderValue> = built_in.collect();
        for (ending, value) in operators {
            let value = HeaderValue::from_str(value)
                .map_err(|_| InvalidRule { ending: ending.clone(), value: value.clone() })?;
            rules.insert(ending.to_ascii_lowercase(), value);
        }
        Ok(Self(rules))
    }

    /// The value for this file: of the rules that fit its name, the longest ending decides.
    pub(crate) fn cache_control(&self, file_name: &str) -> Option<HeaderValue> {
        self.0
            .iter()
            .filter(|(ending, _)| file_name.ends_with(ending.as_str()))
            .max_by_key(|(ending, _)| ending.len())
            .map(|(_, value)| value.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_ending_decides_and_the_operator_replaces() {
        let operators = [(".mpd", "no-cache"), (".MP4", "max-age=5"), (".live.mpd", "no-store")];
        let operators = operators.map(|(ending, value)| (ending.to_owned(), value.to_owned()));
        let rules = CacheRules::new(&BTreeMap::from(operators)).unwrap();
        for (name, expected) in [
            ("a.mpd", "no-cache"),
            ("a.live.mpd", "no-store"),
            ("a.mp4", "max-age=5"),
            ("a.m3u8", "public, max-age=4"),
            ("a.m4s", "public, max-age=31536000, immutable"),
            ("index.html", "public, max-age=60"),
            ("m4s", "public, max-age=60"),
        ] {
            assert_eq!(rules.cache_control(name).unwrap(), expected, "{name}");
        }
    }

    #[test]
    fn a_rule_that_would_split_the_header_is_an_error() {
        let operators = BTreeMap::from([(".x".to_owned(), "a\r\nb: c".to_owned())]);
        let invalid = CacheRules::new(&operators).unwrap_err();
        assert_eq!(invalid.ending, ".x");
    }

    #[test]
    fn every_ending_is_found_and_the_unknown_are_bytes() {
        for (ending, media_type_of_ending) in MEDIA_TYPES {
            assert_eq!(media_type(&format!("a{ending}")), *media_type_of_ending);
        }
        for name in ["makefile", "html", "a.xyz", ".mpd~", ""] {
            assert_eq!(media_type(name), "application/octet-stream", "{name}");
        }
    }
}
