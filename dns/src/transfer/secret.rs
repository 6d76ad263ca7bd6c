//! A secret that a secondary and we share, in a file as `tsig-keygen` writes it.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use hickory_proto::rr::Name;
use ring::hmac;
use thiserror::Error;

use crate::name::Key;

/// The longest file.
const FILE_BYTES: u64 = 16 << 10;
/// The shortest secret: as long as RFC 2104 section 3 wants it at least, half of what it makes.
const SECRET_BYTES: usize = 16;
/// What others than the owner and his group may do with a file.
const OTHERS: u32 = 0o007;

/// A key of hmac-sha256 with its name.
#[derive(Debug)]
pub(crate) struct Secret {
    pub(crate) name: Key,
    pub(crate) key: hmac::Key,
}

/// Why a secret can't be used.
#[derive(Debug, Error)]
pub enum SecretError {
    /// The file can't be read.
    #[error("{file}: {1}", file = .0.display())]
    File(PathBuf, #[source] io::Error),
    /// Everybody on this machine can read it.
    #[error("{file}: others can read or write it; `chmod 640` it", file = .0.display())]
    Exposed(PathBuf),
    /// The file isn't a key.
    #[error(
        "{file}: {1}; make it with `tsig-keygen -a hmac-sha256 NAME`, and give the secondary the \
         same", file = .0.display()
    )]
    NoSecret(PathBuf, &'static str),
}

impl Secret {
    /// Reads a file.
    pub(crate) fn load(file: &Path) -> Result<Self, SecretError> {
        let at = |error| SecretError::File(file.to_owned(), error);
        let metadata = fs::metadata(file).map_err(at)?;
        if metadata.mode() & OTHERS != 0 {
            return Err(SecretError::Exposed(file.to_owned()));
        }
        if !metadata.is_file() || metadata.len() > FILE_BYTES {
            return Err(SecretError::NoSecret(file.to_owned(), "it isn't a key's file"));
        }
        let text = fs::read_to_string(file).map_err(at)?;
        Self::parse(&text).map_err(|why| SecretError::NoSecret(file.to_owned(), why))
    }

    /// `key "name" { algorithm hmac-sha256; secret "base64"; };`
    fn parse(text: &str) -> Result<Self, &'static str> {
        let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
        let text = lines.collect::<Vec<_>>().join(" ").replace(['{', '}', ';', '"'], " ");
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let behind = |word: &str| {
            let at = words.iter().position(|known| known.eq_ignore_ascii_case(word))?;
            words.get(at + 1).copied()
        };
        let [Some("key"), Some(name)] = [words.first(), words.get(1)].map(Option::<&&str>::copied)
        else {
            return Err("it doesn't begin with `key` and a name");
        };
        if !behind("algorithm").is_some_and(|word| word.eq_ignore_ascii_case("hmac-sha256")) {
            return Err("its algorithm isn't hmac-sha256");
        }
        let secret = behind("secret").and_then(|text| BASE64.decode(text.as_bytes()).ok());
        let secret = secret.ok_or("its secret isn't in base 64")?;
        if secret.len() < SECRET_BYTES {
            return Err("its secret is too short");
        }
        let name = Name::from_ascii(name).ok().and_then(|name| Key::new(&name));
        let name = name.ok_or("its name isn't a domain name")?;
        Ok(Self { name, key: hmac::Key::new(hmac::HMAC_SHA256, &secret) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tsig_keygen_writes_is_read() {
        let good = "key \"Backup.example\" {\n\talgorithm hmac-sha256;\n\tsecret \
                    \"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\";\n};\n";
        let secret = Secret::parse(good).unwrap();
        assert_eq!(secret.name.name().to_ascii(), "backup.example.");
        let remarked = format!("# of the backup\n{good}");
        assert!(Secret::parse(&remarked).is_ok());
        for (from, to, why) in [
            ("key ", "", "it doesn't begin"),
            ("sha256", "md5", "algorithm"),
            ("MDEy", "M*Ey", "base 64"),
            ("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", "MDEyMw==", "too short"),
            ("secret", "nothing", "base 64"),
        ] {
            let error = Secret::parse(&good.replacen(from, to, 1)).unwrap_err();
            assert!(error.contains(why), "{error}: {why}");
        }
    }
}
