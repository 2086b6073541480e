//! One tool's `inputSchema`, compiled, and what is wrong with arguments by it.
//!
//! The schema is the server's, and may mean ill: nothing is fetched, patterns match in linear time, and what checking
//! can cost is bounded by [`expand`].

use std::fmt::Write as _;

use jsonschema::{PatternOptions, Validator};
use serde_json::{Value, json};

use super::expand::expand;

/// Bytes of a schema.
const MAX_SCHEMA: usize = 256 << 10;
/// Bytes that a compiled pattern may have; what it counts for is the least of these that it fits into.
const PATTERNS: [usize; 4] = [16 << 10, 128 << 10, 512 << 10, 2 << 20];
/// Bytes of the tables that speed the search for a pattern up.
const TABLES: usize = 128 << 10;
/// Bytes of all patterns of one schema.
const ALL_PATTERNS: usize = 16 << 20;
/// What a validator takes for each value of its schema, about.
const NODE: usize = 512;
/// Violations that are told at once.
const TOLD: usize = 10;
/// Characters of one of them.
const LONGEST: usize = 240;
/// Steps that a check on a core may take, at most: about a millisecond.
const STEPS_ON_CORE: u64 = 4_000_000;
/// Steps that a check may take at all.
const STEPS: u64 = 2_000_000_000;

/// A schema that arguments can be checked against.
#[derive(Debug)]
pub(super) struct Compiled {
    validator: Validator,
    /// Values of the schema.
    values: usize,
    /// Bytes that it takes, about.
    pub(super) bytes: usize,
}

/// Where a check belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effort {
    /// It is done at once.
    Small,
    /// It would hold up a core.
    Large,
    /// It could take minutes.
    TooLarge,
}

/// What is wrong with arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violations {
    /// For the caller: a line for each, with where and what.
    pub(in crate::answers) told: String,
    /// For the log, where arguments do not belong: the first's place and keyword.
    pub(super) brief: String,
}

/// Compiles the text of a schema; an error is a clause that says why that cannot be done.
pub(super) fn compile(text: &[u8]) -> Result<Compiled, String> {
    if text.len() > MAX_SCHEMA {
        return Err(format!("it has {} bytes, and {MAX_SCHEMA} are looked at", text.len()));
    }
    let schema: Value = serde_json::from_slice(text).map_err(|problem| format!("it cannot be read: {problem}"))?;
    let expanded = expand(&schema)?;
    let mut patterns = 0;
    for pattern in &expanded.patterns {
        patterns += weight(pattern)?;
        if patterns > ALL_PATTERNS {
            return Err(format!("its patterns take more than {ALL_PATTERNS} bytes"));
        }
    }
    let validator = build(&expanded.schema, PATTERNS[PATTERNS.len() - 1])?;
    let bytes = expanded.values * NODE + 2 * expanded.text + patterns;
    Ok(Compiled { validator, values: expanded.values, bytes })
}

fn build(schema: &Value, largest_pattern: usize) -> Result<Validator, String> {
    let patterns = PatternOptions::regex().size_limit(largest_pattern).dfa_size_limit(TABLES);
    jsonschema::options()
        .should_validate_formats(true)
        .should_ignore_unknown_formats(true)
        .with_pattern_options(patterns)
        .build(schema)
        .map_err(|problem| format!("it is no valid schema: {}", short(&problem.to_string())))
}

/// Bytes that a pattern takes, about: its program, both ways, and its tables.
fn weight(pattern: &str) -> Result<usize, String> {
    let alone = json!({ "pattern": pattern });
    let (last, smaller) = PATTERNS.split_last().expect("there are sizes");
    let fits = smaller.iter().find(|size| build(&alone, **size).is_ok());
    match fits {
        Some(size) => Ok(2 * size + TABLES),
        None => build(&alone, *last).map(|_| 2 * last + TABLES),
    }
}

