//! How single values are read: one function a kind, each with its own wrong types and bounds.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use toml::de::DeValue;

use crate::reader::{Fault, a_kind, did_you_mean};
use crate::{CookieName, DomainName, FieldName, Label, Location, Mailbox, OriginUrl};
use crate::{NegativeTtl, ParameterPattern, Refusal, Region, UpgradeProtocol, units};

pub(crate) fn label(value: &DeValue<'_>) -> Result<Label, Fault> {
    text(value, "a name", r#""seoul""#, Label::parse)
}

pub(crate) fn domain_name(value: &DeValue<'_>) -> Result<DomainName, Fault> {
    text(value, "a name", r#""www.example.net""#, DomainName::parse)
}

pub(crate) fn mailbox(value: &DeValue<'_>) -> Result<Mailbox, Fault> {
    let example = r#""hostmaster@example.net""#;
    text(value, "a mailbox", example, Mailbox::parse)
}

pub(crate) fn origin_url(value: &DeValue<'_>) -> Result<OriginUrl, Fault> {
    let example = r#""http://192.0.2.1:8000""#;
    text(value, "an origin's URL", example, OriginUrl::parse)
}

pub(crate) fn collector_url(value: &DeValue<'_>) -> Result<OriginUrl, Fault> {
    text(value, "a collector's URL", r#""http://127.0.0.1:4318""#, OriginUrl::parse)
}

pub(crate) fn field_name(value: &DeValue<'_>) -> Result<FieldName, Fault> {
    text(value, "a field's name", r#""X-Device""#, FieldName::parse)
}

pub(crate) fn cookie_name(value: &DeValue<'_>) -> Result<CookieName, Fault> {
    text(value, "a cookie's name", r#""lang""#, CookieName::parse)
}

pub(crate) fn upgrade_protocol(value: &DeValue<'_>) -> Result<UpgradeProtocol, Fault> {
    text(value, "a protocol's name", r#""websocket""#, UpgradeProtocol::parse)
}

pub(crate) fn parameter(value: &DeValue<'_>) -> Result<ParameterPattern, Fault> {
    text(value, "a parameter's name", r#""utm_*""#, ParameterPattern::parse)
}

/// An address, at `usual_port` where it names no other.
pub(crate) fn service(usual_port: u16) -> impl Fn(&DeValue<'_>) -> Result<SocketAddr, Fault> {
    move |value| {
        let parse = |text: &str| match text.parse::<IpAddr>() {
            Ok(ip) => Ok(SocketAddr::new(ip, usual_port)),
            Err(_) => units::address(text, usual_port),
        };
        text(value, "an address", r#""192.0.2.1""#, parse)
    }
}

/// An address with port; `usual_port` is the one that a remedy names.
pub(crate) fn address(usual_port: u16) -> impl Fn(&DeValue<'_>) -> Result<SocketAddr, Fault> {
    move |value| {
        let example = format!(r#""127.0.0.1:{usual_port}""#);
        let parse = |text: &str| units::address(text, usual_port);
        text(value, "an address with port", &example, parse)
    }
}

pub(crate) fn ip(value: &DeValue<'_>) -> Result<IpAddr, Fault> {
    text(value, "an IP address", r#""192.0.2.1""#, units::ip)
}

pub(crate) fn prefix(value: &DeValue<'_>) -> Result<IpNet, Fault> {
    text(value, "a network", r#""192.0.2.0/24""#, units::prefix)
}

pub(crate) fn path(value: &DeValue<'_>) -> Result<PathBuf, Fault> {
    match value.as_str() {
        Some(text) if !text.is_empty() && !text.contains(char::is_control) => {
            Ok(PathBuf::from(text))
        }
        Some(text) => Err(Fault {
            message: format!("`{}` is no path", text.escape_debug()),
            help: "write a path; a relative one begins at this file's folder".to_owned(),
        }),
        None => Err(wrong_kind(value, "a path", r#""some/file""#)),
    }
}

/// `[latitude, longitude]`.
pub(crate) fn location(value: &DeValue<'_>) -> Result<Location, Fault> {
    let wrong = || wrong_kind(value, "a place of two numbers", "[37.57, 126.98]");
    let DeValue::Array(degrees) = value else {
        return Err(wrong());
    };
    match &degrees[..] {
        [latitude, longitude] => {
            let latitude = number(latitude.get_ref()).ok_or_else(wrong)?;
            let longitude = number(longitude.get_ref()).ok_or_else(wrong)?;
            Ok(Location::new(latitude, longitude)?)
        }
        other => Err(Fault {
            message: format!("a place has two numbers, not {}", other.len()),
            help: "write latitude and longitude: `[37.57, 126.98]`".to_owned(),
        }),
    }
}

pub(crate) fn duration(
    bounds: RangeInclusive<Duration>,
) -> impl Fn(&DeValue<'_>) -> Result<Duration, Fault> {
    move |value| {
        let example = match value {
            DeValue::Integer(seconds) => format!(r#""{seconds}s""#),
            _ => r#""30s""#.to_owned(),
        };
        let duration = text(value, "a duration", &example, units::duration)?;
        within(value, duration, &bounds, units::format_duration)
    }
}

/// A duration of whole seconds.
pub(crate) fn seconds(
    bounds: RangeInclusive<Duration>,
) -> impl Fn(&DeValue<'_>) -> Result<Duration, Fault> {
    let parse = duration(bounds);
    move |value| {
        let duration = parse(value)?;
        if duration.subsec_nanos() == 0 {
            return Ok(duration);
        }
        Err(Fault {
            message: format!(
                "`{}` isn't a whole number of seconds",
                units::format_duration(duration)
            ),
            help: format!("write `{}s`", duration.as_secs().saturating_add(1)),
        })
    }
}

pub(crate) fn size(bounds: RangeInclusive<u64>) -> impl Fn(&DeValue<'_>) -> Result<u64, Fault> {
    move |value| {
        let size = text(value, "a size", r#""512 MiB""#, units::size)?;
        within(value, size, &bounds, units::format_size)
    }
}

/// A size that is counted in memory.
pub(crate) fn memory_size(
    bounds: RangeInclusive<u32>,
) -> impl Fn(&DeValue<'_>) -> Result<usize, Fault> {
    let parse = size(u64::from(*bounds.start())..=u64::from(*bounds.end()));
    move |value| parse(value).map(|size| usize::try_from(size).unwrap_or(usize::MAX))
}

pub(crate) fn count(bounds: RangeInclusive<u32>) -> impl Fn(&DeValue<'_>) -> Result<u32, Fault> {
    move |value| {
        let DeValue::Integer(integer) = value else {
            let example = bounds.start().to_string();
            return Err(wrong_kind(value, "a whole number", &example));
        };
        let number = u32::from_str_radix(integer.as_str(), integer.radix());
        match number {
            Ok(number) => within(value, number, &bounds, |number| number.to_string()),
            Err(_) => Err(out_of_range(value, &bounds, |number| number.to_string())),
        }
    }
}

/// A number of things held in memory.
pub(crate) fn quantity(
    bounds: RangeInclusive<u32>,
) -> impl Fn(&DeValue<'_>) -> Result<usize, Fault> {
    let parse = count(bounds);
    move |value| parse(value).map(|number| usize::try_from(number).unwrap_or(usize::MAX))
}

pub(crate) fn flag(value: &DeValue<'_>) -> Result<bool, Fault> {
    value.as_bool().ok_or_else(|| wrong_kind(value, "`true` or `false`", "true"))
}

/// Text without control characters, which would spoil the report.
pub(crate) fn plain_text<'v>(
    value: &'v DeValue<'_>,
    wanted: &str,
    example: &str,
) -> Result<&'v str, Fault> {
    let text = value.as_str().ok_or_else(|| wrong_kind(value, wanted, example))?;
    if text.chars().any(char::is_control) {
        return Err(Fault {
            message: format!("`{}` has control characters", text.escape_debug()),
            help: format!("write something like `{example}`"),
        });
    }
    Ok(text)
}

/// One of several words.
pub(crate) fn choice<T: Copy>(
    words: &[(&'static str, T)],
) -> impl Fn(&DeValue<'_>) -> Result<T, Fault> {
    move |value| {
        let all = || {
            let words: Vec<_> = words.iter().map(|(word, _)| format!("`\"{word}\"`")).collect();
            format!("write one of {}", words.join(", "))
        };
        let Some(text) = value.as_str() else {
            return Err(Fault {
                message: format!("a word is wanted here, not {}", a_kind(value)),
                help: all(),
            });
        };
        let found = words.iter().find(|(word, _)| *word == text);
        found.map(|(_, meaning)| *meaning).ok_or_else(|| Fault {
            message: format!("`{}` isn't one of the words known here", text.escape_debug()),
            help: did_you_mean(text, words.iter().map(|(word, _)| *word)).unwrap_or_else(all),
        })
    }
}

/// How long errors with `status`, one or a class of them, are fresh.
pub(crate) fn negative_ttl(
    status: &str,
    value: &DeValue<'_>,
    ttl: impl Fn(&DeValue<'_>) -> Result<Duration, Fault>,
) -> Result<NegativeTtl, Fault> {
    let statuses = match (status, status.parse::<u16>()) {
        ("4xx", _) => 400..=499,
        ("5xx", _) => 500..=599,
        // RFC 9110 section 15: exactly three digits. `+404` would be read, too.
        (_, Ok(one @ 400..=599)) if status.len() == 3 => one..=one,
        _ => {
            return Err(Fault {
                message: format!("`{}` is no status of an error", status.escape_debug()),
                help: "write a status from 400 to 599, or `4xx` or `5xx`".to_owned(),
            });
        }
    };
    Ok(NegativeTtl { statuses, ttl: ttl(value)? })
}

/// A `Cache-Control` field value for the file name ending `ending`.
pub(crate) fn cache_control(ending: &str, value: &DeValue<'_>) -> Result<String, Fault> {
    let example = r#"".m4s" = "max-age=31536000, immutable""#;
    let help = || format!("write `{example}`");
    if !ending.starts_with('.') || ending.contains('/') {
        return Err(Fault {
            message: format!("`{}` is no file name ending", ending.escape_debug()),
            help: help(),
        });
    }
    let field = value.as_str().ok_or_else(|| wrong_kind(value, "a field value", example))?;
    // RFC 9110 section 5.5, without obs-text.
    if field.trim() == field && field.bytes().all(|b| matches!(b, b' '..=b'~')) {
        Ok(field.to_owned())
    } else {
        Err(Fault {
            message: format!("`{}` can't be a field's value", field.escape_debug()),
            help: help(),
        })
    }
}

/// How often a second.
pub(crate) fn rate(bounds: RangeInclusive<u64>) -> impl Fn(&DeValue<'_>) -> Result<u64, Fault> {
    move |value| {
        let rate = text(value, "a rate", r#""5000/s""#, units::per_second)?;
        within(value, rate, &bounds, |rate| format!("{rate}/s"))
    }
}

/// Bits per second.
pub(crate) fn bit_rate(bounds: RangeInclusive<u64>) -> impl Fn(&DeValue<'_>) -> Result<u64, Fault> {
    move |value| {
        let rate = text(value, "a rate", r#""2 Gbit/s""#, units::bits_per_second)?;
        within(value, rate, &bounds, units::format_bits_per_second)
    }
}

/// A share of something.
pub(crate) fn share(bounds: RangeInclusive<f64>) -> impl Fn(&DeValue<'_>) -> Result<f64, Fault> {
    move |value| {
        let share = text(value, "a share", r#""80%""#, units::percent)?;
        within(value, share, &bounds, units::format_percent)
    }
}

pub(crate) fn country(value: &DeValue<'_>) -> Result<Region, Fault> {
    let code = value.as_str().and_then(|text| <[u8; 2]>::try_from(text.as_bytes()).ok());
    match code {
        Some(code) if code.iter().all(u8::is_ascii_uppercase) => Ok(Region::Country(code)),
        _ => Err(Fault {
            message: "a country is two capital letters (ISO 3166-1)".to_owned(),
            help: r#"write something like `"KR"`"#.to_owned(),
        }),
    }
}

pub(crate) fn continent(value: &DeValue<'_>) -> Result<Region, Fault> {
    let words = ["AF", "AN", "AS", "EU", "NA", "OC", "SA"];
    let continents = words.map(|word| (word, word.as_bytes()));
    choice(&continents)(value).map(|code| Region::Continent([code[0], code[1]]))
}

fn text<T, R: Refusal>(
    value: &DeValue<'_>,
    wanted: &str,
    example: &str,
    parse: impl Fn(&str) -> Result<T, R>,
) -> Result<T, Fault> {
    Ok(parse(plain_text(value, wanted, example)?)?)
}

fn wrong_kind(value: &DeValue<'_>, wanted: &str, example: &str) -> Fault {
    Fault {
        message: format!("{wanted} is wanted here, not {}", a_kind(value)),
        help: format!("write something like `{example}`"),
    }
}

/// An integer or a float as a number.
fn number(value: &DeValue<'_>) -> Option<f64> {
    match value {
        DeValue::Integer(integer) => {
            let number = i32::from_str_radix(integer.as_str(), integer.radix());
            Some(number.map_or(f64::INFINITY, f64::from))
        }
        DeValue::Float(float) => float.as_str().parse().ok(),
        _ => None,
    }
}

/// `read` from `value`, if it is within the bounds.
fn within<T: PartialOrd + Copy>(
    value: &DeValue<'_>,
    read: T,
    bounds: &RangeInclusive<T>,
    format: impl Fn(T) -> String,
) -> Result<T, Fault> {
    if bounds.contains(&read) { Ok(read) } else { Err(out_of_range(value, bounds, format)) }
}

fn out_of_range<T: Copy>(
    value: &DeValue<'_>,
    bounds: &RangeInclusive<T>,
    format: impl Fn(T) -> String,
) -> Fault {
    let written = match value {
        DeValue::Integer(integer) => integer.to_string(),
        other => other.as_str().unwrap_or_default().to_owned(),
    };
    let (least, greatest) = (format(*bounds.start()), format(*bounds.end()));
    Fault {
        message: format!("`{written}` is out of range"),
        help: format!("write a value from `{least}` to `{greatest}`"),
    }
}
