//! Keys of zones, one a file, and what the parent zone is told of them.
//!
//! A key signs all of its zone (a CSK, RFC 6781 section 3.1). A zone with two
//! keys is signed with both, and its parent is asked to know both: that is how
//! keys roll over.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use data_encoding::{BASE64, HEXLOWER};
use ring::digest;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use thiserror::Error;

use super::ALGORITHM;

/// The file's frame (RFC 7468 section 10).
const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";
/// A zone's key that is an entry point, protocol 3 (RFC 4034 section 2.1).
const DNSKEY_HEAD: [u8; 4] = [1, 1, 3, ALGORITHM];
/// SHA-256 (RFC 4509).
const DIGEST: u8 = 2;
/// Keys of one zone: two while they roll over, and two to spare.
const KEYS_MAX: usize = 4;
/// What others than the owner and his group may do with a file.
const OTHERS: u32 = 0o007;

/// A zone's key.
#[derive(Debug)]
pub struct Key {
    /// What it signs with.
    pub(crate) pair: EcdsaKeyPair,
    /// The DNSKEY record's data.
    pub(crate) dnskey: Vec<u8>,
    /// The key's tag (RFC 4034 appendix B).
    pub tag: u16,
    /// Its file.
    pub file: PathBuf,
}

/// Why a key can't be used or made.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The file or folder can't be read or written.
    #[error("{file}: {1}", file = .0.display())]
    File(PathBuf, #[source] io::Error),
    /// The file isn't a key.
    #[error(
        "{file}: isn't a private key for ECDSA with P-256 (PKCS#8 in PEM); make one with `kingcdn \
         dns keys`", file = .0.display()
    )]
    NoKey(PathBuf),
    /// Everybody on this machine can read it.
    #[error("{file}: others can read or write it; `chmod 600` it", file = .0.display())]
    Exposed(PathBuf),
    /// More than a zone ever needs.
    #[error("{file}: `{1}` has more than {KEYS_MAX} keys; remove the oldest", file = .0.display())]
    TooMany(PathBuf, String),
    /// The system gives no random numbers.
    #[error("no random numbers for a key")]
    Random,
}

/// Makes a key for a zone, in a file of its own that nobody else may read.
///
/// # Errors
///
/// If the file can't be written.
pub fn make(zone: &str, folder: &Path) -> Result<Key, KeyError> {
    let random = SystemRandom::new();
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
        .map_err(|_| KeyError::Random)?;
    let mut key = read(document.as_ref(), folder).ok_or(KeyError::Random)?;
    fs::create_dir_all(folder).map_err(|error| KeyError::File(folder.to_owned(), error))?;
    key.file = folder.join(format!("{}{:05}.pem", stem(zone), key.tag));
    let mut text = format!("{BEGIN}\n");
    for line in BASE64.encode(document.as_ref()).as_bytes().chunks(64) {
        text.push_str(&String::from_utf8_lossy(line));
        text.push('\n');
    }
    text.push_str(END);
    text.push('\n');
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let written = options.open(&key.file).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|error| KeyError::File(key.file.clone(), error))?;
    Ok(key)
}

/// The keys of a zone in a folder, by the files' names.
///
/// # Errors
///
/// If the folder or one of them can't be read, or isn't a key.
pub fn of_zone(zone: &str, folder: &Path) -> Result<Vec<Key>, KeyError> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |error| KeyError::File(path, error)
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(at(folder))? {
        let path = entry.map_err(at(folder))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let tag = name.strip_prefix(&stem(zone)).and_then(|rest| rest.strip_suffix(".pem"));
        if tag.is_some_and(|tag| tag.bytes().all(|octet| octet.is_ascii_digit())) {
            files.push(path);
        }
    }
    if files.len() > KEYS_MAX {
        return Err(KeyError::TooMany(folder.to_owned(), zone.to_owned()));
    }
    files.sort();
    files.into_iter().map(|file| load(&file)).collect()
}

/// What a key's file name begins with, as `dnssec-keygen` would call it.
fn stem(zone: &str) -> String {
    format!("K{}.+{ALGORITHM:03}+", zone.trim_end_matches('.').to_ascii_lowercase())
}

fn load(file: &Path) -> Result<Key, KeyError> {
    let at = |error| KeyError::File(file.to_owned(), error);
    if fs::metadata(file).map_err(at)?.mode() & OTHERS != 0 {
        return Err(KeyError::Exposed(file.to_owned()));
    }
    let text = fs::read_to_string(file).map_err(at)?;
    let inside = text.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END));
    let base64: Option<String> =
        inside.map(|(inside, _)| inside.split_ascii_whitespace().collect());
    let document = base64.and_then(|text| BASE64.decode(text.as_bytes()).ok());
    let key = document.and_then(|document| read(&document, file));
    key.ok_or_else(|| KeyError::NoKey(file.to_owned()))
}

fn read(document: &[u8], file: &Path) -> Option<Key> {
    let random = SystemRandom::new();
    let pair =
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document, &random).ok()?;
    // An uncompressed point begins with 4, which DNS leaves out (RFC 6605 section 4).
    let point = pair.public_key().as_ref().strip_prefix(&[4])?;
    let dnskey = [&DNSKEY_HEAD, point].concat();
    Some(Key { tag: tag(&dnskey), dnskey, pair, file: file.to_owned() })
}

/// RFC 4034 appendix B.
fn tag(dnskey: &[u8]) -> u16 {
    let sum: u32 = dnskey
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => u32::from(*high) << 8 | u32::from(*low),
            [high] => u32::from(*high) << 8,
            _ => 0,
        })
        .sum();
    #[allow(clippy::cast_possible_truncation)] // As the RFC has it.
    let tag = (sum + (sum >> 16)) as u16;
    tag
}

impl Key {
    /// The DS record of a zone for this key, to be handed to the parent zone.
    pub fn ds(&self, zone: &str) -> String {
        let labels = zone.trim_end_matches('.').split('.').filter(|label| !label.is_empty());
        let mut owner = Vec::new();
        for label in labels {
            owner.push(u8::try_from(label.len()).unwrap_or(0));
            owner.extend(label.to_ascii_lowercase().bytes());
        }
        owner.push(0);
        let digest = HEXLOWER.encode(&self.digest(&owner));
        let zone = zone.trim_end_matches('.');
        format!("{zone}. IN DS {} {ALGORITHM} {DIGEST} {digest}", self.tag)
    }

    /// The DS record's data (RFC 4034 section 5.1).
    pub(crate) fn ds_data(&self, owner: &[u8]) -> Vec<u8> {
        let [high, low] = self.tag.to_be_bytes();
        [&[high, low, ALGORITHM, DIGEST][..], &self.digest(owner)].concat()
    }

    fn digest(&self, owner: &[u8]) -> Vec<u8> {
        let digest = digest::digest(&digest::SHA256, &[owner, &self.dnskey].concat());
        digest.as_ref().to_vec()
    }
}
