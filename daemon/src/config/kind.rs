//! What may be written for a key, and the check of one value against it.
//!
//! Used by the shape check for every value of the tree, so that whoever builds `Settings` from a
//! checked tree only meets values that parse. Each fault says what is wrong and what to write.

use std::net::SocketAddr;

use ipnet::IpNet;
use toolgate_protocol::decimal::Decimal;
use toolgate_protocol::json;
use toolgate_protocol::key;

use super::tree::{Node, Value};
use super::units;
use crate::identity::rights::Whole;

/// What may be written for a key.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// The version of the format: 1.
    Version,
    /// `true` or `false`.
    Bool,
    /// A whole number from the first to the second.
    Count(u64, u64),
    /// A duration; the bounds are seconds, and a lower bound of 1 means: not zero.
    Duration(u64, u64),
    /// Bytes, from the first to the second.
    Size(u64, u64),
    /// A share or a multiple, such as `80%`, from the first to the second.
    Percent(u64, u64),
    /// A share of calls, such as `10%` or `0.5%`.
    Share,
    /// Calls per time.
    Rate,
    /// Calls per day or month.
    Quota,
    /// A day of the calendar.
    Date,
    /// Any text that is not empty.
    Text,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// `IP:PORT`.
    Address,
    /// `IP/PREFIX`, or an address for itself alone.
    Network,
    /// A host name or address, without scheme and port.
    Host,
    /// `https://host[:port]`.
    Origin,
    /// `http://…` or `https://…`.
    Url,
    /// The same, or a table with it.
    Endpoint,
    /// A path of the file system.
    Path,
    /// A PEM file: `file:PATH`, or the path alone; never a credential.
    Certificate,
    /// `credential:NAME`, `file:PATH`, `env:NAME`, or a literal.
    Secret,
    /// `sha256:` and 64 hexadecimal digits.
    Hash,
    /// Text with `*` and `?`.
    Pattern,
    /// A number in decimal, with or without a fraction.
    Number,
    /// A string, a number, true or false.
    Scalar,
    /// A JSON pointer (RFC 6901).
    Pointer,
    /// A regular expression.
    Expression,
    /// A header's value, or `false`.
    HeaderValue,
    /// A log level or filter directives.
    Level,
    /// A way to identify oneself.
    Auth,
    /// A cipher suite.
    Cipher,
    /// How a rate is counted.
    Algorithm,
    /// The name of an entry of this section.
    Reference(&'static str),
    /// A list; a single value stands for a list of one.
    List(&'static Kind),
    /// A list of tables with the keys of this pattern.
    Tables(&'static str),
}

/// What is wrong with a value, and what to write instead.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) message: String,
    pub(crate) help: String,
}

fn fault(message: impl Into<String>, help: impl Into<String>) -> Result<(), Fault> {
    Err(Fault { message: message.into(), help: help.into() })
}

impl Kind {
    /// The kind in a sentence: "this must be …".
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Version => "1".into(),
            Self::Bool => "true or false".into(),
            Self::Count(low, high) => format!("a whole number from {low} to {high}"),
            Self::Duration(..) => "a duration, such as \"30s\"".into(),
            Self::Size(..) => "a size, such as \"10MiB\"".into(),
            Self::Percent(low, high) => format!("a percentage from \"{low}%\" to \"{high}%\""),
            Self::Share => "a share, such as \"10%\" or \"0.5%\"".into(),
            Self::Rate => "calls per time, such as \"100/min\"".into(),
            Self::Quota => "calls per day or month, such as \"10000/day\"".into(),
            Self::Date => "a day, such as \"2026-11-27\"".into(),
            Self::OneOf(words) => format!("one of {}", quoted(words)),
            Self::Address => "an address and a port, such as \"127.0.0.1:8080\"".into(),
            Self::Network => "a network, such as \"10.0.0.0/8\"".into(),
            Self::Host => "a host name, such as \"mcp.example.org\"".into(),
            Self::Origin => "an origin, such as \"https://app.example.org\"".into(),
            Self::Url => "a URL, such as \"http://127.0.0.1:3001/mcp\"".into(),
            Self::Endpoint => "a URL, such as \"http://127.0.0.1:3001/mcp\", or a table with url and weight".into(),
            Self::Path => "a path".into(),
            Self::Certificate => "a file, such as \"file:/etc/toolgate/tls/fullchain.pem\"".into(),
            Self::Secret => "a reference to a secret, such as \"credential:NAME\"".into(),
            Self::Hash => "\"sha256:\" and 64 hexadecimal digits".into(),
            Self::Pattern => "a pattern, such as \"read_*\"".into(),
            Self::Number => "a number, such as 1000 or 0.5".into(),
            Self::Scalar => "a string, a number, true or false".into(),
            Self::Pointer => "a JSON pointer, such as \"/amount\"".into(),
            Self::Expression => "a regular expression, such as \"DE[0-9]{20}\"".into(),
            Self::HeaderValue => "a header's value, or false".into(),
            Self::Level => "a log level, such as \"info\"".into(),
            Self::Auth => "\"key\", \"jwt\", \"certificate\", \"address\" or \"none\"".into(),
            Self::Cipher => "a cipher suite, such as \"ECDHE-RSA-AES128-GCM-SHA256\"".into(),
            Self::Algorithm => "\"token-bucket\" or \"sliding-window\"".into(),
            Self::Text => "a string".into(),
            Self::Reference(section) => format!("the name of a {section}"),
            Self::List(element) => format!("a list, each element {}", element.describe()),
            Self::Tables(_) => "a list of tables".into(),
        }
    }

    /// Checks one scalar; lists are walked by the caller.
    pub(super) fn check(&self, node: &Node) -> Result<(), Fault> {
        match (self, &node.value) {
            (Self::Version, Value::Integer(1))
            | (Self::Bool, Value::Bool(_))
            | (Self::HeaderValue, Value::Bool(false))
            | (Self::Endpoint, Value::Table(_))
            | (Self::Scalar, Value::Text(_) | Value::Bool(_))
            | (Self::Number | Self::Scalar, Value::Integer(_)) => Ok(()),
            (Self::Number | Self::Scalar, Value::Decimal(number)) => decimal(number),
            (Self::Version, _) => fault(
                "this version reads format 1 only",
                "write `version = 1`, or install the version that the file was written for",
            ),
            (Self::Count(low, high), Value::Integer(number)) => count(*number, *low, *high),
            (Self::Size(low, high), Value::Integer(number)) => count(*number, *low, *high)
                .map_err(|fault| Fault { message: format!("{} bytes", fault.message), ..fault }),
            (Self::Duration(..), Value::Integer(_)) => {
                fault("a duration needs its unit", "write it as a string with a unit, such as \"30s\" or \"500ms\"")
            }
            (Self::OneOf(words), Value::Integer(_) | Value::Decimal(_)) if words.contains(&"1.2") => {
                fault("a TLS version is written as a string", "write \"1.2\" or \"1.3\", with the quotes")
            }
            (_, Value::Text(text)) if !matches!(self, Self::Bool | Self::Count(..) | Self::Number) => {
                self.check_text(text)
            }
            (_, value) => fault(
                format!("this is {}, and must be {}", value.describe(), self.describe()),
                match self {
                    Self::Bool => "write true or false without quotes",
                    Self::Count(..) | Self::Number if matches!(value, Value::Text(_)) => {
                        "write the number without quotes"
                    }
                    Self::Count(..) => "write a whole number",
                    Self::Number => "write a number",
                    _ => "write it as a string, in quotes",
                },
            ),
        }
    }

    fn check_text(&self, text: &str) -> Result<(), Fault> {
        match self {
            Self::Duration(low, high) => check_duration(text, *low, *high),
            Self::Size(low, high) => match units::size(text) {
                Ok(bytes) => count(i128::from(bytes), *low, *high),
                Err(help) => fault(format!("{text:?} is not a size"), help),
            },
            Self::Percent(low, high) => match units::percent(text) {
                Ok(number) => count(i128::from(number), *low, *high),
                Err(help) => fault(format!("{text:?} is not a percentage"), help),
            },
            Self::Share => units::share(text).map(drop).or_else(|help| fault(format!("{text:?} is not a share"), help)),
            Self::Rate => units::rate(text).map(drop).or_else(|help| fault(format!("{text:?} is not a rate"), help)),
            Self::Quota => units::quota(text).map(drop).or_else(|help| fault(format!("{text:?} is not a quota"), help)),
            Self::Date => units::date(text).map(drop).or_else(|help| fault(format!("{text:?} is not a day"), help)),
            Self::OneOf(words) => one_of(text, words),
            Self::Algorithm => one_of(text, &["token-bucket", "sliding-window"]),
            Self::Auth => one_of(text, &["key", "jwt", "certificate", "address", "none"]),
            Self::Address => address(text),
            Self::Network => network(text).map(drop),
            Self::Host => host(text),
            Self::Origin => {
                super::url::origin(text).map(drop).or_else(|help| fault(format!("{text:?} is not an origin"), help))
            }
            Self::Url | Self::Endpoint => {
                super::url::endpoint(text).map(drop).or_else(|help| fault("this is not the URL of a server", help))
            }
            Self::Certificate => certificate(text),
            Self::Hash => hash(text).map(drop),
            Self::Cipher => cipher(text),
            Self::Level => level(text),
            Self::HeaderValue => match http::HeaderValue::from_str(text) {
                Ok(_) => Ok(()),
                Err(_) => fault(
                    "a header's value cannot hold control characters",
                    "remove line ends and other control characters",
                ),
            },
            Self::Pointer => match json::Pointer::parse(text) {
                Ok(_) => Ok(()),
                Err(problem) => fault(
                    format!("{text:?} is no JSON pointer: {problem}"),
                    "write such as \"/amount\" or \"/items/0/price\"",
                ),
            },
            Self::Expression => Whole::new(text).map(drop).or_else(|problem| {
                fault(
                    format!("{text:?} is no regular expression: {problem}"),
                    "it has to match all of the string; look-around and back-references do not exist",
                )
            }),
            Self::Secret | Self::Pattern | Self::Path | Self::Text | Self::Reference(_) if text.is_empty() => {
                fault("this is empty", format!("write {}, or remove the line", self.describe()))
            }
            _ => Ok(()),
        }
    }
}

