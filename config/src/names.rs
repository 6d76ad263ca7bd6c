//! Names: labels, domain names and mailboxes, and why a text is none.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use thiserror::Error;

use crate::Refusal;

/// The longest label (RFC 1035 section 2.3.4).
const LABEL_MAX: usize = 63;
/// The longest name as text without the final dot: 255 octets on the wire (RFC 1035 section 2.3.4).
const NAME_MAX: usize = 253;

/// One DNS label in lower case: letters, digits and inner hyphens, at most 63 (RFC 1123
/// section 2.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Label(Arc<str>);

/// A host or zone name in lower case without the final dot: labels of letters, digits, hyphens and
/// underscores, at most 253 characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DomainName(Arc<str>);

/// A mailbox, `user@host`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// What stands before the `@`.
    pub user: String,
    /// What stands after it.
    pub host: DomainName,
}

impl Label {
    /// Reads a label; capitals become small letters.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.contains('.') {
            return Err(NameError::Dot(text.to_owned()));
        }
        check_label(text, text, false)?;
        Ok(Self(text.to_ascii_lowercase().into()))
    }

    /// The label's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl DomainName {
    /// Reads a name; capitals become small letters and a final dot is dropped.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let name = text.strip_suffix('.').unwrap_or(text);
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        if text.contains("://") {
            return Err(NameError::Url(text.to_owned()));
        }
        // A last label of digits alone is no name but an address (RFC 3696 section 2).
        let last = name.rsplit('.').next().unwrap_or(name);
        if text.parse::<IpAddr>().is_ok() || last.bytes().all(|b| b.is_ascii_digit()) {
            return Err(NameError::Address(text.to_owned()));
        }
        if let Some((host, port)) = name.rsplit_once(':')
            && port.bytes().all(|b| b.is_ascii_digit())
        {
            return Err(NameError::Port { text: text.to_owned(), host: host.to_owned() });
        }
        if name.starts_with("*.") {
            return Err(NameError::Wildcard(text.to_owned()));
        }
        if name.len() > NAME_MAX {
            return Err(NameError::NameTooLong(name.len()));
        }
        for label in name.split('.') {
            check_label(label, text, true)?;
        }
        Ok(Self(name.to_ascii_lowercase().into()))
    }

    /// `<label>.<self>`, unless that is too long for a name.
    pub fn below(&self, label: &Label) -> Result<Self, NameError> {
        Self::parse(&format!("{label}.{self}"))
    }

    /// The name's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Mailbox {
    /// Reads `user@host`.
    pub fn parse(text: &str) -> Result<Self, MailboxError> {
        let Some((user, host)) = text.rsplit_once('@') else {
            return Err(MailboxError::NoAt(text.to_owned()));
        };
        // The user becomes one label of the SOA record (RFC 1035 section 8).
        let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'@' | b'"' | b'\\');
        if user.is_empty() || user.len() > LABEL_MAX || !user.bytes().all(plain) {
            return Err(MailboxError::User(text.to_owned()));
        }
        Ok(Self {
            user: user.to_owned(),
            host: DomainName::parse(host).map_err(MailboxError::Host)?,
        })
    }
}

/// Whether `label`, a part of `text`, may stand in a name.
fn check_label(label: &str, text: &str, underscore: bool) -> Result<(), NameError> {
    let text = || text.to_owned();
    if label.is_empty() {
        return Err(NameError::EmptyLabel(text()));
    }
    if !label.is_ascii() {
        return Err(NameError::NotAscii(text()));
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || (underscore && c == '_');
    if let Some(character) = label.chars().find(|c| !allowed(*c)) {
        return Err(NameError::Character { text: text(), character });
    }
    if label.len() > LABEL_MAX {
        return Err(NameError::LabelTooLong(label.len()));
    }
    if label.starts_with('-') || label.ends_with('-') {
        return Err(NameError::Hyphen(text()));
    }
    Ok(())
}

/// Why a text is no [`Label`] or no [`DomainName`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NameError {
    /// There is no text.
    #[error("the name is empty")]
    Empty,
    /// A name of several labels where one is wanted.
    #[error("`{0}` has a dot: one label is wanted here")]
    Dot(String),
    /// Two dots in a row, or one in front.
    #[error("`{0}` has an empty label")]
    EmptyLabel(String),
    /// Letters outside ASCII.
    #[error("`{0}` has letters outside ASCII")]
    NotAscii(String),
    /// A character that names don't have.
    #[error("`{text}` has a character that names don't have: {character:?}")]
    Character {
        /// The whole name.
        text: String,
        /// The first such character.
        character: char,
    },
    /// A label that begins or ends with a hyphen.
    #[error("`{0}` has a label that begins or ends with a hyphen")]
    Hyphen(String),
    /// A label of more than 63 characters.
    #[error("a label has {0} characters")]
    LabelTooLong(usize),
    /// A name of more than 253 characters.
    #[error("the name has {0} characters")]
    NameTooLong(usize),
    /// An address.
    #[error("`{0}` is an address, not a name")]
    Address(String),
    /// A name with a port.
    #[error("`{text}` has a port: only the name is wanted here")]
    Port {
        /// The text.
        text: String,
        /// What stands before the port.
        host: String,
    },
    /// A URL.
    #[error("`{0}` is a URL: only the name is wanted here")]
    Url(String),
    /// A wildcard.
    #[error("`{0}` is a wildcard: every name stands by itself here")]
    Wildcard(String),
}

/// Why a text is no [`Mailbox`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MailboxError {
    /// Nothing parts user and host.
    #[error("`{0}` has no `@`")]
    NoAt(String),
    /// What stands before the `@` can't be a label of an SOA record.
    #[error("`{0}` has no usable user before the `@`")]
    User(String),
    /// What stands after it is no name.
    #[error(transparent)]
    Host(NameError),
}

impl Refusal for NameError {
    fn help(&self) -> String {
        match self {
            Self::Empty => "write a name".to_owned(),
            Self::Dot(text) => {
                let first = text.split('.').find(|label| !label.is_empty());
                format!("write one label, such as `{}`", first.unwrap_or("www"))
            }
            Self::EmptyLabel(_) => "remove the superfluous dot".to_owned(),
            Self::NotAscii(_) => "write its ASCII form, with labels of `xn--…`".to_owned(),
            Self::Character { .. } => "use letters, digits and hyphens".to_owned(),
            Self::Hyphen(_) => "begin and end each label with a letter or a digit".to_owned(),
            Self::LabelTooLong(_) => format!("a label has at most {LABEL_MAX} characters"),
            Self::NameTooLong(_) => format!("a name has at most {NAME_MAX} characters"),
            Self::Address(_) => "write a name, such as `www.example.net`".to_owned(),
            Self::Port { host, .. } => format!("write `{host}`"),
            Self::Url(text) => {
                let host = text.split("://").nth(1).unwrap_or_default();
                let host = host.split(['/', ':', '?', '#']).next().unwrap_or_default();
                format!("write `{host}`")
            }
            Self::Wildcard(_) => "list the names one by one".to_owned(),
        }
    }
}

impl Refusal for MailboxError {
    fn help(&self) -> String {
        match self {
            Self::NoAt(_) | Self::User(_) => "write `user@host`".to_owned(),
            Self::Host(error) => error.help(),
        }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.user, self.host)
    }
}