impl Compiled {
    /// What checking arguments of this many bytes may take.
    pub(super) fn effort(&self, bytes: usize) -> Effort {
        let steps = (self.values as u64).saturating_mul(bytes as u64);
        if steps <= STEPS_ON_CORE {
            Effort::Small
        } else if steps <= STEPS {
            Effort::Large
        } else {
            Effort::TooLarge
        }
    }

    /// Bytes of arguments that are checked at all.
    pub(super) fn most(&self) -> usize {
        usize::try_from(STEPS / (self.values as u64).max(1)).unwrap_or(usize::MAX)
    }

    /// Checks the text of arguments, which was scanned before.
    pub(super) fn check(&self, arguments: &[u8]) -> Result<(), Violations> {
        // JSON all the same, such as half a surrogate pair or a number that no f64 holds. Other readers take it, and
        // what else stands beside it: nobody may choose to be unchecked by it.
        let arguments = serde_json::from_slice::<Value>(arguments).map_err(|problem| Violations {
            told: format!("\n- arguments: cannot be read: {}", short(&problem.to_string())),
            brief: "arguments: cannot be read".to_owned(),
        })?;
        if self.validator.is_valid(&arguments) { Ok(()) } else { Err(self.violations(&arguments)) }
    }

    fn violations(&self, arguments: &Value) -> Violations {
        let (mut told, mut brief, mut more) = (String::new(), String::new(), false);
        for (number, error) in self.validator.iter_errors(arguments).enumerate() {
            let path = error.instance_path().to_string();
            let place = if path.is_empty() { "arguments" } else { path.as_str() };
            if number == TOLD {
                more = true;
                break;
            }
            if number == 0 {
                brief = format!("{}: {}", short(place), error.kind().keyword());
            }
            // Writing to a String cannot fail.
            let _ = write!(told, "\n- {}: {}", short(place), short(&error.to_string()));
        }
        if more {
            told.push_str("\n- and more");
        }
        Violations { told, brief }
    }
}