fn quoted(words: &[&str]) -> String {
    words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ")
}

fn count(number: i128, low: u64, high: u64) -> Result<(), Fault> {
    if (i128::from(low)..=i128::from(high)).contains(&number) {
        return Ok(());
    }
    let what = if number < i128::from(low) { "too small" } else { "too large" };
    fault(format!("{number} is {what}"), format!("write a number from {low} to {high}"))
}

fn check_duration(text: &str, low: u64, high: u64) -> Result<(), Fault> {
    match units::duration(text) {
        Err(help) => fault(format!("{text:?} is not a duration"), help),
        Ok(duration) if duration.is_zero() && low > 0 => {
            fault("this duration may not be zero", "write at least \"1ms\"")
        }
        Ok(duration) if duration.as_secs() > high || (duration.as_secs() == high && duration.subsec_nanos() > 0) => {
            fault(format!("{text:?} is too long"), format!("write at most \"{high}s\""))
        }
        Ok(_) => Ok(()),
    }
}

fn one_of(text: &str, words: &[&str]) -> Result<(), Fault> {
    if words.contains(&text) {
        return Ok(());
    }
    let help = match super::nearest(text, words.iter().copied()) {
        Some(near) => format!("did you mean \"{near}\"? It must be one of {}", quoted(words)),
        None => format!("write one of {}", quoted(words)),
    };
    fault(format!("{text:?} is not known here"), help)
}

