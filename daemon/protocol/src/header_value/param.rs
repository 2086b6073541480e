//! `Mcp-Param-*`: which arguments of a tool are mirrored into headers, and whether a header mirrors one.
//! Called when a server's tools are learned, and for calls of tools that declare such headers.
//! Must hold: a schema that breaks a rule of the annotation is reported, so that the tool can be hidden.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use super::mirror::{Fault, HeaderMismatch};
use super::{decode, encode};
use crate::json::{self, Span};

/// The annotation's key.
const ANNOTATION: &str = "x-mcp-header";

/// The types whose values can be mirrored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamType {
    /// As it is.
    String,
    /// Decimal; compared numerically.
    Integer,
    /// `true` or `false`.
    Boolean,
}

/// An argument that a tool wants mirrored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderParam {
    /// The keys that lead to it from `arguments`.
    pub path: Vec<String>,
    /// The whole header name, `Mcp-Param-X`.
    pub header: String,
    /// Its declared type.
    pub kind: ParamType,
}

/// Why a tool's annotations are invalid; the tool must then be hidden from HTTP clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaFault {
    /// On something that is not reached through `properties` alone.
    Unreachable,
    /// Not a string that is a header name's token.
    Token,
    /// On a property that is not of type string, integer or boolean.
    Type,
    /// The same name, ignoring case, stands twice.
    Repeated,
}

impl fmt::Display for SchemaFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreachable => "x-mcp-header stands where properties alone do not lead",
            Self::Token => "x-mcp-header is not the token of a header name",
            Self::Type => "x-mcp-header stands on a property that is no string, integer or boolean",
            Self::Repeated => "two properties have the same x-mcp-header, ignoring case",
        })
    }
}

impl std::error::Error for SchemaFault {}

/// How the schemas below a keyword are held.
enum Nested {
    /// `properties`: the chain goes on.
    Properties,
    /// A map of schemas.
    Map,
    /// A schema or an array of schemas.
    Direct,
}

/// Keywords below which schemas stand. Values that only look like schemas (`default`, `enum`, ...) are data.
fn nested(keyword: &str) -> Option<Nested> {
    match keyword {
        "properties" => Some(Nested::Properties),
        "patternProperties" | "dependentSchemas" | "$defs" | "definitions" => Some(Nested::Map),
        "items"
        | "contains"
        | "unevaluatedItems"
        | "additionalProperties"
        | "additionalItems"
        | "propertyNames"
        | "unevaluatedProperties"
        | "not"
        | "if"
        | "then"
        | "else"
        | "contentSchema"
        | "allOf"
        | "anyOf"
        | "oneOf"
        | "prefixItems" => Some(Nested::Direct),
        _ => None,
    }
}

/// The arguments that a tool's `inputSchema` (validated JSON) wants mirrored.
///
/// # Errors
/// When any annotation breaks a rule; the specification wants the whole tool hidden then.
pub fn header_params(text: &[u8], schema: Span) -> Result<Vec<HeaderParam>, SchemaFault> {
    // Most schemas have none, and a search is cheaper than a walk. An escaped key would have to hold a backslash.
    let raw = schema.of(text);
    if memchr::memmem::find(raw, ANNOTATION.as_bytes()).is_none() && memchr::memchr(b'\\', raw).is_none() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    let mut open: Vec<(Option<Vec<String>>, Span)> = vec![(Some(Vec::new()), schema)];
    while let Some((path, schema)) = open.pop() {
        if let Some(annotation) = json::get(text, schema, ANNOTATION) {
            let param = annotated(text, schema, annotation, path.as_deref())?;
            if !seen.insert(param.header.to_ascii_lowercase()) {
                return Err(SchemaFault::Repeated);
            }
            found.push(param);
        }
        for member in json::members(text, schema) {
            let Some(nested) = nested(&json::decode_str(member.key.of(text))) else {
                continue;
            };
            descend(text, &nested, member.value, path.as_deref(), &mut open);
        }
    }
    found.reverse();
    Ok(found)
}

