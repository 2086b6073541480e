//! What is left out of arguments before they are recorded: what pointers and patterns name, and in any case what looks
//! like a credential.
//!
//! Compiled once per configuration. The text was validated when its message was read, and is not modelled: it is copied
//! piece by piece.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Regex, RegexBuilder};
use toolgate_protocol::json::{self, Span};

use crate::config::settings::AuditRules;

/// What stands in the place of what is left out.
const REDACTED: &str = "[redacted]";

/// Bytes that a compiled pattern may take.
const MOST: usize = 1 << 20;

/// Bytes of a text that is looked through without the expressions.
const SHORT: usize = 64;

/// Keys of this gate, `Authorization` values, JSON web tokens, and passwords in URLs.
static CREDENTIALS: LazyLock<Regex> = LazyLock::new(|| {
    let forms = [
        r"\btg_[A-Za-z0-9-]{1,64}_[A-Za-z0-9_-]{16,}",
        r"(?i:\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}",
        r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?",
        r"://[^\s/?#@:]*:[^\s/?#@]+@",
    ];
    Regex::new(&forms.join("|")).expect("the forms of credentials are regular expressions")
});

/// Whether a text is short, as names are, and surely holds no credential: each form has a space or one of these marks.
fn is_harmless(text: &str) -> bool {
    let marks = |three: &[u8]| matches!(three, b"tg_" | b"eyJ" | b"://");
    text.len() <= SHORT && text.bytes().all(|byte| byte.is_ascii_graphic()) && !text.as_bytes().windows(3).any(marks)
}

/// Whether a text is a JSON pointer (RFC 6901), in which `*` may stand for any member or element.
#[must_use]
pub fn is_pointer(text: &str) -> bool {
    let escapes = text.match_indices('~').all(|(at, _)| matches!(text.as_bytes().get(at + 1), Some(b'0' | b'1')));
    text.starts_with('/') && escapes
}

/// Compiles a pattern.
///
/// # Errors
/// Why it is none, on one line.
pub fn pattern(text: &str) -> Result<Regex, String> {
    RegexBuilder::new(text).size_limit(MOST).build().map_err(|problem| match problem {
        regex::Error::CompiledTooBig(_) => format!("`{text}` is too large a pattern"),
        _ => format!("`{text}` is no pattern"),
    })
}

/// What is left out.
#[derive(Debug, Default)]
pub struct Redactor {
    pointers: Vec<Vec<Step>>,
    patterns: Vec<Regex>,
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    Any,
    Named(String),
}

impl Redactor {
    /// Of a configuration that was checked.
    #[must_use]
    pub fn new(rules: &AuditRules) -> Self {
        Self {
            pointers: rules.redact.iter().map(|pointer| steps(pointer)).collect(),
            patterns: rules.redact_patterns.iter().filter_map(|text| pattern(text).ok()).collect(),
        }
    }

    /// Appends a value in canonical form, without what is left out.
    pub fn append(&self, out: &mut Vec<u8>, text: &[u8], value: Span) {
        let all: Vec<&[Step]> = self.pointers.iter().map(Vec::as_slice).collect();
        self.walk(out, text, value, &all);
    }

    /// A text of somebody else, without what is left out.
    #[must_use]
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut said = if is_harmless(text) { Cow::Borrowed(text) } else { CREDENTIALS.replace_all(text, REDACTED) };
        for pattern in &self.patterns {
            if let Cow::Owned(less) = pattern.replace_all(&said, REDACTED) {
                said = Cow::Owned(less);
            }
        }
        said
    }

    /// `left` are the pointers that lead here, each with the steps that are still to be taken.
    fn walk(&self, out: &mut Vec<u8>, text: &[u8], value: Span, left: &[&[Step]]) {
        if left.iter().any(|steps| steps.is_empty()) {
            return self.string(out, REDACTED);
        }
        let raw = value.of(text);
        match raw.first() {
            Some(b'{') => {
                out.push(b'{');
                for (index, member) in json::members(text, value).enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    let key = json::decode_str(member.key.of(text));
                    self.string(out, &key);
                    out.push(b':');
                    self.walk(out, text, member.value, &follow(left, &key));
                }
                out.push(b'}');
            }
            Some(b'[') => {
                out.push(b'[');
                for (index, element) in json::elements(text, value).enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    let steps = if left.is_empty() { Vec::new() } else { follow(left, &index.to_string()) };
                    self.walk(out, text, element, &steps);
                }
                out.push(b']');
            }
            Some(b'"') => self.string(out, &json::decode_str(raw)),
            _ => {
                // A number can be what a pattern names; then it becomes a string.
                let plain = String::from_utf8_lossy(raw);
                match self.text(&plain) {
                    Cow::Borrowed(_) => out.extend_from_slice(raw),
                    Cow::Owned(less) => out.extend_from_slice(json::encode_str(&less).as_bytes()),
                }
            }
        }
    }

    fn string(&self, out: &mut Vec<u8>, text: &str) {
        out.extend_from_slice(json::encode_str(&self.text(text)).as_bytes());
    }
}