fn address(text: &str) -> Result<(), Fault> {
    if text.parse::<SocketAddr>().is_ok() {
        return Ok(());
    }
    let help = match text.split_once(':') {
        Some((host, port)) if port.contains(':') || host.starts_with('[') => {
            "write an IPv6 address in brackets, such as \"[::1]:8080\"".into()
        }
        Some(("" | "*", port)) => format!("write \"0.0.0.0:{port}\" and \"[::]:{port}\" for all addresses"),
        Some(("localhost", port)) => format!("write \"127.0.0.1:{port}\" or \"[::1]:{port}\""),
        None => "add the port, such as \"127.0.0.1:8080\"".into(),
        Some(_) => "write an IP address and a port, such as \"127.0.0.1:8080\"; names are not resolved here".into(),
    };
    fault(format!("{text:?} is not an address with a port"), help)
}

/// A network; an address alone is the network of itself.
pub(crate) fn network(text: &str) -> Result<IpNet, Fault> {
    let help = "write an address and the length of its prefix, such as \"10.0.0.0/8\" or \"2001:db8::/32\"";
    let wrong = || Fault { message: format!("{text:?} is not a network"), help: help.into() };
    let network: IpNet = match text.parse() {
        Ok(network) => network,
        Err(_) => {
            return text.parse::<std::net::IpAddr>().map(IpNet::from).map_err(|_| wrong());
        }
    };
    if network.addr() != network.network() {
        let message = format!("{text:?} has bits beyond its prefix");
        return Err(Fault { message, help: format!("write \"{}\", or a longer prefix", network.trunc()) });
    }
    Ok(network)
}

