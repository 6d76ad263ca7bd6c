//! The cache key: which requests mean the same object.

use std::fmt;

/// Site, path and query of a request, as a digest.
///
/// 256 bits of BLAKE3: nobody can make two targets, be they of one site or of
/// two, that share a key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key([u8; 32]);

impl Key {
    /// The key of `target` (path and query, byte by byte as the client sent them) on `site`.
    pub(crate) fn new(site: &str, target: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(site.as_bytes());
        // A site's name is a label, it holds no NUL: no two pairs run together.
        hasher.update(&[0]);
        hasher.update(target.as_bytes());
        Self(*hasher.finalize().as_bytes())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in &self.0[..8] {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Key;

    #[test]
    fn only_site_and_target_together_name_an_object() {
        let key = Key::new("netcinema", "/film?part=1");
        assert_eq!(key, Key::new("netcinema", "/film?part=1"));
        for (site, target) in [
            ("netcinema", "/film?part=2"),
            ("netcinema", "/film"),
            ("netcinema", "/film?"),
            ("netcinema", "/Film?part=1"),
            ("netcinema", "/film?part=%31"),
            ("other", "/film?part=1"),
            ("netcinema/film", "?part=1"),
        ] {
            assert_ne!(key, Key::new(site, target), "{site} {target}");
        }
    }
}
