//! A condition: what an argument of a tool's call must be, or the call is refused.

use std::fmt;
use std::sync::Arc;

use regex::Regex;
use toolgate_protocol::decimal::Decimal;
use toolgate_protocol::json::{self, Found, Pointer, Span};

use super::scope::Scope;

/// A condition, compiled.
#[derive(Debug)]
pub struct Condition {
    /// The tools that it is about.
    pub tools: Scope,
    /// Where in the arguments its value stands.
    pub argument: Pointer,
    /// What the value must be; all of them hold.
    pub tests: Vec<Test>,
    /// A call without the argument passes.
    pub absent_passes: bool,
    /// What it is called where it decides, with the line that it stands in.
    pub rule: Arc<str>,
}

/// One that moved to another line is the same.
impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        let parts = |of: &Self| (of.tools.clone(), of.argument.clone(), of.absent_passes);
        parts(self) == parts(other) && self.tests == other.tests
    }
}

impl Eq for Condition {}

/// What a value must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// This.
    Equals(Scalar),
    /// One of these.
    OneOf(Vec<Scalar>),
    /// A string that matches as a whole.
    Matches(Whole),
    /// A number not above this one, in decimal.
    AtMost(Box<str>),
    /// A number not below this one, in decimal.
    AtLeast(Box<str>),
}

/// A value that a condition compares with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scalar {
    /// A string.
    Text(Box<str>),
    /// A number in decimal: equal to every number of the same value, however that is written.
    Number(Box<str>),
    /// True or false.
    Truth(bool),
}

/// A regular expression that has to match all of a string. It takes linear time, whatever the string.
#[derive(Debug, Clone)]
pub struct Whole {
    text: Box<str>,
    regex: Regex,
}

impl PartialEq for Whole {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Whole {}

/// What a condition says of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome<'c> {
    /// The value is what it must be.
    Holds,
    /// There is no value; whether that passes is the condition's.
    Absent {
        /// It does.
        passes: bool,
    },
    /// There is more than one, or one that some readers would not see.
    Ambiguous,
    /// The value is not what this wants.
    Fails(&'c Test),
}

impl Outcome<'_> {
    /// Whether the call passes.
    pub fn passes(self) -> bool {
        matches!(self, Self::Holds | Self::Absent { passes: true })
    }
}

impl Condition {
    /// What it says of arguments; `None` where the call has none.
    pub fn judge(&self, arguments: Option<(&[u8], Span)>) -> Outcome<'_> {
        let value = match arguments.map(|(text, span)| (text, self.argument.find(text, span))) {
            Some((text, Found::Value(value))) => value.of(text),
            Some((_, Found::Ambiguous)) => return Outcome::Ambiguous,
            Some((_, Found::Absent)) | None => return Outcome::Absent { passes: self.absent_passes },
        };
        self.tests.iter().find(|test| !test.holds(value)).map_or(Outcome::Holds, Outcome::Fails)
    }
}

impl Test {
    /// Whether it holds for a raw value of JSON.
    fn holds(&self, value: &[u8]) -> bool {
        match self {
            Self::Equals(wanted) => wanted.is(value),
            Self::OneOf(wanted) => wanted.iter().any(|wanted| wanted.is(value)),
            Self::Matches(whole) => string(value).is_some_and(|text| whole.regex.is_match(&text)),
            Self::AtMost(most) => numbers(value, most).is_some_and(|(value, most)| value <= most),
            Self::AtLeast(least) => numbers(value, least).is_some_and(|(value, least)| value >= least),
        }
    }
}

impl Scalar {
    fn is(&self, value: &[u8]) -> bool {
        match self {
            Self::Text(wanted) => string(value).is_some_and(|text| *text == **wanted),
            Self::Number(wanted) => numbers(value, wanted).is_some_and(|(value, wanted)| value == wanted),
            Self::Truth(wanted) => value == if *wanted { &b"true"[..] } else { b"false" },
        }
    }
}

/// The text of a string. One with half of a surrogate pair is read differently by different readers: it is nothing that
/// a condition could hold for.
fn string(value: &[u8]) -> Option<std::borrow::Cow<'_, str>> {
    (value.first() == Some(&b'"') && !json::has_lone_surrogate(value)).then(|| json::decode_str(value))
}

fn numbers<'v>(value: &'v [u8], bound: &'v str) -> Option<(Decimal<'v>, Decimal<'v>)> {
    Some((Decimal::parse(value)?, Decimal::parse(bound.as_bytes())?))
}

impl Whole {
    /// Compiles an expression.
    ///
    /// # Errors
    /// Why it is none, on one line.
    pub fn new(text: &str) -> Result<Self, String> {
        // By itself first: what only becomes an expression between the anchors would escape from them.
        let compile = |text: &str| regex::RegexBuilder::new(text).size_limit(1 << 20).build();
        let regex = compile(text).and_then(|_| compile(&format!(r"\A(?:{text})\z")));
        match regex {
            Ok(regex) => Ok(Self { text: text.into(), regex }),
            Err(regex::Error::CompiledTooBig(_)) => Err("it takes more than 1 MiB".to_owned()),
            Err(problem) => {
                let text = problem.to_string();
                let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it cannot be read");
                Err(last.trim().trim_start_matches("error: ").to_owned())
            }
        }
    }
}

/// What it wants, as the end of a sentence that begins with "it must be".
impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Equals(wanted) => write!(f, "{wanted}"),
            Self::OneOf(wanted) => {
                f.write_str("one of ")?;
                for (place, wanted) in wanted.iter().enumerate() {
                    write!(f, "{}{wanted}", if place == 0 { "" } else { ", " })?;
                }
                Ok(())
            }
            Self::Matches(whole) => write!(f, "a string like {}", json::encode_str(&whole.text)),
            Self::AtMost(most) => write!(f, "a number not above {most}"),
            Self::AtLeast(least) => write!(f, "a number not below {least}"),
        }
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(&json::encode_str(text)),
            Self::Number(text) => f.write_str(text),
            Self::Truth(truth) => write!(f, "{truth}"),
        }
    }
}

#[cfg(test)]
mod tests;