fn host(text: &str) -> Result<(), Fault> {
    let address = text.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>().is_ok();
    let name = !text.is_empty() && text.len() <= 253 && text.split('.').all(label);
    if address || name {
        return Ok(());
    }
    fault(
        format!("{text:?} is not a host name"),
        "write the name alone, without scheme, port and path, such as \"mcp.example.org\"",
    )
}

fn label(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 63
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

fn certificate(text: &str) -> Result<(), Fault> {
    if text.starts_with("credential:") {
        return fault(
            "a certificate cannot be a credential",
            "write \"file:PATH\": systemd hands credentials over at the start only, so a renewed certificate would not be seen",
        );
    }
    if text.starts_with("env:") {
        return fault(
            "a certificate cannot come from the environment",
            "write \"file:PATH\", so that a renewed one is seen",
        );
    }
    if text.is_empty() || text == "file:" {
        return fault("the path is missing", "write \"file:PATH\"");
    }
    Ok(())
}

/// A number as TOML writes it that JSON has as well.
fn decimal(text: &str) -> Result<(), Fault> {
    let number = text.trim_start_matches('+');
    let exponent = number.split(['e', 'E']).nth(1).map_or(0, |digits| digits.trim_start_matches(['+', '-']).len());
    if Decimal::parse(number.as_bytes()).is_some() && exponent <= 9 {
        return Ok(());
    }
    fault(
        format!("{text} is no number that an argument could be compared with"),
        "write it with at most nine digits of exponent",
    )
}

/// The bytes of `sha256:HEX`.
pub(super) fn hash(text: &str) -> Result<[u8; 32], Fault> {
    key::parse_hash(text).map_err(|message| Fault {
        message: message.into(),
        help: "run `toolgate key create`, and paste the lines that it prints; the key itself does not belong here"
            .into(),
    })
}

/// The suites that rustls has, in OpenSSL's and in IANA's words.
const SUITES: &[&str] = &[
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
];

fn cipher(text: &str) -> Result<(), Fault> {
    if SUITES.contains(&text) {
        return Ok(());
    }
    let gone = "remove it: every client since 2013 has a suite with AES-GCM or ChaCha20-Poly1305, and those are always offered";
    if text.contains(':') {
        return fault(
            "a list in OpenSSL's notation is not understood",
            "write a list of names, such as [\"ECDHE-RSA-AES128-GCM-SHA256\"], or remove the key",
        );
    }
    if text.contains("RC4") || text.contains("DES") || text.starts_with("DHE") || text.starts_with("AES") {
        return fault(format!("{text:?} has no forward secrecy or is broken, and rustls does not have it"), gone);
    }
    let old = text.contains("CBC") || (text.contains("SHA") && !text.contains("GCM") && !text.contains("POLY"));
    if old {
        return fault(format!("{text:?} is a CBC suite, and rustls has none"), gone);
    }
    fault(format!("rustls has no suite {text:?}"), format!("write some of {}, or remove the key", SUITES.join(", ")))
}

fn level(text: &str) -> Result<(), Fault> {
    match tracing_subscriber::EnvFilter::builder().parse(text) {
        Ok(_) if !text.trim().is_empty() && known_levels(text) => Ok(()),
        _ => fault(
            format!("{text:?} is not a log level"),
            "write error, warn, info, debug or trace, or directives such as \"info,toolgated::listen=debug\"",
        ),
    }
}

/// A bare word that is not a level would be taken for the name of a module and silence all others.
fn known_levels(text: &str) -> bool {
    let levels = ["error", "warn", "info", "debug", "trace", "off"];
    text.split(',').all(|directive| {
        directive.contains('=')
            || directive.contains("::")
            || levels.contains(&directive.trim().to_ascii_lowercase().as_str())
    })
}
