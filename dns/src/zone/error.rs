//! What can be wrong with a zone or the location database.

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

use crate::dnssec::keys::KeyError;
use crate::tls::TlsFault;
use crate::transfer::SecretError;

/// A zone or database that can't be served, and where.
#[derive(Debug, Error)]
#[error("{}: {fault}; {}", Place(.file, *.line), .fault.remedy())]
pub struct ZoneError {
    /// The file.
    pub file: PathBuf,
    /// The line, counted from 1, where one is to blame.
    pub line: Option<usize>,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with a zone or database.
#[derive(Debug, Error)]
pub enum Fault {
    /// The file can't be read.
    #[error("can't be read: {0}")]
    Unreadable(String),
    /// The file is larger than a zone file may be.
    #[error("has more than {0} MiB")]
    TooLarge(u64),
    /// `$INCLUDE` in an included file, in an included file …
    #[error("includes files more than {0} deep")]
    IncludedTooDeep(usize),
    /// An opened quote or parenthesis without its end.
    #[error("`{0}` is never closed")]
    Unclosed(char),
    /// A closing parenthesis without its beginning.
    #[error("`)` without `(`")]
    Unopened,
    /// A directive that isn't one of ours.
    #[error("unknown directive `{0}`")]
    Directive(String),
    /// A record without an owner: the first line begins with a blank.
    #[error("the record has no owner")]
    NoOwner,
    /// A record without a time to live, and none to inherit.
    #[error("the record has no time to live")]
    NoTtl,
    /// A time to live that is none.
    #[error("`{0}` isn't a time to live")]
    Ttl(String),
    /// A class that isn't IN.
    #[error("the class is {0}")]
    Class(String),
    /// A record without a type.
    #[error("the record has no type")]
    NoType,
    /// A type that can't be served.
    #[error("`{0}` isn't a record type that can be served")]
    Type(String),
    /// A name that is none.
    #[error("`{name}` isn't a name: {reason}")]
    Name {
        /// The text.
        name: String,
        /// Why it is none.
        reason: String,
    },
    /// Record data that its type doesn't have.
    #[error("bad {rtype} record: {reason}")]
    Data {
        /// The type.
        rtype: String,
        /// Why.
        reason: String,
    },
    /// A key of the zone's that can't be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A secondary's secret that can't be used.
    #[error(transparent)]
    Secret(SecretError),
    /// A name outside the zone.
    #[error("`{0}` isn't in the zone")]
    OutOfZone(String),
    /// No SOA record at the apex.
    #[error("the zone has no SOA record")]
    NoSoa,
    /// An SOA record too many, or not at the apex.
    #[error("an SOA record beyond the one at the apex")]
    StraySoa,
    /// No NS record at the apex.
    #[error("the zone has no NS record")]
    NoNs,
    /// A name below one with a DNAME record.
    #[error("`{0}` is below a name with a DNAME record")]
    BelowDname(String),
    /// A name that is an alias and has other records too.
    #[error("`{0}` is an alias (CNAME) and has other records")]
    AliasAndMore(String),
    /// A delegation that a wildcard would multiply.
    #[error("NS records at a wildcard")]
    WildcardDelegation,
    /// Two zones of one name.
    #[error("the zone `{0}` is given twice")]
    Twice(String),
    /// A certificate or key that can't be used.
    #[error(transparent)]
    Tls(TlsFault),
    /// The location database isn't one.
    #[error("isn't a location database: {0}")]
    Database(String),
}

impl Fault {
    /// What to do about it.
    pub fn remedy(&self) -> String {
        match self {
            Self::Unreadable(_) => "check the path and that this user may read the file",
            Self::TooLarge(_) => "split the zone",
            Self::IncludedTooDeep(_) => "look for a file that includes itself",
            Self::Unclosed('"') => "close the quote, or write \\\" for a quote itself",
            Self::Unclosed(_) => "add the closing `)`",
            Self::Unopened => "remove it, or add the opening `(`",
            Self::Directive(_) => "only $ORIGIN, $TTL and $INCLUDE are known",
            Self::NoOwner => "begin the line with a name, or with @ for the zone itself",
            Self::NoTtl => "add `$TTL 3600` as the first line",
            Self::Ttl(_) => "write seconds, or a number with s, m, h, d or w",
            Self::Class(_) => "only IN is served: remove the class",
            Self::NoType => "add the type, such as A, before the data",
            Self::Type(_) => "remove the record, or check the type's spelling",
            Self::Name { .. } => "labels have at most 63 characters, names 255",
            Self::Data { .. } => "correct the record's data",
            Self::Key(_) => "mend or remove it, or remove `keys` from `[dns.dnssec]`",
            Self::Secret(_) => "mend it, or remove the secondary",
            Self::OutOfZone(_) => "remove it, or check for a final dot too many or too few",
            Self::NoSoa => {
                return "add one: `@ SOA ns1 hostmaster 1 1h 10m 1w 1m`".to_owned();
            }
            Self::StraySoa => "keep only the SOA record of the zone itself",
            Self::NoNs => "add the zone's name servers: `@ NS ns1`",
            Self::BelowDname(_) => "keep either the DNAME record or the names below it",
            Self::AliasAndMore(_) => "keep either the CNAME record or the others",
            Self::WildcardDelegation => "delegate each name by itself",
            Self::Twice(_) => "keep one of them",
            Self::Tls(fault) => fault.remedy(),
            Self::Database(_) => {
                "give a city database in MaxMind's format (.mmdb), or one of `kingcdn geo build`"
            }
        }
        .to_owned()
    }
}

/// `file:line`, or `file` alone.
struct Place<'a>(&'a PathBuf, Option<usize>);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            Some(line) => write!(f, "{}:{line}", self.0.display()),
            None => write!(f, "{}", self.0.display()),
        }
    }
}