fn descend(
    text: &[u8],
    nested: &Nested,
    value: Span,
    path: Option<&[String]>,
    open: &mut Vec<(Option<Vec<String>>, Span)>,
) {
    match nested {
        Nested::Properties => open.extend(json::members(text, value).map(|property| {
            let name = json::decode_str(property.key.of(text)).into_owned();
            let path = path.map(|path| path.iter().cloned().chain([name]).collect());
            (path, property.value)
        })),
        Nested::Map => open.extend(json::members(text, value).map(|member| (None, member.value))),
        Nested::Direct if value.of(text).starts_with(b"[") => {
            open.extend(json::elements(text, value).map(|schema| (None, schema)));
        }
        Nested::Direct => open.push((None, value)),
    }
}

fn annotated(text: &[u8], schema: Span, annotation: Span, path: Option<&[String]>) -> Result<HeaderParam, SchemaFault> {
    let path = path.filter(|path| !path.is_empty()).ok_or(SchemaFault::Unreachable)?;
    let raw = annotation.of(text);
    let token = json::decode_str(raw);
    if !raw.starts_with(b"\"") || !is_token(&token) {
        return Err(SchemaFault::Token);
    }
    let kind = json::get(text, schema, "type").ok_or(SchemaFault::Type)?;
    let kind = [("string", ParamType::String), ("integer", ParamType::Integer), ("boolean", ParamType::Boolean)]
        .into_iter()
        .find(|(name, _)| json::str_eq(kind.of(text), name))
        .ok_or(SchemaFault::Type)?
        .1;
    Ok(HeaderParam { path: path.to_vec(), header: ["Mcp-Param-", &token].concat(), kind })
}

/// RFC 9110, 5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// The header value that mirrors an argument, or `None` when the call does not have it, has it as null, or has
/// something there that cannot be mirrored.
#[must_use]
pub fn param_value(param: &HeaderParam, text: &[u8], arguments: Option<Span>) -> Option<String> {
    let raw = argument(param, text, arguments?)?.of(text);
    Some(encode(&rendered(raw)?).into_owned())
}

/// Whether a header mirrors an argument of a call.
///
/// # Errors
/// When the argument has a value and the header is missing, malformed or different, or when the header is there and
/// the argument is not.
pub fn check_param(
    param: &HeaderParam,
    header: Option<&[u8]>,
    text: &[u8],
    arguments: Option<Span>,
) -> Result<(), HeaderMismatch> {
    let wrong = |fault| Err(HeaderMismatch::new(param.header.clone(), fault));
    let raw = arguments.and_then(|arguments| argument(param, text, arguments)).map(|value| value.of(text));
    match (raw.and_then(rendered), header) {
        (None, None) => Ok(()),
        (None, Some(_)) => wrong(Fault::Unfounded),
        (Some(_), None) => wrong(Fault::Missing),
        (Some(body), Some(header)) => match decode(header) {
            None => wrong(Fault::Malformed),
            Some(value) if value == body => Ok(()),
            Some(value) if param.kind == ParamType::Integer && same_integer(&value, &body) => Ok(()),
            Some(_) => wrong(Fault::Differs),
        },
    }
}

/// The argument at the parameter's path; null counts as absent.
fn argument(param: &HeaderParam, text: &[u8], arguments: Span) -> Option<Span> {
    let value = param.path.iter().try_fold(arguments, |object, key| json::get(text, object, key))?;
    (value.of(text) != b"null").then_some(value)
}

/// Scalars as headers show them; numbers verbatim.
fn rendered(raw: &[u8]) -> Option<Cow<'_, str>> {
    match raw.first()? {
        b'{' | b'[' | b'n' => None,
        _ => Some(json::decode_str(raw)),
    }
}

/// Compares two decimals that are whole numbers, without going through a binary type: `42`, `42.0`, `-0`, `007`.
fn same_integer(one: &str, other: &str) -> bool {
    matches!((whole(one), whole(other)), (Some(one), Some(other)) if one == other)
}

/// Sign and digits of a whole number; `None` for anything else. An exponent is not a whole number's notation here.
fn whole(text: &str) -> Option<(bool, &str)> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let (digits, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number || fraction.is_empty() || fraction.bytes().any(|byte| byte != b'0') {
        return None;
    }
    let digits = digits.trim_start_matches('0');
    Some((negative && !digits.is_empty(), digits))
}
