//! A line of the log, as people read it.

use serde_json::Value;
use toolgate_admin_api::{AuditLine, Shown};

use super::super::history;

/// What stands above the columns.
pub(super) const HEAD: [&str; 8] = ["NUMBER", "TIME", "KIND", "WHO", "WHAT", "OF", "OUTCOME", "MORE"];

/// A row of a table.
pub(super) fn cells(line: &AuditLine) -> Vec<String> {
    let (who, what, of) = match line.kind.as_str() {
        "change" => (user(line), member(line, "action"), member(line, "target")),
        "refused" => (member(line, "address"), "refused".to_owned(), member(line, "listener")),
        "reload" => (member(line, "who"), "reload".to_owned(), member(line, "revision")),
        _ => (line.client.clone().unwrap_or_default(), line.method.clone().unwrap_or_default(), place(line)),
    };
    let outcome = match (&line.outcome, line.decision.as_deref()) {
        (Some(outcome), Some("denied")) => format!("{outcome}, denied"),
        (Some(outcome), _) => outcome.clone(),
        (None, Some(decision)) => decision.to_owned(),
        (None, None) => String::new(),
    };
    let number = if line.number == 0 { "-".to_owned() } else { line.number.to_string() };
    vec![number, history::time(line.at_ms), line.kind.clone(), who, what, of, outcome, more(line)]
}

/// The same on a line of its own.
pub(super) fn text(line: &AuditLine) -> String {
    let cells = cells(line).into_iter().filter(|cell| !cell.is_empty());
    Shown(&cells.collect::<Vec<_>>().join("  ")).to_string()
}

fn user(line: &AuditLine) -> String {
    match member(line, "user") {
        user if user.is_empty() => format!("uid {}", member(line, "uid")),
        user => user,
    }
}

fn place(line: &AuditLine) -> String {
    let parts = [&line.server, &line.name].into_iter().flatten().map(String::as_str);
    parts.collect::<Vec<_>>().join("/")
}

/// What a kind of line has besides.
fn more(line: &AuditLine) -> String {
    match line.kind.as_str() {
        "change" => {
            let change = match (line.more.get("before"), line.more.get("after")) {
                (None | Some(Value::Null), None | Some(Value::Null)) => String::new(),
                (None | Some(Value::Null), Some(after)) => brief(after),
                (Some(before), after) => format!("{} -> {}", brief(before), after.map(brief).unwrap_or_default()),
            };
            let parts = [change, member(line, "reason")];
            parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
        }
        "call" => {
            let rule = line.rule.clone().unwrap_or_default();
            if rule.is_empty() { line.call.clone().unwrap_or_default() } else { rule }
        }
        "refused" => format!("{} {}", member(line, "count"), line.rule.as_deref().unwrap_or_default()),
        _ => brief(&Value::Object(line.more.clone())),
    }
}

fn member(line: &AuditLine, name: &str) -> String {
    line.more.get(name).map(brief).unwrap_or_default()
}

/// A value on a line: an object without its braces.
fn brief(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| format!("{name}={}", brief(value)));
            members.collect::<Vec<_>>().join(" ")
        }
        other => other.to_string(),
    };
    if text.chars().count() <= 60 { text } else { text.chars().take(59).chain(['…']).collect() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(value: Value) -> AuditLine {
        serde_json::from_value(value).expect("a line")
    }

    #[test]
    fn a_change_is_a_row() {
        let line = line(json!({
            "number": 7, "kind": "change", "uid": 1000, "action": "limit.override", "target": "free", "before": "3/h",
            "after": {"value": "8/h", "seconds": 600}, "reason": "a demo", "outcome": "done",
        }));
        let row = cells(&line);
        assert_eq!(row[3..7], ["uid 1000", "limit.override", "free", "done"]);
        assert_eq!(row[7], "3/h -> seconds=600 value=8/h; a demo");
    }

    #[test]
    fn a_call_is_a_row_and_a_flood_is_a_number() {
        let call = line(json!({
            "number": 8, "kind": "call", "client": "key:ci", "method": "tools/call", "server": "bank", "name": "pay\u{1b}[2J",
            "decision": "denied", "rule": "limited", "outcome": "refused",
        }));
        assert_eq!(
            text(&call),
            r"8  1970-01-01 00:00:00Z  call  key:ci  tools/call  bank/pay\u{1b}[2J  refused, denied  limited"
        );
        let flood = line(json!({
            "number": 9, "kind": "refused", "address": "10.0.0.1", "listener": "public", "decision": "denied",
            "rule": "unauthenticated", "count": 1041,
        }));
        assert_eq!(cells(&flood)[3..], ["10.0.0.1", "refused", "public", "denied", "1041 unauthenticated"]);
    }
}