/// The pointers that lead on to a member or element.
fn follow<'a>(left: &[&'a [Step]], name: &str) -> Vec<&'a [Step]> {
    let leads = |steps: &&'a [Step]| match steps.split_first()? {
        (Step::Any, rest) => Some(rest),
        // As conditions do: a server may read a key however it is capitalised.
        (Step::Named(step), rest) => json::same_folded(step, name).then_some(rest),
    };
    left.iter().filter_map(leads).collect()
}

fn steps(pointer: &str) -> Vec<Step> {
    let step = |step: &str| match step {
        "*" => Step::Any,
        step => Step::Named(step.replace("~1", "/").replace("~0", "~")),
    };
    pointer.split('/').skip(1).map(step).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_held_for_harmless_holds_no_credential(
            parts in prop::collection::vec(
                prop::sample::select(vec!["tg_", "Bearer", "basic", " ", "\t", "\u{a0}", "eyJ", ".", "://", ":", "@", "_", "abcdefgh1234567", "x"]),
                0..9,
            )
        ) {
            let text = parts.concat();
            prop_assert!(!is_harmless(&text) || !CREDENTIALS.is_match(&text), "{}", text);
        }
    }

    fn redacted(table: &str, arguments: &str) -> String {
        let text = format!("version = 1\n[audit]\narguments = \"redacted\"\n{table}\n");
        let settings = crate::config::from_text(&text).unwrap_or_else(|report| panic!("{}", report.render(false)));
        let mut out = Vec::new();
        let span = json::document(arguments.as_bytes()).expect("JSON");
        Redactor::new(&settings.audit).append(&mut out, arguments.as_bytes(), span);
        let said = String::from_utf8(out).expect("UTF-8");
        serde_json::from_str::<serde_json::Value>(&said).unwrap_or_else(|problem| panic!("{problem}: {said}"));
        said
    }

    #[test]
    fn pointers_name_what_is_left_out_however_it_is_written() {
        let table = r#"redact = ["/password", "/*/token", "/list/1", "/a~1b/~0"]"#;
        let said = redacted(
            table,
            r#"{ "Pass\u0077ord": {"x": 1}, "one": {"token": 7, "kept": true}, "list": [1, 2, 3], "a/b": {"~": 5} }"#,
        );
        assert_eq!(
            said,
            r#"{"Password":"[redacted]","one":{"token":"[redacted]","kept":true},"list":[1,"[redacted]",3],"a/b":{"~":"[redacted]"}}"#
        );
        assert_eq!(redacted(table, "{\"pa\u{17f}sword\":1}"), "{\"pa\u{17f}sword\":\"[redacted]\"}");
        assert_eq!(redacted(table, "[{\"token\":1}]"), r#"[{"token":"[redacted]"}]"#);
    }

    #[test]
    fn patterns_are_left_out_of_texts_names_and_numbers() {
        let table = r#"redact_patterns = ["sk-[A-Za-z0-9]+", "[0-9]{16}"]"#;
        let said = redacted(table, r#"{"sk-abc1": "use sk-XYZ9 now", "card": 4111111111111111, "n": 41}"#);
        assert_eq!(said, r#"{"[redacted]":"use [redacted] now","card":"[redacted]","n":41}"#);
    }

    #[test]
    fn credentials_are_left_out_in_any_case() {
        for secret in [
            "tg_ci_AbCdEfGhIjKlMnOpQrStUvWxYz012345",
            "Bearer abcdefgh12345678",
            "authorization: bearer abcdefgh12345678==",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln",
            "postgres://me:hunter22@db/x",
        ] {
            let said = redacted("", &format!("{{\"text\":[\"see {secret} there\"]}}"));
            assert!(
                said.contains("[redacted]") && !said.contains(&secret[secret.len() - 6..secret.len() - 3]),
                "{said}"
            );
        }
        for plain in ["tg_short", "the bearer of news", "https://a.example/x@y", "eye"] {
            assert!(redacted("", &format!("\"{plain}\"")).contains(plain), "{plain}");
        }
    }

    #[test]
    fn what_is_no_pointer_and_no_pattern_is_told() {
        let report = crate::config::from_text(
            "version = 1\n[audit]\narguments = \"redacted\"\nredact = [\"password\"]\nredact_patterns = [\"(\", \"(a)\\\\1\"]\n",
        )
        .expect_err("three problems");
        let told = report.render(false);
        for wanted in ["`password` is no JSON pointer", "`(` is no pattern", "`(a)\\1` is no pattern"] {
            assert!(told.contains(wanted), "{told}");
        }
    }
}
