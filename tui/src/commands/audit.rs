//! `toolgate audit`: who changed what, or tried to.

use serde_json::Value;
use toolgate_admin_api::{AuditRecord, Exit};

use super::{Context, change, history};
use crate::args::Audit;
use crate::client::admin::AdminClient;
use crate::failure::Failure;
use crate::output;

/// Shows the newest records.
pub(super) async fn run(context: &Context, audit: Audit) -> Result<Exit, Failure> {
    let Audit::Tail { lines } = audit;
    let mut client = AdminClient::control(&context.runtime_dir).await?;
    let answer = client.get(&format!("/v1/audit?limit={lines}")).await?;
    let audit: toolgate_admin_api::Audit = answer.read()?;
    if context.json {
        // A line for each, as in the file.
        audit.records.iter().for_each(output::json);
        return Ok(Exit::Done);
    }
    let rows = audit.records.iter().map(row).collect();
    change::table(
        rows,
        &["NUMBER", "TIME", "WHO", "WHAT", "OF", "CHANGE", "REASON", "OUTCOME"],
        "Nothing was changed yet.",
    );
    Ok(Exit::Done)
}

fn row(record: &AuditRecord) -> Vec<String> {
    let who = if record.user.is_empty() { format!("uid {}", record.uid) } else { record.user.clone() };
    let change = match (&record.before, &record.after) {
        (Value::Null, Value::Null) => String::new(),
        (Value::Null, after) => brief(after),
        (before, after) => format!("{} -> {}", brief(before), brief(after)),
    };
    vec![
        record.number.to_string(),
        history::time(record.at_ms),
        who,
        record.action.clone(),
        record.target.clone(),
        change,
        record.reason.clone().unwrap_or_default(),
        record.outcome.clone(),
    ]
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

    #[test]
    fn a_record_is_a_line() {
        let record = AuditRecord {
            number: 7,
            uid: 1000,
            action: "limit.override".into(),
            target: "free".into(),
            before: json!("3/h"),
            after: json!({"value": "8/h", "seconds": 600}),
            outcome: "done".into(),
            ..AuditRecord::default()
        };
        let row = row(&record);
        assert_eq!((row[2].as_str(), row[5].as_str()), ("uid 1000", "3/h -> seconds=600 value=8/h"));
    }
}
