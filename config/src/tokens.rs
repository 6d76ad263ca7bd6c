//! Names out of HTTP: of fields, cookies, query parameters and protocols, and why a text is none.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use crate::Refusal;

/// The longest of these names.
const NAME_MAX: usize = 128;

/// The name of a header field, in lower case (RFC 9110 section 5.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FieldName(Arc<str>);

/// The name of a cookie, in its own case (RFC 6265 section 4.1.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CookieName(Arc<str>);

/// One query parameter, or all whose names begin alike: `page`, `utm_*`.
///
/// It is compared byte by byte with what stands in the URL: nothing is decoded, so that `%70age`
/// isn't `page`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ParameterPattern {
    start: Arc<str>,
    /// Whether more may follow.
    open: bool,
}

/// A protocol to which a connection may switch, in lower case (RFC 9110 section 7.8).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UpgradeProtocol(Arc<str>);

impl FieldName {
    /// Reads a field's name; capitals become small letters.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        check_token(text)?;
        Ok(Self(text.to_ascii_lowercase().into()))
    }

    /// The name's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl CookieName {
    /// Reads a cookie's name.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        check_token(text)?;
        Ok(Self(text.into()))
    }

    /// The name's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl UpgradeProtocol {
    /// Protocols that carry HTTP: whoever speaks one through the edge gets past its rules.
    const OF_HTTP: [&str; 5] = ["h2", "h2c", "http", "https", "tls"];

    /// Reads a protocol's name; capitals become small letters.
    pub fn parse(text: &str) -> Result<Self, UpgradeError> {
        check_token(text)?;
        let text = text.to_ascii_lowercase();
        if Self::OF_HTTP.contains(&text.as_str()) {
            return Err(UpgradeError::Http(text));
        }
        Ok(Self(text.into()))
    }

    /// The name's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ParameterPattern {
    /// Reads a pattern.
    pub fn parse(text: &str) -> Result<Self, ParameterError> {
        let (start, open) = match text.strip_suffix('*') {
            Some(start) => (start, true),
            None => (text, false),
        };
        match start {
            "" if open => return Err(ParameterError::All),
            "" => return Err(ParameterError::Empty),
            _ => {}
        }
        if start.contains('*') {
            return Err(ParameterError::Star(text.to_owned()));
        }
        // What can stand between `?` or `&` and `=`, as RFC 3986 section 3.4 lets it be written.
        let fits = |c: char| c.is_ascii_alphanumeric() || "-._~%!$'()+,;:@/?[]|".contains(c);
        if let Some(character) = start.chars().find(|c| !fits(*c)) {
            return Err(ParameterError::Character { text: text.to_owned(), character });
        }
        if start.len() > NAME_MAX {
            return Err(ParameterError::TooLong(start.len()));
        }
        Ok(Self { start: start.into(), open })
    }

    /// Whether a parameter of this name is meant.
    pub fn matches(&self, name: &str) -> bool {
        if self.open { name.starts_with(&*self.start) } else { name == &*self.start }
    }
}

/// RFC 9110 section 5.6.2
fn check_token(text: &str) -> Result<(), TokenError> {
    if text.is_empty() {
        return Err(TokenError::Empty);
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if let Some(character) = text.chars().find(|c| !fits(*c)) {
        return Err(TokenError::Character { text: text.to_owned(), character });
    }
    if text.len() > NAME_MAX {
        return Err(TokenError::TooLong(text.len()));
    }
    Ok(())
}

/// Why a text is no [`FieldName`] or [`CookieName`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TokenError {
    /// There is no text.
    #[error("the name is empty")]
    Empty,
    /// A character that such names don't have.
    #[error("`{text}` has a character that such names don't have: {character:?}")]
    Character {
        /// The whole text.
        text: String,
        /// The first such character.
        character: char,
    },
    /// A name of more than 128 characters.
    #[error("the name has {0} characters")]
    TooLong(usize),
}

/// Why a text is no [`UpgradeProtocol`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UpgradeError {
    /// It can't be a protocol's name.
    #[error(transparent)]
    Name(#[from] TokenError),
    /// It is HTTP again.
    #[error("`{0}` would carry requests past the edge's rules")]
    Http(String),
}

/// Why a text is no [`ParameterPattern`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ParameterError {
    /// There is no text.
    #[error("the name is empty")]
    Empty,
    /// A lone star.
    #[error("`*` means every parameter")]
    All,
    /// A star that isn't at the end.
    #[error("`{0}` has a `*` that isn't at its end")]
    Star(String),
    /// A character that can't stand in a parameter's name.
    #[error("`{text}` has a character that names in a URL don't have: {character:?}")]
    Character {
        /// The whole text.
        text: String,
        /// The first such character.
        character: char,
    },
    /// A name of more than 128 characters.
    #[error("the name has {0} characters")]
    TooLong(usize),
}

impl Refusal for TokenError {
    fn help(&self) -> String {
        match self {
            Self::Empty => "write a name".to_owned(),
            Self::Character { .. } => {
                "write the name alone, such as `X-Device` or `lang`".to_owned()
            }
            Self::TooLong(_) => format!("a name has at most {NAME_MAX} characters"),
        }
    }
}

impl Refusal for UpgradeError {
    fn help(&self) -> String {
        match self {
            Self::Name(TokenError::Character { .. }) => {
                "write the protocol's name alone, without a version, such as `websocket`".to_owned()
            }
            Self::Name(error) => error.help(),
            Self::Http(_) => "remove it from the list".to_owned(),
        }
    }
}

impl Refusal for ParameterError {
    fn help(&self) -> String {
        match self {
            Self::Empty => "write a name, or `utm_*` for all that begin so".to_owned(),
            Self::All => r#"write `query = "all"` or `query = "none"` instead"#.to_owned(),
            Self::Star(text) => {
                let start = text.split('*').next().unwrap_or_default();
                let start = if start.is_empty() { "utm_" } else { start };
                format!("write `{start}*` for all that begin so, or each by its name")
            }
            Self::Character { .. } => {
                "write the name as it stands in the URL, percent-encoded where it is there"
                    .to_owned()
            }
            Self::TooLong(_) => format!("a name has at most {NAME_MAX} characters"),
        }
    }
}

impl fmt::Display for FieldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for CookieName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ParameterPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.start)?;
        if self.open { f.write_str("*") } else { Ok(()) }
    }
}

impl fmt::Display for UpgradeProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