fn short(text: &str) -> String {
    let mut shown: String = text.chars().take(LONGEST).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(schema: &str, arguments: &str) -> Option<String> {
        let compiled = compile(schema.as_bytes()).expect("a schema");
        compiled.check(arguments.as_bytes()).err().map(|violations| violations.told)
    }

    #[test]
    fn each_violation_is_told_with_its_place() {
        let schema = r#"{"type":"object","properties":{"n":{"type":"integer","minimum":3},"city":{},"a":{"items":{"maxLength":2}}},
            "required":["city"],"additionalProperties":false}"#;
        assert_eq!(told(schema, r#"{"city":"x","n":3,"a":["ab"]}"#), None);
        let lines = told(schema, r#"{"n":1,"a":["ab","abc"],"odd":0}"#).expect("violations");
        for expected in
            ["- /n: 1 is less than the minimum of 3", "- /a/1: ", "- arguments: \"city\" is a required", "odd"]
        {
            assert!(lines.contains(expected), "{expected}: {lines}");
        }
        assert_eq!(lines.lines().filter(|line| line.starts_with("- ")).count(), 4, "{lines}");
    }

    #[test]
    fn what_cannot_be_read_is_a_violation_whatever_stands_beside_it() {
        let schema = r#"{"properties":{"path":{"pattern":"^[a-z]+$"}}}"#;
        for beside in [r#""\ud800""#, r#""\udc00\ud800""#, "1e999", "-1e999", r#"{"\ud800":0}"#] {
            let lines = told(schema, &format!(r#"{{"path":"../../x","y":{beside}}}"#)).expect("a violation");
            assert!(lines.starts_with("\n- arguments: cannot be read: "), "{beside}: {lines}");
        }
        for beside in [r#""\ud83d\ude00""#, "1e308", "123456789012345678901234567890", "1e-999"] {
            assert_eq!(told(schema, &format!(r#"{{"path":"x","y":{beside}}}"#)), None, "{beside}");
        }
    }

    #[test]
    fn formats_are_asserted_and_unknown_ones_are_not() {
        for (format, good, bad) in [
            ("email", "a@example.org", "a"),
            ("date-time", "2026-11-27T11:00:00Z", "today"),
            ("uri", "https://example.org/", "not a uri"),
            ("uuid", "2f1f6f0e-0a55-4e0b-9a5b-7a4f0f3c9d11", "2f1f"),
            ("ipv4", "10.0.0.1", "10.0.0.256"),
        ] {
            let schema = format!(r#"{{"format":"{format}"}}"#);
            assert_eq!(told(&schema, &format!("{good:?}")), None, "{format}");
            assert!(told(&schema, &format!("{bad:?}")).is_some(), "{format}");
        }
        assert_eq!(told(r#"{"format":"of-our-own"}"#, r#""x""#), None);
    }

    #[test]
    fn at_most_ten_are_told_and_none_at_length() {
        let schema = r#"{"items":{"type":"integer"}}"#;
        let long = "x".repeat(10_000);
        let arguments = serde_json::to_string(&vec![long; 50]).expect("JSON");
        let lines = told(schema, &arguments).expect("violations");
        assert_eq!(lines.lines().filter(|line| line.starts_with("- ")).count(), TOLD + 1);
        assert!(lines.ends_with("\n- and more") && lines.len() < 4000, "{}", lines.len());
    }

    #[test]
    fn schemas_that_cannot_be_used_say_why() {
        let long = format!(r#"{{"description":"{}"}}"#, "x".repeat(MAX_SCHEMA));
        for (schema, said) in [
            (long.as_str(), "bytes"),
            (r#"{"type":"nothing"}"#, "no valid schema"),
            (r#"{"pattern":"(?=x)"}"#, "no valid schema"),
            (r#"{"pattern":"^(xy{1,1000}z){1,1000}$"}"#, "no valid schema"),
            (r#"{"$ref":"file:///etc/passwd"}"#, "never fetched"),
            ("[]", "no valid schema"),
        ] {
            let Err(why) = compile(schema.as_bytes()) else { panic!("{schema:.60} fits") };
            assert!(why.contains(said), "{schema:.60}: {why}");
        }
    }

    #[test]
    fn the_deepest_schema_that_passes_fits_the_stack() {
        let deep = (0..30).fold(r#"{"type":"object"}"#.to_owned(), |inner, _| {
            format!(r##"{{"properties":{{"a":{inner},"b":{{"$ref":"#"}}}}}}"##)
        });
        let compiled = std::thread::spawn(move || compile(deep.as_bytes())).join().expect("no overflow").expect("fits");
        let arguments = (0..60).fold("{}".to_owned(), |inner, _| format!(r#"{{"a":{inner},"b":1}}"#));
        std::thread::spawn(move || compiled.check(arguments.as_bytes())).join().expect("no overflow").expect("fits");
    }

    #[test]
    fn what_a_schema_takes_is_known() {
        let bytes = |schema: &str| compile(schema.as_bytes()).expect("a schema").bytes;
        let plain = bytes(r#"{"type":"object"}"#);
        assert!(plain < 10_000, "{plain}");
        let small = bytes(r#"{"pattern":"^[a-z]+$"}"#);
        let large = bytes(r#"{"pattern":"^([a-z0-9]{1,40}x){1,40}$"}"#);
        assert!(plain < small && small < large, "{plain} {small} {large}");
        let many: Vec<String> =
            (0..40).map(|number| format!(r#"{{"pattern":"^([a-z0-9]{{1,60}}{number}){{1,60}}$"}}"#)).collect();
        let why = compile(format!(r#"{{"anyOf":[{}]}}"#, many.join(",")).as_bytes()).expect_err("too much");
        assert!(why.contains("patterns take more"), "{why}");
    }

    #[test]
    fn what_a_pattern_makes_of_long_text_is_bounded() {
        let compiled = compile(br#"{"pattern":"^(a+)+$"}"#).expect("a schema");
        let arguments = format!("{:?}", "a".repeat(100_000) + "b");
        assert_eq!(compiled.effort(arguments.len()), Effort::Large);
        assert!(compiled.check(arguments.as_bytes()).is_err());
    }
}
